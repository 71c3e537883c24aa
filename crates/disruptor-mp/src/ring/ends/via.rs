//! Where a claimed payload is written first: in the ring, or in a buffer of the producer from which it is copied. A
//! state machine without a clock of its own learns which costs less.
//!
//! An ordinary store to a line that another last-level cache holds fetches the line first. The copy of a long block
//! does not: processors have an instruction for it that takes whole lines. So where the readers are far away, it is
//! cheaper to write a payload twice, the first time where it stays in this core's cache. Where the readers are near,
//! this may cost more. Which of the two holds depends on where the readers are and how closely they follow, and changes
//! while a program runs. So it is measured here, not assumed. Source: RFC 0019.

use super::choice::{Choice, Rules};
use std::str::FromStr;

/// The variable that overrides what a program asks for.
const VARIABLE: &str = "MYELON_WRITE_VIA";

/// Where a payload of 2 KiB to 1 MiB is written first, if a program or a codec writes it in place. Shorter and longer
/// payloads are written in the ring, and payloads that are given as bytes are copied into it anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteVia {
    /// The way that costs less. The producer times some of its payloads, and goes on doing so. It also tries whether
    /// shorter messages go faster if it asks the processor for their memory before it writes them.
    #[default]
    Learned,
    /// In the ring, where the reader reads it. Nothing is timed or tried.
    Ring,
    /// In a buffer of the producer; the commit copies it into the ring. Nothing is timed or tried.
    Buffer,
}

/// A text that names no way.
///
/// ```
/// use disruptor_mp::WriteVia;
///
/// let way: WriteVia = "buffer".parse()?;
/// assert_eq!(way, WriteVia::Buffer);
/// let refused = "cache".parse::<WriteVia>().unwrap_err();
/// assert!(refused.to_string().starts_with("`cache` is not a way to write payloads: use `learned`"));
/// # Ok::<(), disruptor_mp::InvalidWriteVia>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a way to write payloads: use `learned`, `ring` or `buffer` (also as {VARIABLE})")]
pub struct InvalidWriteVia {
    /// The text that was given, in the program or as the value of the variable.
    pub text: String,
}

impl FromStr for WriteVia {
    type Err = InvalidWriteVia;

    fn from_str(text: &str) -> Result<Self, InvalidWriteVia> {
        match text {
            "learned" => Ok(Self::Learned),
            "ring" => Ok(Self::Ring),
            "buffer" => Ok(Self::Buffer),
            _ => Err(InvalidWriteVia { text: text.to_owned() }),
        }
    }
}

impl WriteVia {
    /// What `MYELON_WRITE_VIA` says, or else this. An invalid value is an error.
    pub(crate) fn overridden(self) -> Result<Self, InvalidWriteVia> {
        match std::env::var_os(VARIABLE) {
            Some(value) => value.to_string_lossy().parse(),
            None => Ok(self),
        }
    }
}

/// One of the two ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    Ring,
    Buffer,
}

/// What to do with one payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) way: Way,
    /// Whether the time that it took must be reported afterwards.
    pub(super) is_timed: bool,
}

/// Shorter payloads are written in the ring: from about this length on, a copy takes whole lines. Payloads of this
/// crate's tests, in which processes are killed, are short.
pub(super) const BYTES_MIN: usize = if cfg!(test) { 64 } else { 2 << 10 };

/// Classes of payloads, by length: from 2, 8, 32 and 128 KiB on. The cost of one length says little about another.
const CLASSES: usize = 4;

/// The time between two payloads that are timed, about.
const INTERVAL_NS: u64 = 100_000;

/// The most bytes between two of them, so that a stream that becomes slow is timed soon.
const INTERVAL_BYTES_MAX: i64 = 4 << 20;

/// The buffer is taken if it costs less by a quarter. It is left if it costs less by no more than a ninth: the
/// producer's time is not the only cost. Of this many timed payloads, one goes the other way.
const RULES: Rules =
    Rules { taken_below: (3, 4), left_below: (9, 8), apart: 0, changed_below: (2, 3), other_every: 128 };

/// Such payloads may cost at most this part of all time in addition.
const PART_OF_TIME: u64 = 100;

/// The most time that may be saved up for them. After a pause it is available at once.
const CREDIT_MAX_NS: u64 = 1_000_000;

/// Learns which way costs less.
#[derive(Debug)]
pub(super) struct Learner {
    /// Bytes of payload before [`plan`](Self::plan) must be asked: at once while any class goes through the buffer.
    left: i64,
    /// Bytes before the next payload is timed, and their initial number.
    due: i64,
    given: i64,
    timed_at_ns: u64,
    /// Time that payloads may lose that go the other way.
    credit_ns: u64,
    classes: [Class; CLASSES],
    uses_buffer: bool,
    is_learning: bool,
}

impl Learner {
    pub(super) fn new(via: WriteVia) -> Self {
        let (left, way) = match via {
            WriteVia::Learned => (0, Way::Ring),
            WriteVia::Ring => (i64::MAX, Way::Ring),
            WriteVia::Buffer => (0, Way::Buffer),
        };
        Self {
            left,
            due: 0,
            given: 0,
            timed_at_ns: 0,
            credit_ns: CREDIT_MAX_NS,
            classes: std::array::from_fn(|_| Choice::new(&RULES, way == Way::Buffer)),
            uses_buffer: way == Way::Buffer,
            is_learning: via == WriteVia::Learned,
        }
    }

    /// Whether a payload of `len` bytes is simply written in the ring, without a [`plan`](Self::plan).
    #[inline(always)]
    pub(super) fn is_plain(&mut self, len: usize) -> bool {
        if len < BYTES_MIN {
            return true;
        }
        self.left -= len as i64;
        self.left >= 0
    }

    /// What to do with a payload of about `len` bytes that is not plain.
    pub(super) fn plan(&mut self, len: usize) -> Plan {
        let class = &mut self.classes[class_of(len)];
        if self.uses_buffer {
            self.left = 0;
            self.due -= len as i64;
            if self.due >= 0 || !self.is_learning {
                return Plan { way: way_of(class.takes_second()), is_timed: false };
            }
        }
        let is_other = class.wants_other() && may_lose_ns(class, len) <= self.credit_ns;
        let way = way_of(class.takes_second() != is_other);
        Plan { way, is_timed: true }
    }

    /// A payload that was to be timed had `len` bytes and took `took_ns`, from the claim to the commit, which was over
    /// at `now_ns`.
    pub(super) fn timed(&mut self, len: usize, way: Way, took_ns: u64, now_ns: u64) {
        let elapsed = now_ns.saturating_sub(self.timed_at_ns).max(1);
        self.timed_at_ns = now_ns;
        self.credit_ns = (self.credit_ns + elapsed / PART_OF_TIME).min(CREDIT_MAX_NS);
        let class = &mut self.classes[class_of(len)];
        let is_buffer = way == Way::Buffer;
        if is_buffer != class.takes_second() {
            let own = class.median(class.takes_second()).map_or(took_ns, |cost| cost_of(cost, len));
            self.credit_ns = self.credit_ns.saturating_sub(took_ns.saturating_sub(own));
        }
        class.learn(is_buffer, per_block(took_ns, len));
        self.given = if elapsed < INTERVAL_NS / 2 {
            (self.given.max(len as i64 / 2) * 2).min(INTERVAL_BYTES_MAX)
        } else if elapsed > INTERVAL_NS * 2 {
            // Idle in between, or slow: the next payload may be the only one for a while.
            (self.given as u64 * INTERVAL_NS / elapsed) as i64
        } else {
            self.given
        };
        self.uses_buffer = self.classes.iter().any(Choice::takes_second);
        self.due = self.given;
        self.left = if self.uses_buffer { 0 } else { self.given };
    }
}

fn class_of(len: usize) -> usize {
    ((len.max(BYTES_MIN) / BYTES_MIN).ilog2() as usize / 2).min(CLASSES - 1)
}

/// Nanoseconds for 4 KiB, and back.
fn per_block(ns: u64, len: usize) -> u32 {
    u32::try_from(ns.saturating_mul(4096) / len.max(BYTES_MIN) as u64).unwrap_or(u32::MAX).max(1)
}

fn cost_of(per_block: u32, len: usize) -> u64 {
    u64::from(per_block) * len.max(BYTES_MIN) as u64 / 4096
}

fn way_of(is_buffer: bool) -> Way {
    if is_buffer { Way::Buffer } else { Way::Ring }
}

/// What is known of payloads of about one length: whether they go through the buffer, which is the second way.
type Class = Choice;

/// How much longer a payload of `len` bytes may take the other way. The first ones may take twice as long.
fn may_lose_ns(class: &Class, len: usize) -> u64 {
    let (own, other) = (class.median(class.takes_second()), class.median(!class.takes_second()));
    let lost = match (own, other) {
        (Some(own), Some(other)) => other.saturating_sub(own),
        (Some(own), None) => own,
        // Its own way first.
        (None, _) => return u64::MAX,
    };
    cost_of(lost, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;

    /// The cost of 4 KiB, written in the ring or through the buffer, in nanoseconds, until all stores are done.
    type Price = (u64, u64);

    /// About what was measured for messages that are answered (RFC 0019).
    const NEAR: Price = (180, 240);
    const FAR: Price = (1_250, 520);

    /// A producer on a clock of its own.
    struct Producer {
        learner: Learner,
        now_ns: u64,
        seed: u64,
        /// Payloads by way, how long all took, and how long they would have taken in the ring or through the buffer.
        ring: u64,
        buffer: u64,
        took_ns: u64,
        in_ring_ns: u64,
        via_buffer_ns: u64,
        changes: u64,
        last: Way,
    }

    impl Producer {
        fn new() -> Self {
            let learner = Learner::new(WriteVia::Learned);
            Self {
                learner,
                now_ns: SECOND,
                seed: 7,
                ring: 0,
                buffer: 0,
                took_ns: 0,
                in_ring_ns: 0,
                via_buffer_ns: 0,
                changes: 0,
                last: Way::Ring,
            }
        }

        /// A number below `bound`.
        fn random(&mut self, bound: u64) -> u64 {
            self.seed = self.seed.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (self.seed >> 33) % bound
        }

        /// Sends payloads of `len` bytes for `time_ns`, and waits `gap_ns` after each.
        fn send(&mut self, time_ns: u64, len: usize, (ring, buffer): Price, gap_ns: u64) {
            let end = self.now_ns + time_ns;
            while self.now_ns < end {
                self.send_one(len, (ring, buffer));
                self.now_ns += gap_ns;
            }
        }

        fn send_one(&mut self, len: usize, (ring, buffer): Price) {
            let plan = if self.learner.is_plain(len) {
                Plan { way: Way::Ring, is_timed: false }
            } else {
                self.learner.plan(len)
            };
            // A tenth more or less; and one in 200 is delayed by another process.
            let noise = 900 + self.random(200);
            let held_up = if self.random(200) == 0 { 50_000 } else { 0 };
            let cost = |price: u64| 60 + price * len as u64 / 4096 * noise / 1_000;
            let took = held_up + if plan.way == Way::Ring { cost(ring) } else { cost(buffer) };
            self.in_ring_ns += held_up + cost(ring);
            self.via_buffer_ns += held_up + cost(buffer);
            self.took_ns += took;
            self.now_ns += took;
            *(if plan.way == Way::Ring { &mut self.ring } else { &mut self.buffer }) += 1;
            if plan.is_timed {
                self.now_ns += 100;
                self.learner.timed(len, plan.way, took, self.now_ns);
            }
            let way = way_of(self.learner.classes[class_of(len)].takes_second());
            self.changes += u64::from(way != self.last);
            self.last = way;
        }

        fn way(&self, len: usize) -> Way {
            way_of(self.learner.classes[class_of(len)].takes_second())
        }
    }

    #[test]
    fn readers_that_are_near_are_written_to_in_the_ring_and_trials_cost_a_hundredth() {
        for len in [2 << 10, 4 << 10, 26 << 10, 256 << 10, 2 << 20] {
            let mut producer = Producer::new();
            producer.send(SECOND / 10, len, NEAR, 0);
            let (ring, buffer) = (producer.ring, producer.buffer);
            producer.send(SECOND, len, NEAR, 0);
            assert_eq!(producer.way(len), Way::Ring, "{len} bytes");
            let (ring, buffer) = (producer.ring - ring, producer.buffer - buffer);
            assert!(buffer > 0 && buffer * 100 < ring, "{len} bytes: {buffer} of {ring} went the other way");
            assert!(producer.took_ns < producer.in_ring_ns * 102 / 100, "{len} bytes");
        }
    }

    #[test]
    fn a_move_of_the_readers_is_followed_within_10_ms_of_traffic_there_and_back() {
        for (len, gap_ns) in [(2 << 10, 400), (4 << 10, 1_000), (26 << 10, 3_000), (256 << 10, 40_000)] {
            let mut producer = Producer::new();
            producer.send(10 * MS, len, FAR, gap_ns);
            assert_eq!(producer.way(len), Way::Buffer, "{len} bytes, far from the beginning");
            for turn in 0..20 {
                producer.send(SECOND / 10 + turn * 777_777, len, NEAR, gap_ns);
                assert_eq!(producer.way(len), Way::Ring, "{len} bytes, near, turn {turn}");
                producer.send(10 * MS, len, FAR, gap_ns);
                assert_eq!(producer.way(len), Way::Buffer, "{len} bytes, far again, turn {turn}");
                producer.send(SECOND / 10, len, FAR, gap_ns);
                producer.send(10 * MS, len, NEAR, gap_ns);
                assert_eq!(producer.way(len), Way::Ring, "{len} bytes, near again, turn {turn}");
            }
        }
    }

    #[test]
    fn readers_that_are_far_are_written_to_via_the_buffer_and_trials_cost_little() {
        for len in [4 << 10, 256 << 10] {
            let mut producer = Producer::new();
            producer.send(SECOND, len, FAR, 0);
            assert_eq!(producer.way(len), Way::Buffer, "{len} bytes");
            assert!(producer.took_ns < producer.via_buffer_ns * 103 / 100, "{len} bytes");
        }
    }

    #[test]
    fn two_ways_that_cost_the_same_are_not_taken_in_turns() {
        let mut producer = Producer::new();
        producer.send(10 * SECOND, 16 << 10, (280, 270), 0);
        assert!(producer.changes <= 20, "{} changes in 10 s", producer.changes);
        assert!(producer.took_ns < producer.in_ring_ns * 102 / 100);
    }

    #[test]
    fn payloads_of_different_lengths_go_the_way_that_suits_theirs() {
        let mut producer = Producer::new();
        for _ in 0..20_000 {
            producer.send_one(3 << 10, NEAR);
            producer.send_one(200 << 10, FAR);
        }
        assert_eq!((producer.way(3 << 10), producer.way(200 << 10)), (Way::Ring, Way::Buffer));
    }

    #[test]
    fn of_a_slow_stream_one_payload_in_a_hundred_goes_the_other_way() {
        let mut producer = Producer::new();
        producer.send(SECOND, 26 << 10, NEAR, 2_500_000);
        let buffer = producer.buffer;
        producer.send(20 * SECOND, 26 << 10, NEAR, 2_500_000);
        assert!((1..=80).contains(&(producer.buffer - buffer)), "{} of 8 000", producer.buffer - buffer);
    }

    #[test]
    fn a_ring_that_was_idle_while_its_readers_moved_follows_them_with_its_next_payloads() {
        let mut producer = Producer::new();
        producer.send(SECOND / 10, 26 << 10, NEAR, 0);
        producer.now_ns += SECOND;
        // The bytes that the fast stream had before the next one was timed, and then a few.
        for _ in 0..200 {
            producer.send_one(26 << 10, FAR);
            producer.now_ns += MS;
        }
        assert_eq!(producer.way(26 << 10), Way::Buffer);
    }

    #[test]
    fn short_payloads_and_those_of_a_ring_that_was_told_are_never_timed() {
        let mut learner = Learner::new(WriteVia::Learned);
        assert!((0..100_000).all(|_| learner.is_plain(BYTES_MIN - 1)));
        let mut learner = Learner::new(WriteVia::Ring);
        assert!((0..100_000).all(|_| learner.is_plain(1 << 20)));
        let mut learner = Learner::new(WriteVia::Buffer);
        assert!((0..100_000).all(|_| learner.is_plain(BYTES_MIN - 1)));
        for len in [BYTES_MIN, 3_000, 1 << 20] {
            assert!(!learner.is_plain(len));
            assert_eq!(learner.plan(len), Plan { way: Way::Buffer, is_timed: false });
        }
    }
}
