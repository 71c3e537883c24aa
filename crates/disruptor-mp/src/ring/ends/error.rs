//! Why publishing or consuming failed. The errors of building a ring are in `crate::error`.

use crate::Sequence;
use crate::liveness::{Ending, RequiredConsumerError, StallReport, went};
use crate::ring::protocol::held::HELD_MAX;
use std::fmt;
use std::time::Duration;

/// The ring is full: the slowest consumer has not yet released the slot. The closure has not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the ring is full")]
pub struct RingBufferFull;

/// A batch does not fit now. The closure has not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{missing} slots are missing for the batch")]
pub struct MissingFreeSlots {
    /// Slots that must become free first.
    pub missing: u64,
}

/// Why an event was not published. The closure has not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The ring says that it is closed, although this is its producer: a word of it was damaged. Its readers have read
    /// that nothing will follow. Build a new one.
    #[error(
        "the ring is marked as closed, but its producer has not closed it: a word of the ring is damaged; build a new ring"
    )]
    Closed,
    /// The consumer that the producer waits for has no owner, and its entry is kept: its process died, or its end was
    /// dropped without giving its entry up, for instance by a panic. Attach again under its id, evict it, or give up.
    #[error("consumer `{id}` (process {pid}) {}; attach again under its id, or evict it: {report}", went(*how))]
    ConsumerDied {
        /// Its id.
        id: String,
        /// The pid of its process, in that process's own pid namespace. It may live, unless `how` says that it was
        /// killed.
        pid: u32,
        /// How it went.
        how: Ending,
        /// What is known about the consumer and the ring.
        report: Box<StallReport>,
    },
    /// The ring was replaced or removed by a process that holds its locks. Build it again.
    #[error("the ring was replaced; build it again")]
    Replaced,
    /// The deadline passed while the ring was full, or before the awaited event was released. The report names the
    /// consumer to look at. Try again, or evict it.
    #[error("timed out: {report}")]
    TimedOut {
        /// The consumer that held the ring back.
        report: Box<StallReport>,
    },
    /// The operating system refused to say whether the awaited consumer lives, or to free its entry. Nothing was
    /// concluded. Try again.
    #[error("it is not known whether a consumer lives; try again: {report}")]
    Os {
        /// The consumer that is waited for, and what was refused.
        report: Box<StallReport>,
    },
    /// The call waits for the release of an event that is not published yet, so the wait would never end. Publish it
    /// first.
    #[error(
        "event {sequence} is not published, so no consumer can release it; publish it first (the last one is {last})"
    )]
    NotPublished {
        /// The event.
        sequence: i64,
        /// The last published one; -1 if there is none.
        last: i64,
    },
    /// The batch is larger than the ring, so the wait would never end. Publish it in parts, or make the ring larger.
    #[error(
        "a batch of {count} events does not fit into a ring of {capacity}; publish it in parts, or make the ring larger"
    )]
    TooLarge {
        /// Events in the batch.
        count: usize,
        /// Slots of the ring.
        capacity: usize,
    },
    /// This process is a child of the one that owns the handle. A child has no handles; build your own.
    #[error("this handle belongs to the parent process; build a new one in this process")]
    Forked,
}

impl PublishError {
    /// Whether the ring says that it is closed, or replaced: nothing can be published into it any more.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed | Self::Replaced)
    }

    /// Whether the patience ran out.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. })
    }

    /// Whether the consumer that was waited for has no owner any more.
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::ConsumerDied { .. })
    }
}

/// Why there was no room for what was to be published. Which variant depends on the [`Patience`](crate::Patience) of
/// the call.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    /// The ring is full now, and the call must not wait. A ring takes as many events as it has slots;
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

    /// Whether the patience ran out.
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
    /// The producer has closed the ring, and everything in it was read: the regular end.
    #[error("the ring is closed")]
    Closed,
    /// The ring was replaced or removed. Attach again.
    #[error("the ring was replaced; attach again")]
    Replaced,
    /// The producer has gone without closing the ring: its process died, or a panic dropped it. If another producer
    /// takes the ring over, it goes on: keep waiting, or give up.
    #[error("the producer {}; wait for another one, or give up: {report}", went(*how))]
    ProducerDied {
        /// The pid of its process, in that process's own pid namespace. It may live, unless `how` says that it was
        /// killed.
        pid: u32,
        /// How it went.
        how: Ending,
        /// What is known about the producer and the ring.
        report: Box<StallReport>,
    },
    /// The ring is damaged: no producer wrote what is at the place of the next event, or record; or the producer has
    /// not waited for this consumer. The consumer has skipped to the next event that is whole, and the next call goes
    /// on there. Go on reading, or attach to a new ring if every event counts.
    #[error(
        "{skipped} events were skipped, because no producer wrote what is in their places; read on, or attach to a new ring if every event \
         counts"
    )]
    Damaged {
        /// Events, or records, that were lost, as far as their numbers tell.
        skipped: u64,
    },
    /// The operating system refused to say whether the producer lives. Nothing was concluded. Try again.
    #[error("it is not known whether the producer lives; try again: {report}")]
    Os {
        /// What is known of the producer, and what was refused.
        report: Box<StallReport>,
    },
    /// Counted from the oldest message that it still holds, the consumer is handed at most
    /// [`HELD_MAX`](crate::HELD_MAX) messages, and that oldest one was not released in time: at once for
    /// [`Now`](crate::Patience::Now), until the deadline for any other patience, which waits for the release as well.
    /// Release the oldest; no other release makes room. (The producer of a ring that takes fewer messages waits before
    /// that: what is held keeps its room.)
    #[error("{0}")]
    HeldLimit(Box<HeldLimit>),
    /// This process is a child of the one that owns the handle. A child has no handles; attach your own.
    #[error("this handle belongs to the parent process; attach a new one in this process")]
    Forked,
}

impl ConsumeError {
    /// Whether the producer has closed the ring, and everything in it was read: the regular end.
    pub fn is_closed(&self) -> bool {
        matches!(self, Self::Closed)
    }

    /// Whether the patience ran out, and the same call may have something later: there is nothing yet, or the oldest
    /// held message was not released in time, which [`is_held_limit`](Self::is_held_limit) tells apart. A loop that
    /// itself holds the messages makes no progress at the held limit by calling again.
    pub fn is_timed_out(&self) -> bool {
        matches!(self, Self::TimedOut { .. } | Self::HeldLimit(_))
    }

    /// Whether the producer has gone without closing the ring. Another producer may take the ring over.
    pub fn is_peer_gone(&self) -> bool {
        matches!(self, Self::ProducerDied { .. })
    }

    /// Whether the oldest held message must be released first, and was not before the patience ran out.
    pub fn is_held_limit(&self) -> bool {
        matches!(self, Self::HeldLimit(_))
    }

    /// The same error for a call that has waited for `waited` in several waits. For the layers above.
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

    /// Whether nothing will come any more from this producer, in good order or not. An error about one event, or one
    /// that says that nothing is known, is no end.
    pub fn is_end(&self) -> bool {
        matches!(self, Self::Closed | Self::Replaced | Self::ProducerDied { .. } | Self::Forked)
    }
}

/// What is held while nothing newer is handed out: see [`ConsumeError::HeldLimit`].
// Boxed in the error, so that what a look returns stays as short as its longest other error.
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
    /// The sequence of the oldest of them; for a message in several frames that of the first.
    pub oldest: Sequence,
    /// How long the oldest has been held.
    pub oldest_for: Duration,
    /// How long this call waited for its release; zero if it was not to wait.
    pub waited: Duration,
}

/// How long a call has waited, as the end of a clause.
struct Waited(Duration);

impl fmt::Display for Waited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() { Ok(()) } else { write!(f, ", and this call waited {:?}", self.0) }
    }
}

/// What `next_or_end` makes of the answer of its `next`: *closed* becomes `None`, and *nothing yet* an error. For the
/// layers above.
///
/// # Errors
/// Those of `next`, without *closed*.
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
