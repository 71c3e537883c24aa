//! A worker's next message as bytes, for workers that may answer in several versions.

use super::answer::{Answer, Outcome};
use super::gather::Found;
use crate::codec::{Codec, CodecResult, OlderVersion, decode_as, says_its_version};
use crate::transport::{Format, Message, Records};
use disruptor_mp::Sequence;
use std::fmt;
use std::ops::Deref;

/// A worker's message: its bytes, by `Deref`, and their version of `A`. A message in the worker's ring is acknowledged
/// when this is dropped.
///
/// The version is that of the ring from which the message came. The worker's successor may answer in another version by
/// now: an answer that was copied out of a dead worker's ring keeps its own.
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
/// use myelon::topology::RawAnswer;
/// # use std::time::Duration;
///
/// # #[message]
/// # struct Step(Vec<u32>);
/// #[message]
/// struct SumV1(u32);
///
/// #[message(name = "SumV1", takes(SumV1))]
/// struct Sum(u64);
///
/// impl From<SumV1> for Sum {
///     fn from(old: SumV1) -> Self {
///         Sum(old.0.into())
///     }
/// }
///
/// fn store(scheduler: &mut TypedScheduler<Step, Sum>, rank: usize) -> Result<(), Box<dyn std::error::Error>> {
///     match scheduler.receive_raw(rank, Duration::from_millis(50)) {
///         // The bytes, and the tag with which they can be read later.
///         Ok(answer) => println!("{} {:?}", answer.tag(), &answer[..]),
///         Err(why) => println!("rank {rank} {why}"),
///     }
///     Ok(())
/// }
/// ```
#[must_use = "dropping an answer acknowledges it"]
pub struct RawAnswer<'a, A: Codec, F: Format = Records> {
    bytes: Bytes<'a, F>,
    /// `None`: the version of `A` itself.
    older: Option<&'a OlderVersion<A>>,
}

enum Bytes<'a, F: Format> {
    InPlace(Message<'a, F>),
    Copied { in_reply_to: Option<Sequence>, kind: u8, bytes: Vec<u8> },
}

impl<'a, A: Codec, F: Format> RawAnswer<'a, A, F> {
    /// `older`: the versions that were accepted when the scheduler attached to the worker's ring.
    ///
    /// # Errors
    /// `found` is no message.
    pub(super) fn of(found: Found<'a, F>, older: &'a [OlderVersion<A>]) -> Result<Self, Outcome> {
        let (bytes, version) = match found {
            Found::InRing(message, version) => (Bytes::InPlace(message), version),
            Found::Copied(Answer { step: in_reply_to, version, outcome: Outcome::Message { kind, bytes }, .. }) => {
                (Bytes::Copied { in_reply_to, kind, bytes }, version)
            }
            Found::Copied(none) => return Err(none.outcome),
        };
        Ok(Self { bytes, older: version.0.and_then(|number| older.get(number)) })
    }

    says_its_version!(A, |it| it.older);

    /// Decodes the bytes, whatever their version. It is not counted.
    ///
    /// # Errors
    /// As [`Codec::decode`]: the bytes are no message of that version.
    pub fn decode(&self) -> CodecResult<A> {
        decode_as(self.older, self)
    }

    /// The application's kind.
    pub fn kind(&self) -> u8 {
        match &self.bytes {
            Bytes::InPlace(message) => message.kind(),
            Bytes::Copied { kind, .. } => *kind,
        }
    }

    /// The broadcast that the message answers, if its sender says.
    pub fn in_reply_to(&self) -> Option<Sequence> {
        match &self.bytes {
            Bytes::InPlace(message) => message.in_reply_to(),
            Bytes::Copied { in_reply_to, .. } => *in_reply_to,
        }
    }

    /// Whether the bytes are read in the worker's ring, and are not a copy.
    pub fn is_in_place(&self) -> bool {
        matches!(&self.bytes, Bytes::InPlace(message) if message.is_in_place())
    }

    /// The message in the worker's ring, for holding it or giving it back.
    ///
    /// # Errors
    /// The message itself, if it was copied before and is acknowledged.
    pub fn into_message(self) -> Result<Message<'a, F>, Self> {
        match self.bytes {
            Bytes::InPlace(message) => Ok(message),
            bytes @ Bytes::Copied { .. } => Err(Self { bytes, older: self.older }),
        }
    }
}

impl<A: Codec, F: Format> Deref for RawAnswer<'_, A, F> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match &self.bytes {
            Bytes::InPlace(message) => message,
            Bytes::Copied { bytes, .. } => bytes,
        }
    }
}

impl<A: Codec, F: Format> fmt::Debug for RawAnswer<'_, A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawAnswer")
            .field("tag", &self.tag())
            .field("kind", &self.kind())
            .field("in_reply_to", &self.in_reply_to())
            .field("len_bytes", &self.len())
            .finish_non_exhaustive()
    }
}
