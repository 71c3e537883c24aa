//! More streams than one thread can wait for.

use crate::stage::{awaited, in_either_runtime};
use myelon::transport::Records;
use std::future::{Future, poll_fn};
use std::task::Poll;

#[test]
fn of_300_streams_each_is_woken_by_its_own_message() {
    in_either_runtime("300 streams", |runtime| {
        let (mut producers, mut consumers): (Vec<_>, Vec<_>) =
            (0..300).map(|_| awaited::<Records>(runtime, 4096)).unzip();
        runtime.block_on(async {
            for round in 0..300 {
                let ring = round * 77 % 300;
                let publisher = async {
                    tokio::task::yield_now().await;
                    producers[ring].publish(b"a message", round as u8).await.unwrap();
                };
                let first = async {
                    let mut waits: Vec<_> = consumers.iter_mut().map(|consumer| Box::pin(consumer.recv())).collect();
                    poll_fn(|context| {
                        for (index, wait) in waits.iter_mut().enumerate() {
                            if let Poll::Ready(message) = wait.as_mut().poll(context) {
                                return Poll::Ready((index, message));
                            }
                        }
                        Poll::Pending
                    })
                    .await
                };
                let ((index, message), ()) = tokio::join!(first, publisher);
                assert_eq!((index, message.unwrap().0), (ring, round as u8));
            }
        });
    });
}
