//! When events come, in a model.

use std::time::{Duration, Instant};

/// A small generator of pseudo-random numbers; the same seed gives the same numbers.
#[derive(Clone)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From 0 to 1.
    pub(super) fn unit(&mut self) -> f64 {
        self.next() as f64 / (1_u64 << 53) as f64
    }
}

/// What the next gap is, in microseconds.
type Gap = Box<dyn FnMut(&mut Rng, usize) -> f64>;

/// A producer, and what its consumer does between two waits.
pub(super) struct Traffic {
    pub(super) name: String,
    gap_us: Gap,
    /// Whether the gap counts from the end of the consumer's work and not from the event before.
    is_answer: bool,
    /// The consumer's work: at least and at most.
    work_us: (f64, f64),
    rng: Rng,
    index: usize,
}

impl Traffic {
    pub(super) fn new(name: impl Into<String>, gap_us: impl FnMut(&mut Rng, usize) -> f64 + 'static) -> Self {
        let (name, gap_us) = (name.into(), Box::new(gap_us) as Gap);
        Self { name, gap_us, is_answer: false, work_us: (0.0, 0.0), rng: Rng::new(3), index: 0 }
    }

    /// The consumer asks for each event when it has finished its work, and gets it one gap later.
    pub(super) fn answering(self) -> Self {
        Self { is_answer: true, ..self }
    }

    pub(super) fn with_work(self, least_us: f64, most_us: f64) -> Self {
        Self { work_us: (least_us, most_us), ..self }
    }

    pub(super) fn named(self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self }
    }

    pub(super) fn next(&mut self, came: Instant, done: Instant) -> Instant {
        let gap = micros((self.gap_us)(&mut self.rng, self.index));
        self.index += 1;
        if self.is_answer { done + gap } else { came + gap }
    }

    pub(super) fn work(&mut self) -> Duration {
        let (least, most) = self.work_us;
        micros(least + (most - least) * self.rng.unit())
    }
}

fn micros(us: f64) -> Duration {
    Duration::from_nanos((us * 1000.0) as u64)
}

/// An event every `gap_us`, each `jitter` of a gap earlier or later at most.
pub(super) fn steady(gap_us: f64, jitter: f64) -> Traffic {
    let name = match jitter {
        0.0 => format!("every {}", written(gap_us)),
        _ => format!("every {} ± {:.0} %", written(gap_us), jitter * 100.0),
    };
    Traffic::new(name, move |rng, _| gap_us * (1.0 + jitter * (2.0 * rng.unit() - 1.0)))
}

/// Independent events.
pub(super) fn poisson(gap_us: f64) -> Traffic {
    Traffic::new(format!("Poisson, mean {}", written(gap_us)), move |rng, _| -gap_us * (1.0 - rng.unit()).ln())
}

/// Answers of a peer that computes between `least_us` and `most_us` for each.
pub(super) fn answers(least_us: f64, most_us: f64) -> Traffic {
    let name = format!("answers after {} to {}", written(least_us), written(most_us));
    Traffic::new(name, move |rng, _| least_us + (most_us - least_us) * rng.unit()).answering()
}

/// `count` events `gap_us` apart, and then `pause_us` without one.
pub(super) fn bursts(count: usize, gap_us: f64, pause_us: f64) -> Traffic {
    let name = format!("bursts of {count}, {} apart, every {}", written(gap_us), written(pause_us));
    Traffic::new(name, move |_, index| if index.is_multiple_of(count) { pause_us } else { gap_us })
}

/// One gap, the other, and so on.
pub(super) fn alternating(one_us: f64, other_us: f64) -> Traffic {
    let name = format!("{} and {} in turn", written(one_us), written(other_us));
    Traffic::new(name, move |_, index| if index % 2 == 0 { one_us } else { other_us })
}

/// One gap, and from event `at` on the other.
pub(super) fn changing(before_us: f64, after_us: f64, at: usize) -> Traffic {
    let name = format!("{} and then {}", written(before_us), written(after_us));
    Traffic::new(name, move |_, index| if index < at { before_us } else { after_us })
}

pub(super) fn written(us: f64) -> String {
    match us {
        1e6.. => format!("{} s", us / 1e6),
        1e3.. => format!("{} ms", us / 1e3),
        _ => format!("{us} µs"),
    }
}
