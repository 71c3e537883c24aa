//! What the tests need: formats, and a place of every kind.

use myelon::Place;
use myelon::transport::{
    AlignedFixedFrame, FixedFrame, Format, FramedTransportConsumer, FramedTransportProducer, Records, TransportBuilder,
};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use testkit::names::{ShmGuard, unique};
use testkit::watchdog::Watchdog;

/// The limit for one test on a busy machine. A test normally takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Small frames with alignment 1.
pub(crate) type Small = FixedFrame<40>;

/// Frames whose payload is aligned to 16.
pub(crate) type Aligned = AlignedFixedFrame<96>;

/// A format under test, with a depth that gives laps soon.
pub(crate) trait Subject: Format {
    const DEPTH: usize;
}

impl<const BYTES: usize> Subject for FixedFrame<BYTES> {
    const DEPTH: usize = DEPTH;
}

impl<const BYTES: usize> Subject for AlignedFixedFrame<BYTES> {
    const DEPTH: usize = DEPTH;
}

impl Subject for Records {
    const DEPTH: usize = 1024;
}

/// Slots of the rings of frames.
pub(crate) const DEPTH: usize = 8;

pub(crate) fn watchdog() -> Watchdog {
    Watchdog::new(PATIENCE, "the test")
}

pub(crate) fn soon() -> Instant {
    Instant::now() + Duration::from_millis(30)
}

/// Runs `claim` over a place of every kind; nothing of the place may be left.
pub(crate) fn everywhere(claim: impl Fn(Place)) {
    let _watchdog = watchdog();
    let shm = ShmGuard::new();
    let dir = TempDir::new();
    for place in [Place::from(shm.name("a")), Place::from(dir.0.join("ring")), Place::heap(), Place::memfd("it")] {
        claim(place);
    }
    shm.assert_nothing_left();
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 0, "left behind");
}

/// A directory of its own, removed when dropped.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(unique("transport"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A failing test must show its own message.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Runs a claim, a function that is generic over the format, for every format over every kind of place.
macro_rules! in_every_format {
    ($claim:ident) => {{
        $crate::stage::everywhere($claim::<$crate::stage::Small>);
        $crate::stage::everywhere($claim::<$crate::stage::Aligned>);
        $crate::stage::everywhere($claim::<myelon::transport::Records>);
    }};
}
pub(crate) use in_every_format;

/// Both ends of a transport.
pub(crate) fn pair<F: Subject>(place: &Place) -> (FramedTransportProducer<F>, FramedTransportConsumer<F>) {
    let producer = TransportBuilder::new(place, F::DEPTH).build_producer().unwrap();
    let consumer = TransportBuilder::new(place, F::DEPTH).with_consumer_id("w").build_consumer().unwrap();
    (producer, consumer)
}

/// `len` bytes that no other message of this test has.
pub(crate) fn payload(len: usize, seed: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 31 + seed * 97 + (i >> 8)) as u8).collect()
}
