//! The ends inside awaited ends cannot be exchanged: a bell would ring for another ring.

use myelon::asynchronous::{AsyncConsumer, AsyncProducer, AsyncScheduler, AsyncWorker};
use myelon::transport::{TransportConsumer, TransportProducer};
use std::mem::swap;

fn producers(one: &mut AsyncProducer<TransportProducer>, other: &mut AsyncProducer<TransportProducer>) {
    swap(one.get_ref(), other.get_ref());
}

fn consumers(one: &mut AsyncConsumer<TransportConsumer>, other: &mut AsyncConsumer<TransportConsumer>) {
    swap(one.get_ref(), other.get_ref());
}

fn schedulers(one: &mut AsyncScheduler, other: &mut AsyncScheduler) {
    swap(one.get_ref(), other.get_ref());
}

fn workers(one: &mut AsyncWorker, other: &mut AsyncWorker) {
    swap(one.get_ref(), other.get_ref());
}

fn main() {}
