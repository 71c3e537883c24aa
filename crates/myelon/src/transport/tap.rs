//! A tap of a transport: copies of its messages, for programs that watch.
//!
//! Any process with read permission may have one.

use super::builder::TransportBuilder;
use super::error::{TransportError, TransportResult};
use super::frame::FrameMeta;
use super::message::asked_of_a_message;
use super::prefix::{Envelope, TraceId};
use super::records::parse;
use disruptor_mp::{Patience, Place, RecordCopy, RecordTap, Sequence, or_end};
use std::fmt;
use std::ops::Deref;

/// A reader of a transport, for monitors, recorders and lossy readers. The sender does not wait for it. It has no entry
/// in the ring, maps it read-only, and gets copies of whole messages: never a torn or partly overwritten one.
///
/// It begins with the next message that is sent. It misses messages that were overwritten before it read them, and says
/// [how many](Self::missed). It misses none as long as it lags by less than seven eighths of the ring, less the size of
/// the current message. When its sender dies, it waits for a sender that takes the ring over. If the ring is replaced,
/// attach again.
///
/// There are taps of [`Records`](super::Records) only: a ring of frames numbers slots and not messages, so a tap could
/// not say how many messages it missed.
///
/// ```
/// use myelon::prelude::*;
/// use myelon::transport::TransportTap;
///
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// let mut producer: TransportProducer = TransportProducer::create(&name, 1 << 16)?;
/// // Usually in another process, which needs only read permission:
/// let mut tap = TransportTap::attach(&name)?;
///
/// producer.publish(b"a step", 1)?;
/// drop(producer);
/// while let Some(message) = tap.next_or_end(Patience::Endless)? {
///     assert_eq!((&message[..], message.kind(), message.sequence()), (&b"a step"[..], 1, 0));
/// }
/// assert_eq!(tap.missed(), 0);
/// # Ok(())
/// # }
/// ```
///
/// Source: RFC 0013, "Taps of records".
pub struct TransportTap {
    end: RecordTap,
    limit_bytes: usize,
    skipped: u64,
}

impl TransportTap {
    pub(super) fn new(end: RecordTap, message_limit: Option<usize>) -> Self {
        Self { end, limit_bytes: message_limit.unwrap_or(usize::MAX), skipped: 0 }
    }

    /// Attaches to the ring of records at `place`, whatever its size and its messages.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_tap`].
    pub fn attach(place: impl Into<Place>) -> TransportResult<Self> {
        TransportBuilder::at(place).build_tap()
    }

    /// Copies the next message that is still in the ring. The next call overwrites the copy. The tap waits for a
    /// message as `patience` says, and looks once a millisecond. `None` only for [`Patience::Now`], if there is no
    /// message yet. If a sequence is more than one above the last, messages were missed.
    ///
    /// # Errors
    /// `Consume`: `TimedOut`, or the end of the ring, as for [`RecordTap::next`]. `Malformed`: one message could not be
    /// read and was skipped; go on.
    pub fn next(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<MessageCopy<'_>>> {
        let Some(record) = self.end.next(patience)? else { return Ok(None) };
        match parse(&record, record.kind(), record.flags(), record.sequence(), self.limit_bytes) {
            Ok((envelope, start)) => Ok(Some(MessageCopy { record, envelope, start })),
            Err(fault) => {
                self.skipped += 1;
                Err(fault.into())
            }
        }
    }

    /// [`next`](Self::next) for loops that end when the stream ends. `None` says that the sender has closed the ring
    /// and that nothing is left to copy. If there is nothing yet, the error is `Consume(TimedOut)`.
    ///
    /// # Errors
    /// As [`next`](Self::next), except `Consume(Closed)`.
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<MessageCopy<'_>>> {
        or_end(self.next(patience), TransportError::is_closed)
    }

    /// The next message as `(kind, bytes)`, in memory of its own.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn receive_owned(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<(u8, Vec<u8>)>> {
        Ok(self.next(patience)?.map(|message| (message.kind(), message.to_vec())))
    }

    /// The number of messages that were skipped because they could not be read. It only grows.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    disruptor_mp::tap_end_methods!();
}

/// A copy of a message, and its properties. `Deref` gives the bytes of the message, which begin at a multiple of 16.
/// They are in the memory of the tap, and its next copy overwrites them.
///
/// ```
/// # use myelon::prelude::*;
/// # use myelon::transport::TransportTap;
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// # const STEP: u8 = 1;
/// # let mut producer = TransportProducer::create_default(&name)?;
/// # let mut tap = TransportTap::attach(&name)?;
/// # producer.publish(b"a step", STEP)?;
/// # producer.publish(b"something else", 9)?;
/// # drop(producer);
/// let mut last_step = None;
/// while let Some(message) = tap.next_or_end(Patience::Endless)? {
///     if message.kind() == STEP {
///         last_step = Some((message.sequence(), message.to_vec())); // copy what you keep
///     }
/// }
/// assert_eq!(last_step, Some((0, b"a step".to_vec())));
/// # Ok(())
/// # }
/// ```
pub struct MessageCopy<'a> {
    record: RecordCopy<'a>,
    envelope: Envelope,
    start: usize,
}

impl MessageCopy<'_> {
    asked_of_a_message!();

    fn envelope(&self) -> Envelope {
        self.envelope
    }

    /// The sequence that the publish returned to its sender.
    pub fn sequence(&self) -> Sequence {
        self.record.sequence()
    }
}

impl Deref for MessageCopy<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.record[self.start..]
    }
}

impl fmt::Debug for TransportTap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransportTap").field("end", &self.end).field("skipped", &self.skipped).finish_non_exhaustive()
    }
}

impl fmt::Debug for MessageCopy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageCopy")
            .field("sequence", &self.sequence())
            .field("kind", &self.kind())
            .field("len_bytes", &self.len())
            .finish_non_exhaustive()
    }
}
