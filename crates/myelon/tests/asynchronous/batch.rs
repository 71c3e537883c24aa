//! Batches that are awaited.

use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
use myelon::prelude::*;
use std::time::Duration;
use testkit::watchdog::Watchdog;

/// Several laps of the ring.
const MESSAGES: u64 = 500;

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "the test");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

#[test]
fn a_batch_that_is_larger_than_its_ring_waits_for_room_and_arrives_in_order() {
    block_on(async {
        let place = Place::heap();
        let mut producer = AsyncProducer::new(TransportProducer::<Records>::create(&place, 4096).unwrap());
        let mut consumer = AsyncConsumer::new(TransportConsumer::join(&place, "w").unwrap()).unwrap();
        let messages: Vec<_> = (0..MESSAGES).map(|number| [number.to_le_bytes(); 9].concat()).collect();
        let sending = async {
            let sent = producer.publish_batch(messages.iter().map(Vec::as_slice), 1).await.unwrap();
            assert_eq!((sent.count as u64, sent.last_sequence), (MESSAGES, Some(MESSAGES as i64 - 1)));
            drop(producer);
        };
        let receiving = async {
            for expected in &messages {
                let (_, bytes) = consumer.recv().await.unwrap();
                assert_eq!(&bytes, expected);
            }
        };
        tokio::join!(sending, receiving);
    });
}
