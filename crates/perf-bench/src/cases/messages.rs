//! Messages of many sizes through every carrier.

use super::limits;
use crate::messages::{Carried, Figure, Messages};
use crate::schedule::{Aim, Case, Judged};
use crate::workload::{Workload, waiting::Waiting};

/// From a cache line to the size of a large batch of requests.
const MESSAGE_BYTES: [usize; 7] = [64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 2 << 20];

/// Every carrier with every size. Round trips are compared with the cache line's, rates with the first carrier's: a
/// bare ring of words carries no messages.
pub(crate) fn cases() -> Vec<Case> {
    let cache_line = limits::cache_line_case();
    let case = |carried, figure, message_bytes| case(Messages::new(carried, figure, message_bytes, Waiting::Spin));
    let mut cases = vec![cache_line.clone()];
    for figure in [Figure::RoundTrip, Figure::OneWay] {
        for message_bytes in MESSAGE_BYTES {
            let first = case(Carried::ALL[0], figure, message_bytes);
            let of = |&carried| match figure {
                Figure::RoundTrip => case(carried, figure, message_bytes).beside(&cache_line),
                Figure::OneWay if carried == Carried::ALL[0] => first.clone(),
                Figure::OneWay => case(carried, figure, message_bytes).beside(&first),
            };
            cases.extend(Carried::ALL.iter().filter(|carried| carried.has(figure)).map(of));
        }
    }
    cases
}

/// The round trip of 1 KiB through records, with which larger things are compared.
pub(crate) fn record_round_trip_case() -> Case {
    let messages = Messages::new(Carried::Records, Figure::RoundTrip, 1 << 10, Waiting::Spin);
    case(messages).beside(&limits::cache_line_case())
}

fn case(messages: Messages) -> Case {
    let name = format!("{}: {}", messages.discipline(), messages.carrier_name());
    let aim = aim(&messages);
    Case { aim, ..named(name, messages) }
}

/// A case of this name.
pub(super) fn named(name: String, messages: Messages) -> Case {
    let (wait, has_threads) = messages.manners();
    let judged = if has_threads { Judged::Threads } else { Judged::EveryProcess };
    Case { judged, ..Case::new(name, wait, Workload::Messages(messages)) }
}

/// What our own rings ought to reach: the figures of minimal trial programs, and a little more time.
fn aim(messages: &Messages) -> Option<Aim> {
    match (messages.carried, messages.figure, messages.message_bytes) {
        (Carried::Records, Figure::RoundTrip, 64) => Some(Aim::RatioAtMost(1.7)),
        (Carried::Records, Figure::RoundTrip, 1024) => Some(Aim::AtMost(600.0)),
        (Carried::Records, Figure::RoundTrip, 4096) => Some(Aim::AtMost(900.0)),
        (Carried::Records, Figure::RoundTrip, 16384) => Some(Aim::AtMost(2400.0)),
        (Carried::Records, Figure::RoundTrip, 65536) => Some(Aim::AtMost(7500.0)),
        (Carried::Records, Figure::RoundTrip, 2_097_152) => Some(Aim::AtMost(205e3)),
        (Carried::RecordBatches, Figure::OneWay, 64) => Some(Aim::AtLeast(100e6)),
        (Carried::RecordBatches, Figure::OneWay, 1024) => Some(Aim::AtLeast(35e6)),
        (Carried::RecordBatches, Figure::OneWay, 4096) => Some(Aim::AtLeast(8e6)),
        (Carried::RecordBatches, Figure::OneWay, 16384) => Some(Aim::AtLeast(2.1e6)),
        (Carried::RecordBatches, Figure::OneWay, 65536) => Some(Aim::AtLeast(420e3)),
        (Carried::RecordBatches, Figure::OneWay, 2_097_152) => Some(Aim::AtLeast(14e3)),
        _ => None,
    }
}
