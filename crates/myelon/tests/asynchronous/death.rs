//! The death of a peer ends the wait, and the error names the peer.

use crate::stage::in_either_runtime;
use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
use myelon::transport::{
    FramedTransportConsumer, FramedTransportProducer, MyelonWaitStrategy, Records, TransportError,
};
use myelon::{ConsumeError, PublishError};
use std::time::Instant;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, Victim, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;

const DEPTH: usize = 4096;

#[test]
#[ignore = "runs as a victim"]
fn victim_at_the_other_end() {
    if !is_victim() {
        return;
    }
    let role = role().unwrap();
    let (part, name) = role.split_once(' ').unwrap();
    if part == "produce" {
        let mut producer = FramedTransportProducer::<Records>::create(name, DEPTH).unwrap();
        say("READY");
        producer.discover_consumers(std::time::Duration::from_secs(30));
        producer.publish(b"the last words", 0).unwrap();
        wait_to_be_killed();
    }
    let wait = MyelonWaitStrategy::Adaptive;
    let _consumer = FramedTransportConsumer::<Records>::attach_with_consumer_id(name, DEPTH, "worker", wait).unwrap();
    say("READY");
    wait_to_be_killed();
}

pub(crate) fn victim(part: &str, name: &str) -> Victim {
    let mut victim = Respawn::test(test_name!(victim_at_the_other_end)).role(format!("{part} {name}")).spawn();
    victim.wait_line("READY");
    victim
}

#[test]
fn a_receiver_is_told_that_the_producer_died_after_it_has_received_everything() {
    in_either_runtime("a receiver whose producer dies", |runtime| {
        let names = ShmGuard::new();
        let mut victim = victim("produce", &names.name("s"));
        runtime.block_on(async {
            let wait = MyelonWaitStrategy::Adaptive;
            let consumer = FramedTransportConsumer::<Records>::attach(names.name("s"), DEPTH, wait).unwrap();
            let mut consumer = AsyncConsumer::new(consumer).unwrap();
            assert_eq!(consumer.recv().await.unwrap().1, b"the last words");
            let mut wait = std::pin::pin!(consumer.recv());
            let is_waiting =
                std::future::poll_fn(|context| std::task::Poll::Ready(wait.as_mut().poll(context).is_pending()));
            assert!(is_waiting.await);
            victim.kill_and_reap();
            let dead = Instant::now();
            let error = wait.await.unwrap_err();
            eprintln!("told {:?} after the producer was reaped", dead.elapsed());
            assert!(matches!(error, TransportError::Consume(ConsumeError::ProducerDied { .. })), "{error}");
        });
    });
}

#[test]
fn a_sender_is_told_that_the_consumer_died_for_which_the_ring_is_full() {
    in_either_runtime("a sender whose consumer dies", |runtime| {
        let names = ShmGuard::new();
        let mut producer =
            AsyncProducer::new(FramedTransportProducer::<Records>::create(names.name("s"), DEPTH).unwrap());
        let mut victim = victim("consume", &names.name("s"));
        runtime.block_on(async {
            while producer.try_publish(b"more", 0).is_ok() {}
            let mut wait = std::pin::pin!(producer.publish(b"too much", 0));
            let still = tokio::time::timeout(std::time::Duration::from_millis(30), wait.as_mut()).await;
            assert!(still.is_err(), "it waits for a consumer that lives: {still:?}");
            victim.kill_and_reap();
            let dead = Instant::now();
            let error = wait.await.unwrap_err();
            eprintln!("told {:?} after the consumer was reaped", dead.elapsed());
            let TransportError::Publish(PublishError::ConsumerDied { id, .. }) = error else { panic!("{error}") };
            assert_eq!(id, "worker");
        });
    });
}
