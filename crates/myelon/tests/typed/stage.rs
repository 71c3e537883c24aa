//! Two ends of one stream.

use myelon::codec::Codec;
use myelon::transport::{AlignedFixedFrame, Format, MyelonWaitStrategy};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

/// A frame that holds a small message; a scheduler's step takes seven of them.
pub type Frame = AlignedFixedFrame<4080>;

/// Slots of a ring of frames.
pub const DEPTH: usize = 16;

/// Bytes of a ring of records.
pub const BYTES: usize = 1 << 18;

/// A stream in shared memory. A test that destructures it must bind `guards` first: what is bound first is dropped
/// last.
pub struct Stream<T: Codec, F: Format> {
    pub guards: Guards,
    pub producer: TypedProducer<T, F>,
    pub consumer: TypedConsumer<T, F>,
}

/// Fail the test if it hangs or leaves segments.
pub struct Guards {
    pub names: ShmGuard,
    _watchdog: Watchdog,
}

impl<T: Codec, F: Format> Stream<T, F> {
    /// A stream of frames.
    pub fn new() -> Self {
        Self::of_depth(DEPTH)
    }

    pub fn of_depth(depth: usize) -> Self {
        let watchdog = Watchdog::new(Duration::from_secs(60), "a typed stream");
        let names = ShmGuard::new();
        let producer = TypedProducer::create_with_consumers(names.name("s"), depth, 4).unwrap();
        let wait = MyelonWaitStrategy::Adaptive;
        let consumer = TypedConsumer::attach_with_consumer_id(names.name("s"), depth, "worker", wait).unwrap();
        Self { guards: Guards { names, _watchdog: watchdog }, producer, consumer }
    }
}
