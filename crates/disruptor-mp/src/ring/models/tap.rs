//! Taps: an accepted copy is never torn and never of another event, and every event is copied or counted as missed.

use super::*;
use crate::ring::protocol::control::{Control, Entry};
use crate::ring::protocol::tap::TapReader;
use crate::sync::primitive::AtomicU64;
use loom::thread::spawn;

/// A ring whose payloads may be read while they are written: two words each, written and read relaxed, one after the
/// other. That is the worst that a racing copy of plain memory does.
pub(super) struct RacingMemory<F: Form> {
    words: Heap<F>,
    payloads: Box<[[AtomicU64; 2]]>,
}

impl<F: Form> RacingMemory<F> {
    pub(super) fn new(capacity: usize) -> Self {
        let payloads = (0..capacity).map(|_| [AtomicU64::new(0), AtomicU64::new(0)]).collect();
        Self { words: Arc::new(HeapMemory::new(capacity, 1, None)), payloads }
    }

    fn payload(&self, position: i64) -> &[AtomicU64; 2] {
        &self.payloads[position as usize % self.payloads.len()]
    }

    /// Writes the payload of `position`, which carries event `number`.
    pub(super) fn write(&self, position: i64, number: i64) {
        self.payload(position).iter().for_each(|word| word.store(value(number), Ordering::Relaxed));
    }

    /// Copies the payload at `position`.
    pub(super) fn read(&self, position: i64) -> [u64; 2] {
        let [first, second] = self.payload(position);
        [first.load(Ordering::Relaxed), second.load(Ordering::Relaxed)]
    }
}

impl<F: Form> Memory for Arc<RacingMemory<F>> {
    type Form = F;

    fn control(&self) -> &Control {
        self.words.control()
    }

    fn table_len(&self) -> usize {
        self.words.table_len()
    }

    fn entry(&self, index: usize) -> &Entry {
        self.words.entry(index)
    }

    fn capacity(&self) -> i64 {
        self.words.capacity()
    }

    fn header(&self, position: i64) -> &F::Header {
        self.words.header(position)
    }
}

impl<F: SlotForm> SlotMemory for Arc<RacingMemory<F>> {
    type Event = [u64; 2];

    fn with_mut<R>(&self, sequence: i64, f: impl FnOnce(*mut [u64; 2]) -> R) -> R {
        let mut event = [0; 2];
        let result = f(&mut event);
        for (word, value) in self.payload(sequence).iter().zip(event) {
            word.store(value, Ordering::Relaxed);
        }
        result
    }

    fn with<R>(&self, sequence: i64, f: impl FnOnce(*const [u64; 2]) -> R) -> R {
        f(&self.racing_copy(sequence))
    }

    fn racing_copy(&self, sequence: i64) -> [u64; 2] {
        self.read(sequence)
    }
}

/// Three events into a ring of two slots, beside a tap that looks twice.
pub(super) fn tap_beside_a_producer<F: SlotForm>() -> i64 {
    let memory = Arc::new(RacingMemory::<F>::new(CAPACITY));
    let mut producer = Sequencer::create(Arc::clone(&memory), Announce::Registered);
    let mut tap = TapReader::new(Arc::clone(&memory));
    let tapping = spawn(move || {
        let mut copied = 0;
        attempts(2, || {
            let Some((sequence, event)) = tap.copy_next() else { return false };
            assert_eq!(event, [value(sequence); 2], "{WRONG}");
            copied += 1;
            assert_eq!(copied + tap.missed() as i64, tap.number(), "an event was neither copied nor missed");
            true
        });
        copied
    });
    for sequence in 0..3 {
        if !producer.claim(1) {
            producer.rescan();
        }
        // SAFETY: the place is valid; the model checks that no reader believes what it reads there meanwhile.
        producer.write(|place| unsafe { *place = [value(sequence); 2] });
    }
    tapping.join().unwrap()
}

#[test]
pub(super) fn accepted_copy_is_never_torn() {
    explore(Some(3), 2, tap_beside_a_producer::<Stamped>);
}
