//! A broadcast that a worker received, decoded.
//!
//! It borrows the worker's end, so there is one at a time.

use super::super::broadcast::Broadcast;
use super::super::error::TopologyError;
use super::ring::TypedRing;
use crate::codec::Codec;
#[cfg(feature = "tokio")]
use crate::transport::TransportError;
use crate::transport::{Format, Records};
use crate::typed_transport::{Encoder, Reading};
use disruptor_mp::{Patience, Sequence};
use std::fmt;

/// A broadcast of type `B` that a worker received, with the way to answer it in type `A`. Dropping it acknowledges it.
/// While a panic unwinds it is not acknowledged, and comes again.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// #[message]
/// struct Step {
///     tokens: Vec<u32>,
/// }
///
/// #[message]
/// struct Sum(u64);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let topology: Topology = Topology::new(&portable_shm_segment_name("doc"), 1usize)?;
/// # let invitation = topology.invitation(0)?;
/// # let scheduler = std::thread::spawn(move || {
/// #     let launched = TypedScheduler::<Step, Sum>::launch(topology, Workers::started_elsewhere());
/// #     let mut scheduler = launched.expect("a worker comes");
/// #     let step = scheduler.broadcast(&Step { tokens: vec![1, 2] }, 0, Patience::Endless).expect("there is room");
/// #     let soon = std::time::Instant::now() + std::time::Duration::from_secs(20);
/// #     scheduler.gather_for(step, Whom::All, soon).remove(0).outcome
/// # });
/// // In a process that the scheduler has started, the invitation is `Invitation::from_environment()?`.
/// let mut worker: TypedWorker<Step, Sum> = TypedWorker::join(&invitation)?;
/// let is_first = worker.raw().rank() == 0;
/// while let Some(mut broadcast) = worker.next_or_end(Patience::Endless)? {
///     // Only the first rank answers. The scheduler asks it alone: `gather_for(step, Whom::Rank(0), ..)`.
///     if is_first {
///         let sum = broadcast.message().tokens.iter().copied().map(u64::from).sum();
///         broadcast.answer(&Sum(sum), 0, Patience::Endless)?;
///     }
/// } // acknowledged, answered or not
/// # assert!(matches!(scheduler.join(), Ok(Ok((Sum(3), 0)))));
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a broadcast acknowledges it"]
pub struct TypedBroadcast<'a, B, A: Codec, F: Format = Records> {
    pub(super) message: B,
    pub(super) raw: Broadcast<'a, F>,
    pub(super) encoder: &'a mut Encoder<A>,
    pub(super) reading: &'a mut Reading<B>,
}

/// An urgent message of type `B` that a worker received while it works on a broadcast. It is acknowledged already.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::Patience;
/// use myelon::topology::TypedWorker;
///
/// #[myelon::message]
/// enum Step {
///     Run { layers: usize },
///     Cancel,
/// }
///
/// #[myelon::message]
/// struct IsDone(bool);
///
/// fn work(worker: &mut TypedWorker<Step, IsDone>) -> Result<(), Box<dyn std::error::Error>> {
///     while let Some(mut broadcast) = worker.next_or_end(Patience::Endless)? {
///         let Step::Run { layers } = *broadcast.message() else { continue };
///         let mut is_cancelled = false;
///         for _layer in 0..layers {
///             while let Some(urgent) = broadcast.urgent()? {
///                 // It cancels everything up to the last step before it.
///                 is_cancelled |= matches!(urgent.message, Step::Cancel) && urgent.step >= broadcast.step();
///             }
///         }
///         broadcast.answer(&IsDone(!is_cancelled), 0, Patience::Endless)?;
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct TypedUrgent<B> {
    /// The message, decoded.
    pub message: B,
    /// The kind that the scheduler gave it.
    pub kind: u8,
    /// The last broadcast before it; -1 if there was none.
    pub step: Sequence,
}

impl<'a, B: Codec, A: Codec, F: Format> TypedBroadcast<'a, B, A, F> {
    /// Decodes a copy of `raw`, made in `copy`.
    pub(super) fn of(
        raw: Broadcast<'a, F>,
        encoder: &'a mut Encoder<A>,
        reading: &'a mut Reading<B>,
        copy: &mut Vec<u8>,
    ) -> Result<Self, TopologyError> {
        copy.clear();
        copy.extend_from_slice(&raw);
        let message = reading.read(copy).map_err(|error| raw.error(error))?;
        Ok(Self { message, raw, encoder, reading })
    }

    /// The next urgent message, decoded and acknowledged, if there is one now: as [`Broadcast::urgent`].
    ///
    /// # Errors
    /// The same as that call; `Codec` for a message that is not of type `B`, which was acknowledged.
    pub fn urgent(&mut self) -> Result<Option<TypedUrgent<B>>, TopologyError> {
        let Some(urgent) = self.raw.urgent()? else { return Ok(None) };
        let (kind, step) = (urgent.kind(), urgent.in_reply_to().unwrap_or(-1));
        // Decoded from a copy, which the process that wrote the message cannot change.
        let copy = urgent.to_vec();
        drop(urgent);
        let message = self.reading.read(&copy).map_err(|error| self.raw.error(error))?;
        Ok(Some(TypedUrgent { message, kind, step }))
    }
}

impl<B, A: Codec, F: Format> TypedBroadcast<'_, B, A, F> {
    /// `source` as the error of the worker.
    #[cfg(feature = "tokio")]
    pub(crate) fn error(&self, source: impl Into<TransportError>) -> TopologyError {
        self.raw.error(source)
    }

    /// The message.
    pub fn message(&self) -> &B {
        &self.message
    }

    /// The message, and the number by which [`TypedWorker::answer`](crate::topology::TypedWorker::answer) answers it.
    /// The broadcast is acknowledged.
    pub fn into_message(self) -> (B, Sequence) {
        let step = self.step();
        (self.message, step)
    }

    /// The kind that the scheduler gave it.
    pub fn kind(&self) -> u8 {
        self.raw.kind()
    }

    /// The number of the broadcast that an answer refers to: see [`Broadcast::step`].
    pub fn step(&self) -> Sequence {
        self.raw.step()
    }

    /// Whether it came through the [urgent lane](crate::topology::Topology::with_urgent_lane).
    pub fn is_urgent(&self) -> bool {
        self.raw.is_urgent()
    }

    /// Whether it may have been handed out before, to a worker of this rank that died without acknowledging it.
    pub fn is_redelivered(&self) -> bool {
        self.raw.is_redelivered()
    }

    /// Answers the broadcast.
    ///
    /// # Errors
    /// `Codec` if it cannot be encoded; the others as [`Broadcast::answer`]. Nothing was sent.
    pub fn answer(&mut self, answer: &A, kind: u8, patience: impl Into<Patience>) -> Result<Sequence, TopologyError> {
        self.ring().send(answer, kind, patience.into()).map_err(|error| self.raw.error(error))
    }

    /// The ring to answer it in.
    pub(crate) fn ring(&mut self) -> TypedRing<'_, A, F> {
        TypedRing { ring: self.raw.responses_mut(), encoder: self.encoder }
    }

    /// Gives the broadcast back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.raw.release_unread();
    }
}

impl<B: fmt::Debug, A: Codec, F: Format> fmt::Debug for TypedBroadcast<'_, B, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedBroadcast").field("message", &self.message).field("raw", &self.raw).finish_non_exhaustive()
    }
}
