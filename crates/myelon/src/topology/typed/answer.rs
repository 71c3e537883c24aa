//! The outcome of waiting for one worker, decoded.

use super::super::answer::{Answer, Outcome};
use super::super::error::TopologyError;
use crate::codec::{Codec, OlderVersion, decode_as};
use disruptor_mp::Sequence;

/// The result of waiting for one worker.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
/// use std::time::Duration;
///
/// # #[message]
/// # struct Step(Vec<u32>);
/// #[message]
/// struct Sum(u64);
///
/// fn total(scheduler: &mut TypedScheduler<Step, Sum>, step: Sequence) -> u64 {
///     let mut total = 0;
///     for answer in scheduler.gather_for(step, Whom::All, Duration::from_millis(50)) {
///         match answer.outcome {
///             Ok((Sum(sum), _kind)) => total += sum,
///             Err(Outcome::Unreadable(error)) => eprintln!("rank {} has answered no sum: {error}", answer.rank),
///             Err(why) => eprintln!("rank {} {why}", answer.rank),
///         }
///     }
///     total
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedAnswer<A> {
    /// The rank of the worker, from 0.
    pub rank: usize,
    /// The broadcast that the message answers: see [`Answer::step`].
    pub step: Option<Sequence>,
    /// The message and its kind; or why there is none, which is never [`Outcome::Message`].
    pub outcome: Result<(A, u8), Outcome>,
}

impl<A: Codec> TypedAnswer<A> {
    /// `older`: the versions that were accepted when the scheduler attached to the ring. `worker`: the user's name for
    /// the worker.
    pub(super) fn of(Answer { rank, step, version, outcome }: Answer, older: &[OlderVersion<A>], worker: &str) -> Self {
        let older = version.0.and_then(|number| older.get(number));
        let outcome = match outcome {
            Outcome::Message { kind, bytes } => match decode_as(older, &bytes) {
                Ok(message) => Ok((message, kind)),
                Err(error) => Err(Outcome::Unreadable(TopologyError::of(worker, error))),
            },
            other => Err(other),
        };
        Self { rank, step, outcome }
    }
}
