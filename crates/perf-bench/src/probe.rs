//! How far apart two cpus are at this moment: the round trip of a cache line, and its label.

use std::fmt;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::raw::Word;

/// Where the host has put the two cpus, judged by the round trip of a cache line. Results compare only under equal
/// labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Label {
    /// Two threads of one core.
    Smt,
    /// Two cores that share a last-level cache.
    Near,
    /// Two cores that do not.
    Far,
}

/// Below this many nanoseconds the line never left a core. Measured clusters: 70 for one core, 135-150 for two.
const SMT_BELOW_NS: f64 = 100.0;
/// Above this many nanoseconds the line crossed between last-level caches. Measured clusters: 135-150 within one, 510
/// between two.
const FAR_ABOVE_NS: f64 = 250.0;

impl Label {
    /// The label of a round trip.
    pub(crate) fn of_round_trip(round_trip_ns: f64) -> Self {
        if round_trip_ns < SMT_BELOW_NS {
            Self::Smt
        } else if round_trip_ns <= FAR_ABOVE_NS {
            Self::Near
        } else {
            Self::Far
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Smt => "smt",
            Self::Near => "near",
            Self::Far => "far",
        })
    }
}

/// Two words, each alone on its cache lines: one carries the question, the other the answer. Both are zero before and
/// after use.
pub(crate) struct Line<'m> {
    pub(crate) ping: &'m Word,
    pub(crate) pong: &'m Word,
}

/// The question that ends a conversation.
const STOP: u64 = u64::MAX;

/// Round trips that are timed together: enough to hide the clock's 10 ns steps, few enough for thousands of groups.
const GROUP: u64 = 64;

impl Line<'_> {
    /// Sends `number` and spins until it has come back. Numbers of one conversation differ from their predecessors.
    pub(crate) fn round_trip(&self, number: u64) {
        self.ping.publish(number);
        while self.pong.acquire() != number {}
    }

    /// Ends the conversation: the other side leaves [`answer`], and both words are zero again for the next one.
    pub(crate) fn stop(&self) {
        self.round_trip(STOP);
        self.pong.put(0);
        self.ping.publish(0);
    }
}

/// Asks for `duration` and returns the round trip in nanoseconds: the median of groups. The caller still has to
/// [`stop`](Line::stop).
pub(crate) fn probe(line: &Line<'_>, duration: Duration) -> f64 {
    let mut groups_ns = Vec::with_capacity(4096);
    let mut number = 0;
    let begin = Instant::now();
    while begin.elapsed() < duration {
        let group_begin = Instant::now();
        for _ in 0..GROUP {
            number += 1;
            line.round_trip(number);
        }
        groups_ns.push(group_begin.elapsed().as_nanos() as f64 / GROUP as f64);
    }
    crate::stats::Summary::of(&groups_ns).map_or(f64::INFINITY, |summary| summary.median)
}

/// The other end of a conversation: returns every question until the other side stops.
pub(crate) fn answer(line: &Line<'_>) {
    let mut answered = 0;
    while answered != STOP {
        let question = line.ping.acquire();
        if question != answered {
            line.pong.publish(question);
            answered = question;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_clusters_get_their_labels() {
        assert_eq!(Label::of_round_trip(70.0), Label::Smt);
        assert_eq!(Label::of_round_trip(135.0), Label::Near);
        assert_eq!(Label::of_round_trip(150.0), Label::Near);
        assert_eq!(Label::of_round_trip(510.0), Label::Far);
    }

    #[test]
    fn every_boundary_belongs_to_near() {
        assert_eq!(Label::of_round_trip(99.9), Label::Smt);
        assert_eq!(Label::of_round_trip(100.0), Label::Near);
        assert_eq!(Label::of_round_trip(250.0), Label::Near);
        assert_eq!(Label::of_round_trip(250.1), Label::Far);
    }
}
