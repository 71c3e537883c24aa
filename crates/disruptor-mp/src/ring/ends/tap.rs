//! A tap of events, as users see it: a reader for monitors and lossy streams, on a read-only mapping.

use super::error::ConsumeError;
use super::patience::Patience;
use super::tap_end::TapEnd;
use crate::Sequence;
use crate::ring::memory::layout::Slots;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::form::{SlotForm, Stamped};
use crate::ring::protocol::tap::TapReader;
use crate::schema::Event;
use std::fmt;

/// A reader that never holds the producer back. It gets copies, never a torn one, and knows how many events it missed.
/// For a ring of records there is [`RecordTap`](crate::RecordTap).
///
/// ```
/// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// // Usually in another process, which needs only read permission:
/// let mut tap = attach_shared_consumer::<u64>(&name, 8).build_tap()?;
///
/// producer.publish_with(Patience::Endless, |slot| *slot = 7)?;
/// assert_eq!(tap.next(Patience::Endless)?, (0, 7));
///
/// // Twenty events go through eight slots before the tap looks again. No publish waits for it.
/// for number in 1..=20 {
///     producer.publish_with(Patience::Now, |slot| *slot = number)?;
/// }
/// drop(producer);
/// let mut seen = 0;
/// let end = loop {
///     match tap.next(Patience::Endless) {
///         Ok((_sequence, _event)) => seen += 1,
///         Err(end) => break end,
///     }
/// };
/// assert!(end.is_closed()); // anything else is an error
/// assert_eq!(seen + tap.missed(), 20);
/// # Ok(())
/// # }
/// ```
pub struct Tap<E: Event, F: SlotForm = Stamped> {
    end: TapEnd<Slots<E, F>>,
}

impl<E: Event, F: SlotForm> Tap<E, F> {
    pub(crate) fn new(memory: Mapped<Slots<E, F>>) -> Self {
        Self { end: TapEnd::new(memory) }
    }

    /// [`next`](Self::next)`(Patience::Now)` without the reason why there is nothing. A sequence that is more than one
    /// above the last means that events were missed.
    #[inline]
    pub fn try_next(&mut self) -> Option<(Sequence, E)> {
        self.end.copy(TapReader::copy_next)
    }

    /// A copy of the next event that is still in the ring, with its sequence; waits for it as long as `patience`
    /// says, looking once a millisecond.
    ///
    /// # Errors
    /// `TimedOut`, or the end of the ring: `Closed`, `Replaced`. A dead producer is not an end for a tap: it waits
    /// for the next one, as long as the ring has its name. Without the name none can come, and that is `Replaced` as
    /// well.
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<(Sequence, E), ConsumeError> {
        self.end.wait(patience.into().deadline(), TapReader::copy_next)
    }

    crate::tap_end_methods!();
}

impl<E: Event, F: SlotForm> fmt::Debug for Tap<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("Tap", f)
    }
}
