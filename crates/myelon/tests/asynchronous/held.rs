//! Messages that are held across awaits and in other tasks.

use crate::stage::{awaited, in_either_runtime, within};
use futures_core::Stream;
use myelon::asynchronous::{AsyncConsumer, AsyncMessages};
use myelon::transport::{AlignedFixedFrame, Format, FramedTransportConsumer, Records, TransportBuilder};
use myelon::{Patience, WaitStrategy};
use std::future::{Future, pending, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::Poll;

/// Messages that one consumer can hold.
const BOUND: u8 = 64;

/// Whether `future` is not ready at its first poll.
async fn has_to_wait(mut future: Pin<&mut impl Future>) -> bool {
    poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
}

async fn next<F: Format>(
    messages: &mut AsyncMessages<'_, FramedTransportConsumer<F>>,
) -> Option<<AsyncMessages<'static, FramedTransportConsumer<F>> as Stream>::Item> {
    poll_fn(|context| Pin::new(&mut *messages).poll_next(context)).await
}

fn are_answered_out_of_order<F: Format>(depth: usize) {
    in_either_runtime("tasks that hold messages", |runtime| {
        let (mut producer, mut consumer) = awaited::<F>(runtime, depth);
        runtime.block_on(async {
            let (turn, mut tasks) = (Arc::new(AtomicU8::new(u8::MAX)), vec![]);
            for kind in 0..4 {
                producer.publish(&[kind; 50], kind).await.unwrap();
                let (message, turn) = (consumer.next_held().await.unwrap(), Arc::clone(&turn));
                tasks.push(tokio::spawn(async move {
                    while turn.load(Ordering::Relaxed) != kind {
                        tokio::task::yield_now().await;
                    }
                    assert_eq!(&message[..], [kind; 50]);
                    message.release();
                }));
            }
            for number in [2, 3, 1, 0] {
                assert!(!producer.get_ref().is_consumed(0), "the oldest is held");
                turn.store(number, Ordering::Relaxed);
                (&mut tasks[usize::from(number)]).await.unwrap();
            }
            assert!(producer.get_ref().is_consumed(3));
        });
    });
}

#[test]
fn tasks_answer_messages_out_of_order() {
    are_answered_out_of_order::<Records>(1 << 16);
    are_answered_out_of_order::<AlignedFixedFrame<96>>(128);
}

fn is_woken_by_the_release_of_the_oldest_alone<F: Format>(depth: usize) {
    in_either_runtime("a consumer that holds as much as it can", |runtime| {
        let (mut producer, mut consumer) = awaited::<F>(runtime, depth);
        runtime.block_on(async {
            for kind in 0..=BOUND {
                producer.publish(&[kind], kind).await.unwrap();
            }
            let mut held = vec![];
            for kind in 0..BOUND {
                held.push(consumer.next_held().await.unwrap());
                assert_eq!(held[kind as usize].kind(), kind);
            }
            let oldest = held.remove(0);
            {
                let mut next = pin!(consumer.next_held());
                assert!(has_to_wait(next.as_mut()).await, "that is the bound");
                held.remove(40).release();
                assert!(has_to_wait(next.as_mut()).await, "another than the oldest makes no room");
                let releasing = std::thread::spawn(move || oldest.release());
                let message = next.await.unwrap();
                releasing.join().unwrap();
                assert_eq!(message.kind(), BOUND);
                message.release();
            }
            // The same for every other way to receive.
            producer.publish(&[100], 100).await.unwrap();
            let oldest = held.remove(0);
            let mut received = pin!(consumer.recv());
            assert!(has_to_wait(received.as_mut()).await);
            let releasing = std::thread::spawn(move || oldest.release());
            assert_eq!(received.await.unwrap().0, 100);
            releasing.join().unwrap();
        });
    });
}

#[test]
fn at_the_bound_the_release_of_the_oldest_ends_the_wait_and_the_release_of_others_does_not() {
    is_woken_by_the_release_of_the_oldest_alone::<Records>(1 << 16);
    is_woken_by_the_release_of_the_oldest_alone::<AlignedFixedFrame<96>>(128);
}

#[test]
fn who_waits_is_woken_by_a_message_that_comes_back() {
    in_either_runtime("a message that comes back", |runtime| {
        let (mut producer, mut consumer) = awaited::<Records>(runtime, 1 << 16);
        runtime.block_on(async {
            producer.publish(b"a step", 1).await.unwrap();
            let message = consumer.next_held().await.unwrap();
            let mut next = pin!(consumer.next_held());
            assert!(has_to_wait(next.as_mut()).await);
            let giving_back = std::thread::spawn(move || drop(message));
            let message = next.await.unwrap();
            giving_back.join().unwrap();
            assert!(message.is_redelivered());
            message.release();
        });
    });
}

#[test]
fn a_task_that_is_cancelled_gives_its_message_back() {
    in_either_runtime("a task that is cancelled", |runtime| {
        let (mut producer, mut consumer) = awaited::<Records>(runtime, 1 << 16);
        runtime.block_on(async {
            producer.publish(b"a step", 1).await.unwrap();
            producer.publish(b"the next", 2).await.unwrap();
            let message = consumer.next_held().await.unwrap();
            let task = tokio::spawn(async move {
                let _message = message;
                pending::<()>().await;
            });
            task.abort();
            assert!(task.await.unwrap_err().is_cancelled());
            let message = consumer.next().await.unwrap();
            assert_eq!((message.kind(), message.is_redelivered()), (1, true));
            drop(message);
            let message = consumer.next().await.unwrap();
            assert_eq!((message.kind(), message.is_redelivered()), (2, false));
        });
    });
}

#[test]
fn a_loop_over_messages_sees_each_once_and_ends_where_the_sender_closes() {
    in_either_runtime("a loop over messages", |runtime| {
        let (mut producer, mut consumer) = awaited::<Records>(runtime, 1 << 16);
        runtime.block_on(async {
            for kind in 0..3 {
                producer.publish(&[kind], kind).await.unwrap();
            }
            drop(producer);
            let (mut seen, mut kept) = (vec![], vec![]);
            let mut messages = consumer.messages();
            while let Some(message) = next(&mut messages).await {
                let message = message.unwrap();
                seen.push(message.kind());
                if message.kind() == 1 {
                    kept.push(message.hold());
                }
            }
            assert_eq!(seen, [0, 1, 2]);
            assert!(next(&mut messages).await.is_none());
            assert_eq!(consumer.get_ref().current_sequence(), 0, "the second is held");
            kept.pop().unwrap().release();
            assert_eq!(consumer.get_ref().current_sequence(), 2);
        });
    });
}

#[test]
fn at_the_bound_a_call_that_does_not_wait_says_so_and_one_that_is_awaited_waits() {
    in_either_runtime("a consumer at the bound", |runtime| {
        let (mut producer, mut consumer) = awaited::<Records>(runtime, 1 << 16);
        runtime.block_on(async {
            let mut held = vec![];
            for kind in 0..BOUND {
                producer.publish(&[kind], kind).await.unwrap();
                held.push(consumer.next_held().await.unwrap());
            }
            producer.publish(b"one more", BOUND).await.unwrap();
            assert!(has_to_wait(pin!(consumer.next())).await);
            assert!(has_to_wait(pin!(consumer.ready())).await);
            let error = consumer.try_next().map(drop).unwrap_err();
            assert!(error.is_held_limit() && error.to_string().contains("(it holds 64). Release"), "{error}");
            let oldest = held.remove(0);
            let releasing = std::thread::spawn(move || oldest.release());
            assert_eq!(consumer.next().await.unwrap().kind(), BOUND);
            releasing.join().unwrap();
        });
    });
}

#[cfg(feature = "bincode")]
#[myelon::message]
struct Tick(u64);

#[cfg(feature = "bincode")]
#[test]
fn a_spawned_task_keeps_a_typed_message_over_an_await_and_sends_a_held_one_away() {
    use myelon::typed_transport::{TypedConsumer, TypedProducer};
    type Failure = Box<dyn std::error::Error + Send + Sync>;
    in_either_runtime("a spawned task", |runtime| {
        let place = myelon::Place::heap();
        let mut producer = TypedProducer::<Tick>::create_default(&place).unwrap();
        runtime.block_on(async {
            let mut consumer = AsyncConsumer::new(TypedConsumer::<Tick>::join(&place, "worker").unwrap()).unwrap();
            for number in 0..4 {
                producer.publish(&Tick(number), 0).unwrap();
            }
            drop(producer);
            let (away, arrived) = std::sync::mpsc::channel();
            let reading = tokio::spawn(async move {
                let mut sum = 0;
                away.send(consumer.next_held().await?)?;
                while let Some(message) = consumer.next_or_end().await? {
                    sum += message.decode()?.0;
                    tokio::task::yield_now().await;
                    drop(message);
                }
                Ok::<_, Failure>(sum)
            });
            assert_eq!(reading.await.unwrap().unwrap(), 1 + 2 + 3);
            let held = arrived.recv().unwrap();
            assert_eq!(held.decode().unwrap().0, 0);
            held.release();
        });
    });
}

#[test]
fn a_stream_that_is_dropped_in_the_middle_loses_nothing_that_it_has_handed_out_or_not() {
    in_either_runtime("a stream that is dropped", |runtime| {
        let place = myelon::Place::heap();
        let builder =
            || TransportBuilder::<Records>::new(place.clone(), 1 << 16).with_wait_strategy(WaitStrategy::Block);
        let attach = || builder().with_consumer_id("worker").build_consumer();
        let (mut producer, consumer) = (builder().build_producer().unwrap(), attach().unwrap());
        runtime.block_on(async {
            let mut consumer = AsyncConsumer::new(consumer).unwrap();
            for kind in 0..6 {
                producer.publish(&[kind], kind).unwrap();
            }
            let (first, second, third) = {
                let mut messages = consumer.messages();
                drop(next(&mut messages).await.unwrap().unwrap());
                let first = next(&mut messages).await.unwrap().unwrap().hold();
                let second = next(&mut messages).await.unwrap().unwrap();
                (first, second, next(&mut messages).await.unwrap().unwrap().hold())
            };
            // The message that was not handed out is next, and messages that are given back come before the rest.
            let fourth = consumer.next_held().await.unwrap();
            assert_eq!((first.kind(), second.kind(), third.kind(), fourth.kind()), (1, 2, 3, 4));
            std::thread::spawn(move || drop(third)).join().unwrap();
            {
                let mut messages = consumer.messages();
                let third = next(&mut messages).await.unwrap().unwrap();
                assert_eq!((third.kind(), third.is_redelivered()), (3, true));
                assert_eq!(next(&mut messages).await.unwrap().unwrap().kind(), 5);
                // The future is dropped while it waits.
                assert!(within(1, next(&mut messages)).await.is_none());
                drop(third);
                producer.publish(&[6], 6).unwrap();
            }
            let sixth = consumer.next_held().await.unwrap();
            assert_eq!((sixth.kind(), sixth.is_redelivered()), (6, false));
            // The consumer is dropped as well, while other tasks hold four of its messages.
            drop(consumer);
            let in_use = attach().map(drop).unwrap_err().to_string();
            assert!(in_use.contains("consumer `worker` is in use"), "{in_use}");
            second.hold().release();
            drop(sixth);
            std::thread::spawn(move || (fourth.release(), drop(first))).join().unwrap();
            let mut back = attach().unwrap();
            for kind in [1, 6] {
                let message = back.next(Patience::Now).unwrap().unwrap();
                assert_eq!((message.kind(), message.is_redelivered()), (kind, true));
            }
            assert!(back.next(Patience::Now).unwrap().is_none());
        });
    });
}
