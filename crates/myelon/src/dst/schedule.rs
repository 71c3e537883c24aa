//! Which actor runs next, at which virtual time, and what goes wrong.

use super::random::Random;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Virtual time, which begins at 0. It moves only to the time of the actor that runs next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SimClock {
    now: Duration,
}

impl SimClock {
    /// The time since the beginning.
    pub fn now(self) -> Duration {
        self.now
    }
}

/// How often faults happen, in thousandths of the occasions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Faults {
    /// How many of 1 000 wakes never arrive.
    pub wakes_lost_permille: u32,
    /// The longest time that a wake takes; each takes a time between zero and this.
    pub wake_delay_max: Duration,
    /// How many of 1 000 crash points an actor does not survive.
    pub crashes_permille: u32,
}

impl Faults {
    /// Wakes arrive late, and no actor dies.
    pub fn none() -> Self {
        Self { wakes_lost_permille: 0, wake_delay_max: Duration::from_micros(100), crashes_permille: 0 }
    }
}

/// Where an actor may die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrashPoint {
    /// Between two calls, holding nothing.
    Idle,
    /// Half of a message is written, none of it is published.
    InsidePublish,
    /// It is published; no reader was woken.
    Published,
    /// A message was handed out and is not acknowledged.
    HoldingMessage,
}

/// The order of everything: a queue of actors `A` with the times at which they run.
///
/// Two actors that are due at the same time run in an order that the seed chooses.
#[derive(Debug)]
pub struct Schedule<A> {
    clock: SimClock,
    random: Random,
    faults: Faults,
    queue: BinaryHeap<Reverse<(Duration, u64, u64, A)>>,
    /// How many entries were queued: it makes entries distinct if their random parts are equal.
    queued: u64,
}

impl<A: Ord> Schedule<A> {
    /// An empty schedule at time 0.
    pub fn new(seed: u64, faults: Faults) -> Self {
        Self { clock: SimClock::default(), random: Random::new(seed), faults, queue: BinaryHeap::new(), queued: 0 }
    }

    /// The clock.
    pub fn clock(&self) -> SimClock {
        self.clock
    }

    /// The source of the actors' own choices.
    pub fn random(&mut self) -> &mut Random {
        &mut self.random
    }

    /// Sets what goes wrong from now on. A run ends without faults, so that what each actor must have by then can be
    /// checked.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
    }

    /// Wakes `actor` after a delay, or never if the faults say so. `false`: the wake is lost.
    pub fn wake(&mut self, actor: A) -> bool {
        if self.random.chance(self.faults.wakes_lost_permille) {
            return false;
        }
        let delay = self.delay();
        self.sleep(actor, delay);
        true
    }

    /// Runs `actor` after `time`: the end of its own sleep, which does not get lost.
    pub fn sleep(&mut self, actor: A, time: Duration) {
        let tie = self.random.next_u64();
        self.queue.push(Reverse((self.clock.now + time, tie, self.queued, actor)));
        self.queued += 1;
    }

    /// The actor that is next; the clock moves to its time. `None`: no actor will ever run again.
    pub fn next_actor(&mut self) -> Option<A> {
        let Reverse((at, _, _, actor)) = self.queue.pop()?;
        self.clock.now = at;
        Some(actor)
    }

    /// Whether an actor that is at a crash point dies there. Between two calls only every fourth such death happens.
    pub fn is_fatal(&mut self, point: CrashPoint) -> bool {
        // Every turn passes this point, so it would otherwise outnumber the points inside a turn.
        let share = if point == CrashPoint::Idle { 4 } else { 1 };
        self.random.below(share) == 0 && self.random.chance(self.faults.crashes_permille)
    }

    fn delay(&mut self) -> Duration {
        let longest_ns = u64::try_from(self.faults.wake_delay_max.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.random.below(longest_ns.saturating_add(1).max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_moves_with_whoever_runs_and_a_lost_wake_wakes_nobody() {
        let faults = Faults { wakes_lost_permille: 1000, ..Faults::none() };
        let mut schedule = Schedule::new(1, faults);
        assert!(!schedule.wake("nobody"));
        schedule.sleep("late", Duration::from_secs(3600));
        schedule.sleep("early", Duration::from_millis(1));
        assert_eq!((schedule.next_actor(), schedule.clock().now()), (Some("early"), Duration::from_millis(1)));
        assert_eq!((schedule.next_actor(), schedule.clock().now()), (Some("late"), Duration::from_secs(3600)));
        assert_eq!(schedule.next_actor(), None);
    }

    #[test]
    fn who_is_first_among_those_who_are_due_together_depends_on_the_seed() {
        let first = |seed| {
            let mut schedule = Schedule::new(seed, Faults::none());
            (0..4).for_each(|actor| schedule.sleep(actor, Duration::ZERO));
            schedule.next_actor()
        };
        assert_eq!(first(7), first(7));
        assert!((0..20).any(|seed| first(seed) != first(0)));
    }
}
