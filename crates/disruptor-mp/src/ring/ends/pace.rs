//! Decides when a batch that goes through a handler is acknowledged before the handler has seen all of it.
//!
//! An acknowledgement is due after 64 events, an eighth of the ring or 10 ms. The clock costs more than a short
//! handler, so it is not read after each event. While a turn of 64 events, with the waits between them, takes less than
//! 10 ms, it is read once a turn. So a handler that was quick and becomes slow is noticed at the end of a turn; a slow
//! handler is acknowledged after each event.

/// Events after which a batch is acknowledged at the latest, and the clock is read.
const TURN_EVENTS: u64 = 64;

/// The time after which it is acknowledged, in nanoseconds.
const INTERVAL_NS: u64 = 10_000_000;

/// The part of a ring after which it is acknowledged. Where events are long, 64 of them may be all that the ring holds,
/// and their producer must be able to go on while a batch is processed.
const RING_PARTS: i64 = 8;

/// The most that goes through a handler in a ring of that capacity before it is acknowledged.
#[inline(always)]
pub(super) fn part_of(capacity: i64) -> i64 {
    (capacity / RING_PARTS).max(1)
}

/// How fast a consumer's handler is, through all batches.
#[derive(Debug)]
pub(super) struct Pace {
    /// Whether the last turn took less than an interval.
    is_quick: bool,
    left_in_turn: u64,
    turn_ended_ns: u64,
    acknowledged_ns: u64,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { is_quick: false, left_in_turn: TURN_EVENTS, turn_ended_ns: 0, acknowledged_ns: 0 }
    }

    /// How many events may pass before [`is_due`](Self::is_due) must be asked; at least 1.
    #[inline(always)]
    pub(super) fn run(&self) -> u64 {
        if self.is_quick { self.left_in_turn } else { 1 }
    }

    /// Whether to acknowledge everything that was handled, now that `handled` more events were; not more than
    /// [`run`](Self::run) returned. `now_ns` reads the clock.
    #[inline(always)]
    pub(super) fn is_due(&mut self, handled: u64, now_ns: impl FnOnce() -> u64) -> bool {
        self.left_in_turn -= handled;
        (self.left_in_turn == 0 || !self.is_quick) && self.look(now_ns())
    }

    #[inline(never)]
    fn look(&mut self, now_ns: u64) -> bool {
        let ends_turn = self.left_in_turn == 0;
        let is_due = ends_turn || now_ns.saturating_sub(self.acknowledged_ns) >= INTERVAL_NS;
        if ends_turn {
            self.is_quick = now_ns.saturating_sub(self.turn_ended_ns) < INTERVAL_NS;
            (self.left_in_turn, self.turn_ended_ns) = (TURN_EVENTS, now_ns);
        }
        if is_due {
            self.acknowledged_ns = now_ns;
        }
        is_due
    }
}

/// A clock that goes forward in steps of a few milliseconds and costs a few nanoseconds to read, where the system has
/// one.
pub(super) fn coarse_now_ns() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    #[cfg(target_os = "linux")]
    let now = clock_gettime(ClockId::MonotonicCoarse);
    #[cfg(not(target_os = "linux"))]
    let now = clock_gettime(ClockId::Monotonic);
    nanoseconds(now)
}

/// The monotonic clock, which all processes of a host share.
pub(in crate::ring) fn now_ns() -> u64 {
    use rustix::time::{ClockId, clock_gettime};
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

fn nanoseconds(time: rustix::time::Timespec) -> u64 {
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    const MS: u64 = 1_000_000;

    /// A handler that takes `event_ns` for each of a batch of `events`. Returns after which of them it was
    /// acknowledged, and how often the clock was read.
    fn handle(pace: &mut Pace, clock: &Cell<u64>, events: u64, event_ns: u64) -> (Vec<u64>, usize) {
        let (mut acknowledged, mut readings, mut handled) = (vec![], 0, 0);
        while handled < events {
            let run = pace.run().min(events - handled);
            clock.set(clock.get() + run * event_ns);
            handled += run;
            let now = || {
                readings += 1;
                clock.get()
            };
            if pace.is_due(run, now) {
                acknowledged.push(handled);
            }
        }
        (acknowledged, readings)
    }

    #[test]
    fn a_slow_handler_is_acknowledged_after_each_event_from_the_first_on() {
        let (mut pace, clock) = (Pace::new(), Cell::new(100 * MS));
        assert_eq!(handle(&mut pace, &clock, 5, 20 * MS).0, [1, 2, 3, 4, 5]);
        assert_eq!(handle(&mut pace, &clock, 16, 3 * MS).0, [4, 8, 12, 16], "3 ms an event: every fourth");
    }

    #[test]
    fn the_clock_of_a_quick_handler_is_read_once_in_64_events_whatever_its_batches_are() {
        let (mut pace, clock) = (Pace::new(), Cell::new(100 * MS));
        handle(&mut pace, &clock, 128, 1_000);
        assert_eq!(handle(&mut pace, &clock, 640, 1_000).1, 10);
        let readings: usize = (0..640).map(|_| handle(&mut pace, &clock, 1, 1_000).1).sum();
        assert_eq!(readings, 10);
        assert_eq!(handle(&mut pace, &clock, 100, 1_000), (vec![64], 1));
    }

    #[test]
    fn a_quick_handler_that_becomes_slow_is_noticed_at_the_end_of_a_turn() {
        let (mut pace, clock) = (Pace::new(), Cell::new(100 * MS));
        handle(&mut pace, &clock, 128, 1_000);
        assert_eq!(handle(&mut pace, &clock, 67, 20 * MS).0, [64, 65, 66, 67]);
    }
}
