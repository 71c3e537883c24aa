//! What a waiter has learned about when the next event comes.
//!
//! **Lives here:** [`Rhythm`], the gaps between arrivals, and the [`Plan`] of one wait that follows from them. **Builds on:** nothing.
//! **May touch it:** `wait`, for the adaptive strategy.
//!
//! A wake from the kernel costs 30 to 50 microseconds on a halted core; spinning costs the core. Traffic in an inference server is
//! periodic, so a waiter that knows the period sleeps until shortly before the next arrival is due, and spins only then. The sleep
//! is still at the bell: what comes early wakes it, at the price of an ordinary wake.

use std::time::{Duration, Instant};

/// Gaps below this are spun through: a sleep would take longer than the gap.
const SHORT_GAP: Duration = Duration::from_micros(60);

/// How long a waiter without a rhythm spins before it sleeps: about the price of the wake that it hopes to save.
const HOPE: Duration = Duration::from_micros(20);

/// Bounds of the lead: how long before the expected arrival a sleeper gets up. The timer of an idle core is late by some 50 µs.
const LEAD_MIN: Duration = Duration::from_micros(30);
const LEAD_MAX: Duration = Duration::from_micros(400);

/// Of a gap, at most one part in this many may be spent spinning ahead of the arrival.
const GAP_TO_LEAD: u32 = 8;

/// Gaps beyond this are idleness and not a rhythm.
const LONG_GAP: Duration = Duration::from_secs(1);

/// Gaps between arrivals, as moving averages, and how early to get up.
pub(crate) struct Rhythm {
    last: Option<Instant>,
    /// Average gap in nanoseconds; 0 until there were two arrivals.
    gap_ns: u64,
    /// Average distance of a gap from the average.
    spread_ns: u64,
    /// How long before the expected arrival to get up.
    lead_ns: u64,
}

impl Rhythm {
    pub(crate) fn new() -> Self {
        Self { last: None, gap_ns: 0, spread_ns: 0, lead_ns: 100_000 }
    }

    /// An event arrived at a waiter that was waiting for it. (One that was there already says nothing about the rhythm.)
    pub(crate) fn arrived(&mut self, now: Instant) {
        if let Some(last) = self.last {
            let gap = now - last;
            if gap < LONG_GAP {
                let gap_ns = gap.as_nanos() as u64;
                if self.gap_ns == 0 {
                    self.gap_ns = gap_ns;
                    self.spread_ns = gap_ns / 2;
                } else {
                    let off_ns = gap_ns.abs_diff(self.gap_ns);
                    self.spread_ns = self.spread_ns - self.spread_ns / 8 + off_ns.min(4 * self.gap_ns) / 8;
                    self.gap_ns = self.gap_ns - self.gap_ns / 8 + gap_ns.min(8 * self.gap_ns) / 8;
                }
            }
        }
        self.last = Some(now);
    }

    /// What to do in the wait that begins at `now`.
    pub(crate) fn plan(&self, now: Instant) -> Plan {
        let gap = Duration::from_nanos(self.gap_ns);
        if self.gap_ns == 0 {
            return Plan { sleep_until: None, spin_until: now + HOPE };
        }
        if gap < SHORT_GAP {
            return Plan { sleep_until: None, spin_until: now + 4 * gap.max(Duration::from_micros(5)) };
        }
        let Some(last) = self.last.filter(|_| self.spread_ns < self.gap_ns / 4) else {
            return Plan { sleep_until: None, spin_until: now + HOPE };
        };
        let due = last + gap;
        let lead = Duration::from_nanos(self.lead_ns).max(LEAD_MIN).min(gap / GAP_TO_LEAD).min(LEAD_MAX);
        let patience = lead.max(Duration::from_nanos(2 * self.spread_ns).min(gap / GAP_TO_LEAD));
        Plan { sleep_until: Some(due - lead), spin_until: due + patience }
    }
}

/// One wait: asleep until `sleep_until`, spinning until `spin_until`, asleep after it.
#[derive(Debug)]
pub(crate) struct Plan {
    sleep_until: Option<Instant>,
    spin_until: Instant,
}

impl Plan {
    /// How long to sleep at `now`; `None` means spin.
    pub(crate) fn at(&self, now: Instant) -> Option<Duration> {
        match self.sleep_until {
            Some(until) if now < until => {
                lower_timer_slack();
                Some(until - now)
            }
            _ if now < self.spin_until => None,
            _ => Some(Duration::MAX),
        }
    }

    /// A sleep ended at `now`, and the event was or was not there. Learns to get up earlier or later.
    pub(crate) fn woken(&self, rhythm: &mut Rhythm, now: Instant, was_there: bool) {
        let Some(until) = self.sleep_until else { return };
        if now < until || now > self.spin_until {
            return;
        }
        // Too late costs a whole wake, too early a little spinning: go up fast and come down slowly.
        let lead_ns =
            if was_there { rhythm.lead_ns + rhythm.lead_ns / 4 } else { rhythm.lead_ns - rhythm.lead_ns / 64 };
        rhythm.lead_ns = lead_ns.clamp(LEAD_MIN.as_nanos() as u64, LEAD_MAX.as_nanos() as u64);
    }
}

/// Lets this thread's timers fire when they are due instead of up to 50 µs later. Once per thread, and only for threads that sleep
/// by the clock; it changes nothing else about the thread.
#[cfg(target_os = "linux")]
fn lower_timer_slack() {
    thread_local! {
        static LOWERED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    if !LOWERED.replace(true) {
        // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory. If it fails, timers are late, as they were before.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64) };
    }
}

#[cfg(not(target_os = "linux"))]
fn lower_timer_slack() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(gaps_us: impl IntoIterator<Item = u64>) -> (Rhythm, Instant) {
        let mut rhythm = Rhythm::new();
        let mut now = Instant::now();
        rhythm.arrived(now);
        for gap in gaps_us {
            now += Duration::from_micros(gap);
            rhythm.arrived(now);
        }
        (rhythm, now)
    }

    #[test]
    fn periodic_traffic_is_slept_through_until_shortly_before_it_is_due() {
        let (rhythm, now) = after([1000; 64]);
        let plan = rhythm.plan(now);
        let nap = plan.at(now).expect("sleeps first");
        assert!(nap > Duration::from_micros(500) && nap < Duration::from_micros(1000), "{nap:?}");
        assert_eq!(plan.at(now + Duration::from_micros(990)), None, "spins when it is due");
        assert!(plan.at(now + Duration::from_millis(3)).is_some(), "sleeps when it did not come");
    }

    #[test]
    fn fast_traffic_is_spun_through_and_silence_is_not() {
        let (rhythm, now) = after([3; 64]);
        let plan = rhythm.plan(now);
        assert_eq!(plan.at(now), None);
        assert!(plan.at(now + Duration::from_millis(1)).is_some());
    }

    #[test]
    fn traffic_without_a_rhythm_is_hoped_for_briefly() {
        let (rhythm, now) = after([100, 9000, 300, 40_000, 700, 15_000, 90, 30_000]);
        let plan = rhythm.plan(now);
        assert_eq!(plan.at(now), None);
        assert!(plan.at(now + HOPE).is_some());
    }

    #[test]
    fn a_sleeper_that_wakes_too_late_gets_up_earlier_next_time() {
        let (mut rhythm, now) = after([1000; 64]);
        let before = rhythm.lead_ns;
        let plan = rhythm.plan(now);
        plan.woken(&mut rhythm, now + Duration::from_micros(1000), true);
        assert!(rhythm.lead_ns > before);
    }
}
