//! Statistics: the summary of several repeats, and the distribution of latencies.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// What a measured value counts, and so how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Time for one operation; less is better.
    Nanoseconds,
    /// Events in a second; more is better.
    EventsPerSecond,
    /// Bytes in a second; more is better.
    BytesPerSecond,
    /// The part of a cpu that was used, from 0 to 1; less is better.
    Share,
    /// Instructions for one operation; less is better.
    Instructions,
    /// How often something happened; less is better.
    Times,
}

/// The larger steps of one unit, largest first: where each begins and its name.
const NANOSECOND_STEPS: &[(f64, &str)] = &[(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
const EVENT_STEPS: &[(f64, &str)] = &[(1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")];
const BYTE_STEPS: &[(f64, &str)] = &[(1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")];
const SHARE_STEPS: &[(f64, &str)] = &[(0.01, "%")];
const INSTRUCTION_STEPS: &[(f64, &str)] = &[(1.0, "instr")];
const TIMES_STEPS: &[(f64, &str)] = &[(1.0, "times")];

impl Unit {
    /// Whether less is better.
    pub(crate) fn is_lower_better(self) -> bool {
        !matches!(self, Self::EventsPerSecond | Self::BytesPerSecond)
    }

    /// `value` with three significant digits, in the largest step that keeps it at least one: `"747 M/s"`.
    pub(crate) fn written(self, value: f64) -> String {
        let steps = match self {
            Self::Nanoseconds => NANOSECOND_STEPS,
            Self::EventsPerSecond => EVENT_STEPS,
            Self::BytesPerSecond => BYTE_STEPS,
            Self::Share => SHARE_STEPS,
            Self::Instructions => INSTRUCTION_STEPS,
            Self::Times => TIMES_STEPS,
        };
        let smallest = steps[steps.len() - 1];
        let (scale, name) = steps.iter().copied().find(|(scale, _)| value >= *scale).unwrap_or(smallest);
        let scaled = value / scale;
        let decimals = match scaled {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        format!("{scaled:.decimals$} {name}")
    }
}

/// A round duration: `"200 µs"`, `"5 ms"`.
pub(crate) fn written_duration(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros >= 1000 { format!("{} ms", micros / 1000) } else { format!("{micros} µs") }
}

/// A ratio: `"1.52"`, `"33"`.
pub(crate) fn written_ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") }
}

/// The summary of the repeats of one case.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) repeats: usize,
}

impl Summary {
    /// `None` when there are no values.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        Some(Self { median: median_of_sorted(&sorted), min, max, repeats: sorted.len() })
    }
}

/// The middle value, or the mean of the two middle ones. `sorted` is not empty.
fn median_of_sorted(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len().is_multiple_of(2) { f64::midpoint(sorted[middle - 1], sorted[middle]) } else { sorted[middle] }
}

/// The slowest latency that is recorded exactly; slower ones count as this. A minute is far beyond every watchdog here.
const LATENCY_MAX: Duration = Duration::from_secs(60);

/// A collection of latencies, exact to three digits. Serialised as pairs of nanoseconds and count, so that roles can
/// report it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(u64, u64)>", into = "Vec<(u64, u64)>")]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    /// An empty collection.
    pub(crate) fn new() -> Self {
        let max_ns = LATENCY_MAX.as_nanos() as u64;
        Self(Histogram::new_with_bounds(1, max_ns, 3).expect("the bounds are constants that fit three digits"))
    }

    /// Adds one latency in nanoseconds.
    pub(crate) fn record_ns(&mut self, latency_ns: u64) {
        self.0.saturating_record(latency_ns);
    }

    /// Adds all latencies of `other`.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("all collections have the same bounds");
    }

    /// The usual points of the distribution; `None` when nothing was recorded.
    pub(crate) fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.0.value_at_quantile(quantile);
        (!self.0.is_empty()).then(|| Percentiles {
            samples: self.0.len(),
            p50_ns: at(0.5),
            p90_ns: at(0.9),
            p99_ns: at(0.99),
            p999_ns: at(0.999),
            max_ns: self.0.max(),
        })
    }
}

impl From<Vec<(u64, u64)>> for Latencies {
    fn from(pairs: Vec<(u64, u64)>) -> Self {
        let mut latencies = Self::new();
        for (latency_ns, count) in pairs {
            latencies.0.saturating_record_n(latency_ns, count);
        }
        latencies
    }
}

impl From<Latencies> for Vec<(u64, u64)> {
    fn from(latencies: Latencies) -> Self {
        latencies.0.iter_recorded().map(|step| (step.value_iterated_to(), step.count_at_value())).collect()
    }
}

/// Points of a distribution of latencies, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Percentiles {
    pub(crate) samples: u64,
    pub(crate) p50_ns: u64,
    pub(crate) p90_ns: u64,
    pub(crate) p99_ns: u64,
    pub(crate) p999_ns: u64,
    pub(crate) max_ns: u64,
}

/// 0 + 1 + ... up to `count` summands, wrapping: the sum that a reader of numbered messages must have.
pub(crate) fn sum_below(count: u64) -> u64 {
    let (even, odd) = if count.is_multiple_of(2) { (count / 2, count.wrapping_sub(1)) } else { (count / 2, count) };
    even.wrapping_mul(odd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expected_sum_is_the_sum() {
        for count in 0..100 {
            assert_eq!(sum_below(count), (0..count).sum::<u64>(), "{count}");
        }
    }

    #[test]
    fn the_median_of_an_odd_number_of_repeats_is_the_middle_one() {
        let summary = Summary::of(&[9.0, 1.0, 5.0]).unwrap();
        assert_eq!(summary, Summary { median: 5.0, min: 1.0, max: 9.0, repeats: 3 });
    }

    #[test]
    fn the_median_of_an_even_number_of_repeats_is_between_the_middle_two() {
        assert_eq!(Summary::of(&[4.0, 1.0, 2.0, 100.0]).unwrap().median, 3.0);
    }

    #[test]
    fn no_repeats_have_no_summary() {
        assert_eq!(Summary::of(&[]), None);
    }

    #[test]
    fn latencies_survive_the_way_from_a_role_to_the_report() {
        let mut latencies = Latencies::new();
        (1..=1000).for_each(|latency_ns| latencies.record_ns(latency_ns * 1000));
        let text = serde_json::to_string(&latencies).unwrap();
        let back: Latencies = serde_json::from_str(&text).unwrap();
        assert_eq!(back.percentiles(), latencies.percentiles());
        let percentiles = back.percentiles().unwrap();
        assert_eq!(percentiles.samples, 1000);
        assert!(percentiles.p50_ns.abs_diff(500_000) <= 500, "{percentiles:?}");
        assert!(percentiles.max_ns.abs_diff(1_000_000) <= 1000, "{percentiles:?}");
    }

    #[test]
    fn values_are_written_with_three_digits_and_their_unit() {
        assert_eq!(Unit::EventsPerSecond.written(747_123_456.0), "747 M/s");
        assert_eq!(Unit::Nanoseconds.written(135.2), "135 ns");
        assert_eq!(Unit::Nanoseconds.written(33_400.0), "33.4 µs");
        assert_eq!(Unit::BytesPerSecond.written(11.26e9), "11.3 GB/s");
        assert_eq!(Unit::Nanoseconds.written(0.5), "0.50 ns");
        assert_eq!(Unit::Share.written(0.002), "0.20 %");
        assert_eq!(Unit::Instructions.written(41.8), "41.8 instr");
    }
}
