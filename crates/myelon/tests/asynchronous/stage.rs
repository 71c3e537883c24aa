//! Runtimes, and the two ends of one transport.

use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
use myelon::transport::{Format, FramedTransportConsumer, FramedTransportProducer, TransportBuilder};
use myelon::{Place, WaitStrategy};
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use testkit::watchdog::Watchdog;
use tokio::runtime::{Builder, Runtime};

/// Runs `test` in either kind of runtime, under a watchdog.
pub(crate) fn in_either_runtime(what: &str, test: impl Fn(&Runtime)) {
    for runtime in [Builder::new_current_thread(), Builder::new_multi_thread()].iter_mut() {
        let _watchdog = Watchdog::new(Duration::from_secs(60), what);
        test(&runtime.enable_all().build().unwrap());
    }
}

/// The result of `future` within `polls` polls; it is dropped after them if it is not ready. So growing numbers drop it
/// at each of its await points, in their order.
pub(crate) async fn within<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        while left > 0 {
            left -= 1;
            if let Poll::Ready(answer) = future.as_mut().poll(context) {
                return Poll::Ready(Some(answer));
            }
        }
        Poll::Ready(None)
    })
    .await
}

/// The ends of a transport on the heap, whose consumer is called "worker".
pub(crate) fn ends<F: Format>(depth: usize) -> (FramedTransportProducer<F>, FramedTransportConsumer<F>) {
    let place = Place::heap();
    let builder = || TransportBuilder::<F>::new(place.clone(), depth).with_wait_strategy(WaitStrategy::Block);
    let producer = builder().build_producer().unwrap();
    (producer, builder().with_consumer_id("worker").build_consumer().unwrap())
}

/// The same ends, awaited.
pub(crate) fn awaited<F: Format>(
    runtime: &Runtime,
    depth: usize,
) -> (AsyncProducer<FramedTransportProducer<F>>, AsyncConsumer<FramedTransportConsumer<F>>) {
    let _entered = runtime.enter();
    let (producer, consumer) = ends(depth);
    (AsyncProducer::new(producer), AsyncConsumer::new(consumer).unwrap())
}
