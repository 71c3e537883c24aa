//! Typed messages that are held: read, decoded and released in other threads.

use crate::stage::{BYTES, Frame, Guards, Stream};
use myelon::Patience;
use myelon::counters::ids;
use myelon::transport::{Format, Records};
use myelon::typed_transport::{HeldTyped, TypedConsumer, TypedProducer};

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
    // Counted by its consumer, once each, when it takes the next one.
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
