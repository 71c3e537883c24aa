//! Two ends of one stream.

use myelon::codec::Codec;
use myelon::transport::{AlignedFixedFrame, Format, MyelonWaitStrategy};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

/// A frame that holds a small message, and cuts a scheduler's step into seven.
pub type Frame = AlignedFixedFrame<4080>;

/// Slots of every ring.
pub const DEPTH: usize = 16;

/// A stream in shared memory, which fails the test when it hangs or leaves something behind.
pub struct Stream<T: Codec, F: Format> {
    // The ends go first: the guard looks what they leave.
    pub producer: TypedProducer<T, F>,
    pub consumer: TypedConsumer<T, F>,
    pub names: ShmGuard,
    _watchdog: Watchdog,
}

impl<T: Codec, F: Format> Stream<T, F> {
    pub fn new() -> Self {
        let watchdog = Watchdog::new(Duration::from_secs(60), "a typed stream");
        let names = ShmGuard::new();
        let producer = TypedProducer::create_with_consumers(names.name("s"), DEPTH, 4).unwrap();
        let wait = MyelonWaitStrategy::Adaptive;
        let consumer = TypedConsumer::attach_with_consumer_id(names.name("s"), DEPTH, "worker", wait).unwrap();
        Self { producer, consumer, names, _watchdog: watchdog }
    }
}
