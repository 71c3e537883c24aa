//! Typed messages that are held: read, decoded and released in other threads.

use crate::stage::{BYTES, Frame, Guards, Stream};
use myelon::counters::ids;
use myelon::transport::{Format, Records, TransportError};
use myelon::typed_transport::{HeldTyped, TypedConsumer, TypedProducer, TypedReceiveError};
use myelon::{ConsumeError, HELD_MAX, Patience};
use std::time::Duration;

#[myelon::message]
#[derive(Debug, PartialEq)]
struct Tick {
    number: u64,
    words: Vec<u32>,
}

fn tick(number: u64) -> Tick {
    Tick { number, words: (0..number as u32 * 900).collect() }
}

fn is_read_elsewhere<F: Format>(stream: Stream<Tick, F>) {
    let Stream { guards, mut producer, mut consumer } = stream;
    for number in 0..4 {
        producer.publish(&tick(number), number as u8).unwrap();
    }
    let threads: Vec<_> = (0..4)
        .map(|_| consumer.next_held(Patience::Now).unwrap().expect("sent"))
        .map(|message: HeldTyped<Tick, F>| {
            std::thread::spawn(move || {
                let number = u64::from(message.kind());
                assert_eq!(message.decode().unwrap(), tick(number));
                message.decode().unwrap();
                message.release();
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    producer.publish(&tick(1), 9).unwrap();
    // The consumer counts each of them once, when it takes the next message.
    let message = consumer.next_held(Patience::Now).unwrap().expect("sent");
    let counters = producer.ring_counters().snapshot();
    let decoded: u64 =
        counters.iter().filter(|count| count.id == ids::CODEC_DECODE_TOTAL).map(|count| count.value).sum();
    assert_eq!(decoded, 4);
    drop(message);
    assert!(consumer.next(Patience::Now).unwrap().expect("given back").is_redelivered());
    finish(producer, consumer, guards);
}

fn finish<F: Format>(producer: TypedProducer<Tick, F>, mut consumer: TypedConsumer<Tick, F>, guards: Guards) {
    drop(producer);
    assert!(consumer.messages().next().is_none(), "closed, and everything was released");
    drop(consumer);
    guards.names.assert_nothing_left();
}

#[test]
fn held_messages_are_decoded_and_released_in_other_threads() {
    is_read_elsewhere(Stream::<Tick, Records>::of_depth(BYTES));
    is_read_elsewhere(Stream::<Tick, Frame>::new());
}

#[test]
fn a_for_loop_over_three_messages_sees_each_once() {
    let Stream { guards, mut producer, mut consumer } = Stream::<Tick, Records>::of_depth(BYTES);
    for number in 0..3 {
        producer.publish(&tick(number), 0).unwrap();
    }
    drop(producer);
    let mut seen = vec![];
    for message in consumer.messages() {
        seen.push(message.unwrap().decode().unwrap().number);
    }
    assert_eq!(seen, [0, 1, 2]);
    drop(consumer);
    guards.names.assert_nothing_left();
}

fn says_the_limit_on_every_call<F: Format>(stream: Stream<Tick, F>) {
    let Stream { guards: _guards, mut producer, mut consumer } = stream;
    let mut held = vec![];
    for number in 0..HELD_MAX {
        // A type of a few bytes.
        producer.publish(&tick(0), number as u8).unwrap();
        held.push(consumer.next_held(Patience::Now).unwrap().unwrap());
    }
    let short = Duration::from_millis(5);
    let answers = [
        consumer.next(short).map(drop),
        consumer.next_or_end(short).map(drop),
        consumer.next_held(short).map(drop),
        consumer.receive_owned(short).map(drop),
        consumer.receive_owned_or_end(short).map(drop),
        consumer.next_raw(short).map(drop).map_err(TypedReceiveError::from),
    ];
    for answer in answers {
        assert!(answer.as_ref().is_err_and(|error| error.is_held_limit() && error.is_timed_out()), "{answer:?}");
        let Err(TypedReceiveError::Transport(TransportError::Consume(ConsumeError::HeldLimit(limit)))) = answer else {
            panic!("{answer:?}")
        };
        assert!(!limit.waited.is_zero());
    }
    assert!(consumer.next(Patience::Now).map(drop).is_err_and(|error| error.is_held_limit()));
    held.into_iter().for_each(HeldTyped::release);
    assert!(consumer.next(Patience::Now).unwrap().is_none());
}

#[test]
fn a_wait_that_ends_at_the_held_limit_says_so_on_every_call() {
    says_the_limit_on_every_call(Stream::<Tick, Records>::of_depth(BYTES));
    says_the_limit_on_every_call(Stream::<Tick, Frame>::of_depth(128));
}

#[test]
fn a_held_message_goes_through_channels_and_is_read_by_several_threads_at_once() {
    fn goes_anywhere<T: Send + Sync + 'static>() {}
    goes_anywhere::<HeldTyped<Tick>>();
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Tick, Records>::of_depth(BYTES);
    producer.publish(&tick(3), 0).unwrap();
    let message = consumer.next_held(Patience::Now).unwrap().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(message.decode().unwrap(), tick(3)));
        }
    });
    message.release();
    assert!(consumer.next_held(Patience::Now).unwrap().is_none());
    let counters = producer.ring_counters().snapshot();
    let decoded = counters.iter().filter(|count| count.id == ids::CODEC_DECODE_TOTAL).map(|count| count.value);
    assert_eq!(decoded.sum::<u64>(), 1, "looked at several times, it counts once");
}
