//! The simplest loop, `while let Some(message) = ..?`, ends without an error if the sender closes, and with one if it
//! dies. See also `death`.

use crate::death::victim;
use crate::stage::{awaited, in_either_runtime};
use futures_core::Stream;
use myelon::asynchronous::AsyncConsumer;
use myelon::prelude::*;
use std::future::poll_fn;
use std::pin::Pin;
use testkit::names::ShmGuard;

#[test]
fn when_the_sender_closes_each_plain_loop_ends_after_each_message_was_seen_once() {
    in_either_runtime("plain loops", |runtime| {
        for way in ["next", "recv", "stream"] {
            let (mut producer, mut consumer) = awaited::<Records>(runtime, 4096);
            let seen = runtime.block_on(async {
                let reader = async {
                    let mut seen = vec![];
                    match way {
                        "next" => {
                            while let Some(message) = consumer.next_or_end().await? {
                                seen.push(message.kind());
                            }
                        }
                        "recv" => {
                            while let Some((kind, _)) = consumer.recv_or_end().await? {
                                seen.push(kind);
                            }
                        }
                        _ => {
                            while let Some(message) =
                                poll_fn(|context| Pin::new(&mut consumer).poll_next(context)).await
                            {
                                seen.push(message?.0);
                            }
                        }
                    }
                    Ok::<_, TransportError>(seen)
                };
                let writer = async move {
                    for kind in 0..100 {
                        producer.publish(&[kind; 500], kind).await.unwrap();
                    }
                    // This closes the stream.
                    drop(producer);
                };
                tokio::join!(reader, writer).0
            });
            assert_eq!(seen.unwrap(), Vec::from_iter(0..100), "{way}");
        }
    });
}

#[test]
fn when_the_sender_dies_the_plain_loop_ends_with_its_death() {
    in_either_runtime("a plain loop", |runtime| {
        let names = ShmGuard::new();
        let mut victim = victim("produce", &names.name("s"));
        runtime.block_on(async {
            let consumer: FramedTransportConsumer = TransportBuilder::new(names.name("s"), 0).build_consumer().unwrap();
            let mut consumer = AsyncConsumer::new(consumer).unwrap();
            let mut seen = 0;
            let error = loop {
                match consumer.next_or_end().await {
                    Ok(message) => drop(message.expect("it was not closed")),
                    Err(error) => break error,
                }
                seen += 1;
                victim.kill_and_reap();
            };
            assert!(error.is_peer_gone() && error.is_end() && !error.is_closed(), "{error}");
            assert_eq!(seen, 1);
        });
    });
}
