//! What the tests have in common: an event, a place of every kind, and access to the words of a ring's file.

use disruptor_mp::segment::{Place, SegmentPlan};
use disruptor_mp::{
    SharedConsumer, SharedDisruptorBuilder, SharedProducer, SlotForm, attach_shared_consumer, event, plan,
};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

/// How long one test may take on a busy machine. It normally takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The event of most tests. `sequence` is the event's own number, so that reading it under another number is noticed.
#[event]
pub(crate) struct Step {
    pub(crate) sequence: u64,
    pub(crate) payload: [u64; 3],
}

pub(crate) fn step() -> Step {
    Step { sequence: 0, payload: [0; 3] }
}

/// Begins a producer.
pub(crate) fn ring(place: &Place, size: usize) -> SharedDisruptorBuilder<Step> {
    disruptor_mp::build_shared_single_producer::<Step>(place.clone(), size)
}

/// A consumer with the id `id`.
pub(crate) fn join(place: &Place, id: &str) -> SharedConsumer<Step> {
    attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(id).build_consumer().unwrap()
}

/// Publishes `count` events that contain their own numbers. Fails if it would have to wait.
pub(crate) fn publish<F: SlotForm>(producer: &mut SharedProducer<Step, F>, count: usize) {
    for _ in 0..count {
        let next = producer.last_published_sequence() + 1;
        assert_eq!(producer.try_publish(|slot| slot.sequence = next as u64), Ok(next));
    }
}

/// Publishes as long as there is room, and returns how many events that were.
pub(crate) fn fill<F: SlotForm>(producer: &mut SharedProducer<Step, F>) -> usize {
    let mut count = 0;
    loop {
        let next = producer.last_published_sequence() + 1;
        if producer.try_publish(|slot| slot.sequence = next as u64).is_err() {
            return count;
        }
        count += 1;
    }
}

/// Reads all published events; each must contain its own number. Returns these numbers.
pub(crate) fn drain<F: SlotForm>(consumer: &mut SharedConsumer<Step, F>) -> Vec<i64> {
    let mut seen = vec![];
    consumer.process_available(|event, sequence| {
        assert_eq!(event.sequence as i64, sequence, "an event under the number of another");
        seen.push(sequence);
    });
    seen
}

/// A moment from now.
pub(crate) fn in_ms(milliseconds: u64) -> Instant {
    Instant::now() + Duration::from_millis(milliseconds)
}

pub(crate) fn watchdog() -> Watchdog {
    Watchdog::new(PATIENCE, "the test")
}

/// Polls until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    testkit::watchdog::eventually(what, PATIENCE, condition).unwrap_or_else(|error| panic!("{error}"));
}

/// Runs `claim` over a place of every kind; nothing may be left of it.
pub(crate) fn everywhere(claim: impl Fn(Place)) {
    let _watchdog = watchdog();
    let shm = ShmGuard::new();
    let dir = TempDir::new();
    for place in [Place::from(shm.name("a")), Place::from(dir.path().join("ring")), Place::heap(), Place::memfd("it")] {
        claim(place);
    }
    shm.assert_nothing_left();
    assert_eq!(dir.entries(), [""; 0], "left behind");
}

/// A directory of its own, removed when dropped.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(testkit::names::unique("it"));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn entries(&self) -> Vec<String> {
        entries(&self.0)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // A failing test must show its own message.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The names in a directory.
pub(crate) fn entries(directory: &Path) -> Vec<String> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Writes into a ring's file without the protocol, as a faulty process with write permission can.
pub(crate) struct Forger {
    file: File,
    pub(crate) plan: SegmentPlan,
}

/// Bytes of one entry of the consumer table, whose first eight are the position. Source: RFC 0003, "Layout".
pub(crate) const ENTRY_BYTES: u64 = 1024;

impl Forger {
    /// For the ring of `size` events in the file at `path`, with a table of the default length.
    pub(crate) fn new(path: &Path, size: usize) -> Self {
        let file = File::options().read(true).write(true).open(path).unwrap();
        let plan = plan::<Step>(size, disruptor_mp::DEFAULT_MAX_CONSUMERS).unwrap();
        assert_eq!(file.metadata().unwrap().len(), plan.total_len, "the plan is that of this ring");
        Self { file, plan }
    }

    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) {
        self.file.write_all_at(bytes, offset).unwrap();
    }

    pub(crate) fn read_word(&self, offset: u64) -> i64 {
        let mut word = [0; 8];
        self.file.read_exact_at(&mut word, offset).unwrap();
        i64::from_ne_bytes(word)
    }

    /// The position of entry `index`.
    pub(crate) fn set_position(&self, index: u64, position: i64) {
        self.write(self.plan.table.offset + index * ENTRY_BYTES, &position.to_ne_bytes());
    }

    pub(crate) fn position(&self, index: u64) -> i64 {
        self.read_word(self.plan.table.offset + index * ENTRY_BYTES)
    }

    /// The published position, which is the first word of the control lines.
    pub(crate) fn set_cursor(&self, position: i64) {
        self.write(self.plan.control.offset, &position.to_ne_bytes());
    }

    /// The stamp of slot `index`.
    pub(crate) fn set_stamp(&self, index: u64, stamp: i64) {
        let stride = self.plan.slots.len / self.capacity();
        self.write(self.plan.slots.offset + index * stride, &stamp.to_ne_bytes());
    }

    /// Slots of the ring, from its header.
    fn capacity(&self) -> u64 {
        self.read_word(56) as u64
    }
}
