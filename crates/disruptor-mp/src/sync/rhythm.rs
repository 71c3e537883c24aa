//! What a waiter has learned about when the next event comes.
//!
//! A wake from the kernel is 20 to 50 microseconds late, whether the timer or the bell wakes; spinning costs the core.
//! So a waiter spins near the times at which one of the last events came, counted from the event before it or from the
//! beginning of its wait, and sleeps at other times. It sleeps at the bell: an event that comes at another time wakes
//! it, as it wakes [`Block`](super::wait::WaitStrategy::Block).
//!
//! Everything here is a function of what the waiter has seen. It reads no clock, so a model runs the same code. RFC
//! 0004 has the model's figures.

mod lateness;
#[cfg(test)]
mod model;
mod recent;

use lateness::Lateness;
use recent::{Recent, Sample};
use std::time::{Duration, Instant};

/// A waiter spins through gaps below this, at any cost: a sleep is 20 µs late, and costs as much. A little less than
/// 150 µs, because samples are inexact.
const SHORT: Duration = Duration::from_micros(145);

/// A waiter spins through gaps without a rhythm if their mean is below this. It is above [`SHORT`], because the mean
/// can be that far off.
const SHORT_IRREGULAR: Duration = Duration::from_micros(175);

/// The longest spin through a gap; after it, traffic counts as stopped.
const SHORT_MAX: Duration = Duration::from_micros(300);

/// How long a waiter that has learned nothing spins before it sleeps: about as long as the wake takes that it may save.
const HOPE: Duration = Duration::from_micros(20);

/// How long a waiter spins before it sleeps at the bell, if it spins at all.
const SOON: Duration = Duration::from_micros(10);

/// The cpu time that an event may cost: this, or a part of the gap to it, whichever is more.
const COST: Duration = Duration::from_micros(50);
const GAP_TO_COST: u64 = 4;

/// Cpu time of a sleep that a timer ends. Source: measured, 13 to 15 µs in a virtual machine.
const NAP_COST: Duration = Duration::from_micros(15);

/// The time to the next event, divided by this, is added to the lead.
const LOW_TO_LEAD: u64 = 64;

/// A shorter sleep saves nothing.
const NAP_MIN: Duration = Duration::from_micros(20);

/// How many events may have been taken without a wait since the last one that was waited for.
const MISSED_MAX: u64 = 8;

/// How many of the last samples a span of spinning must hold, at least.
const SAMPLES_MIN: usize = 3;

/// A span that holds all samples may be as long as its end divided by this. A span that holds half of them may be a
/// quarter as long, because a few samples may be close together by chance.
const END_TO_WIDTH: u64 = 2;

/// Spans of spinning in one wait.
const SPANS: usize = 2;

/// When the last events came, and how late the kernel wakes.
#[derive(Clone, Debug)]
pub(crate) struct Rhythm {
    last: Option<Instant>,
    /// From one event to the next.
    gaps: Recent,
    /// From the beginning of a wait to its event.
    waits: Recent,
    lateness: Lateness,
}

impl Rhythm {
    pub(crate) fn new() -> Self {
        Self { last: None, gaps: Recent::new(), waits: Recent::new(), lateness: Lateness::new() }
    }

    /// The wait that began at `begin` found its event at `now`. (An event that was there without a wait says
    /// nothing about the rhythm.)
    pub(crate) fn arrived(&mut self, begin: Instant, seen: Seen, now: Instant) {
        // A waiter that spins sees an event when it comes. One that slept was woken late: what it sees is the end of
        // its sleep. A gap measured to that moment would make the next sleep as long, and the one after it.
        let rang = now.checked_sub(self.lateness.typical()).unwrap_or(now);
        let came = match seen {
            Seen::Spinning => now,
            Seen::Rung { asleep_since } => rang.max(asleep_since),
            Seen::TimedOut { due } => rang.clamp(due, due + self.lateness.high()),
        };
        let came = came.max(begin).min(now);
        if let Some(last) = self.last {
            self.gaps.push(came.saturating_duration_since(last));
            self.waits.push(came - begin);
        }
        self.last = Some(came);
    }

    /// How much later a sleep ended than its timer was to end it.
    pub(crate) fn overslept(&mut self, late: Duration) {
        self.lateness.observe(late);
    }

    /// Where to spin in the wait that begins at `begin`.
    pub(crate) fn plan(&self, begin: Instant) -> Plan {
        let (gaps, waits) = (self.gaps.sorted(), self.waits.sorted());
        let (Some(last), true) = (self.last, gaps.len() >= SAMPLES_MIN) else {
            return Plan::spinning_first(begin, HOPE);
        };
        let mean = gaps.iter().sum::<Sample>() / gaps.len() as u64;
        // Twice the longest: an irregular event may come later than all of the last ones.
        let through = (2 * Duration::from_nanos(waits[waits.len() - 1])).clamp(HOPE, SHORT_MAX);
        if mean < ns(SHORT) || are_short_but_one(&gaps) {
            return Plan::spinning_first(begin, through);
        }
        let budget_ns = (mean / GAP_TO_COST).max(ns(COST));
        let of_waits = self.spans(&waits, 0, budget_ns);
        let base = self.base(&gaps, last, begin);
        let of_gaps = self.spans(&gaps, ns(begin.saturating_duration_since(base)), budget_ns);
        if of_gaps.samples.max(of_waits.samples) == 0 {
            let is_short = mean < ns(SHORT_IRREGULAR);
            return if is_short { Plan::spinning_first(begin, through) } else { self.plan_to_sleep(begin) };
        }
        if of_gaps.is_better_than(&of_waits) { of_gaps.from(base) } else { of_waits.from(begin) }
    }

    /// From when the gap to the next event counts, in a wait that begins at `begin`: from the last event, or from one
    /// that was due after it and was taken without a wait.
    fn base(&self, gaps: &[Sample], last: Instant, begin: Instant) -> Instant {
        let usual = gaps[gaps.len() / 2].max(1);
        // The longest of them may be a gap over several events.
        let long = gaps[gaps.len() - 2] + ns(self.lateness.high());
        let missed = ns(begin.saturating_duration_since(last)).saturating_sub(long).div_ceil(usual);
        if missed <= MISSED_MAX { last + Duration::from_nanos(missed * usual) } else { last }
    }

    /// The wait of [`Block`](super::wait::WaitStrategy::Block) that begins at `begin`. It spins first only if one of
    /// the last events came within about that time: the spin costs more than the sleep that follows.
    pub(crate) fn plan_to_sleep(&self, begin: Instant) -> Plan {
        let waits = self.waits.sorted();
        // An event that came while we fell asleep and were woken might have come while we spun.
        let soon = ns(SOON + self.lateness.high());
        let is_worth_it = waits.len() < SAMPLES_MIN || waits[0] < soon;
        Plan::spinning_first(begin, if is_worth_it { SOON } else { Duration::ZERO })
    }

    /// The spans near `samples`, which are sorted, in a wait that begins at `after`, for at most `budget_ns` of cpu
    /// time on average.
    fn spans(&self, samples: &[Sample], after: u64, budget_ns: u64) -> Spans {
        let mut spans = Spans { count: 0, ends: [(0, 0); SPANS], samples: 0, cost_ns: 0 };
        let mut after = after;
        while spans.count < SPANS
            && let Some(span) = self.next_span(samples, after, budget_ns - spans.cost_ns)
        {
            spans.ends[spans.count] = (span.from, span.until);
            spans.count += 1;
            spans.samples += span.samples;
            spans.cost_ns += span.cost_ns;
            after = span.until;
        }
        spans
    }

    /// The earliest span after `after` that holds enough samples and is worth its cost. Of the spans that begin there,
    /// the longest.
    fn next_span(&self, samples: &[Sample], after: u64, budget_ns: u64) -> Option<Span> {
        let first = samples.partition_point(|&sample| sample < after);
        let last_begin = (samples.len() + 1).saturating_sub(SAMPLES_MIN);
        (first..last_begin).find_map(|begin| {
            let ends = (begin + SAMPLES_MIN..=samples.len()).rev();
            ends.filter(|&end| is_regular(&samples[begin..end], samples.len()))
                .find_map(|end| self.span(samples, begin..end, after, budget_ns))
        })
    }

    fn span(&self, samples: &[Sample], held: std::ops::Range<usize>, after: u64, budget_ns: u64) -> Option<Span> {
        let (low, high) = (samples[held.start], samples[held.end - 1]);
        let typical = ns(self.lateness.typical());
        // The longer a sleep, the later it ends.
        let lead = ns(self.lateness.high()) + low / LOW_TO_LEAD;
        // The next one may be a little outside the range of so small a sample.
        let margin = (high - low) / 6;
        let until = high + margin + lead;
        let left = &samples[samples.partition_point(|&sample| sample < after)..];
        let cost = |is_awake_at: u64, nap_ns: u64| {
            let spun = left.iter().map(|&sample| nap_ns + sample.min(until).saturating_sub(is_awake_at));
            spun.sum::<u64>() / samples.len() as u64
        };
        let span = |from, cost_ns| Some(Span { from, until, samples: held.len(), cost_ns });
        let earliest = low.saturating_sub(margin + lead);
        let through_ns = cost(after, 0);
        if earliest < after + ns(NAP_MIN) && through_ns <= budget_ns {
            return span(after, through_ns);
        }
        let mut from = earliest.max(after + ns(NAP_MIN));
        let whole_ns = cost(from + typical, ns(NAP_COST));
        if whole_ns > budget_ns {
            // The waiter wakes later, by the excess divided among the samples that it may meet.
            from += (whole_ns - budget_ns) * samples.len() as u64 / left.len() as u64;
        }
        let cost_ns = cost(from + typical, ns(NAP_COST));
        if cost_ns <= budget_ns && from + typical <= low { span(from, cost_ns) } else { None }
    }
}

/// Whether all `gaps` but the longest are short: the host may have taken the core away once.
fn are_short_but_one(gaps: &[Sample]) -> bool {
    let others = &gaps[..gaps.len() - 1];
    let mean = others.iter().sum::<Sample>() / others.len() as u64;
    mean < ns(SHORT) && others[others.len() - 1] < ns(SHORT_MAX)
}

/// Whether the `held` ones of `count` samples are close enough together that the next one will be near them. Short ones
/// need not be: the waiter spins from the beginning.
fn is_regular(held: &[Sample], count: usize) -> bool {
    let (low, high) = (held[0], held[held.len() - 1]);
    let (held, count) = (held.len() as u64, count as u64);
    high <= ns(SHORT) || (high - low) * END_TO_WIDTH * count.pow(2) <= high * held.pow(2)
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

/// One span, in nanoseconds since what its samples count from.
struct Span {
    from: u64,
    until: u64,
    samples: usize,
    /// Cpu time for an event, on average.
    cost_ns: u64,
}

struct Spans {
    count: usize,
    ends: [(u64, u64); SPANS],
    samples: usize,
    cost_ns: u64,
}

impl Spans {
    fn is_better_than(&self, other: &Self) -> bool {
        (self.samples, other.cost_ns) > (other.samples, self.cost_ns)
    }

    fn from(&self, base: Instant) -> Plan {
        let moment = |ns| base + Duration::from_nanos(ns);
        Plan { spans: self.ends.map(|(from, until)| (moment(from), moment(until))) }
    }
}

/// How a waiter saw its event: what it did between its last look and the one before.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Seen {
    /// It spun.
    Spinning,
    /// It slept, and the bell woke it.
    Rung { asleep_since: Instant },
    /// It slept until the timer woke it, which was set to `due`.
    TimedOut { due: Instant },
}

/// One wait: spins in each of its spans, which are in order, and sleeps at other times. A span that ends where it
/// begins is empty.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    spans: [(Instant, Instant); SPANS],
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Spin,
    /// At the bell, without a timer if `until` is `None`.
    Sleep {
        until: Option<Instant>,
    },
}

impl Plan {
    fn spinning_first(begin: Instant, spin: Duration) -> Self {
        Self { spans: [(begin, begin + spin); SPANS] }
    }

    /// What to do at `now`.
    pub(crate) fn at(&self, now: Instant) -> Step {
        match self.spans.iter().find(|(_, until)| now < *until) {
            Some(&(from, _)) if now < from => Step::Sleep { until: Some(from) },
            Some(_) => Step::Spin,
            None => Step::Sleep { until: None },
        }
    }

    /// Until when to spin at `now`, where [`at`](Self::at) says to spin.
    #[cfg(test)]
    fn spins_until(&self, now: Instant) -> Instant {
        self.spans.iter().find(|(_, until)| now < *until).map_or(now, |&(_, until)| until)
    }
}
