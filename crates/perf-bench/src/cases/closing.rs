//! Every figure of the closing tables: our rings in each form and with each wait, and every peer in each of its forms.

use std::time::Duration;

use disruptor_mp::WaitStrategy;

use super::{limits, messages, ring};
use crate::closing::{Entry, Whose};
use crate::limits::size;
use crate::messages::{Carried, Figure, Messages};
use crate::ring::event_ring::{Ring, Whose as RingOf};
use crate::ring::ping_pong::PingPong;
use crate::ring::throughput::Throughput;
use crate::ring::{bytes_of, slots_that_suit, slots_within};
use crate::schedule::{Case, Judged};
use crate::stats::written_duration;
use crate::typed::{Form, Through, TypedStep};
use crate::workload::{Workload, waiting::Waiting};

/// From a cache line to the size of a large batch of requests.
const BYTES: [usize; 6] = [64, 256, 1 << 10, 16 << 10, 256 << 10, 2 << 20];
/// Events that are published together, at the most.
const BATCH: usize = 64;
/// A batch is at most this part of its ring, so that both ends have something to do.
const BATCH_PART: usize = 4;
/// How deep the rings are that are compared at equal bytes, and how long their events.
const DEPTHS: [(usize, usize); 3] = [(4096, 64), (1024, 1 << 10), (4096, 1 << 10)];
/// How many consumers there are in a broadcast, and how long its events and messages.
const CONSUMERS: [usize; 2] = [2, 4];
const BROADCAST_BYTES: usize = 64;
/// From this length on, round trips are also made through rings of one slot: a ring that uses the same memory for each
/// event stays in both caches.
const ONE_SLOT_BYTES: usize = 256 << 10;
/// Both ways of waiting.
const WAITS: [Waiting; 2] = [Waiting::Spin, Waiting::Default];
/// From one event to the next, where the wait strategy is measured, in microseconds.
const GAPS_US: [u64; 8] = [20, 50, 100, 200, 500, 1000, 5000, 20_000];
/// Windows of such a measurement.
const GAP_WINDOWS: u32 = 5;

/// All of them. Cases that are compared are neighbours, so that they are measured at nearly the same time.
pub(crate) fn entries() -> Vec<Entry> {
    let mut entries =
        vec![Entry::new("round trip", &size(BYTES[0]), "cache line", Whose::Limit, limits::cache_line_case())];
    for bytes in BYTES {
        entries.extend(round_trips(bytes));
    }
    for bytes in BYTES {
        entries.extend(one_way(bytes));
    }
    entries.extend(DEPTHS.into_iter().flat_map(equal_bytes));
    entries.extend(CONSUMERS.into_iter().flat_map(broadcast));
    entries.extend([Figure::RoundTrip, Figure::OneWay].into_iter().flat_map(steps));
    entries.extend(waits());
    entries
}

/// The rings that are compared, and how long their events are at the most.
const RINGS: &[(RingOf, &str, usize)] = &[
    (RingOf::Ours, "events, stamped", usize::MAX),
    (RingOf::Dense, "events, dense", usize::MAX),
    #[cfg(feature = "peers")]
    (RingOf::Alpha, "alpha, events", usize::MAX),
    #[cfg(feature = "peers")]
    (RingOf::CrossbarBus, "crossbar bus", 256),
];

/// Those that take events of this many bytes.
fn rings(bytes: usize) -> impl Iterator<Item = (RingOf, &'static str)> {
    RINGS.iter().filter(move |(.., max)| bytes <= *max).map(|(of, name, _)| (*of, *name))
}

/// The carriers that are compared.
const CARRIERS: &[(Carried, &str)] = &[
    (Carried::Records, "records"),
    (Carried::RecordBatches, "records, batches"),
    (Carried::TransportRecords, "transport"),
    (Carried::TransportBatches, "transport, batches"),
    (Carried::TransportFrames, "frames"),
    #[cfg(feature = "peers")]
    (Carried::AlphaFramed, "alpha, frames"),
    #[cfg(feature = "peers")]
    (Carried::AlphaLargeFrames, "alpha, 64 KiB frames"),
    #[cfg(feature = "peers")]
    (Carried::Crossbar, "crossbar with credits"),
    #[cfg(feature = "peers")]
    (Carried::CrossbarPinned, "crossbar pinned"),
    #[cfg(feature = "peers")]
    (Carried::Iceoryx2, "iceoryx2"),
    #[cfg(feature = "aeron")]
    (Carried::AeronIpc, "Aeron, spinning"),
    #[cfg(feature = "aeron")]
    (Carried::AeronYielding, "Aeron, yielding"),
];

/// How ends wait in a measurement: ours with each strategy, others with their own. The second is the suffix of a
/// subject's name.
fn waits_of(is_ours: bool) -> impl Iterator<Item = (Waiting, &'static str)> {
    let waits = if is_ours { &WAITS[..] } else { &WAITS[..1] };
    waits.iter().map(|waiting| (*waiting, if *waiting == Waiting::Default { ", default wait" } else { "" }))
}

/// Whether a figure is ours or a peer's.
fn whose(is_ours: bool) -> Whose {
    if is_ours { Whose::Ours } else { Whose::Peers }
}

/// An entry whose case is named by its place in the tables.
fn entry(table: &str, column: &str, subject: &str, whose: Whose, case: impl FnOnce(String) -> Case) -> Entry {
    Entry::new(table, column, subject, whose, case(Entry::name(table, column, subject)))
}

/// An entry of a ring of events.
fn events(table: &str, column: &str, subject: &str, ring: Ring, batch: Option<usize>) -> Entry {
    let (is_ours, wait) = (ring.whose.is_ours(), ring.waiting.name());
    let workload = match batch {
        None => Workload::PingPong(PingPong { ring }),
        Some(batch) => Workload::Throughput(Throughput { ring, batch }),
    };
    entry(table, column, subject, whose(is_ours), |name| Case::new(name, wait, workload))
}

/// How many events of such a ring are published together, and the name of that: in batches and one by one, if there
/// is a difference.
fn batches(of: RingOf, slots: usize) -> Vec<(usize, &'static str)> {
    let batch = (slots / BATCH_PART).clamp(1, BATCH);
    let has_batches = of.has_batches() && batch > 1;
    let all = [(batch, ", batches"), (1, ", one by one")];
    all.into_iter().filter(|(count, _)| has_batches || *count == 1).collect()
}

fn round_trips(bytes: usize) -> Vec<Entry> {
    let (table, column) = ("round trip", size(bytes));
    let mut entries = Vec::new();
    for (of, name) in rings(bytes) {
        for (waiting, manner) in waits_of(of.is_ours()) {
            let ring = Ring { waiting, ..Ring::new(of, bytes, slots_that_suit(of, bytes)) };
            entries.push(events(table, &column, &format!("{name}{manner}"), ring, None));
        }
        if bytes >= ONE_SLOT_BYTES {
            entries.push(events(table, &column, &format!("{name}, one slot"), Ring::new(of, bytes, 1), None));
        }
    }
    entries.extend(carried(table, &column, Figure::RoundTrip, bytes, 1));
    entries
}

fn one_way(bytes: usize) -> Vec<Entry> {
    let (table, column) = ("one way", size(bytes));
    let mut entries = Vec::new();
    for (of, name) in rings(bytes) {
        let slots = slots_that_suit(of, bytes);
        for (batch, how) in batches(of, slots) {
            for (waiting, manner) in waits_of(of.is_ours()) {
                let ring = Ring { waiting, ..Ring::new(of, bytes, slots) };
                entries.push(events(table, &column, &format!("{name}{how}{manner}"), ring, Some(batch)));
            }
        }
    }
    entries.extend(carried(table, &column, Figure::OneWay, bytes, 1));
    entries
}

/// Entries of carriers of messages.
fn carried(table: &str, column: &str, figure: Figure, bytes: usize, receivers: usize) -> Vec<Entry> {
    let mut entries = Vec::new();
    for &(carried, name) in CARRIERS.iter().filter(|(carried, _)| carried.has(figure)) {
        for (waiting, manner) in waits_of(carried.is_ours()) {
            // Several receivers are polled in turn, so that none of them waits.
            if receivers > 1 && waiting == Waiting::Default {
                continue;
            }
            let messages = Messages { receivers, ..Messages::new(carried, figure, bytes, waiting) };
            let subject = format!("{name}{manner}");
            entries
                .push(entry(table, column, &subject, whose(carried.is_ours()), |name| messages::named(name, messages)));
        }
    }
    entries
}

/// Our rings at a depth, beside a peer's of as many bytes.
fn equal_bytes((slots, bytes): (usize, usize)) -> Vec<Entry> {
    let column = format!("{slots} x {}", size(bytes));
    let mut entries = Vec::new();
    for (form, name) in [(RingOf::Ours, "stamped"), (RingOf::Dense, "dense")] {
        let ring_bytes = bytes_of(form, bytes, slots);
        for (of, whose) in rings(bytes) {
            let (slots, whose) = match of.is_ours() {
                true if of == form => (slots, "events"),
                true => continue,
                false => (slots_within(of, bytes, ring_bytes), whose),
            };
            let ring = |of| Ring::new(of, bytes, slots);
            let table = format!("round trip ({name} at equal bytes)");
            entries.push(events(&table, &column, whose, ring(of), None));
            let table = format!("one way ({name} at equal bytes)");
            for (batch, how) in batches(of, slots) {
                entries.push(events(&table, &column, &format!("{whose}{how}"), ring(of), Some(batch)));
            }
        }
    }
    entries
}

/// To several consumers, which one process polls in turn.
fn broadcast(consumers: usize) -> Vec<Entry> {
    let (table, column) = (format!("one way ({} to several)", size(BROADCAST_BYTES)), format!("1 to {consumers}"));
    let mut entries = Vec::new();
    for (of, name) in rings(BROADCAST_BYTES) {
        let slots = slots_that_suit(of, BROADCAST_BYTES);
        for (batch, how) in batches(of, slots) {
            let ring = Ring { consumers, ..Ring::new(of, BROADCAST_BYTES, slots) };
            entries.push(events(&table, &column, &format!("{name}{how}"), ring, Some(batch)));
        }
    }
    entries.extend(carried(&table, &column, Figure::OneWay, BROADCAST_BYTES, consumers));
    entries
}

/// What carries steps.
const THROUGH: &[(Through, &str)] = &[
    (Through::Ours, "typed stream"),
    (Through::OursShort, "typed stream, 512 KiB"),
    #[cfg(feature = "peers")]
    (Through::AlphaLargeFrames, "alpha, 64 KiB frames"),
    #[cfg(feature = "peers")]
    (Through::Crossbar, "crossbar with credits"),
    #[cfg(feature = "peers")]
    (Through::Iceoryx2, "iceoryx2"),
    #[cfg(feature = "aeron")]
    (Through::AeronSpinning, "Aeron, spinning"),
    #[cfg(feature = "aeron")]
    (Through::AeronYielding, "Aeron, yielding"),
];

/// A scheduler's step through each codec.
fn steps(figure: Figure) -> Vec<Entry> {
    let table = match figure {
        Figure::RoundTrip => "round trip (step of 26 KiB)",
        Figure::OneWay => "one way (step of 26 KiB)",
    };
    let forms = [(Form::RkyvValidated, "rkyv"), (Form::BincodeOwned, "bincode"), (Form::PostcardOwned, "postcard")];
    let mut entries = Vec::new();
    for (form, column) in forms {
        for &(through, name) in THROUGH {
            let is_ours = through.is_ours();
            // A ring that stays in the cache is for round trips. One way it would be full at once.
            if through == Through::OursShort && figure == Figure::OneWay {
                continue;
            }
            for (waiting, manner) in waits_of(is_ours) {
                let workload = Workload::TypedStep(TypedStep { form, figure, through, waiting });
                let judged = if through.has_threads() { Judged::Threads } else { Judged::EveryProcess };
                let case = |name| Case { judged, ..Case::new(name, waiting.name(), workload) };
                entries.push(entry(table, column, &format!("{name}{manner}"), whose(is_ours), case));
            }
        }
    }
    entries
}

/// What a consumer's way of waiting costs, by how often an event comes; and beside it how late this machine's timer is.
fn waits() -> Vec<Entry> {
    let table = "wait";
    let mut entries = Vec::new();
    for gap_us in GAPS_US {
        let gap = Duration::from_micros(gap_us);
        let column = written_duration(gap);
        for (wait, name) in
            [(WaitStrategy::BusySpin, "spin"), (WaitStrategy::Adaptive, "adaptive"), (WaitStrategy::Block, "block")]
        {
            let case = |case_name| ring::ticking_case(case_name, (wait, name), gap, 0.0, GAP_WINDOWS);
            entries.push(entry(table, &column, name, Whose::Ours, case));
        }
        let case = |name| Case { name, ..limits::timer_case(gap) };
        entries.push(entry(table, &column, "timer", Whose::Limit, case));
    }
    entries
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_figure_has_a_case_of_its_own() {
        let entries = entries();
        let names: BTreeSet<_> = entries.iter().map(|entry| entry.case.name.as_str()).collect();
        assert_eq!(names.len(), entries.len());
    }

    #[test]
    fn ours_is_there_in_every_form_at_every_size_and_with_every_wait() {
        let entries = entries();
        let has = |table: &str, column: &str, subject: &str| {
            let name = Entry::name(table, column, subject);
            assert!(entries.iter().any(|entry| entry.case.name == name || entry.subject == subject), "{name}");
        };
        for bytes in BYTES {
            for manner in ["", ", default wait"] {
                for subject in ["events, stamped", "events, dense", "records", "transport", "frames"] {
                    has("round trip", &size(bytes), &format!("{subject}{manner}"));
                }
                for subject in ["records, batches", "transport, batches", "events, dense, one by one"] {
                    has("one way", &size(bytes), &format!("{subject}{manner}"));
                }
            }
        }
        for (slots, bytes) in DEPTHS {
            has("one way (dense at equal bytes)", &format!("{slots} x {}", size(bytes)), "events, batches");
        }
    }

    #[test]
    fn a_batch_fits_its_ring() {
        for of in [RingOf::Ours, RingOf::Dense] {
            for bytes in BYTES {
                let slots = slots_that_suit(of, bytes);
                assert!(batches(of, slots).iter().all(|(batch, _)| *batch <= slots), "{of:?}, {bytes}");
            }
        }
    }
}
