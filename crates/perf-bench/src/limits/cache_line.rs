//! The unit of every round trip: one cache line there and one back, between two loops that do nothing else. A
//! waiter that leaves a gap between its looks can be faster (RFC 0004, "Between two looks").

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::probe::{self, Line};
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Latencies, Unit};
use crate::subject::Subject;

/// Two words on separate lines, both sides spinning. The value is timed in groups; the single round trips include a
/// reading of the clock, and are there for their tail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CacheLine;

const PING: usize = 0;
const PONG: usize = 128;

fn line(side: &Side) -> Line<'_> {
    Line { ping: side.word(PING), pong: side.word(PONG) }
}

impl Subject for CacheLine {
    fn shared_bytes(&self) -> usize {
        256
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let line = line(side);
        let mut latencies = Latencies::new();
        side.measured(|| {
            let round_trip_ns = probe::probe(&line, side.window() / 2);
            let begin = Instant::now();
            // Numbers from the other end, which cannot be the last one of the groups.
            for number in (1..u64::MAX).rev() {
                let sent = Instant::now();
                if sent - begin >= side.window() / 2 {
                    break;
                }
                line.round_trip(number);
                latencies.record_ns(sent.elapsed().as_nanos() as u64);
            }
            line.stop();
            Ok(Some(Measurement { value: round_trip_ns, unit: Unit::Nanoseconds, latencies: Some(latencies) }))
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let line = line(side);
        side.measured(|| {
            probe::answer(&line);
            Ok(None)
        })
    }
}
