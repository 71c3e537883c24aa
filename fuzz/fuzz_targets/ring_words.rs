//! A ring in use, whose words another process overwrites between any two operations: no panic, no hang, and no access
//! outside the memory.
//!
//! What the events then contain is not checked: a peer that may write is trusted to write only where the protocol
//! allows it.
#![no_main]

use disruptor_mp::segment::fuzzing::Words;
use disruptor_mp::{
    Dense, HeldEvent, Patience, Place, RequiredConsumerFailureAction, RequiredConsumerLivenessConfig, SharedConsumer,
    SharedDisruptorBuilder, SharedProducer, SlotForm, Stamped, StartAt, Tap, WaitStrategy, attach_shared_consumer,
    build_shared_single_producer,
};
use fuzz::{CAPACITY, Decisions, Sample, TABLE_LEN};
use libfuzzer_sys::fuzz_target;
use std::time::{Duration, Instant};

/// Longer inputs find nothing new and are slow.
const OPERATIONS_MAX: usize = 96;

/// How long one blocking call may wait. The test is that it ends then, so a short time is enough.
const PATIENCE: Duration = Duration::from_micros(200);

/// How many of them one input gets.
const BLOCKING_MAX: usize = 4;

/// A call that takes this long beyond its deadline hangs.
const HANG: Duration = Duration::from_secs(5);

fuzz_target!(|input: &[u8]| {
    let mut decisions = Decisions::new(input);
    let place = match decisions.byte() % 8 {
        0 => Place::memfd("fuzz"),
        _ => Place::heap(),
    };
    match decisions.byte() % 2 {
        0 => play(Scene::<Stamped>::new(place), &mut decisions),
        _ => play(Scene::<Dense>::new(place), &mut decisions),
    }
});

fn play<F: Built>(mut scene: Scene<F>, decisions: &mut Decisions<'_>) {
    for _ in 0..OPERATIONS_MAX {
        if decisions.is_over() {
            break;
        }
        scene.step(decisions);
    }
}

/// A form, and how a builder selects it.
trait Built: SlotForm {
    fn of(builder: SharedDisruptorBuilder<Sample>) -> SharedDisruptorBuilder<Sample, Self>;
}

impl Built for Stamped {
    fn of(builder: SharedDisruptorBuilder<Sample>) -> SharedDisruptorBuilder<Sample> {
        builder
    }
}

impl Built for Dense {
    fn of(builder: SharedDisruptorBuilder<Sample>) -> SharedDisruptorBuilder<Sample, Self> {
        builder.dense()
    }
}

struct Scene<F: SlotForm> {
    place: Place,
    words: Words,
    producer: Option<SharedProducer<Sample, F>>,
    consumers: [Option<SharedConsumer<Sample, F>>; TABLE_LEN + 1],
    tap: Option<Tap<Sample, F>>,
    /// Held events, whose consumers may be gone.
    held: Vec<HeldEvent<Sample, F>>,
    has_held: bool,
    published: u64,
    blocked: usize,
}

impl<F: Built> Scene<F> {
    fn new(place: Place) -> Self {
        let producer = produce(&place).expect("a new ring");
        let words = Words::open(&place).expect("a good ring");
        let tap = F::of(attach_shared_consumer(place.clone(), CAPACITY)).build_tap().ok();
        let mut scene = Self {
            place,
            words,
            producer: Some(producer),
            consumers: Default::default(),
            tap,
            held: Vec::new(),
            has_held: false,
            published: 0,
            blocked: 0,
        };
        scene.join(0, StartAt::Tail, WaitStrategy::Block);
        scene
    }

    fn join(&mut self, index: usize, start: StartAt, wait: WaitStrategy) {
        self.consumers[index] = None;
        let builder = F::of(attach_shared_consumer(self.place.clone(), CAPACITY)).start_at(start).with_wait_strategy(wait);
        let builder = if index == 0 { builder } else { builder.with_consumer_id(format!("c{index}")) };
        self.consumers[index] = builder.build_consumer().map_err(|error| error.to_string()).ok();
    }

    /// A deadline for a blocking call, as long as there is one left.
    fn deadline(&mut self) -> Option<Instant> {
        self.blocked += 1;
        (self.blocked <= BLOCKING_MAX).then(|| Instant::now() + PATIENCE)
    }

    fn step(&mut self, decisions: &mut Decisions<'_>) {
        let operation = decisions.byte();
        match operation % 18 {
            0..5 => self.overwrite(decisions),
            5..8 => self.produce(decisions),
            8..12 => self.consume(decisions),
            12 => {
                let start = [StartAt::Unread, StartAt::Tail, StartAt::Oldest, StartAt::Beginning][decisions.below(4)];
                let wait = [WaitStrategy::Block, WaitStrategy::Adaptive, WaitStrategy::SpinThenYield { spins: 2 }];
                self.join(decisions.below(TABLE_LEN + 1), start, wait[decisions.below(3)]);
            }
            13 => self.consumers[decisions.below(TABLE_LEN + 1)] = None,
            14 => self.look(decisions),
            15 => self.hold(decisions),
            16 => self.be_refused(decisions),
            _ => self.change_producer(decisions),
        }
    }

    fn overwrite(&mut self, decisions: &mut Decisions<'_>) {
        let [control, table, counters, slots] = self.words.sections();
        let choice = decisions.byte();
        let index = match choice % 8 {
            0..6 => decisions.telling_word(&control, &table),
            6 => slots.start + decisions.below(slots.len()),
            _ => counters.start + decisions.below(counters.len()),
        };
        self.words.store(index, decisions.word(self.words.load(index)));
    }

    fn produce(&mut self, decisions: &mut Decisions<'_>) {
        let (choice, deadline) = (decisions.byte(), self.deadline());
        let Some(producer) = &mut self.producer else { return };
        self.published += 1;
        let value = self.published;
        let fill = |event: &mut Sample| *event = Sample::new(value);
        let began = Instant::now();
        match (choice % 8, deadline) {
            (0..4, _) => drop(producer.try_publish(fill)),
            (4, _) => drop(producer.try_publish_batch(1 + decisions.below(CAPACITY), |event, _| fill(event))),
            (5, _) => {
                let (count, stop_at) = (1 + decisions.below(CAPACITY + 1), decisions.below(4 * CAPACITY));
                let _ = producer.publish_group(count, Patience::Now, |event, index| {
                    fill(event);
                    if index == stop_at { Err(()) } else { Ok(()) }
                });
            }
            (6, Some(deadline)) => {
                let _ = producer.publish_deadline(deadline, fill).map_err(|error| error.to_string());
            }
            (7, Some(deadline)) => {
                let count = 1 + decisions.below(CAPACITY + 1);
                let _ = producer.publish_batch_deadline(count, deadline, |event, _| fill(event));
                // Not `publish_managed`: it has no deadline, and waits for a consumer that is not required for as long
                // as that lives.
                let patience = Patience::ManagedUntil(deadline);
                let _ = producer.publish_group(1, patience, |event, _| Ok::<_, ()>(fill(event)));
                let last = producer.last_published_sequence();
                let _ = producer.wait_until_consumed(last, deadline);
            }
            _ => {}
        }
        assert!(began.elapsed() < HANG, "publishing outlasted its deadline");
    }

    fn consume(&mut self, decisions: &mut Decisions<'_>) {
        let (choice, deadline) = (decisions.byte(), self.deadline());
        let Some(consumer) = &mut self.consumers[decisions.below(TABLE_LEN + 1)] else { return };
        let began = Instant::now();
        match (choice % 9, deadline) {
            (8, _) => {
                let count = 1 + decisions.below(CAPACITY + 1);
                if consumer.peek_at(count - 1).is_some() {
                    assert_eq!(consumer.lease_peeked(count).len(), count, "another lease than was looked at");
                }
            }
            (0..3, _) => {
                let before = consumer.current_sequence();
                if let Some(event) = consumer.try_consume_next_leased() {
                    // Events that were given back come before newer ones.
                    let is_next = event.sequence() == before + 1 || self.has_held;
                    assert!(is_next, "a sequence was skipped or repeated");
                    let _ = (event.value, event.redeliveries());
                }
            }
            (3, _) => drop(consumer.try_consume_next_leased().map(|event| event.release_unread())),
            (4, _) => {
                if let Some(batch) = consumer.try_consume_batch_leased(1 + decisions.below(2 * CAPACITY)) {
                    assert!(batch.len() <= CAPACITY, "a batch of more events than there are slots");
                    let _ = batch.iter().map(|event| u64::from(event.tail)).sum::<u64>();
                    batch.release_first(1);
                }
            }
            (5, _) => {
                let handled = consumer.process_available(|_, _| ());
                assert!(handled <= CAPACITY, "more events than there are slots");
            }
            (6, Some(deadline)) => {
                let _ = consumer.consume_next_leased_deadline(deadline).map(drop).map_err(|error| error.to_string());
            }
            (7, Some(deadline)) => drop(consumer.consume_batch_leased(CAPACITY, Some(deadline)).map(drop)),
            _ => drop(consumer.check_producer()),
        }
        assert!(began.elapsed() < HANG, "consuming outlasted its deadline");
    }

    /// Holds an event, or releases one, or gives it back.
    fn hold(&mut self, decisions: &mut Decisions<'_>) {
        let choice = decisions.byte();
        match choice % 4 {
            0..2 => {
                let Some(consumer) = &mut self.consumers[decisions.below(TABLE_LEN + 1)] else { return };
                self.has_held = true;
                self.held.extend(consumer.next_held(Patience::Now).ok().flatten());
            }
            _ if self.held.is_empty() => {}
            choice => {
                let held = self.held.swap_remove(decisions.below(self.held.len()));
                let _ = (held.sequence(), held.value);
                if choice == 2 {
                    held.release();
                }
            }
        }
    }

    /// A process of another build attaches, and is refused.
    fn be_refused(&mut self, decisions: &mut Decisions<'_>) {
        let builder = attach_shared_consumer::<u64>(self.place.clone(), 0).with_rank(decisions.byte().into());
        assert!(builder.build_consumer().is_err(), "a ring of other events was joined");
    }

    fn look(&mut self, decisions: &mut Decisions<'_>) {
        match decisions.byte() % 4 {
            0 => self.tap = F::of(attach_shared_consumer(self.place.clone(), 0)).build_tap().ok(),
            1..3 => {
                let Some(tap) = &mut self.tap else { return };
                for _ in 0..2 * CAPACITY {
                    let before = tap.next_sequence();
                    match tap.try_next() {
                        Some((sequence, _)) => assert!(sequence >= before, "a tap went back"),
                        None => break,
                    }
                }
                let _ = (tap.missed(), tap.consumers(), tap.producer_is_alive(), tap.ring_counters().snapshot());
            }
            _ => {
                let Some(producer) = &mut self.producer else { return };
                let _ = (producer.consumers(), producer.get_consumer_count(), producer.check_peers());
                let _ = (producer.is_consumed(decisions.below(8) as i64), producer.consumer_sequence("c1"));
                let _ = (producer.evict_consumer("c2"), producer.stall_report().to_string());
                let _ = producer.ring_counters().snapshot();
                for rank in [None, Some(decisions.byte().into())] {
                    let _ = producer.refusal(rank).map(|refusal| refusal.to_string());
                }
            }
        }
    }

    /// Ends the producer, or makes the next one, which finds whatever is in the words by then.
    fn change_producer(&mut self, decisions: &mut Decisions<'_>) {
        if self.producer.take().is_some() && decisions.byte() & 1 == 0 {
            return;
        }
        self.producer = produce(&self.place).map_err(|error| error.to_string()).ok();
        if let (Some(_), Some(words)) = (&self.producer, Words::open(&self.place)) {
            self.words = words;
        }
    }
}

fn produce<F: Built>(place: &Place) -> Result<SharedProducer<Sample, F>, disruptor_mp::MultiProcessError> {
    let builder = F::of(build_shared_single_producer(place.clone(), CAPACITY));
    let builder = builder.enable_discovery(TABLE_LEN).with_wait_strategy(WaitStrategy::Block);
    let mut producer = builder.build_producer(|| Sample::new(0))?;
    let liveness = RequiredConsumerLivenessConfig::new(["c1"])
        .with_startup_wait_timeout(PATIENCE)
        .with_progress_timeout(PATIENCE)
        .with_progress_check_interval(PATIENCE)
        .with_shutdown_grace_period(PATIENCE)
        .with_failure_action(RequiredConsumerFailureAction::GracefulShutdown);
    producer.enable_required_consumer_liveness(liveness)?;
    Ok(producer)
}
