//! Plays in which a consumer dies: reading, leaving, joining, coming back. A producer and another consumer live on.

use super::event::{Event, Seen};
use super::survivor::{End, LockWatch, Onlooker, Publisher, Reader, Waited, longest};
use super::victim::{Doomed, Role};
use super::{CAPACITY, ID, InForm, Log, Scenario, Stage, Tap, WaitStrategy};
use crate::counters::ids::PRODUCER_PARK_COUNT;
use crate::liveness::Ending;
use crate::step::Step;
use crate::{Patience, RequiredConsumerError, RequiredConsumerLivenessConfig, SharedConsumer, SharedProducer, StartAt};
use std::time::Instant;
use testkit::watchdog::{PATIENCE, eventually};

/// Progress that no ring makes while a consumer is in the way: three laps.
const PROGRESS: i64 = 3 * CAPACITY as i64;

/// A producer that publishes without end, and the consumers that read beside the victim.
struct Company<F: InForm> {
    stage: Stage<F>,
    publisher: Option<Publisher>,
    other: Reader,
    onlooker: Onlooker,
    eye: Tap<Event, F>,
}

impl<F: InForm> Company<F> {
    /// Assembles all ends, before anything is published. If the victim must be there from the beginning, `meet` starts
    /// it.
    fn assemble<T>(meet: impl FnOnce(&Stage<F>) -> T) -> (Self, T) {
        let stage = Stage::<F>::new();
        let producer = stage.ring().with_wait_strategy(WaitStrategy::Block).build_producer(Event::blank).unwrap();
        let other = stage.reader(WaitStrategy::Block);
        other.resume();
        let (onlooker, eye) = (Onlooker::start(stage.tap()), stage.tap());
        let victim = meet(&stage);
        (Self { stage, publisher: Some(Publisher::start(producer)), other, onlooker, eye }, victim)
    }

    fn publisher(&self) -> &Publisher {
        self.publisher.as_ref().expect("it publishes until the end")
    }

    fn published(&self) -> i64 {
        self.eye.producer_sequence() + 1
    }

    /// Waits until the producer sleeps because a consumer does not read.
    fn wait_until_full(&self) {
        let sleeps = || self.eye.ring_counters().snapshot().iter().any(|c| c.id == PRODUCER_PARK_COUNT && c.value > 0);
        eventually("a full ring", PATIENCE, || self.published() == CAPACITY as i64 && sleeps()).unwrap();
    }

    /// Waits until the producer goes on. It does not report anything.
    fn wait_for_progress(&self) {
        let enough = self.published() + PROGRESS;
        let gone_on =
            eventually("progress", PATIENCE, || self.published() >= enough || self.publisher().has_met_death());
        gone_on.unwrap();
        assert!(self.published() >= enough, "the producer was told of a death that is none of its business");
    }

    /// Joins under the victim's id.
    fn successor(&self) -> SharedConsumer<Event, F> {
        self.stage.ring().with_consumer_id(ID).with_wait_strategy(WaitStrategy::Block).build_consumer().unwrap()
    }

    /// Lets the ring go on with `successor`, which has read up to its position, and closes it. Checks that every end
    /// has seen all of its events. Returns the calls of the producer that waited.
    fn finish(mut self, successor: SharedConsumer<Event, F>) -> Vec<Waited> {
        let start = successor.current_sequence() + 1;
        let successor = Reader::start(successor);
        successor.resume();
        self.wait_for_progress();
        let published = self.publisher.take().expect("once").finish();
        let author = std::process::id().into();
        let history = |from: i64| (from..published.count).map(|sequence| Seen { sequence, author }).collect::<Vec<_>>();
        for (reader, from) in [(self.other, 0), (successor, start)] {
            assert_eq!(reader.end().end, End::Closed);
            assert_eq!(reader.finish(), history(from), "a survivor has lost or repeated an event");
        }
        let seen = self.onlooker.finish();
        assert!(seen.is_sorted_by_key(|event| event.sequence) && seen.iter().all(|event| event.author == author));
        self.stage.strike();
        published.waits
    }
}

/// The victim dies beside the others. If it reads, it holds the ring up.
fn die_reading<F: InForm>(scenario: &Scenario, role: Role, id: Option<&str>, log: &mut Log) -> (Company<F>, Instant) {
    let sleeps_first = scenario.step == Step::ReaderAnnounced;
    let mut watch = None;
    let (company, mut doomed) = Company::assemble(|stage| {
        let mut doomed = stage.doomed(scenario, role, id);
        let name = id.map_or_else(|| nameless(stage), str::to_owned);
        watch = Some(LockWatch::on_consumer::<F>(&stage.name, &name));
        if sleeps_first {
            // There must be nothing to read, or it would not sleep.
            doomed.go();
            doomed.wait_dead();
        }
        doomed
    });
    if !sleeps_first {
        company.wait_until_full();
        doomed.go();
        doomed.wait_dead();
    }
    log.killed();
    (company, watch.expect("set above").last_held())
}

/// The id that the victim's consumer was given: the id of the last consumer that joined.
fn nameless<F: InForm>(stage: &Stage<F>) -> String {
    stage.tap().consumers().last().expect("the victim has joined").id.clone()
}

pub(super) fn reading<F: InForm>(scenario: &Scenario, role: Role, position: i64, delivered: i64, log: &mut Log) {
    let (company, alive) = die_reading::<F>(scenario, role, Some(ID), log);
    let death = company.publisher().death();
    let how = if role == Role::Panic { Ending::Panicked } else { Ending::Killed };
    assert_eq!((death.id.as_str(), death.how), (ID, how));
    log.waited(death.waited.after(alive));
    let successor = come_back(&company, position, delivered, 1);
    company.publisher().resume();
    company.finish(successor);
}

/// Comes back under the victim's id. The successor gets the events from `position` on. Every event before `delivered`
/// is marked, and the first has `redeliveries`.
fn come_back<F: InForm>(
    company: &Company<F>,
    position: i64,
    delivered: i64,
    redeliveries: u32,
) -> SharedConsumer<Event, F> {
    let mut successor = company.successor();
    assert!(successor.has_rejoined());
    // The ring is full of events from `position` on.
    for sequence in position..position + CAPACITY as i64 {
        let lease = successor.try_consume_next_leased().expect("the ring is full");
        assert_eq!(lease.seen(lease.sequence()).sequence, sequence);
        assert_eq!(lease.is_redelivered(), sequence < delivered, "event {sequence}");
        if sequence == position && delivered > position {
            assert_eq!(lease.redeliveries(), redeliveries);
        }
    }
    successor
}

pub(super) fn holding<F: InForm>(scenario: &Scenario, role: Role, left: &[i64], delivered: i64, log: &mut Log) {
    let (company, alive) = die_reading::<F>(scenario, role, Some(ID), log);
    let death = company.publisher().death();
    let how = if scenario.step == Step::EndingStored { Ending::Dropped } else { Ending::Killed };
    assert_eq!((death.id.as_str(), death.how), (ID, how));
    log.waited(death.waited.after(alive));
    let mut successor = company.successor();
    assert!(successor.has_rejoined());
    for &sequence in left {
        let lease = successor.try_consume_next_leased().expect("it was published, and is not released");
        assert_eq!(lease.seen(lease.sequence()).sequence, sequence);
        assert_eq!(lease.is_redelivered(), sequence < delivered, "event {sequence}");
    }
    company.publisher().resume();
    company.finish(successor);
}

pub(super) fn joining_after_holder<F: InForm>(scenario: &Scenario, log: &mut Log) {
    let stage = Stage::<F>::new();
    let mut producer = stage.ring().build_producer(Event::blank).unwrap();
    for sequence in 0..6 {
        producer.try_publish(|event| event.fill(sequence)).unwrap();
    }
    let join = |id: &str| stage.ring().with_consumer_id(id).start_at(StartAt::Beginning).build_consumer().unwrap();
    let mut holder = join("holder");
    let mut held: Vec<_> = (0..6).map(|_| holder.next_held(Patience::Now).unwrap().expect("published")).collect();
    while let Some(last) = held.pop() {
        last.release();
    }
    holder.leave();
    let mut doomed = stage.doomed(scenario, Role::Join, Some(ID));
    doomed.go();
    doomed.wait_dead();
    log.killed();
    let mut next = join("next");
    for sequence in 0..6 {
        let lease = next.try_consume_next_leased().expect("no consumer of this id has released it");
        assert_eq!(lease.seen(lease.sequence()).sequence, sequence);
    }
    drop((next, producer));
    stage.strike();
}

pub(super) fn reading_nameless<F: InForm>(scenario: &Scenario, role: Role, log: &mut Log) {
    let (company, alive) = die_reading::<F>(scenario, role, None, log);
    go_on(company, alive, log);
}

/// The producer goes on; the id is free, for a new start.
fn go_on<F: InForm>(company: Company<F>, alive: Instant, log: &mut Log) {
    company.wait_for_progress();
    let dead = Instant::now();
    let successor = company.successor();
    assert!(!successor.has_rejoined());
    if let Some(wait) = longest(&company.finish(successor), alive, dead) {
        log.waited(wait);
    }
}

pub(super) fn leaving<F: InForm>(scenario: &Scenario, role: Role, log: &mut Log) {
    let (company, alive) = die_reading::<F>(scenario, role, Some(ID), log);
    go_on(company, alive, log);
}

/// The victim is required, and another consumer is not. Once the producer knows that the victim has gone, no managed
/// call may return success.
pub(super) fn going_although_required<F: InForm>(scenario: &Scenario, role: Role, is_counted: bool, log: &mut Log) {
    let stage = Stage::<F>::new();
    let mut producer = stage.ring().build_producer(Event::blank).unwrap();
    producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new([ID])).unwrap();
    let mut doomed = stage.doomed(scenario, role, Some(ID));
    let other = stage.reader(WaitStrategy::Block);
    other.resume();
    let publish = |producer: &mut SharedProducer<Event, F>| {
        let sequence = producer.last_published_sequence() + 1;
        producer.publish_managed(|event| event.fill(sequence))
    };
    for _ in 0..CAPACITY {
        publish(&mut producer).unwrap();
    }
    doomed.go();
    doomed.wait_dead();
    log.killed();
    let mut published = 0;
    let gone = loop {
        match publish(&mut producer) {
            Ok(_) => published += 1,
            Err(gone) => break gone,
        }
    };
    let limit = if is_counted { 0 } else { CAPACITY };
    assert!(published <= limit, "{published} events were published without the required consumer");
    match (role, gone) {
        (Role::Leave, RequiredConsumerError::ConsumerLeft { consumer_id, .. })
        | (Role::Panic, RequiredConsumerError::ConsumerDied { consumer_id, how: Ending::Panicked, .. })
        | (Role::Consume, RequiredConsumerError::ConsumerDied { consumer_id, how: Ending::Killed, .. })
            if consumer_id == ID => {}
        (_, other) => panic!("{other}"),
    }
    let successor = Reader::start(stage.ring().with_consumer_id(ID).build_consumer().unwrap());
    successor.resume();
    for _ in 0..3 * CAPACITY {
        publish(&mut producer).unwrap();
    }
    drop(producer);
    for reader in [other, successor] {
        assert_eq!(reader.end().end, End::Closed);
        reader.finish();
    }
    stage.strike();
}

pub(super) fn joining<F: InForm>(scenario: &Scenario, id: Option<&str>, is_kept: bool, log: &mut Log) {
    let (company, mut doomed) = Company::<F>::assemble(|stage| stage.doomed(scenario, Role::Join, id));
    company.wait_for_progress();
    let alive = Instant::now();
    doomed.go();
    doomed.wait_dead();
    log.killed();
    if !is_kept {
        return go_on(company, alive, log);
    }
    let death = company.publisher().death();
    assert_eq!(death.id, ID);
    log.waited(death.waited.after(alive));
    let position = company.published() - CAPACITY as i64;
    let successor = come_back(&company, position, position, 0);
    company.publisher().resume();
    company.finish(successor);
}

pub(super) fn alone<F: InForm>(scenario: &Scenario, role: Role, id: Option<&str>, is_read: bool, log: &mut Log) {
    let stage = Stage::<F>::new();
    let mut producer = stage.ring().build_producer(Event::blank).unwrap();
    let publish = |producer: &mut SharedProducer<Event, F>, count| {
        for _ in 0..count {
            let sequence = producer.last_published_sequence() + 1;
            producer.try_publish(|event| event.fill(sequence)).unwrap();
        }
    };
    publish(&mut producer, 3);
    let mut doomed = stage.doomed(scenario, role, id);
    doomed.go();
    doomed.wait_dead();
    log.killed();
    publish(&mut producer, 1);
    if role == Role::Consume && id.is_some() {
        assert!(producer.evict_consumer(ID).unwrap(), "its entry is kept");
    }
    let mut next = stage.ring().with_consumer_id("next").build_consumer().unwrap();
    publish(&mut producer, 1);
    let first = next.try_consume_next_leased().expect("there is at least the last event").sequence();
    assert_eq!(first, if is_read { 4 } else { 0 });
    drop((next, producer));
    stage.strike();
}

pub(super) fn rejoining<F: InForm>(scenario: &Scenario, redeliveries: u32, log: &mut Log) {
    let first = Scenario { step: Step::DeliveredStored, passes: 2, ..*scenario };
    let (company, alive) = die_reading::<F>(&first, Role::Consume, Some(ID), log);
    log.waited(company.publisher().death().waited.after(alive));
    let mut doomed = Doomed::spawn::<F>(&company.stage.name, Role::Join, Some(ID), scenario.step, scenario.passes);
    let alive = Instant::now();
    doomed.go();
    doomed.wait_dead();
    log.killed();
    company.publisher().resume();
    let death = company.publisher().death();
    log.waited(death.waited.after(alive));
    let successor = come_back(&company, 2, 3, redeliveries);
    company.publisher().resume();
    company.finish(successor);
}

/// A process dies while it is refused. Its refusal is whole, or is not there. The producer is told of the next process
/// that is refused.
pub(super) fn being_refused<F: InForm>(scenario: &Scenario, is_told: bool, log: &mut Log) {
    let stage = Stage::<F>::new();
    let producer = stage.ring().build_producer(Event::blank).unwrap();
    let mut victim = stage.doomed(scenario, Role::BeRefused, None);
    victim.go();
    victim.wait_dead();
    log.killed();
    let said = || producer.refusal(None).map(|refusal| (u64::from(refusal.pid), refusal.difference.is_some()));
    assert_eq!(said(), is_told.then_some((victim.author(), true)));
    crate::attach_shared_consumer::<u64>(stage.name.as_str(), 0).build_consumer().map(drop).unwrap_err();
    assert_eq!(said(), Some((std::process::id().into(), true)));
    drop(producer);
    stage.strike();
}
