//! Spins while news are likely, and sleeps otherwise.

use super::{IdleStrategy, Pause};
use std::time::{Duration, Instant};

/// How many of the last gaps it remembers. One outlier of eight does not move the median; after eight other ones
/// nothing of the old rhythm is left.
const GAPS: usize = 8;

/// With fewer it knows nothing.
const KNOWN: usize = 3;

/// Learns from the last eight gaps between two pieces of work. If their median is short, it spins for twice the median,
/// and sleeps only then; otherwise it sleeps at once. It sleeps at the agents' doorbells, each time twice as long, so
/// that agents without doorbells are polled.
///
/// By default a gap is short below 50 us, and sleeps are from 50 us to 1 ms. A sleep makes an agent 6 to 8 us late, and
/// spinning for short gaps takes the whole core; BENCHMARKS.md has a table.
///
/// ```
/// use myelon_runtime::agents::{Adaptive, Group, Work, from_fn};
/// use std::time::Duration;
///
/// // All agents of this group have doorbells, so no sleep needs to end by itself.
/// let idle = Adaptive::new().short(Duration::from_micros(100)).sleeps(Duration::from_micros(50), Duration::MAX);
/// let runner = Group::new("learns").agent(from_fn("learns", |_| Ok(Work::NONE))).spawn(idle)?;
/// # drop(runner);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Adaptive {
    gaps: [Duration; GAPS],
    known: usize,
    next: usize,
    /// When the present gap began.
    since: Option<Instant>,
    /// For how long it spins in the present gap.
    spin: Duration,
    short: Duration,
    least: Duration,
    most: Duration,
    sleep: Duration,
}

impl Default for Adaptive {
    fn default() -> Self {
        Self::new()
    }
}

impl Adaptive {
    /// One that has learned nothing yet.
    pub fn new() -> Self {
        let (least, most) = (Duration::from_micros(50), Duration::from_millis(1));
        Self {
            gaps: [Duration::ZERO; GAPS],
            known: 0,
            next: 0,
            since: None,
            spin: Duration::ZERO,
            short: Duration::from_micros(50),
            least,
            most,
            sleep: least,
        }
    }

    /// Up to which median gap it spins.
    #[must_use]
    pub fn short(mut self, gap: Duration) -> Self {
        self.short = gap;
        self
    }

    /// The first sleep of a gap and the longest one. With [`Duration::MAX`] sleeps double until something ends them:
    /// for agents that all have doorbells.
    ///
    /// # Panics
    /// `least` is zero, or longer than `most`.
    #[must_use]
    pub fn sleeps(mut self, least: Duration, most: Duration) -> Self {
        assert!(!least.is_zero() && least <= most, "the shortest sleep is not zero, and not longer than the longest");
        (self.least, self.most, self.sleep) = (least, most, least);
        self
    }

    /// For how long spinning is worth while after the last gaps.
    fn spins_for(&self) -> Duration {
        if self.known < KNOWN {
            return Duration::ZERO;
        }
        let mut sorted = self.gaps;
        let sorted = &mut sorted[..self.known];
        sorted.sort_unstable();
        let median = sorted[self.known / 2];
        if median <= self.short { median * 2 } else { Duration::ZERO }
    }
}

impl IdleStrategy for Adaptive {
    fn idle(&mut self, pause: &mut Pause<'_>) {
        let since = match self.since {
            Some(since) => since,
            None => {
                (self.spin, self.sleep) = (self.spins_for(), self.least);
                *self.since.insert(pause.now())
            }
        };
        if pause.now().saturating_duration_since(since) < self.spin {
            std::hint::spin_loop();
        } else {
            pause.park_at_doorbells(Some(self.sleep));
            self.sleep = self.sleep.saturating_mul(2).min(self.most);
        }
    }

    fn worked(&mut self, now: Instant) {
        let Some(since) = self.since.take() else { return };
        self.gaps[self.next] = now.saturating_duration_since(since);
        self.next = (self.next + 1) % GAPS;
        self.known = (self.known + 1).min(GAPS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps_us: &[u64]) -> Duration {
        let (mut idle, start) = (Adaptive::new(), Instant::now());
        for &gap in gaps_us {
            idle.since = Some(start);
            idle.worked(start + Duration::from_micros(gap));
        }
        idle.spins_for()
    }

    #[test]
    fn it_spins_for_twice_a_short_median() {
        assert_eq!(after(&[20, 20]), Duration::ZERO, "two gaps are not known yet");
        assert_eq!(after(&[20, 20, 20]), Duration::from_micros(40));
        assert_eq!(after(&[20, 20, 90_000, 20, 20]), Duration::from_micros(40), "one outlier changes nothing");
    }

    #[test]
    fn it_does_not_spin_through_long_gaps_and_forgets_an_old_rhythm() {
        assert_eq!(after(&[51, 51, 51]), Duration::ZERO);
        let mut gaps = [10; 20];
        gaps[12..].fill(1000);
        assert_eq!(after(&gaps), Duration::ZERO);
    }
}
