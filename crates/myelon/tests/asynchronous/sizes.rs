//! Awaited senders learn how long their messages are, and so do the ends of a topology, awaited or not.

use crate::counted::Counted;
use crate::room::ends;
use crate::stage::within;
use crate::traffic::each_is_encoded_once;
use crate::typed_topology::{met, topology};
use myelon::Patience;
use myelon::asynchronous::{AsyncTypedScheduler, AsyncTypedWorker};
use myelon::topology::{TopologyError, TypedScheduler, TypedWorker};
use myelon::transport::{AlignedFixedFrame, Format, Records};
use testkit::watchdog::{PATIENCE, Watchdog};
use tokio::runtime::{Builder, Runtime};

/// Looks for room before a message is given up: more than the encodings that a message may have. (A sender sleeps only
/// after more looks; `room` tests that, because it takes long.)
const LOOKS: u32 = 4;

fn counted(len: usize) -> Counted {
    Counted(vec![5; len])
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn awaited<F: Format>(depth: usize) {
    let runtime = &runtime();
    each_is_encoded_once(|| {
        let (mut producer, mut consumer) = ends::<Counted, F>(depth);
        let send = move |len| {
            let message = counted(len);
            let sent = runtime.block_on(within(LOOKS, producer.publish(&message, 0)));
            sent.is_some_and(|sent| sent.map(drop).is_ok())
        };
        (send, move || drop(consumer.next(Patience::Now).unwrap().unwrap()))
    });
}

#[test]
fn whatever_their_lengths_messages_that_are_awaited_are_encoded_once() {
    let _watchdog = Watchdog::new(PATIENCE * 4, "messages of all lengths");
    awaited::<Records>(1 << 18);
    awaited::<AlignedFixedFrame<4080>>(64);
}

type Ends<F> = (TypedScheduler<Counted, Counted, F>, TypedWorker<Counted, Counted, F>);

/// The ends of a topology of one worker.
fn two<F: Format>(depth: usize) -> Ends<F> {
    let (scheduler, mut workers) = met(&topology::<F>(1, depth));
    (scheduler, workers.remove(0))
}

fn is_sent<T>(answer: Result<T, TopologyError>) -> bool {
    answer.inspect_err(|error| assert!(error.is_full(), "{error}")).is_ok()
}

fn hear<F: Format>(worker: &mut TypedWorker<Counted, Counted, F>) {
    drop(worker.next_raw(Patience::Now).unwrap().unwrap());
}

fn take_answer<F: Format>(scheduler: &mut TypedScheduler<Counted, Counted, F>) {
    drop(scheduler.receive_raw(0, Patience::Now).unwrap());
}

#[test]
fn whatever_their_lengths_broadcasts_and_answers_are_encoded_once() {
    let _watchdog = Watchdog::new(PATIENCE * 4, "broadcasts and answers of all lengths");
    fn both_ways<F: Format>(depth: usize) {
        each_is_encoded_once(|| {
            let (mut scheduler, mut worker) = two::<F>(depth);
            let send = move |len| is_sent(scheduler.broadcast(&counted(len), 1, Patience::Now));
            (send, move || hear(&mut worker))
        });
        each_is_encoded_once(|| {
            let (mut scheduler, mut worker) = two::<F>(depth);
            let send = move |len| is_sent(worker.answer(0, &counted(len), 1, Patience::Now));
            (send, move || take_answer(&mut scheduler))
        });
    }
    both_ways::<Records>(1 << 18);
    both_ways::<AlignedFixedFrame<4080>>(64);
}

#[test]
fn whatever_their_lengths_broadcasts_and_answers_that_are_awaited_are_encoded_once() {
    let _watchdog = Watchdog::new(PATIENCE * 4, "broadcasts and answers of all lengths");
    let runtime = &runtime();
    each_is_encoded_once(|| {
        let (scheduler, mut worker) = two::<Records>(1 << 18);
        let mut scheduler = AsyncTypedScheduler::new(scheduler);
        let send = move |len| {
            let message = counted(len);
            runtime.block_on(within(LOOKS, scheduler.broadcast(&message, 1))).is_some_and(is_sent)
        };
        (send, move || hear(&mut worker))
    });
    each_is_encoded_once(|| {
        let (mut scheduler, worker) = two::<Records>(1 << 18);
        let mut worker = runtime.block_on(async { AsyncTypedWorker::new(worker).unwrap() });
        let send = move |len| {
            let answer = counted(len);
            runtime.block_on(within(LOOKS, worker.answer(0, &answer, 1))).is_some_and(is_sent)
        };
        (send, move || take_answer(&mut scheduler))
    });
}
