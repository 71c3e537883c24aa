//! What is sent arrives, and other tasks get their turn.

use crate::stage::{awaited, ends, in_either_runtime};
use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
use myelon::transport::{AlignedFixedFrame, FixedFrame, Format, Records};
use myelon::transport::{FramedTransportConsumer, FramedTransportProducer, TransportBuilder, TransportError};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use myelon::{ConsumeError, Place};
use serde::{Deserialize, Serialize};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Step(u64, Vec<u8>);

myelon::bincode_message!(Step);

/// Message `number`: of a length that some formats have to split.
fn message(number: u64) -> Vec<u8> {
    let mut bytes = number.to_le_bytes().to_vec();
    bytes.resize(8 + (number * 37 % 300) as usize, number as u8);
    bytes
}

fn exchange<F: Format>(depth: usize) {
    const MESSAGES: u64 = 3_000;
    in_either_runtime("an exchange", |runtime| {
        let (mut producer, mut consumer) = awaited::<F>(runtime, depth);
        runtime.block_on(async {
            let sender = tokio::spawn(async move {
                for number in 0..MESSAGES {
                    producer.publish(&message(number), number as u8).await.unwrap();
                }
            });
            for number in 0..MESSAGES {
                if number % 2 == 0 {
                    assert_eq!(consumer.recv().await.unwrap(), (number as u8, message(number)));
                } else {
                    assert_eq!(&consumer.next().await.unwrap()[..], message(number));
                }
            }
            sender.await.unwrap();
            let end = consumer.recv().await.unwrap_err();
            assert!(matches!(end, TransportError::Consume(ConsumeError::Closed)), "{end}");
        });
    });
}

#[test]
fn records_arrive_whole_and_in_order_through_a_ring_that_is_often_full() {
    exchange::<Records>(4096);
}

#[test]
fn frames_arrive_whole_and_in_order_through_a_ring_that_is_often_full() {
    exchange::<FixedFrame<100>>(8);
    exchange::<AlignedFixedFrame<112>>(8);
}

#[test]
fn as_a_stream_typed_messages_end_with_the_ring() {
    in_either_runtime("a stream", |runtime| {
        let builder = TransportBuilder::<Records>::new(Place::heap(), 4096);
        let mut producer = AsyncProducer::new(TypedProducer::<Step>::build(builder.clone()).unwrap());
        let consumer = TypedConsumer::<Step>::build(builder).unwrap();
        runtime.block_on(async {
            let mut consumer = AsyncConsumer::new(consumer).unwrap();
            let sender = tokio::spawn(async move {
                for number in 0..500 {
                    producer.publish(&Step(number, message(number)), 3).await.unwrap();
                }
            });
            let mut received = 0;
            while let Some(item) = next_item(&mut consumer).await {
                assert_eq!(item.unwrap(), (Step(received, message(received)), 3));
                received += 1;
            }
            assert_eq!(received, 500);
            assert!(next_item(&mut consumer).await.is_none(), "and it stays at its end");
            sender.await.unwrap();
        });
    });
}

async fn next_item<S: futures_core::Stream + Unpin>(stream: &mut S) -> Option<S::Item> {
    poll_fn(|context| Pin::new(&mut *stream).poll_next(context)).await
}

#[test]
fn while_one_task_waits_its_thread_serves_others() {
    in_either_runtime("two tasks of one thread", |runtime| {
        let (mut there, mut hears) = awaited::<Records>(runtime, 4096);
        let (mut back, mut hears_back) = awaited::<Records>(runtime, 4096);
        // Neither can go on without the other: if one of them blocked the thread, both would hang.
        runtime.block_on(async {
            let echo = async move {
                for number in 0..300_u64 {
                    assert_eq!(hears.recv().await.unwrap().1, message(number));
                    back.publish(&message(number + 1), 0).await.unwrap();
                }
            };
            let ask = async move {
                for number in 0..300_u64 {
                    there.publish(&message(number), 0).await.unwrap();
                    assert_eq!(hears_back.recv().await.unwrap().1, message(number + 1));
                }
            };
            tokio::join!(echo, ask);
        });
    });
}

#[test]
fn a_ring_that_is_never_empty_lets_others_have_their_turn() {
    in_either_runtime("a task beside a busy one", |runtime| {
        let (mut producer, consumer) = ends::<Records>(1 << 16);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let _ = producer.try_publish(b"again", 0);
                }
            });
            runtime.block_on(async {
                let mut consumer = AsyncConsumer::new(consumer).unwrap();
                let receive = async {
                    loop {
                        drop(consumer.next().await.unwrap());
                    }
                };
                let other = async {
                    for _ in 0..100 {
                        tokio::task::yield_now().await;
                    }
                };
                // Both run in one task of one thread, so the second runs only when the first yields.
                tokio::select! {
                    () = receive => {}
                    () = other => is_over.store(true, Ordering::Relaxed),
                }
            });
        });
    });
}

#[test]
fn its_futures_may_move_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut producer, mut consumer): (
        AsyncProducer<FramedTransportProducer<Records>>,
        AsyncConsumer<FramedTransportConsumer<Records>>,
    ) = awaited(&runtime, 4096);
    is_send(&producer.publish(b"", 0));
    is_send(&consumer.next());
    is_send(&consumer.recv());
    is_send(&consumer.ready());
}
