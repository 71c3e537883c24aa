//! A message that was received and is not acknowledged yet.
//!
//! **Lives here:** [`Message`]. **Builds on:** `format`. **May touch it:** the application; it borrows its consumer, so there is one at a
//! time.

use super::format::{Format, Held, Receiver};
use super::frame::FrameMeta;
use super::prefix::{Envelope, TraceId};
use disruptor_mp::Sequence;
use std::fmt;
use std::ops::Deref;

/// A message: its bytes, by `Deref`, and what came with them. Dropping it acknowledges the whole message; while a panic unwinds it is not
/// acknowledged, and comes again.
#[must_use = "dropping a message acknowledges it"]
pub struct Message<'a, F: Format> {
    held: <F::Receiver as Receiver>::Held<'a>,
}

impl<'a, F: Format> Message<'a, F>
where
    F::Receiver: 'a,
{
    #[inline]
    pub(super) fn new(held: <F::Receiver as Receiver>::Held<'a>) -> Self {
        Self { held }
    }

    fn envelope(&self) -> &Envelope {
        self.held.envelope()
    }

    /// The application's kind.
    pub fn kind(&self) -> u8 {
        self.envelope().kind
    }

    /// See [`FRAME_FIRST`](super::FRAME_FIRST) and its neighbours; of a message in several frames, those of the first.
    pub fn flags(&self) -> u8 {
        self.envelope().flags
    }

    /// The sequence that its sender got: that of its last frame, or the number of its record.
    pub fn sequence(&self) -> Sequence {
        self.held.sequence()
    }

    /// Number of the message, given by its sender; wraps, and begins anew with the next sender.
    pub fn msg_id(&self) -> u32 {
        self.envelope().msg_id
    }

    /// When it was sent, if its sender says; compare with [`monotonic_ns`](super::monotonic_ns).
    pub fn timestamp_ns(&self) -> Option<u64> {
        self.envelope().mark.timestamp_ns()
    }

    /// The sequence of the message that this one answers, if its sender says: in a topology, the broadcast.
    pub fn in_reply_to(&self) -> Option<Sequence> {
        self.envelope().mark.in_reply_to()
    }

    /// The trace that it belongs to, if its sender says.
    pub fn trace_id(&self) -> Option<TraceId> {
        self.envelope().trace_id
    }

    /// Whether it may have been handed out before, to a consumer of this id that died before it acknowledged it.
    pub fn is_redelivered(&self) -> bool {
        self.redeliveries() > 0
    }

    /// How often it was handed out without being acknowledged, as far as is known: one whose count grows with every restart is one that
    /// kills its consumer.
    pub fn redeliveries(&self) -> u32 {
        self.held.redeliveries()
    }

    /// Whether the bytes are read where the sender wrote them. Those of a message in several frames are a copy.
    pub fn is_in_place(&self) -> bool {
        self.held.is_in_place()
    }

    /// Gives the message back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.held.release_unread();
    }

    /// All of it at once, as handlers get it.
    pub fn meta(&self) -> FrameMeta<'_> {
        let Envelope { kind, flags, msg_id, mark, .. } = *self.envelope();
        FrameMeta { len: self.len(), kind, flags, msg_id, timestamp_ns: mark.timestamp_ns(), data: self }
    }
}

impl<F: Format> Deref for Message<'_, F> {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.held.bytes()
    }
}

impl<F: Format> fmt::Debug for Message<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sequence", &self.sequence())
            .field("kind", &self.kind())
            .field("msg_id", &self.msg_id())
            .field("redeliveries", &self.redeliveries())
            .field("len_bytes", &self.len())
            .finish_non_exhaustive()
    }
}
