//! An object whose bytes another process has written, opened in every possible way: as a consumer, a tap, a producer
//! that takes over or replaces, and for removal.
//!
//! The first byte chooses between arbitrary bytes, a good ring with patches in a memory file, and the same on the heap,
//! where the sanitizer detects every access past the end.
#![no_main]

use disruptor_mp::segment::fuzzing::{Words, restamp_header};
use disruptor_mp::{
    BeginningGone, JoinError, MultiProcessError, Place, SharedConsumer, SharedDisruptorBuilder, SharedProducer, StartAt,
    Tap, attach_shared_consumer, build_shared_single_producer, gc,
};
use fuzz::{CAPACITY, Decisions, Sample, TABLE_LEN};
use libfuzzer_sys::fuzz_target;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;

fuzz_target!(|input: &[u8]| {
    let mut decisions = Decisions::new(input);
    match decisions.byte() % 4 {
        0 => open_everyhow(Place::from(memory_file(decisions.rest())), ["ahead", "behind"]),
        1 => patched_heap(&mut decisions),
        _ => patched_file(&mut decisions),
    }
});

fn ring(place: &Place) -> SharedDisruptorBuilder<Sample> {
    build_shared_single_producer(place.clone(), CAPACITY).enable_discovery(TABLE_LEN)
}

fn produce(place: &Place) -> Result<SharedProducer<Sample>, MultiProcessError> {
    ring(place).build_producer(|| Sample::new(0))
}

/// Six events and two consumers, one of which has read some.
fn filled(place: &Place) -> (SharedProducer<Sample>, SharedConsumer<Sample>, SharedConsumer<Sample>) {
    let mut producer = produce(place).expect("a new ring");
    let join = |id| attach_shared_consumer(place.clone(), CAPACITY).with_consumer_id(id).build_consumer();
    let (mut ahead, mut behind) = (join("ahead").expect("room"), join("behind").expect("room"));
    for value in 0..6 {
        producer.try_publish(|event| *event = Sample::new(value)).expect("room");
        assert!(ahead.skip());
        if value < 3 {
            assert!(behind.skip());
        }
    }
    (producer, ahead, behind)
}

/// The bytes of such a ring, as a process that was killed leaves them.
fn seed() -> &'static [u8] {
    static SEED: OnceLock<Vec<u8>> = OnceLock::new();
    SEED.get_or_init(|| {
        let place = Place::memfd("seed");
        let (producer, _ahead, _behind) = filled(&place);
        let mut bytes = Vec::new();
        let mut file = File::from(producer.try_clone_fd().expect("a descriptor"));
        file.read_to_end(&mut bytes).expect("a memory file can be read");
        bytes
    })
}

/// A memory file of those bytes, sealed as opening requires.
fn memory_file(bytes: &[u8]) -> OwnedFd {
    let descriptor =
        memfd_create("fuzz", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("a memory file can be made");
    let file = File::from(descriptor);
    file.write_all_at(bytes, 0).expect("an input is small");
    let descriptor = OwnedFd::from(file);
    fcntl_add_seals(&descriptor, SealFlags::SHRINK | SealFlags::GROW).expect("it is ours");
    descriptor
}

fn patched_file(decisions: &mut Decisions<'_>) {
    let mut bytes = seed().to_vec();
    let restamps = decisions.byte() & 3 != 0;
    while !decisions.is_over() {
        // Every other patch changes the numbers of the header.
        let offset = match decisions.byte() & 1 {
            0 => decisions.below(200),
            _ => decisions.below(bytes.len() - 8),
        } & !3;
        let place = &mut bytes[offset..offset + 8];
        let old = u64::from_ne_bytes((&*place).try_into().expect("eight bytes"));
        place.copy_from_slice(&decisions.word(old).to_ne_bytes());
    }
    if restamps {
        restamp_header(&mut bytes);
    }
    open_everyhow(Place::from(memory_file(&bytes)), ["ahead", "behind"]);
}

fn patched_heap(decisions: &mut Decisions<'_>) {
    let place = Place::heap();
    // Its producer and its consumers live: their locks are held while the overwritten ring is opened.
    let (_producer, ahead, _behind) = filled(&place);
    let words = Words::open(&place).expect("it is still good");
    if decisions.byte() & 1 == 0 {
        drop(ahead);
    }
    let restamps = decisions.byte() & 3 != 0;
    while !decisions.is_over() {
        let index = match decisions.byte() & 1 {
            0 => decisions.below(25),
            _ => decisions.below(words.len()),
        };
        words.store(index, decisions.word(words.load(index)));
    }
    if restamps {
        words.restamp_header();
    }
    // Other ids than those of the live consumers, because that refusal takes long.
    open_everyhow(place, ["new", "newer"]);
}

fn open_everyhow(place: Place, ids: [&str; 2]) {
    let mut tap = attach_shared_consumer::<Sample>(place.clone(), 0).build_tap();
    look_through(&mut tap);
    let mut consumers = Vec::new();
    let [first, second] = ids.map(Some);
    for (id, start) in [(first, StartAt::Tail), (second, StartAt::Oldest), (None, StartAt::Beginning)] {
        let builder = attach_shared_consumer::<Sample>(place.clone(), CAPACITY).start_at(start);
        let builder = match id {
            Some(id) => builder.with_consumer_id(id),
            None => builder,
        };
        match builder.build_consumer() {
            Ok(consumer) => consumers.push(consumer),
            Err(MultiProcessError::Join { source: JoinError::BeginningGone(BeginningGone { oldest }), .. }) => {
                assert!(oldest > 0, "the beginning is there");
            }
            Err(error) => drop(error.to_string()),
        }
    }
    for consumer in &mut consumers {
        drain(consumer);
    }
    for builder in [ring(&place).take_over(), ring(&place)] {
        match builder.build_producer(|| Sample::new(0)) {
            Ok(mut producer) => {
                for value in 0..3 {
                    let _ = producer.try_publish(|event| *event = Sample::new(value));
                }
                let _ = producer.try_publish_batch(2, |event, _| *event = Sample::new(9));
                let _ = producer.check_peers();
                let _ = producer.stall_report().to_string();
                consumers.iter_mut().for_each(drain);
                look_through(&mut tap);
            }
            Err(error) => drop(error.to_string()),
        }
    }
    drop(consumers);
    let _ = gc(place).map_err(|error| error.to_string());
}

fn look_through(tap: &mut Result<Tap<Sample>, MultiProcessError>) {
    match tap {
        Ok(tap) => {
            for _ in 0..2 * CAPACITY {
                if tap.try_next().is_none() {
                    break;
                }
            }
            let _ = (tap.missed(), tap.next_sequence(), tap.producer_sequence());
            let _ = (tap.consumers(), tap.producer_is_alive(), tap.ring_counters().snapshot());
        }
        Err(error) => drop(error.to_string()),
    }
}

fn drain(consumer: &mut SharedConsumer<Sample>) {
    if let Some(event) = consumer.try_consume_next_leased() {
        let _ = (event.value, event.redeliveries());
    }
    if let Some(batch) = consumer.try_consume_batch_leased(usize::MAX) {
        assert!(batch.len() <= CAPACITY, "a batch of more events than there are slots");
        let _ = batch.iter().map(|event| u64::from(event.tail)).sum::<u64>();
    }
    consumer.process_available(|_, _| ());
    let _ = consumer.check_producer().map_err(|error| error.to_string());
    let _ = consumer.ring_counters().snapshot();
}
