//! Why publishing or consuming failed. The errors of building a ring are in `crate::error`.

use crate::Sequence;
use crate::liveness::{Ending, RequiredConsumerError, StallReport, went};
use crate::ring::protocol::held::HELD_MAX;
use std::fmt;
use std::time::Duration;

/// The ring is full: the slowest consumer has not yet released the slot. Nothing of the closure has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct RingBufferFull;

/// A batch does not fit now. Nothing of the closure has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missing} slots are missing for the batch")]
pub struct MissingFreeSlots {
    /// Slots that would have to become free first.
    pub missing: u64,
}

/// Why an event was not published. Nothing of the closure has run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The ring says that it is closed, although its producer is this one: a word of it was damaged. Its readers have
    /// read that nothing will follow. Build a new one.
    #[error("the ring is closed")]
    Closed,
    /// The consumer that the producer waits for has no owner, and its place is kept: its process died, or its end was
    /// dropped without giving its place up, by a panic for instance. Attach again under its id, evict it, or give up.
    #[error("consumer `{id}` (process {pid}) {}: {report}", went(*how))]
    ConsumerDied {
        /// Its id.
        id: String,
        /// Its process, as seen in its own pid namespace. It may live, unless `how` says that it was killed.
        pid: u32,
        /// How it went.
        how: Ending,
        /// The whole story.
        report: Box<StallReport>,
    },
    /// The ring was replaced or removed by a process that holds its locks.
    #[error("the ring was replaced")]
    Replaced,
    /// The deadline passed while the ring was full, or before the event that was waited for was released.
    #[error("timed out: {report}")]
    TimedOut {
        /// Who held the ring back.
        report: Box<StallReport>,
    },
    /// The operating system refused to say whether the consumer lives that the producer waits for, or to let its place
    /// be freed. Nothing was concluded. Try again.
    #[error("it is not known whether a consumer lives: {report}")]
    Os {
        /// Who is waited for, and what was refused.
        report: Box<StallReport>,
    },
    /// It was to be waited for the release of an event that is not published yet: no wait would end. Publish it first.
    #[error("event {sequence} is not published, so no consumer can release it; the last one is {last}")]
    NotPublished {
        /// The event.
        sequence: i64,
        /// The last published one; -1 if there is none.
        last: i64,
    },
    /// The batch is larger than the ring: no wait would end.
    #[error("a batch of {count} events does not fit into a ring of {capacity}")]
    TooLarge {
        /// Events in the batch.
        count: usize,
        /// Slots of the ring.
        capacity: usize,
    },
    /// This process is a child of the one that owns the handle. A child has no handles; build your own.
    #[error("this handle belongs to the parent process")]
    Forked,
}

impl PublishError {
    /// Whether the ring says that it is closed, or replaced: nothing can be published into it any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed | Self::Replaced)
    }

    /// Whether the patience was at its end.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether the consumer that was waited for has no owner any more.
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::ConsumerDied { .. })
    }
}

/// Why there was no room for what was to be published, in the words of the [`Patience`](crate::Patience) that it was to
/// be waited with.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    /// The ring is full now, and the call was not to wait. It takes as many events as it has slots;
    /// [`records_in_flight`](crate::records_in_flight) says how many records one takes.
    #[error("the ring is full")]
    Full,
    /// The wait ended without room.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The watched wait ended without room.
    #[error(transparent)]
    RequiredConsumer(#[from] RequiredConsumerError),
}

impl NoRoom {
    /// Whether there was no room, and the call was not to wait.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full)
    }

    /// Whether nothing can be published into the ring any more: see [`PublishError::is_closed`].
    pub fn is_closed(&self) -> bool {
        match self {
            Self::Full => false,
            Self::Publish(error) => error.is_closed(),
            Self::RequiredConsumer(error) => error.is_closed(),
        }
    }

    /// Whether the patience was at its end.
    pub fn is_timed_out(&self) -> bool {
        match self {
            Self::Full => false,
            Self::Publish(error) => error.is_timed_out(),
            Self::RequiredConsumer(error) => error.is_timed_out(),
        }
    }

    /// Whether the consumer that was waited for has no owner any more.
    pub fn is_peer_gone(&self) -> bool {
        match self {
            Self::Full => false,
            Self::Publish(error) => error.is_peer_gone(),
            Self::RequiredConsumer(error) => error.is_peer_gone(),
        }
    }
}

/// Why there is no event. Everything that was published before the end has been delivered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumeError {
    /// The deadline passed. The consumer's `stall_report` says what the producer is doing.
    #[error("no event was handed out within {waited:?}")]
    TimedOut {
        /// How long this call waited.
        waited: Duration,
    },
    /// The producer has closed the ring.
    #[error("the ring is closed")]
    Closed,
    /// The ring was replaced or removed. Open it again.
    #[error("the ring was replaced")]
    Replaced,
    /// The producer has gone without closing the ring: its process died, or a panic dropped it. The ring goes on if
    /// another producer takes it over: keep waiting, or give up.
    #[error("the producer {}: {report}", went(*how))]
    ProducerDied {
        /// Its process, as seen in its own pid namespace. It may live, unless `how` says that it was killed.
        pid: u32,
        /// How it went.
        how: Ending,
        /// The whole story.
        report: Box<StallReport>,
    },
    /// What stood where the next event, or record, was published has been written by no producer, or the producer has
    /// not waited for this consumer. The consumer has stepped over it, to the next event that is whole, and the next
    /// call goes on there. Go on reading, or attach to a new ring if every event counts.
    #[error("{skipped} events were skipped: what stood in the ring at their place was written by no producer")]
    Damaged {
        /// Events, or records, that were lost with it, as far as their numbers tell.
        skipped: u64,
    },
    /// The operating system refused to say whether the producer lives. Nothing was concluded. Try again.
    #[error("it is not known whether the producer lives: {report}")]
    Os {
        /// What is known of the producer, and what was refused.
        report: Box<StallReport>,
    },
    /// The consumer is handed no more than [`HELD_MAX`](crate::HELD_MAX) messages from the oldest that it still holds
    /// on, and that one was not released in time: at once for [`Now`](crate::Patience::Now), until the deadline for
    /// any other patience, which waits for the release as well. Release that one, no other makes room. (The producer of
    /// a ring that takes fewer messages waits before that: what is held keeps its room.)
    #[error("{0}")]
    HeldLimit(Box<HeldLimit>),
    /// This process is a child of the one that owns the handle. A child has no handles; attach your own.
    #[error("this handle belongs to the parent process")]
    Forked,
}

impl ConsumeError {
    /// Whether the producer has closed the ring, and everything in it was read: the end in good order.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the patience was at its end, and the same call may have something later: there is nothing yet, or the
    /// oldest message that is held was not released in time, which [`is_held_limit`](Self::is_held_limit) tells apart.
    /// A loop that goes on after this makes no headway at the held limit if it is the loop itself that holds.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::HeldLimit(_))
    }

    /// Whether the producer has gone without closing the ring. Another one may take the ring over.
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::ProducerDied { .. })
    }

    /// Whether the oldest message that is held has to be released first, and was not before the patience was at its
    /// end.
    pub fn is_held_limit(&self) -> bool {
        matches!(self, Self::HeldLimit(_))
    }

    /// The same, said by a call that has waited for so long in several waits. For the layers above.
    #[doc(hidden)]
    #[must_use]
    pub fn after(mut self, whole: Duration) -> Self {
        match &mut self {
            Self::TimedOut { waited } => *waited = whole,
            Self::HeldLimit(limit) => limit.waited = whole,
            _ => {}
        }
        self
    }

    /// Whether nothing will come any more from the producer that there was, in good order or not. What says something
    /// of one event, or that nothing is known, is no end.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Closed | Self::Replaced | Self::ProducerDied { .. } | Self::Forked)
    }
}

/// What is held while nothing newer is handed out: see [`ConsumeError::HeldLimit`].
// In a box there, because what a look returns is no longer than its longest error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no newer message is handed out before message {oldest} is released, which has been held for {oldest_for:?}: a \
     consumer is handed no more than {HELD_MAX} from the oldest that it holds on (it holds {held}{}). Release the oldest \
     first",
    Waited(*waited)
)]
#[non_exhaustive]
pub struct HeldLimit {
    /// How many messages are held: handed out, and not released. At most [`HELD_MAX`](crate::HELD_MAX).
    pub held: usize,
    /// The sequence of the oldest of them; of a message in several frames that of the first.
    pub oldest: Sequence,
    /// For how long that one has been held.
    pub oldest_for: Duration,
    /// How long this call waited for its release; zero if it was not to wait.
    pub waited: Duration,
}

/// How long a call has waited, at the end of a clause.
struct Waited(Duration);

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { Ok(()) } else { write!(f, ", and this call waited {:?}", self.0) }
    }
}

/// What a `next_or_end` makes of the answer of its `next`: *closed* is `None`, and *nothing yet* an error. For the
/// layers above.
///
/// # Errors
/// Those of `next`, but for *closed*.
#[doc(hidden)]
#[inline(always)]
pub fn or_end<T, E: From<ConsumeError>>(
    next: Result<Option<T>, E>,
    is_closed: impl Fn(&E) -> bool,
) -> Result<Option<T>, E> {
    match next {
        Ok(Some(it)) => Ok(Some(it)),
        Ok(None) => Err(ConsumeError::TimedOut { waited: Duration::ZERO }.into()),
        Err(error) if is_closed(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
