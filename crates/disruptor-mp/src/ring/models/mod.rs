//! loom models of the algorithm: every schedule and every value that the memory model lets a load return, within the
//! bounds given.
//!
//! There is one file per claim; this one has what the models share. `mutants` shows that each named ordering is needed.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p disruptor-mp --lib --release models`.
//!
//! Ends in models without a sleeper are [`Announce::Registered`]: they pass no fence that the claim does not ask for.
//! In models with a sleeper they are [`Announce::Fenced`], since loom has no barrier that one thread runs on another.
//! The exceptions are the two models in `park` in which an end changes from one mode to the other.

mod ahead;
mod close;
mod dense;
mod departures;
mod group;
mod held;
mod join;
mod lossy;
mod mutants;
mod park;
mod records;
mod refusal;
mod several;
mod stream;
mod take_over;
mod tap;

use crate::ring::memory::heap::HeapMemory;
use crate::ring::protocol::control::Entry;
use crate::ring::protocol::form::{Form, SlotForm, Stamped};
use crate::ring::protocol::join::{StartAt, handshake};
use crate::ring::protocol::memory::{Memory, SlotMemory};
use crate::ring::protocol::reader::Reader;
use crate::ring::protocol::sequencer::Sequencer;
use crate::sync::announce::Announce;
use crate::sync::primitive::MUTANT;
use loom::thread::yield_now;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

type Heap<F> = Arc<HeapMemory<u64, F>>;

type Ring<F = Stamped> = Heap<F>;

/// Slots of every model: the fewest with which a batch and a wrap differ.
const CAPACITY: usize = 2;

// The messages of the models' assertions. The table of mutants asks for one of these, or for one of loom's own
// findings.
const LAPPED: &str = "a gating consumer was lapped";
const READ_AGAIN: &str = "a later reader started with what the first had read";
const LOST: &str = "the stream ended before everything published had been read";
const WRONG: &str = "an event had another's payload";
const NOTHING_KEPT: &str = "nothing was kept for the first reader";
const OLD_RECORD: &str = "an older record was taken for the next one";
const TORN_GROUP: &str = "a part of a group was visible without the rest";
const COPIED_OTHERS: &str = "what was copied ahead was another group's, and was believed";
const ROWLESS: &str = "a refusal was found without its row";
const UNFOUND: &str = "a departure was counted and not found";
const RELEASED_AGAIN: &str = "a message that was released is handed out again, or one that was not is lost";
const STEPPED_OVER: &str = "a consumer of another id skipped what its predecessor had released";
const NO_BARRIER: &str = "sleeping without a barrier needs a clock, which a model has not";
const LEFTOVER: &str = "an event of a group that was never whole was visible";

/// Runs `model` in every schedule with at most `preemptions` preemptions (`None`: in every schedule). The model returns
/// how far it got, and at least one schedule must reach `goal`: a model in which nothing happens shows nothing.
fn explore(preemptions: Option<usize>, goal: i64, model: impl Fn() -> i64 + Send + Sync + 'static) {
    if let Some(site) = testkit::mutants::lacking() {
        MUTANT.store(site, Ordering::Relaxed);
    }
    let furthest = Arc::new(AtomicU8::new(0));
    let reached = Arc::clone(&furthest);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.check(move || {
        let got = u8::try_from(model()).expect("models are small");
        reached.fetch_max(got, Ordering::Relaxed);
    });
    let furthest = i64::from(furthest.load(Ordering::Relaxed));
    assert!(furthest >= goal, "no schedule got further than {furthest}, and the claim is about {goal}");
}

fn ring(table_len: usize) -> Ring {
    ring_of(table_len)
}

fn ring_of<F: Form>(table_len: usize) -> Ring<F> {
    Arc::new(HeapMemory::new(CAPACITY, table_len, None))
}

/// What event `sequence` carries; never the value of an empty slot.
fn value(sequence: i64) -> u64 {
    sequence as u64 + 100
}

/// A consumer that has joined before anything was published.
fn consumer<F: Form>(ring: &Heap<F>, index: usize, announce: Announce) -> Reader<Heap<F>> {
    let start = handshake(ring, index, StartAt::Beginning).expect("nothing was published yet");
    Reader::new(Arc::clone(ring), index, start, announce)
}

/// A ring with its producer and its one consumer.
fn pair(announce: Announce) -> (Ring, Sequencer<Ring>, Reader<Ring>) {
    pair_of(announce)
}

fn pair_of<F: Form>(announce: Announce) -> (Ring<F>, Sequencer<Ring<F>>, Reader<Ring<F>>) {
    let ring = ring_of(1);
    let producer = Sequencer::create(Arc::clone(&ring), announce);
    let reader = consumer(&ring, 0, announce);
    (ring, producer, reader)
}

/// Writes the payload of event `sequence`.
fn fill(place: *mut u64, sequence: i64) {
    // SAFETY: the sequencer hands out a valid place; loom checks that no other thread uses it.
    unsafe { *place = value(sequence) };
}

/// Publishes one event if there is room for it.
fn try_write<F: SlotForm>(producer: &mut Sequencer<Ring<F>>) -> bool {
    if !producer.has_room(1) {
        producer.rescan();
    }
    if !producer.has_room(1) {
        return false;
    }
    let sequence = producer.next();
    producer.write(|place| fill(place, sequence));
    true
}

/// Publishes two events at once if there is room for both.
fn try_write_two<F: SlotForm>(producer: &mut Sequencer<Ring<F>>) -> bool {
    if !producer.has_room(2) {
        producer.rescan();
    }
    if !producer.has_room(2) {
        return false;
    }
    let first = producer.next();
    producer.write_batch(2, |place, i| fill(place, first + i as i64));
    true
}

/// Reads an event that the reader has found and still gates.
fn read<F: SlotForm>(reader: &Reader<Ring<F>>, sequence: i64) {
    // SAFETY: the place is valid; loom checks that no thread writes it meanwhile.
    let found = reader.memory().with(sequence, |place| unsafe { *place });
    assert_eq!(found, value(sequence), "{WRONG}");
}

/// Reads the event that the reader has found, and gives its slot back.
fn take<F: SlotForm>(reader: &mut Reader<Ring<F>>) {
    let sequence = reader.next();
    read(reader, sequence);
    reader.deliver_to(sequence + 1);
    reader.advance_to(sequence + 1);
}

/// Reads one event if there is one.
fn try_read<F: SlotForm>(reader: &mut Reader<Ring<F>>) -> bool {
    let found = reader.look();
    if found {
        take(reader);
    }
    found
}

/// Calls `attempt` `count` times and lets the other threads run whenever it gets nothing.
fn attempts(count: usize, mut attempt: impl FnMut() -> bool) {
    for _ in 0..count {
        if !attempt() {
            yield_now();
        }
    }
}

/// Sleeps at the readers' bell until there is an event or the stream is over, and returns which.
fn wait_for_event<F: SlotForm>(reader: &mut Reader<Ring<F>>) -> bool {
    loop {
        if reader.look() {
            return true;
        }
        if reader.is_finished() {
            return false;
        }
        if let Some(park) = reader.prepare_park() {
            assert!(park.barrier, "{NO_BARRIER}");
            reader.memory().control().readers.0.sleep(park.ticket, Duration::MAX);
        }
    }
}

/// Sleeps at the slowest consumer's bell until `count` events can be written. Polls where a real producer would sleep
/// in slices.
fn wait_for_room<F: SlotForm>(producer: &mut Sequencer<Ring<F>>, count: i64) {
    loop {
        let scan = producer.rescan();
        if producer.has_room(count) {
            return;
        }
        let slowest = scan.slowest.expect("a full ring has a slowest consumer");
        match producer.prepare_park(slowest, count) {
            Some(park) if park.barrier => {
                producer.entry(slowest).writer.sleep(park.ticket, Duration::MAX);
            }
            Some(_) => yield_now(),
            None => {}
        }
    }
}
