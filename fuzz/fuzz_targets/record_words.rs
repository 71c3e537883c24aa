//! A ring of records in use, whose words another process overwrites between any two operations: no panic, no hang, no
//! access outside the memory. Commit words are among them, and so are payload bytes that are read as commit words.
#![no_main]

use disruptor_mp::segment::fuzzing::Words;
use disruptor_mp::{
    HeldRecord, MultiProcessError, Patience, Place, RecordConsumer, RecordProducer, RecordTap, SharedDisruptorBuilder,
    StartAt, WaitStrategy,
};
use fuzz::{Decisions, TABLE_LEN};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, Instant};

/// Bytes of the ring: the smallest size, so that records soon overwrite older ones.
const RING_BYTES: usize = 4096;

/// Longer inputs find nothing new and are slow.
const OPERATIONS_MAX: usize = 96;

/// How long one blocking call may wait, how many of them one input gets, and how long after its deadline a call counts
/// as hanging.
const PATIENCE: Duration = Duration::from_micros(200);
const BLOCKING_MAX: usize = 4;
const HANG: Duration = Duration::from_secs(5);

fuzz_target!(|input: &[u8]| {
    let mut decisions = Decisions::new(input);
    let mut scene = Scene::new(Place::heap());
    for _ in 0..OPERATIONS_MAX {
        if decisions.is_over() {
            break;
        }
        scene.step(&mut decisions);
    }
});

struct Scene {
    place: Place,
    words: Words,
    producer: Option<RecordProducer>,
    consumers: [Option<RecordConsumer>; TABLE_LEN + 1],
    tap: Option<RecordTap>,
    /// Held records, whose consumers may be gone.
    held: Vec<HeldRecord>,
    blocked: usize,
}

impl Scene {
    fn new(place: Place) -> Self {
        let producer = produce(&place).expect("a new ring");
        let words = Words::open(&place).expect("a good ring");
        let tap = watch(&place);
        let consumers = Default::default();
        let mut scene = Self { place, words, producer: Some(producer), consumers, tap, held: Vec::new(), blocked: 0 };
        scene.join(0, StartAt::Tail);
        scene
    }

    fn join(&mut self, index: usize, start: StartAt) {
        self.consumers[index] = None;
        let builder = SharedDisruptorBuilder::records(self.place.clone(), 0).start_at(start);
        let builder = if index == 0 { builder } else { builder.with_consumer_id(format!("c{index}")) };
        self.consumers[index] = builder.build_record_consumer().map_err(|error| error.to_string()).ok();
    }

    /// The patience of a call.
    fn patience(&mut self, choice: u8) -> Patience {
        if choice & 3 == 0 && self.blocked < BLOCKING_MAX {
            self.blocked += 1;
            return Patience::Until(Instant::now() + PATIENCE);
        }
        Patience::Now
    }

    fn step(&mut self, decisions: &mut Decisions<'_>) {
        match decisions.byte() % 17 {
            0..5 => self.overwrite(decisions),
            5..8 => self.produce(decisions),
            8..11 => self.consume(decisions),
            11 => self.tap(decisions),
            12 => {
                let start = [StartAt::Unread, StartAt::Tail, StartAt::Oldest, StartAt::Beginning][decisions.below(4)];
                self.join(decisions.below(TABLE_LEN + 1), start);
            }
            13 => self.consumers[decisions.below(TABLE_LEN + 1)] = None,
            15 => self.hold(decisions),
            14 => {
                let Some(producer) = &mut self.producer else { return };
                let _ = (producer.consumers(), producer.check_peers(), producer.is_consumed(decisions.below(8) as i64));
                let _ = (producer.consumer_sequence("c1"), producer.evict_consumer("c2"));
                let _ = (producer.stall_report().to_string(), producer.last_published_sequence());
                let _ = producer.refusal(Some(decisions.byte().into())).map(|refusal| refusal.to_string());
            }
            _ => {
                if self.producer.take().is_none() || decisions.byte() & 1 == 1 {
                    self.producer = produce(&self.place).map_err(|error| error.to_string()).ok();
                    if let (Some(_), Some(words)) = (&self.producer, Words::open(&self.place)) {
                        self.words = words;
                    }
                }
            }
        }
    }

    /// Holds a record, or releases one, or gives it back.
    fn hold(&mut self, decisions: &mut Decisions<'_>) {
        match decisions.byte() % 4 {
            0..2 => {
                let Some(consumer) = &mut self.consumers[decisions.below(TABLE_LEN + 1)] else { return };
                self.held.extend(consumer.next_held(Patience::Now).ok().flatten());
            }
            _ if self.held.is_empty() => {}
            choice => {
                let held = self.held.swap_remove(decisions.below(self.held.len()));
                assert!(held.len() <= RING_BYTES - 16, "a record longer than its ring");
                let _ = held.iter().map(|byte| u64::from(*byte)).sum::<u64>();
                if choice == 2 {
                    held.release();
                }
            }
        }
    }

    fn overwrite(&mut self, decisions: &mut Decisions<'_>) {
        let [control, table, _, slots] = self.words.sections();
        let index = match decisions.byte() % 8 {
            0..4 => decisions.telling_word(&control, &table),
            // A commit word, or the number after it.
            _ => slots.start + 8 * decisions.below(slots.len() / 8) + decisions.below(2),
        };
        let old = self.words.load(index);
        let new = match decisions.byte() % 4 {
            // A possible commit word: any length, gap and kind, as a record or as padding.
            0..2 => {
                let sort = 1 + u64::from(decisions.byte() & 1);
                sort << 56 | decisions.word(old) & 0xffff_ffff_ffff
            }
            _ => decisions.word(old),
        };
        self.words.store(index, new);
    }

    fn produce(&mut self, decisions: &mut Decisions<'_>) {
        let (choice, len) = (decisions.byte(), decisions.below(RING_BYTES + 64));
        let patience = self.patience(choice >> 4);
        let Some(producer) = &mut self.producer else { return };
        let began = Instant::now();
        match choice % 4 {
            0 => {
                if let Ok(mut claim) = producer.claim(len, patience) {
                    // Payload that looks like a commit word.
                    claim.fill(choice);
                    claim.commit(len, choice, 0);
                }
            }
            1 => {
                if let Ok(mut claim) = producer.claim_at_least(len / 2, len, patience) {
                    claim.fill(1);
                    let len = claim.len();
                    claim.commit(len / 2, 0, 0);
                }
            }
            2 => {
                let mut batch = producer.batch();
                for _ in 0..3 {
                    let _ = batch.publish(&[1; 70][..len % 70], 0, 0, patience);
                }
            }
            _ => drop(producer.publish(&[2; 100][..len % 100], 0, 0, patience)),
        }
        assert!(began.elapsed() < HANG, "publishing outlasted its deadline");
    }

    /// A tap gets no record that is longer than its ring, and its count does not go back.
    fn tap(&mut self, decisions: &mut Decisions<'_>) {
        let choice = decisions.byte();
        let patience = self.patience(choice >> 4);
        if choice & 3 == 0 {
            self.tap = watch(&self.place);
        }
        let Some(tap) = &mut self.tap else { return };
        let (began, missed) = (Instant::now(), tap.missed());
        if let Ok(Some(record)) = tap.next(patience) {
            assert!(record.len() <= RING_BYTES - 16, "a record longer than its ring");
        }
        assert!(tap.missed() >= missed, "counted back");
        let _ = (tap.next_sequence(), tap.producer_sequence(), tap.consumers());
        assert!(began.elapsed() < HANG, "a tap outlasted its deadline");
    }

    fn consume(&mut self, decisions: &mut Decisions<'_>) {
        let choice = decisions.byte();
        let patience = self.patience(choice >> 4);
        let Some(consumer) = &mut self.consumers[decisions.below(TABLE_LEN + 1)] else { return };
        let began = Instant::now();
        match choice % 5 {
            4 => {
                if let Ok(Some(batch)) = consumer.next_batch(1 + usize::from(choice >> 5), Patience::Now) {
                    let read = batch.iter().map(|(bytes, _)| bytes.len()).sum::<usize>();
                    assert!(batch.len() <= 8 && read <= RING_BYTES, "more records than there are lines");
                    if choice & 1 == 0 {
                        batch.release_first(0);
                    }
                }
            }
            0..2 => {
                if let Ok(Some(record)) = consumer.next(patience) {
                    assert!(record.len() <= RING_BYTES - 16, "a record longer than its ring");
                    let _ = (record.iter().map(|byte| u64::from(*byte)).sum::<u64>(), record.redeliveries());
                }
            }
            2 => {
                let handled = consumer.process_available(|bytes, _| {
                    let _ = bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>();
                });
                assert!(handled <= RING_BYTES / 64, "more records than there are lines");
            }
            _ => {
                if let Ok(Some(record)) = consumer.next(Patience::Now) {
                    record.release_unread();
                }
                let _ = (consumer.current_sequence(), consumer.producer_sequence(), consumer.check_producer().is_ok());
            }
        }
        assert!(began.elapsed() < HANG, "consuming outlasted its deadline");
    }
}

fn watch(place: &Place) -> Option<RecordTap> {
    SharedDisruptorBuilder::records(place.clone(), 0).build_tap().map_err(|error| error.to_string()).ok()
}

fn produce(place: &Place) -> Result<RecordProducer, MultiProcessError> {
    let builder = SharedDisruptorBuilder::records(place.clone(), RING_BYTES).enable_discovery(TABLE_LEN);
    builder.with_wait_strategy(WaitStrategy::Block).build_record_producer()
}
