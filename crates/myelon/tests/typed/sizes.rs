//! A sender learns how long its messages are, and encodes nearly each of them once.

use crate::counted::{Counted, Unmeasured, encodings_of};
use crate::stage::Stream;
use crate::traffic::{ENCODINGS_MAX, LENGTHS, MESSAGES, each_is_encoded_once};
use myelon::Patience;
use myelon::codec::Codec;
use myelon::counters::{CountersFile, ids};
use myelon::transport::{AlignedFixedFrame, FixedFrame, Format, Records};
use myelon::typed_transport::{TypedProducer, TypedPublishError};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

fn is_sent<T>(answer: Result<T, TypedPublishError>) -> bool {
    answer.inspect_err(|error| assert!(error.is_full(), "{error}")).is_ok()
}

/// Sends messages one by one, and as batches of one.
fn each_is_encoded_once_by_both_calls<T: Codec, F: Format>(depth: usize, new: fn(usize) -> T) {
    for in_batches in [false, true] {
        each_is_encoded_once(|| {
            let Stream { guards, mut producer, mut consumer } = Stream::<T, F>::of_depth(depth);
            let send = move |len| match in_batches {
                true => is_sent(producer.send_batch([&new(len)], 0, Patience::Now).map_err(|unsent| *unsent.error)),
                false => is_sent(producer.try_publish(&new(len), 0)),
            };
            let read = move || {
                let _guards = &guards;
                drop(consumer.next(Patience::Now).unwrap().unwrap());
            };
            (send, read)
        });
    }
}

fn counted(len: usize) -> Counted {
    Counted(vec![5; len])
}

#[test]
fn whatever_their_lengths_messages_are_encoded_once_over_records() {
    each_is_encoded_once_by_both_calls::<_, Records>(1 << 18, counted);
    each_is_encoded_once_by_both_calls::<_, Records>(1 << 18, Unmeasured);
    // In a large ring a message takes little.
    each_is_encoded_once_by_both_calls::<_, Records>(1 << 20, counted);
}

#[test]
fn whatever_their_lengths_messages_are_encoded_once_over_frames() {
    each_is_encoded_once_by_both_calls::<_, AlignedFixedFrame<4080>>(64, counted);
    each_is_encoded_once_by_both_calls::<_, FixedFrame<65_536>>(8, counted);
    each_is_encoded_once_by_both_calls::<_, AlignedFixedFrame<4080>>(64, Unmeasured);
}

/// What the ring counts under `id`.
fn count(counters: &CountersFile, id: u32) -> u64 {
    counters.snapshot().iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn a_sender_that_waits_encodes_each_message_once_too() {
    for (name, length) in LENGTHS {
        let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Counted, Records>::of_depth(1 << 18);
        let counters = consumer.ring_counters();
        // Counts the waits that are over.
        let (waited, done) = (AtomicU64::new(0), AtomicBool::new(false));
        let encodings = std::thread::scope(|scope| {
            // Reads messages only while the producer waits.
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    if count(&counters, ids::PRODUCER_FULL_EVENTS) > waited.load(Ordering::Acquire) {
                        drop(consumer.next(Patience::Now).unwrap());
                    } else {
                        std::thread::yield_now();
                    }
                }
            });
            let mut encodings = 0;
            for index in 0..MESSAGES {
                let message = counted(length(index));
                encodings += encodings_of(|| {
                    producer.publish(&message, 0).unwrap();
                });
                waited.store(count(&counters, ids::PRODUCER_FULL_EVENTS), Ordering::Release);
            }
            done.store(true, Ordering::Release);
            encodings
        });
        let (encodings, waits) = (f64::from(encodings) / MESSAGES as f64, waited.into_inner());
        assert!(encodings <= ENCODINGS_MAX, "{encodings:.3} encodings per message beside {waits} waits: {name}");
        let bytes: usize = (0..MESSAGES).map(length).sum();
        assert!(waits > 0 || bytes < 1 << 18, "{name}: the producer was to wait");
    }
}

/// Bytes that were copied into or out of the ring.
fn copied_bytes(producer: &TypedProducer<Counted>) -> u64 {
    count(&producer.ring_counters(), ids::FRAME_BYTES_COPIED)
}

#[test]
fn after_one_huge_message_short_ones_wait_for_none_of_its_room_and_are_soon_encoded_in_the_ring_again() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Counted, Records>::of_depth(1 << 18);
    producer.publish(&counted(200_000), 0).unwrap();
    // From now on there is never room for another message as long as the huge one.
    while producer.try_publish(&counted(100), 0).is_ok() {}
    drop(consumer.next(Patience::Now).unwrap().unwrap());
    let mut in_place = vec![];
    for _ in 0..200 {
        let before = copied_bytes(&producer);
        producer.try_publish(&counted(100), 0).expect("there is room for a short one");
        in_place.push(copied_bytes(&producer) == before);
    }
    // Its length is forgotten at the end of the second run of 32 after it.
    assert!(in_place[63..].iter().all(|is_in_place| *is_in_place), "{in_place:?}");
}
