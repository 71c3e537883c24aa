//! Futures that are dropped before they are ready have done nothing.

use crate::stage::{awaited, ends, in_either_runtime, within};
use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
use myelon::transport::{AlignedFixedFrame, Format, Records};
use std::time::Duration;

/// Receives with futures that are dropped all the time, while a thread sends through a ring that is sometimes empty and
/// sometimes full.
fn receive_with_drops<F: Format>(depth: usize) {
    const MESSAGES: u64 = 2_000;
    in_either_runtime("receiving with futures that are dropped", |runtime| {
        let (mut producer, consumer) = ends::<F>(depth);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..MESSAGES {
                    let message = number.to_le_bytes().repeat(1 + number as usize % 40);
                    let sequence = producer.publish(&message, 0).unwrap();
                    if number % 50 == 0 {
                        // A message is acknowledged once it was seen, and not before; then the ring is empty for a
                        // while.
                        let deadline = std::time::Instant::now() + Duration::from_secs(50);
                        producer.wait_until_consumed(sequence, deadline).unwrap();
                        std::thread::sleep(Duration::from_micros(number % 500));
                    }
                }
            });
            runtime.block_on(async {
                let mut consumer = AsyncConsumer::new(consumer).unwrap();
                let mut dropped = 0;
                let (mut next, mut round) = (0, 0_u32);
                while next < MESSAGES {
                    round += 1;
                    let polls = round % 3;
                    let acknowledged = consumer.get_ref().current_sequence();
                    let seen = match round % 5 {
                        0 => within(polls, consumer.recv()).await.map(|owned| owned.unwrap().1),
                        1 => within(polls, consumer.next()).await.map(|message| message.unwrap().to_vec()),
                        2 => within(polls, consumer.ready()).await.and_then(|ready| {
                            ready.unwrap();
                            assert_eq!(consumer.get_ref().current_sequence(), acknowledged);
                            None
                        }),
                        // A message that was received and is given back comes again.
                        3 => within(polls, consumer.next()).await.and_then(|message| {
                            message.unwrap().release_unread();
                            None
                        }),
                        _ => tokio::select! {
                            biased;
                            () = tokio::task::yield_now() => None,
                            owned = consumer.recv() => Some(owned.unwrap().1),
                        },
                    };
                    match seen {
                        Some(message) => {
                            assert_eq!(message, next.to_le_bytes().repeat(1 + next as usize % 40));
                            next += 1;
                        }
                        None => {
                            assert_eq!(consumer.get_ref().current_sequence(), acknowledged, "acknowledged unseen");
                            dropped += 1;
                            tokio::task::yield_now().await;
                        }
                    }
                }
                assert!(dropped > MESSAGES / 10, "{dropped} futures were dropped");
            });
        });
    });
}

#[test]
fn no_record_is_lost_or_acknowledged_unseen_wherever_receiving_is_dropped() {
    receive_with_drops::<Records>(4096);
}

#[test]
fn no_frame_is_lost_or_acknowledged_unseen_wherever_receiving_is_dropped() {
    receive_with_drops::<AlignedFixedFrame<112>>(16);
}

#[test]
fn a_wait_that_times_out_leaves_the_next_message_there() {
    in_either_runtime("a receive that times out", |runtime| {
        let (mut producer, mut consumer) = awaited::<Records>(runtime, 4096);
        runtime.block_on(async {
            for number in 0..20_u8 {
                tokio::time::timeout(Duration::from_millis(2), consumer.recv()).await.unwrap_err();
                producer.publish(&[number], 0).await.unwrap();
                assert_eq!(consumer.recv().await.unwrap().1, [number]);
            }
        });
    });
}

#[test]
fn a_publish_that_is_dropped_has_sent_nothing_wherever_that_is() {
    in_either_runtime("publishing with futures that are dropped", |runtime| {
        let (producer, mut consumer) = ends::<Records>(1024);
        let mut producer = AsyncProducer::new(producer);
        runtime.block_on(async {
            let mut filled = 0_u32;
            while within(1, producer.publish(&filled.to_le_bytes(), 0)).await.is_some_and(|sent| sent.is_ok()) {
                filled += 1;
            }
            let last = producer.get_ref().last_published_sequence();
            // Drops it in every turn of the runtime, and in the sleeps.
            for polls in 0..24 {
                assert!(within(polls, producer.publish(b"never sent", 1)).await.is_none());
                let limit = Duration::from_millis(u64::from(polls) % 5);
                tokio::time::timeout(limit, producer.publish(b"never sent", 1)).await.unwrap_err();
                assert_eq!(producer.get_ref().last_published_sequence(), last);
            }
            for number in 0..filled {
                let (kind, bytes) = consumer.receive_owned(myelon::Patience::Now).unwrap().expect("it was sent");
                assert_eq!((kind, bytes), (0, number.to_le_bytes().to_vec()));
            }
            assert!(consumer.receive_owned(myelon::Patience::Now).unwrap().is_none());
            producer.publish(b"sent", 2).await.unwrap();
            assert_eq!(consumer.receive_owned(myelon::Patience::Now).unwrap(), Some((2, b"sent".to_vec())));
        });
    });
}
