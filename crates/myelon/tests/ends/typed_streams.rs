//! Two typed streams cannot exchange their transports: each would take the other one's bytes for its own type.

use myelon::topology::{TypedScheduler, TypedWorker};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use std::mem::swap;

#[myelon::message]
struct Step(Vec<u32>);

#[myelon::message]
struct Sum(u64);

fn producers(steps: &mut TypedProducer<Step>, sums: &mut TypedProducer<Sum>) {
    swap(steps.raw(), sums.raw());
}

fn consumers(steps: &mut TypedConsumer<Step>, sums: &mut TypedConsumer<Sum>) {
    swap(steps.raw(), sums.raw());
}

fn schedulers(one: &mut TypedScheduler<Step, Sum>, other: &mut TypedScheduler<Sum, Step>) {
    swap(one.raw(), other.raw());
}

fn workers(one: &mut TypedWorker<Step, Sum>, other: &mut TypedWorker<Sum, Step>) {
    swap(one.raw(), other.raw());
}

fn main() {}
