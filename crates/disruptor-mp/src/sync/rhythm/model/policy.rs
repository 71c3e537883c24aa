//! Designs of a waiter, to be compared: the one that is built, and the others.

use super::super::{HOPE, Plan, Rhythm, Seen};
use std::time::{Duration, Instant};

/// Decides when a waiter spins and when it sleeps.
pub(super) trait Policy {
    fn plan(&self, begin: Instant) -> Plan;

    /// See [`Rhythm::arrived`].
    fn arrived(&mut self, _begin: Instant, _woken: Seen, _now: Instant) {}

    /// How much later than its timer a sleep ended; whether the event was there by then.
    fn overslept(&mut self, _late: Duration, _was_there: bool) {}
}

impl Policy for Rhythm {
    fn plan(&self, begin: Instant) -> Plan {
        self.plan(begin)
    }

    fn arrived(&mut self, begin: Instant, seen: Seen, now: Instant) {
        self.arrived(begin, seen, now);
    }

    fn overslept(&mut self, late: Duration, _was_there: bool) {
        self.overslept(late);
    }
}

pub(super) struct Spin;

impl Policy for Spin {
    fn plan(&self, begin: Instant) -> Plan {
        Plan::spinning_first(begin, Duration::from_secs(3600))
    }
}

pub(super) struct Block;

impl Policy for Block {
    fn plan(&self, begin: Instant) -> Plan {
        Plan::spinning_first(begin, Duration::from_micros(10))
    }
}

/// One expected gap, the moving average, and a lead that grows with each event that was seen late. `is_mended`: only
/// the budget bounds the lead, the waiter spins through short gaps, and a late wake does not count as an arrival.
pub(super) struct Averages {
    is_mended: bool,
    last: Option<Instant>,
    gap: Duration,
    spread: Duration,
    lead: Duration,
}

impl Averages {
    pub(super) fn new(is_mended: bool) -> Self {
        Self { is_mended, last: None, gap: Duration::ZERO, spread: Duration::ZERO, lead: Duration::from_micros(100) }
    }
}

impl Policy for Averages {
    fn plan(&self, begin: Instant) -> Plan {
        let us = Duration::from_micros;
        let short = us(if self.is_mended { 150 } else { 60 });
        let Some(last) = self.last.filter(|_| !self.gap.is_zero()) else { return Plan::spinning_first(begin, HOPE) };
        if self.gap < short {
            return Plan::spinning_first(begin, if self.is_mended { us(300) } else { 4 * self.gap.max(us(5)) });
        }
        if self.spread >= self.gap / 4 {
            return Plan::spinning_first(begin, HOPE);
        }
        let due = last + self.gap;
        let bound = if self.is_mended { us(50).max(self.gap / 4) } else { self.gap / 8 };
        let lead = self.lead.max(us(30)).min(bound).min(us(400));
        let patience = lead.max((2 * self.spread).min(bound));
        let span = ((due - lead).max(begin), (due + patience).max(begin));
        Plan { spans: [span; 2] }
    }

    fn arrived(&mut self, begin: Instant, seen: Seen, now: Instant) {
        let came = match seen {
            Seen::Rung { .. } | Seen::TimedOut { .. } if self.is_mended => (now - Duration::from_micros(20)).max(begin),
            _ => now,
        };
        if let Some(last) = self.last {
            let gap = came.saturating_duration_since(last);
            if self.gap.is_zero() {
                (self.gap, self.spread) = (gap, gap / 2);
            } else if gap < Duration::from_secs(1) {
                let off = gap.abs_diff(self.gap);
                self.spread = self.spread - self.spread / 8 + off.min(4 * self.gap) / 8;
                self.gap = self.gap - self.gap / 8 + gap.min(8 * self.gap) / 8;
            }
        }
        self.last = Some(came);
    }

    fn overslept(&mut self, _late: Duration, was_there: bool) {
        let lead = if was_there { self.lead + self.lead / 4 } else { self.lead - self.lead / 64 };
        self.lead = lead.clamp(Duration::from_micros(30), Duration::from_micros(400));
    }
}
