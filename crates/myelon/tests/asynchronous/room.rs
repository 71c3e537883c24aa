//! A typed message that awaits room waits for its own room only, is encoded once, and is refused if it can never fit.

use crate::counted::{Counted, encodings};
use crate::stage::in_either_runtime;
use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
use myelon::codec::Codec;
use myelon::transport::{AlignedFixedFrame, Format, MyelonWaitStrategy, Records, TransportError};
use myelon::typed_transport::{TypedConsumer, TypedProducer, TypedPublishError};
use myelon::{Patience, Place};
use std::time::Duration;

#[derive(serde::Serialize, serde::Deserialize)]
struct Plain(Vec<u8>);

myelon::bincode_message!(Plain);

pub(crate) fn ends<T: Codec, F: Format>(depth: usize) -> (AsyncProducer<TypedProducer<T, F>>, TypedConsumer<T, F>) {
    let place = Place::heap();
    let producer = TypedProducer::<T, F>::create(&place, depth).unwrap();
    let consumer = TypedConsumer::attach_with_consumer_id(&place, 0, "worker", MyelonWaitStrategy::Block).unwrap();
    (AsyncProducer::new(producer), consumer)
}

fn awaits_its_room<F: Format>(depth: usize, len: usize) {
    in_either_runtime("a message that awaits room", |runtime| {
        runtime.block_on(async {
            let (mut producer, mut consumer) = ends::<Counted, F>(depth);
            while producer.try_publish(&Counted(vec![1; len]), 0).is_ok() {}
            let sent = Counted(vec![2; len]);
            // Many more looks than any message may have encodings.
            let before = encodings();
            let waiting = tokio::time::timeout(Duration::from_millis(50), producer.publish(&sent, 7));
            waiting.await.expect_err("there is no room");
            assert_eq!(encodings() - before, 1, "for each look, or more");

            // The wait was given up, so nothing was sent; another message is not mistaken for it.
            drop(consumer.next(Patience::Now).unwrap().unwrap());
            let another = Counted(vec![3; len]);
            producer.publish(&another, 8).await.unwrap();
            while let Some((message, kind)) = consumer.receive_owned(Patience::Now).unwrap() {
                assert_ne!((message.0[0], kind), (2, 7), "a message that was given up was sent");
            }
        });
    });
}

#[test]
fn a_message_that_awaits_room_is_encoded_once() {
    awaits_its_room::<Records>(1 << 14, 3000);
    awaits_its_room::<AlignedFixedFrame<1008>>(8, 3000);
}

#[test]
fn a_message_that_can_never_fit_is_refused_at_once_and_not_awaited() {
    in_either_runtime("a message that never fits", |runtime| {
        runtime.block_on(async {
            let (mut producer, consumer) = ends::<Plain, Records>(1 << 14);
            let mut consumer = AsyncConsumer::new(consumer).unwrap();
            producer.publish(&Plain(vec![1; 100]), 0).await.unwrap();
            let refused = producer.publish(&Plain(vec![2; 1 << 20]), 0).await.unwrap_err();
            let TypedPublishError::Transport(TransportError::TooLarge { len_bytes, depth_wanted, .. }) = refused else {
                panic!("{refused:?}")
            };
            assert_eq!((len_bytes, depth_wanted), (8 + (1 << 20), Some(1 << 21)));
            assert_eq!(consumer.recv().await.unwrap().0.0, [1; 100]);
        });
    });
}
