//! Types that are no messages, where messages are wanted.
use myelon::serde::{Deserialize, Serialize};
use myelon::topology::TypedScheduler;
use myelon::typed_transport::{TypedConsumer, TypedProducer};

struct Plain(u32);

#[derive(Serialize, Deserialize)]
#[serde(crate = "myelon::serde")]
struct OnlyDerives(u32);

fn send(producer: &mut TypedProducer<Plain>) {}

fn receive(consumer: &mut TypedConsumer<OnlyDerives>) {}

fn schedule(scheduler: &mut TypedScheduler<Vec<u8>, String>) {}

fn main() {}
