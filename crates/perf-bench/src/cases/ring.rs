//! Our own ring, next to the limits of the same run.

use std::time::Duration;

use disruptor_mp::WaitStrategy;

use super::limits;
use crate::ring::broadcast::{Bursts, Figure, Spread};
use crate::ring::creation::Creation;
use crate::ring::event_ring::{Ring, Whose};
use crate::ring::ping_pong::PingPong;
use crate::ring::slots_that_suit;
use crate::ring::throughput::Throughput;
use crate::ring::wakeup::{Idle, Parked, Ticking};
use crate::schedule::{Aim, Case, Judged};
use crate::stats::written_duration as written;
use crate::workload::Workload;

/// Slots of a ring that stays in the first-level caches.
const SLOTS_FEW: usize = 8;
/// Slots of a ring that does not.
pub(crate) const SLOTS_MANY: usize = 4096;

/// Round trips, compared with the cache line's.
pub(crate) fn ping_pong_cases() -> Vec<Case> {
    let reference = limits::cache_line_case();
    let small = [8, 48, 64].into_iter().flat_map(|bytes| [(bytes, SLOTS_FEW), (bytes, SLOTS_MANY)]);
    let large = [1024, 4096, 16384].into_iter().map(|bytes| (bytes, slots_that_suit(Whose::Ours, bytes)));
    let case = |(payload_bytes, slots)| {
        let name = format!("round trip, {payload_bytes} B, {slots} slots");
        let case = Case::new(
            name,
            "spin",
            Workload::PingPong(PingPong { ring: Ring::new(Whose::Ours, payload_bytes, slots) }),
        )
        .beside(&reference);
        // A minimal trial program reached this where event and stamp share one cache line.
        match (payload_bytes, slots) {
            (8 | 48, SLOTS_FEW) => case.aiming(Aim::RatioAtMost(1.15)),
            (8 | 48, SLOTS_MANY) => case.aiming(Aim::RatioAtMost(1.6)),
            _ => case,
        }
    };
    let cases: Vec<_> = small.chain(large).map(case).collect();
    std::iter::once(reference).chain(cases).collect()
}

/// Rates, compared with the bare ring's.
pub(crate) fn throughput_cases() -> Vec<Case> {
    let reference = limits::word_ring_case();
    let case = |whose, payload_bytes, batch| {
        let slots = slots_that_suit(whose, payload_bytes);
        let form = if whose == Whose::Dense { "dense, " } else { "" };
        let how = if batch == 1 { "one by one".to_owned() } else { format!("batches of {batch}") };
        let workload = Workload::Throughput(Throughput { ring: Ring::new(whose, payload_bytes, slots), batch });
        let case = Case::new(format!("one way, {form}{payload_bytes} B, {how}"), "spin", workload).beside(&reference);
        // A minimal trial program with stamps reached this.
        match (payload_bytes, batch) {
            _ if whose == Whose::Dense => case,
            (8, 2..) => case.aiming(Aim::RatioAtLeast(0.6)),
            (64, 2..) => case.aiming(Aim::AtLeast(150e6)),
            (64, _) => case.aiming(Aim::AtLeast(80e6)),
            (1024, _) => case.aiming(Aim::AtLeast(35e6)),
            _ => case,
        }
    };
    let stamped = [(8, 64), (64, 64), (64, 1), (1024, 64), (1024, 1)];
    let dense = [64, 256, 1024].into_iter().flat_map(|bytes| [(bytes, 64), (bytes, 1)]);
    let stamped = stamped.into_iter().map(|(bytes, batch)| case(Whose::Ours, bytes, batch));
    let dense = dense.map(|(bytes, batch)| case(Whose::Dense, bytes, batch));
    std::iter::once(reference.clone()).chain(stamped).chain(dense).collect()
}

/// How many consumers there are in `broadcast`.
const CONSUMERS: [usize; 4] = [1, 2, 4, 8];

/// What an event costs its producer, with any number of consumers: in time, and if asked for in `instructions`; and
/// the time between the first and the last consumer's receipt.
pub(crate) fn broadcast_cases(instructions: bool) -> Vec<Case> {
    let of_all = |case: fn(usize) -> Case| {
        let reference = case(CONSUMERS[0]);
        // A producer that knows its slowest consumer need not look at the others.
        let beside = |consumers: usize| case(consumers).beside(&reference).aiming(Aim::RatioAtMost(1.1));
        let others: Vec<_> = CONSUMERS[1..].iter().copied().map(beside).collect();
        std::iter::once(reference).chain(others)
    };
    let time = of_all(|consumers| {
        let workload = Workload::Bursts(Bursts { instructions: false });
        let name = format!("a publish, consumers: {consumers}");
        Case { parties: consumers + 1, judged: Judged::Producer, ..Case::new(name, "-", workload) }
    });
    let counts = of_all(|consumers| {
        let workload = Workload::Bursts(Bursts { instructions: true });
        let name = format!("instructions of a publish, consumers: {consumers}");
        Case { parties: consumers + 1, judged: Judged::NoProcess, once: true, ..Case::new(name, "-", workload) }
    });
    let spread = |consumers, name: &str, figure| {
        let workload = Workload::Spread(Spread { consumers, figure });
        let case = Case::new(format!("{name}, consumers: {consumers}"), "spin", workload);
        Case { parties: consumers + 1, own_cpus: true, ..case }
    };
    let last = CONSUMERS.map(|consumers| spread(consumers, "publish to last receipt", Figure::Last));
    let skew = CONSUMERS[1..].iter().map(|&consumers| spread(consumers, "first to last receipt", Figure::Skew));
    time.chain(counts.filter(|_| instructions)).chain(last).chain(skew).collect()
}

/// The most that a consumer may use of a cpu while nothing happens.
const IDLE_SHARE: f64 = 0.005;
/// From one event to the next, in microseconds.
const GAPS_US: [u64; 8] = [20, 50, 100, 200, 500, 1000, 5000, 20_000];
/// By how much a gap is longer or shorter than the others, at most.
const JITTERS: [f64; 2] = [0.0, 0.1];
/// Gaps below this are spun through.
const GAP_SHORT_US: u64 = 150;

/// How late the consumer of a periodic event may be, and the part of a cpu that it may use.
fn tick_aim(gap_us: u64) -> Aim {
    if gap_us < GAP_SHORT_US {
        return Aim::AtMostMore(1000.0);
    }
    Aim::AtMostWithin { value: 3000.0, cpu_share: (50.0 / gap_us as f64).max(0.25) }
}

/// Sleeps whose end is measured: as long as an adaptive consumer sleeps between events.
const NAP_SHORT: Duration = Duration::from_micros(200);
const NAP_LONG: Duration = Duration::from_millis(5);

/// Windows of an idle consumer, and of one with a periodic event: 10 s and 1 s.
const WINDOWS: (u32, u32) = (50, 5);
const WINDOWS_QUICK: (u32, u32) = (3, 3);

/// A periodic event, to a consumer with this wait strategy.
pub(super) fn ticking_case(
    name: String,
    (wait, wait_name): (WaitStrategy, &'static str),
    gap: Duration,
    jitter: f64,
    windows: u32,
) -> Case {
    Case::new(name, wait_name, Workload::Ticking(Ticking { wait, gap, jitter, windows }))
}

/// The cost of sleeping instead of spinning, compared with a bare futex.
pub(crate) fn wakeup_cases(quick: bool) -> Vec<Case> {
    let (windows_idle, windows_ticking) = if quick { WINDOWS_QUICK } else { WINDOWS };
    let futex_wake = limits::futex_wake_case();
    let parked = Case::new("wake-up of a parked consumer", "block", Workload::Parked(Parked))
        .beside(&futex_wake)
        .aiming(Aim::RatioAtMost(1.1));
    let ticking = GAPS_US.into_iter().flat_map(|gap_us| JITTERS.map(|jitter| (gap_us, jitter)));
    let ticking = ticking.flat_map(|(gap_us, jitter)| {
        let of = |wait, name| {
            let gap = Duration::from_micros(gap_us);
            let varied = if jitter > 0.0 { format!(" ± {:.0} %", jitter * 100.0) } else { String::new() };
            let case_name = format!("an event every {}{varied}, {name}", written(gap));
            ticking_case(case_name, (wait, name), gap, jitter, windows_ticking)
        };
        let spin = of(WaitStrategy::BusySpin, "spin");
        let adaptive = of(WaitStrategy::Adaptive, "adaptive").beside(&spin).aiming(tick_aim(gap_us));
        [adaptive, of(WaitStrategy::Block, "block").beside(&spin), spin]
    });
    let idle = |wait, name| {
        let workload = Workload::Idle(Idle { wait, windows: windows_idle });
        let case = Case::new(format!("cpu of an idle consumer, {name}"), name, workload);
        Case { judged: Judged::NoProcess, once: true, ..case.aiming(Aim::AtMost(IDLE_SHARE)) }
    };
    let naps = [NAP_SHORT, NAP_LONG].map(limits::timer_case);
    let idle = [idle(WaitStrategy::Block, "block"), idle(WaitStrategy::Adaptive, "adaptive")];
    [futex_wake, parked].into_iter().chain(naps).chain(ticking).chain(idle).collect()
}

/// Slots of the ring that is created: 256 MiB of events of 64 bytes, each on its own pair of cache lines.
const SLOTS_CREATED: usize = 1 << 21;
/// And in a smoke run, which must not ask much of a small machine: 16 MiB.
const SLOTS_CREATED_QUICK: usize = 1 << 17;

/// The creation of a ring, compared with the reservation of the same amount of memory.
pub(crate) fn create_cases(quick: bool) -> Vec<Case> {
    let creation = Creation { slots: if quick { SLOTS_CREATED_QUICK } else { SLOTS_CREATED } };
    let bytes = creation.segment_bytes().expect("a ring of this size is possible");
    let reference = limits::reserve_case(bytes);
    let name = format!("create a ring of {} MiB", bytes >> 20);
    let case = Case::new(name, "-", Workload::Creation(creation)).beside(&reference).aiming(Aim::RatioAtMost(1.1));
    vec![reference, case]
}
