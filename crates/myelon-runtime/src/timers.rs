//! Deadlines in order: which timer is due next.
//!
//! A heap of deadlines, in which each timer knows its place. No thread, no system call and no clock: the caller says
//! what time it is.
//!
//! ```text
//! slots   [ generation | place in the heap | period | value ]      TimerId = slot and generation
//! heap    [ wakes at | deadline | order of insertion | slot ]      four children a node
//! ```
//!
//! - **Invariant:** `slots[heap[i].slot].place == i` for each place of the heap.
//! - **Invariant:** a slot without a timer has another generation than each id that was given for it.

mod heap;

use heap::{Heap, Node};
use std::time::{Duration, Instant};

/// Nanoseconds after the origin of a [`Timers`].
type Nanos = u64;

/// Identifies a timer. When the timer is over or cancelled, its id is of no other timer.
///
/// ```
/// use myelon_runtime::timers::{TimerId, Timers};
/// use std::time::Instant;
///
/// let now = Instant::now();
/// let mut timers = Timers::new(now);
/// let id: TimerId = timers.insert(now, "once");
/// assert_eq!(timers.cancel(id), Some("once"));
/// assert_eq!(timers.cancel(id), None); // it is over
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerId {
    slot: u32,
    generation: u32,
}

/// A timer that was due.
///
/// ```
/// use myelon_runtime::timers::Timers;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let mut timers = Timers::new(start);
/// timers.insert_periodic(start + Duration::from_secs(1), Duration::from_secs(1), "tick");
///
/// // The process was stopped for an hour: one tick, and not 3600.
/// let expired = timers.expire(start + Duration::from_secs(3600)).unwrap();
/// assert_eq!((expired.value, expired.missed), ("tick", 3599));
/// assert!(timers.expire(start + Duration::from_secs(3600)).is_none());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expired<T> {
    /// Which one.
    pub id: TimerId,
    /// What was given for it.
    pub value: T,
    /// The deadline as it was asked for, before it was rounded up. For a periodic timer, of the first period that was
    /// not told yet.
    pub deadline: Instant,
    /// How many further periods are over; 0 for a timer without a period.
    pub missed: u64,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    /// `None`: free.
    timer: Option<Timer<T>>,
}

#[derive(Debug)]
struct Timer<T> {
    place: u32,
    /// 0: it is due once.
    period: Nanos,
    value: T,
}

/// Timers, each with a value of the caller's.
///
/// Inserting, cancelling and re-arming take logarithmic time; [`next_wake`](Self::next_wake) takes none. Deadlines are
/// compared in nanoseconds. They are rounded up to a multiple of the *resolution*, so that timers that are due nearly
/// together are due together: one sleep ends for all of them.
///
/// ```
/// use myelon_runtime::timers::Timers;
/// use std::time::{Duration, Instant};
///
/// let start = Instant::now();
/// let mut timers = Timers::new(start).with_resolution(Duration::from_millis(1));
/// let late = timers.insert(start + Duration::from_micros(2500), "late");
/// timers.insert(start + Duration::from_micros(1200), "early");
/// assert_eq!(timers.next_wake(), Some(start + Duration::from_millis(2)));
///
/// assert!(timers.expire(start + Duration::from_micros(1999)).is_none());
/// assert_eq!(timers.expire(start + Duration::from_millis(2)).unwrap().value, "early");
/// assert_eq!(timers.cancel(late), Some("late"));
/// assert!(timers.is_empty());
/// ```
/// Source: RFC 0022, "Timers".
#[derive(Debug)]
pub struct Timers<T> {
    origin: Instant,
    resolution: Nanos,
    heap: Heap,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    /// How many deadlines were set. It orders equal ones.
    set: u64,
}

impl<T> Timers<T> {
    /// No timers yet, with a resolution of one millisecond. A deadline before `origin` counts as `origin`.
    pub fn new(origin: Instant) -> Self {
        let (heap, slots, free) = (Heap::default(), Vec::new(), Vec::new());
        Self { origin, resolution: nanos(Duration::from_millis(1)), heap, slots, free, set: 0 }
    }

    /// The same with another resolution; zero means that no deadline is rounded.
    ///
    /// # Panics
    /// There are timers already.
    #[must_use]
    pub fn with_resolution(mut self, resolution: Duration) -> Self {
        assert!(self.is_empty(), "the resolution is chosen before the first timer");
        self.resolution = nanos(resolution).max(1);
        self
    }

    /// To what deadlines are rounded up.
    pub fn resolution(&self) -> Duration {
        if self.resolution == 1 { Duration::ZERO } else { Duration::from_nanos(self.resolution) }
    }

    /// A timer that is due once, at `deadline`.
    ///
    /// # Panics
    /// There are 2^32 - 1 timers already.
    pub fn insert(&mut self, deadline: Instant, value: T) -> TimerId {
        self.put(deadline, 0, value)
    }

    /// A timer that is due at `first` and then after each `period`. It keeps this phase, however late it is told.
    ///
    /// # Panics
    /// `period` is zero, or there are 2^32 - 1 timers already.
    pub fn insert_periodic(&mut self, first: Instant, period: Duration, value: T) -> TimerId {
        assert!(!period.is_zero(), "a periodic timer needs a period");
        self.put(first, nanos(period), value)
    }

    /// Takes a timer out; `None` if it is over already.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let place = self.timer(id)?.place;
        self.take_out(place);
        Some(self.release(id.slot).value)
    }

    /// Gives a timer another deadline; a period begins there. `false` if it is over already.
    pub fn rearm(&mut self, id: TimerId, deadline: Instant) -> bool {
        let Some(timer) = self.timer(id) else { return false };
        let place = timer.place;
        self.place_again(place, self.nanos_at(deadline));
        true
    }

    /// The deadline of a timer as it was asked for; `None` if it is over.
    pub fn deadline(&self, id: TimerId) -> Option<Instant> {
        let node = self.heap.node(self.timer(id)?.place);
        Some(self.instant_of(node.deadline))
    }

    /// The value of a timer; `None` if it is over.
    pub fn get(&self, id: TimerId) -> Option<&T> {
        self.timer(id).map(|timer| &timer.value)
    }

    /// When the next timer is due, rounded up; `None` without timers.
    pub fn next_wake(&self) -> Option<Instant> {
        self.heap.first().map(|node| self.instant_of(node.wakes))
    }

    /// How many timers wait.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Whether no timer waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next timer that is due at `now`, in the order of the deadlines, and of equal ones the one that was set
    /// first. Call it until it says `None`.
    ///
    /// A timer that is due once is over then, and has given its value; a periodic one has its next deadline, which is
    /// after `now`, and has cloned its value.
    pub fn expire(&mut self, now: Instant) -> Option<Expired<T>>
    where
        T: Clone,
    {
        let node = self.heap.first()?;
        let now = self.nanos_at(now);
        if node.wakes > now {
            return None;
        }
        let slot = &self.slots[node.slot as usize];
        let timer = slot.timer.as_ref().expect("a node of the heap has a timer");
        let id = TimerId { slot: node.slot, generation: slot.generation };
        let deadline = self.instant_of(node.deadline);
        if timer.period == 0 {
            self.take_out(0);
            return Some(Expired { id, value: self.release(id.slot).value, deadline, missed: 0 });
        }
        let (value, missed) = (timer.value.clone(), (now - node.deadline) / timer.period);
        let next = timer.period.saturating_mul(missed.saturating_add(1)).saturating_add(node.deadline);
        self.place_again(0, next);
        Some(Expired { id, value, deadline, missed })
    }

    fn put(&mut self, deadline: Instant, period: Nanos, value: T) -> TimerId {
        let place = u32::try_from(self.heap.len()).expect("fewer than 2^32 timers");
        let timer = Some(Timer { place, period, value });
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize].timer = timer;
                slot
            }
            None => {
                self.slots.push(Slot { generation: 0, timer });
                u32::try_from(self.slots.len() - 1).expect("as many as timers")
            }
        };
        let node = self.node(self.nanos_at(deadline), slot);
        self.heap.push(node, &mut Places(&mut self.slots));
        TimerId { slot, generation: self.slots[slot as usize].generation }
    }

    /// A node with the next number in the order of insertion.
    fn node(&mut self, deadline: Nanos, slot: u32) -> Node {
        self.set += 1;
        let wakes = deadline.checked_next_multiple_of(self.resolution).unwrap_or(Nanos::MAX);
        Node { wakes, deadline, order: self.set, slot }
    }

    fn place_again(&mut self, place: u32, deadline: Nanos) {
        let node = self.node(deadline, self.heap.node(place).slot);
        self.heap.replace(place, node, &mut Places(&mut self.slots));
    }

    fn take_out(&mut self, place: u32) {
        self.heap.remove(place, &mut Places(&mut self.slots));
    }

    /// Frees a slot whose node is out of the heap.
    fn release(&mut self, slot: u32) -> Timer<T> {
        let entry = &mut self.slots[slot as usize];
        entry.generation = entry.generation.wrapping_add(1);
        self.free.push(slot);
        entry.timer.take().expect("a timer in this slot")
    }

    fn timer(&self, id: TimerId) -> Option<&Timer<T>> {
        let slot = self.slots.get(id.slot as usize)?;
        slot.timer.as_ref().filter(|_| slot.generation == id.generation)
    }

    fn nanos_at(&self, instant: Instant) -> Nanos {
        nanos(instant.saturating_duration_since(self.origin))
    }

    fn instant_of(&self, nanos: Nanos) -> Instant {
        self.origin + Duration::from_nanos(nanos)
    }
}

/// Writes the places of nodes that move into their slots.
struct Places<'a, T>(&'a mut [Slot<T>]);

impl<T> heap::Moved for Places<'_, T> {
    fn moved(&mut self, slot: u32, place: u32) {
        self.0[slot as usize].timer.as_mut().expect("a node of the heap has a timer").place = place;
    }
}

/// 584 years are as late as deadlines can be; later ones count as that.
fn nanos(duration: Duration) -> Nanos {
    Nanos::try_from(duration.as_nanos()).unwrap_or(Nanos::MAX)
}

#[cfg(test)]
mod tests;
