//! Our own ring, between processes, beside the limits of the same run.
//!
//! **Lives here:** the lists of cases, and what their sides share: [`create`], [`attach`], [`fill`] and [`sum`].
//! **Builds on:** `limits` for the references, one module for each kind of measurement. **May touch it:** `main`;
//! `workload` lists the subjects.

pub(crate) mod broadcast;
pub(crate) mod creation;
pub(crate) mod ping_pong;
pub(crate) mod throughput;
pub(crate) mod wakeup;

use disruptor_mp::{
    ConsumeError, MultiProcessError, PublishError, SharedConsumer, SharedProducer, WaitStrategy,
    attach_shared_consumer, build_shared_single_producer,
};

use crate::limits::{self, RING_BYTES};
use crate::messages;
use crate::schedule::{Aim, Case, Judged};
use crate::side::{Side, Stop};
use crate::step;
use crate::typed;
use crate::workload::Workload;

use broadcast::{Bursts, Figure, Spread};
use creation::Creation;
use ping_pong::PingPong;
use throughput::Throughput;
use wakeup::{Idle, Parked, Ticking};

/// An event of `WORDS` words. All of them are written and read, because a ring is there for what is in it.
type Message<const WORDS: usize> = [u64; WORDS];

/// Calls a method that is generic over the number of words with that of a payload known at run time.
macro_rules! with_words {
    ($bytes:expr, $self:ident.$method:ident($side:expr)) => {
        match $bytes {
            8 => $self.$method::<1>($side),
            48 => $self.$method::<6>($side),
            64 => $self.$method::<8>($side),
            1024 => $self.$method::<128>($side),
            4096 => $self.$method::<512>($side),
            16384 => $self.$method::<2048>($side),
            other => Err($crate::side::Stop::Failed(format!("there are no messages of {other} B"))),
        }
    };
}
pub(crate) use with_words;

impl From<MultiProcessError> for Stop {
    fn from(error: MultiProcessError) -> Self {
        match error {
            MultiProcessError::NoSpace { .. } => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<PublishError> for Stop {
    fn from(error: PublishError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<ConsumeError> for Stop {
    fn from(error: ConsumeError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Creates segment `index` of the measurement as a ring of `slots` slots. The producer spins while it is full.
fn create<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<SharedProducer<Message<WORDS>>, Stop> {
    let builder = build_shared_single_producer(side.segment(index), slots).create();
    Ok(builder.with_wait_strategy(WaitStrategy::BusySpin).build_producer(|| [0; WORDS])?)
}

/// Attaches to the ring in segment `index`, which another side has created before the last rendezvous.
fn attach<const WORDS: usize>(
    side: &Side,
    index: usize,
    wait: WaitStrategy,
) -> Result<SharedConsumer<Message<WORDS>>, Stop> {
    Ok(attach_shared_consumer(side.segment(index), 0).with_wait_strategy(wait).build_consumer()?)
}

/// Writes every word.
#[inline(always)]
fn fill<const WORDS: usize>(message: &mut Message<WORDS>, number: u64) {
    message.fill(number);
}

/// Reads every word: `WORDS` times the number that [`fill`] wrote, wrapping.
#[inline(always)]
fn sum<const WORDS: usize>(message: &Message<WORDS>) -> u64 {
    message.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

/// The power of two of slots with which a ring of such messages comes closest to the [size](RING_BYTES) that suits most
/// machines, as the library itself plans it.
pub(crate) fn slots_that_suit(payload_bytes: usize) -> usize {
    let bytes = |slots| match payload_bytes {
        8 => disruptor_mp::plan::<Message<1>>(slots, 1),
        48 => disruptor_mp::plan::<Message<6>>(slots, 1),
        64 => disruptor_mp::plan::<Message<8>>(slots, 1),
        1024 => disruptor_mp::plan::<Message<128>>(slots, 1),
        4096 => disruptor_mp::plan::<Message<512>>(slots, 1),
        _ => disruptor_mp::plan::<Message<2048>>(slots, 1),
    };
    let distance = |slots: &usize| bytes(*slots).map_or(u64::MAX, |plan| plan.slots.len.abs_diff(RING_BYTES as u64));
    let sizes = (3..20).map(|exponent| 1_usize << exponent);
    sizes.min_by_key(distance).expect("there are sizes")
}

/// Slots of a ring that stays in the first-level caches.
const SLOTS_FEW: usize = 8;
/// Slots of a ring that does not.
pub(crate) const SLOTS_MANY: usize = 4096;

/// Round trips, beside the cache line's.
pub(crate) fn ping_pong_cases() -> Vec<Case> {
    let reference = limits::cache_line_case();
    let small = [8, 48, 64].into_iter().flat_map(|bytes| [(bytes, SLOTS_FEW), (bytes, SLOTS_MANY)]);
    let large = [1024, 4096, 16384].into_iter().map(|bytes| (bytes, slots_that_suit(bytes)));
    let case = |(payload_bytes, slots)| {
        let name = format!("round trip, {payload_bytes} B, {slots} slots");
        let case = Case::new(name, "spin", Workload::PingPong(PingPong { payload_bytes, slots })).beside(&reference);
        // Where event and stamp share one cache line, a throw-away program with nothing else in it came so far.
        match (payload_bytes, slots) {
            (8 | 48, SLOTS_FEW) => case.aiming(Aim::RatioAtMost(1.15)),
            (8 | 48, SLOTS_MANY) => case.aiming(Aim::RatioAtMost(1.6)),
            _ => case,
        }
    };
    let cases: Vec<_> = small.chain(large).map(case).collect();
    std::iter::once(reference).chain(cases).collect()
}

/// Rates, beside the bare ring's.
pub(crate) fn throughput_cases() -> Vec<Case> {
    let reference = limits::word_ring_case();
    let case = |(payload_bytes, batch)| {
        let slots = slots_that_suit(payload_bytes);
        let how = if batch == 1 { "one by one".to_owned() } else { format!("batches of {batch}") };
        let workload = Workload::Throughput(Throughput { payload_bytes, batch, slots });
        let case = Case::new(format!("one way, {payload_bytes} B, {how}"), "spin", workload).beside(&reference);
        // What a throw-away program with stamps and nothing else reached.
        match (payload_bytes, batch) {
            (8, 2..) => case.aiming(Aim::RatioAtLeast(0.6)),
            (64, 2..) => case.aiming(Aim::AtLeast(150e6)),
            (64, _) => case.aiming(Aim::AtLeast(80e6)),
            (1024, _) => case.aiming(Aim::AtLeast(35e6)),
            _ => case,
        }
    };
    let cases = [(8, 64), (64, 64), (64, 1), (1024, 64), (1024, 1)].map(case);
    std::iter::once(reference.clone()).chain(cases).collect()
}

/// How many consumers there are in `broadcast`.
const CONSUMERS: [usize; 4] = [1, 2, 4, 8];

/// What an event costs its producer, however many consumers there are: in time, and if asked for in `instructions`; and
/// how far apart they hear of it.
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
        Case { parties: consumers + 1, judged: Judged::Nobody, once: true, ..Case::new(name, "-", workload) }
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
/// How late the consumer of an event a millisecond may be, in nanoseconds, and what it may use of a cpu for that.
const TICK_AIM: Aim = Aim::AtMostWithin { value: 3000.0, cpu_share: 0.2 };

/// Windows of an idle consumer, and of one with an event a millisecond: 10 s and 2 s.
const WINDOWS: (u32, u32) = (50, 10);
const WINDOWS_QUICK: (u32, u32) = (3, 3);

/// The price of not spinning, beside that of a bare futex.
pub(crate) fn wakeup_cases(quick: bool) -> Vec<Case> {
    let (windows_idle, windows_ticking) = if quick { WINDOWS_QUICK } else { WINDOWS };
    let futex_wake = limits::futex_wake_case();
    let parked = Case::new("wake-up of a parked consumer", "block", Workload::Parked(Parked))
        .beside(&futex_wake)
        .aiming(Aim::RatioAtMost(1.1));
    let ticking = |wait, name| {
        let workload = Workload::Ticking(Ticking { wait, windows: windows_ticking });
        Case::new(format!("an event a millisecond, {name}"), name, workload)
    };
    let idle = |wait, name| {
        let workload = Workload::Idle(Idle { wait, windows: windows_idle });
        let case = Case::new(format!("cpu of an idle consumer, {name}"), name, workload);
        Case { judged: Judged::Nobody, once: true, ..case.aiming(Aim::AtMost(IDLE_SHARE)) }
    };
    vec![
        futex_wake,
        parked,
        ticking(WaitStrategy::Adaptive, "adaptive").aiming(TICK_AIM),
        ticking(WaitStrategy::Block, "block"),
        ticking(WaitStrategy::BusySpin, "spin"),
        idle(WaitStrategy::Block, "block"),
        idle(WaitStrategy::Adaptive, "adaptive"),
    ]
}

/// Slots of the ring that is created: 256 MiB of events of 64 bytes, each on its own pair of cache lines.
const SLOTS_CREATED: usize = 1 << 21;
/// And in a smoke run, which must not ask much of a small machine: 16 MiB.
const SLOTS_CREATED_QUICK: usize = 1 << 17;

/// The creation of a ring, beside the reservation of as much memory.
pub(crate) fn create_cases(quick: bool) -> Vec<Case> {
    let creation = Creation { slots: if quick { SLOTS_CREATED_QUICK } else { SLOTS_CREATED } };
    let bytes = creation.segment_bytes().expect("a ring of so many slots can be");
    let reference = limits::reserve_case(bytes);
    let name = format!("create a ring of {} MiB", bytes >> 20);
    let case = Case::new(name, "-", Workload::Creation(creation)).beside(&reference).aiming(Aim::RatioAtMost(1.1));
    vec![reference, case]
}

/// Every case there is, each once.
pub(crate) fn all_cases(cpu: usize, quick: bool, instructions: bool) -> Vec<Case> {
    let mut cases = limits::cases(cpu, quick);
    let more = [
        ping_pong_cases(),
        throughput_cases(),
        broadcast_cases(instructions),
        wakeup_cases(quick),
        create_cases(quick),
        messages::cases(),
        messages::frames::cases(),
        typed::cases(),
        step::cases(),
    ];
    for case in more.into_iter().flatten() {
        // References come with every list that needs them.
        if cases.iter().all(|known| known.name != case.name) {
            cases.push(case);
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_a_case_of_the_same_run() {
        let cpu = 0;
        for cases in [
            limits::cases(cpu, true),
            ping_pong_cases(),
            throughput_cases(),
            broadcast_cases(true),
            wakeup_cases(true),
            create_cases(true),
            messages::cases(),
            messages::frames::cases(),
            typed::cases(),
            step::cases(),
            all_cases(cpu, true, true),
        ] {
            for case in &cases {
                let Some(reference) = &case.reference else { continue };
                let found = cases.iter().filter(|other| other.name == *reference).count();
                assert_eq!(found, 1, "{reference}, the reference of {}", case.name);
            }
        }
    }

    #[test]
    fn a_suitable_ring_is_about_as_large_as_it_should_be() {
        for payload_bytes in [8, 64, 1024, 4096, 16384] {
            let bytes = slots_that_suit(payload_bytes) * payload_bytes;
            assert!((RING_BYTES / 2..=RING_BYTES * 3 / 2).contains(&bytes), "{payload_bytes}: {bytes}");
        }
    }
}
