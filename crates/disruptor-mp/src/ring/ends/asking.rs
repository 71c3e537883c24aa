//! Whether a producer asks for the lines of a message before it writes them. Learned from how fast the messages go on
//! with it and without it.
//!
//! A reader has had these lines since the last lap, and looks at the first of them now. Where lines take long from one
//! core to another, a message can be seen much earlier if all its lines are asked for before the first store. Where
//! they are near, asking is only a few instructions more. How far away the readers are is not known, and changes when a
//! virtual machine moves; and what a message takes is seen by the readers, not here. So it is tried: for a fraction of
//! a millisecond with it, then without it. Source: RFC 0021.

use super::choice::{Choice, Rules};
use super::via::WriteVia;

/// Lines of longer messages are not asked for. From about this length on, a copy takes whole lines without fetching
/// them.
pub(super) const BYTES_MAX: usize = 2 << 10;

/// How long one trial takes, about.
const TRIAL_NS: u64 = 500_000;

/// Asking begins where messages then take a twentieth less time, and ends where they take less without it. Both ends of
/// a round trip learn at once, and each sees the half of what there is to gain. So a small part counts, if the costs of
/// the two ways hardly overlap: in a stream they do. A stream also changes its speed by half without a cause that
/// matters here; readers that move change it by more.
const RULES: Rules =
    Rules { taken_below: (19, 20), left_below: (1, 1), apart: 1, changed_below: (2, 5), other_every: 64 };

/// Learns whether asking pays.
#[derive(Debug)]
pub(super) struct Asking {
    /// From this position on, [`asks`](Self::asks) must be called: at once while the producer asks.
    from: i64,
    /// Whether the producer asks in this trial, and where the trial ends.
    asks: bool,
    trial_ends: i64,
    /// Where and when it began, and how many positions it has.
    began: i64,
    began_ns: u64,
    positions: i64,
    choice: Choice,
}

impl Asking {
    /// For a producer at `position` whose payloads are written `via`. If that is fixed, nothing is tried, and it does
    /// not ask.
    pub(super) fn new(position: i64, via: WriteVia) -> Self {
        let from = if via == WriteVia::Learned { position } else { i64::MAX };
        let choice = Choice::new(&RULES, false);
        Self { from, asks: false, trial_ends: from, began: position, began_ns: 0, positions: 1, choice }
    }

    /// From this position on, [`asks`](Self::asks) must be called before a message is written. It changes in that call.
    pub(super) fn from(&self) -> i64 {
        self.from
    }

    /// Whether to ask for the lines of the message at `position`. `now_ns` reads the clock.
    #[inline(always)]
    pub(super) fn asks(&mut self, position: i64, now_ns: impl FnOnce() -> u64) -> bool {
        if position >= self.trial_ends {
            self.end_trial(position, now_ns());
        }
        self.asks
    }

    #[cold]
    #[inline(never)]
    fn end_trial(&mut self, position: i64, now_ns: u64) {
        let (took, passed) = (now_ns.saturating_sub(self.began_ns), (position - self.began).max(1));
        // A shorter trial says little. In a longer one the producer had nothing to send.
        if (TRIAL_NS / 2..=TRIAL_NS * 4).contains(&took) {
            let cost = u32::try_from(took.saturating_mul(1 << 10) / passed as u64).unwrap_or(u32::MAX);
            self.choice.learn(self.asks, cost);
        }
        self.positions = if took < TRIAL_NS / 2 {
            self.positions.saturating_mul(2)
        } else if took > TRIAL_NS * 2 {
            // Idle in between, or slow.
            ((u128::from(TRIAL_NS) * self.positions as u128 / u128::from(took)) as i64).max(1)
        } else {
            self.positions
        };
        self.asks = self.choice.takes_second() != self.choice.wants_other();
        (self.began, self.began_ns) = (position, now_ns);
        self.trial_ends = position.saturating_add(self.positions);
        self.from = if self.asks { 0 } else { self.trial_ends };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// What a message takes without asking, and with it, in nanoseconds.
    type Price = (u64, u64);

    /// Round trips of records of 64 bytes on two cores that are far apart, where both ends have learned (RFC 0021).
    const FAR: Price = (800, 450);
    /// The same where the other end has not: half of what there is to gain.
    const FAR_ALONE: Price = (800, 625);
    const NEAR: Price = (97, 100);

    struct Producer {
        asking: Asking,
        position: i64,
        now_ns: u64,
        asked_ns: u64,
        lost_next_ns: u64,
        seed: u64,
    }

    impl Producer {
        fn new() -> Self {
            Self {
                asking: Asking::new(0, WriteVia::Learned),
                position: 0,
                now_ns: 7 * MS,
                asked_ns: 0,
                lost_next_ns: 0,
                seed: 1,
            }
        }

        /// A number below `bound`, by a fixed series.
        fn next(&mut self, bound: u64) -> u64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.seed >> 33) % bound
        }

        fn send(&mut self, (silent, asking): Price) {
            let now_ns = self.now_ns;
            let asks = self.position >= self.asking.from() && self.asking.asks(self.position, || now_ns);
            let cost = if asks { asking } else { silent };
            let mut took = cost + self.next(cost / 4 + 1);
            // Now and then another process has the processor.
            if self.now_ns >= self.lost_next_ns {
                took += MS;
                self.lost_next_ns = self.now_ns + self.next(40 * MS);
            }
            (self.position, self.now_ns) = (self.position + 2, self.now_ns + took);
            self.asked_ns += if asks { took } else { 0 };
        }

        /// Sends for `ns`. Returns the part of this time in which it asked, in percent.
        fn send_for(&mut self, ns: u64, price: Price) -> u64 {
            let (began, asked) = (self.now_ns, self.asked_ns);
            while self.now_ns - began < ns {
                self.send(price);
            }
            (self.asked_ns - asked) * 100 / (self.now_ns - began)
        }
    }

    #[test]
    fn a_producer_far_from_its_readers_asks_within_ten_milliseconds() {
        for price in [FAR, FAR_ALONE, (1_340, 1_150)] {
            let mut producer = Producer::new();
            producer.send_for(10 * MS, price);
            let asked = producer.send_for(100 * MS, price);
            assert!(asked > 95, "{asked} % of the time at {price:?}");
        }
    }

    #[test]
    fn a_producer_near_its_readers_does_not_ask() {
        for price in [NEAR, (100, 100), (5, 6)] {
            let mut producer = Producer::new();
            producer.send_for(10 * MS, price);
            let asked = producer.send_for(100 * MS, price);
            assert!(asked < 4, "{asked} % of the time at {price:?}");
        }
    }

    #[test]
    fn a_move_of_the_readers_is_followed_within_ten_milliseconds() {
        let mut producer = Producer::new();
        producer.send_for(50 * MS, NEAR);
        for _ in 0..10 {
            producer.send_for(10 * MS, FAR);
            let asked = producer.send_for(50 * MS, FAR);
            assert!(asked > 90, "{asked} % of the time far");
            producer.send_for(10 * MS, NEAR);
            let asked = producer.send_for(50 * MS, NEAR);
            assert!(asked < 10, "{asked} % of the time near");
        }
    }

    /// A stream goes fast or slowly for reasons of its own. Asking makes it slower by a quarter.
    #[test]
    fn a_stream_that_changes_its_speed_loses_little_to_trials() {
        let mut producer = Producer::new();
        producer.send_for(10 * MS, (12, 15));
        let asked: u64 = (0..200)
            .map(|_| {
                let speed = 8 + producer.next(9);
                producer.send_for(5 * MS, (speed, speed * 5 / 4))
            })
            .sum();
        assert!(asked / 200 < 12, "{} % of the time", asked / 200);
    }

    #[test]
    fn nothing_is_learned_from_the_time_in_which_there_was_nothing_to_send() {
        let mut producer = Producer::new();
        for burst in 0..2_000 {
            for _ in 0..8 {
                producer.send(NEAR);
            }
            producer.now_ns += MS * (burst % 3 + 1);
        }
        assert!(!producer.asking.choice.takes_second());
    }

    #[test]
    fn a_producer_whose_way_is_fixed_never_asks() {
        for via in [WriteVia::Ring, WriteVia::Buffer] {
            assert_eq!(Asking::new(0, via).from(), i64::MAX);
        }
    }

    #[test]
    fn few_messages_read_the_clock() {
        let mut asking = Asking::new(0, WriteVia::Learned);
        let (mut looks, mut now_ns) = (0, 0);
        for position in 0..1_000_000 {
            now_ns += 100;
            if position >= asking.from() {
                asking.asks(position, || {
                    looks += 1;
                    now_ns
                });
            }
        }
        // 100 ms, in trials of half a millisecond.
        assert!((100..400).contains(&looks), "{looks} looks");
    }
}
