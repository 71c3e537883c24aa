//! Values of described types come back as they were sent.

use myelon::codec::Codec;
use myelon::message;
use myelon::prelude::*;
use std::fmt::Debug;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

fn sent_and_received<T: Codec + PartialEq + Debug>(message: T) {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a message travels");
    let names = ShmGuard::new();
    let mut producer = TypedProducer::<T>::create(names.name("s"), 1 << 16).unwrap();
    let mut consumer = TypedConsumer::<T>::attach(names.name("s"), 0, MyelonWaitStrategy::Adaptive).unwrap();
    producer.publish(&message, 3).unwrap();
    assert_eq!(consumer.receive_owned(Patience::Endless).unwrap(), Some((message, 3)));
}

#[message(serde, rkyv)]
#[derive(Clone, Debug, PartialEq)]
enum Work {
    Nothing,
    Prefill { tokens: Vec<u32>, text: String },
    Decode(u32, Option<f32>),
}

#[message]
#[derive(Debug, PartialEq)]
struct BySerde {
    work: Vec<Work>,
    #[serde(skip)]
    cache: u32,
    wide: i128,
}

#[message(rkyv)]
#[derive(Debug, PartialEq)]
struct ByRkyv {
    work: Vec<Work>,
    pair: (u8, u64),
}

#[message(rkyv)]
#[derive(Debug, PartialEq)]
#[rkyv(
    serialize_bounds(__S: myelon::rkyv::ser::Writer),
    deserialize_bounds(__D::Error: myelon::rkyv::rancor::Source),
    bytecheck(bounds(__C: myelon::rkyv::validation::ArchiveContext, __C::Error: myelon::rkyv::rancor::Source))
)]
struct Chain {
    number: u32,
    #[rkyv(omit_bounds)]
    next: Option<Box<Chain>>,
}

#[message]
#[derive(Clone, Debug, PartialEq)]
struct Envelope<T>
where
    T: Clone,
{
    content: T,
}

#[message(rkyv)]
#[derive(Debug, PartialEq)]
struct Archive<T> {
    content: Vec<T>,
}

/// With derives of its own, from a dependency of its own.
#[message]
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Unit;

fn work() -> Vec<Work> {
    vec![Work::Nothing, Work::Prefill { tokens: vec![1, 2], text: "Why?".into() }, Work::Decode(3, Some(0.5))]
}

#[test]
fn messages_of_serde_come_back() {
    sent_and_received(BySerde { work: work(), cache: 0, wide: -1 });
    sent_and_received(Envelope { content: Envelope { content: 7_u8 } });
    sent_and_received(Unit);
    sent_and_received(Work::Decode(1, None));
}

#[test]
fn messages_of_rkyv_come_back_and_are_read_in_place() {
    sent_and_received(ByRkyv { work: work(), pair: (1, 2) });
    sent_and_received(Archive { content: vec![1_u32, 2] });
    sent_and_received(Chain { number: 1, next: Some(Box::new(Chain { number: 2, next: None })) });

    let names = ShmGuard::new();
    let mut producer = TypedProducer::<ByRkyv>::create(names.name("s"), 1 << 16).unwrap();
    let mut consumer = TypedConsumer::<ByRkyv>::attach(names.name("s"), 0, MyelonWaitStrategy::Adaptive).unwrap();
    producer.publish(&ByRkyv { work: work(), pair: (1, 2) }, 0).unwrap();
    let message = consumer.next(Patience::Endless).unwrap().unwrap();
    let archive = message.get().unwrap();
    assert_eq!((archive.work.len(), archive.pair.1.to_native()), (3, 2));
}
