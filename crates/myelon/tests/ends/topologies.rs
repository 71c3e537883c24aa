//! The rings that the ends of a topology lend cannot be exchanged with those of another end.

use myelon::topology::{Broadcast, SchedulerEnd, TopologyError, WorkerEnd};
use myelon::transport::{TransportConsumer, TransportProducer};
use std::mem::swap;

fn broadcasts(one: &mut SchedulerEnd, other: &mut SchedulerEnd) {
    let producer: &mut TransportProducer = &mut one.broadcast_ring();
    swap(producer, other.broadcast_ring().get_ref());
}

fn rings(one: &mut WorkerEnd, other: &mut WorkerEnd) {
    let (mut broadcasts, mut responses) = one.rings();
    let (other_broadcasts, other_responses) = other.rings();
    let consumer: &mut TransportConsumer = &mut broadcasts;
    swap(consumer, other_broadcasts.get_ref());
    swap(&mut *responses, other_responses.get_ref());
}

fn answers(one: &mut Broadcast<'_>, other: &mut Broadcast<'_>) {
    swap(&mut *one.responses(), &mut *other.responses());
}

/// A handler cannot exchange the ring that it is lent with another worker's.
fn handlers(one: &mut WorkerEnd, other: &mut WorkerEnd) {
    let (_, mut other_responses) = other.rings();
    let _ = one.serve(|_, responses| {
        swap(responses, &mut other_responses);
        Ok::<_, TopologyError>(())
    });
}

fn main() {}
