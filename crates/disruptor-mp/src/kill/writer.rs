//! Plays in which a producer dies: creating, publishing, closing, taking over, replacing. In other plays a collector
//! dies while it removes segments. Readers live on.

use super::event::{Event, Seen};
use super::survivor::{End, LockWatch, Onlooker, Reader, longest};
use super::victim::{BATCH, Doomed, Role};
use super::{InForm, Log, Old, Scenario, Stage, Visible, WaitStrategy};
use crate::step::Step;
use crate::{ConsumeError, GcOutcome, MultiProcessError, Origin, SharedProducer, gc};
use std::time::Instant;

/// The number of events that the producer after the victim publishes: more than two laps.
const AFTERWARDS: usize = 20;

/// Two consumers, one asleep and one spinning, and a tap.
struct Audience {
    readers: [Reader; 2],
    onlooker: Onlooker,
}

impl Audience {
    fn attach<F: InForm>(stage: &Stage<F>) -> Self {
        let readers = [WaitStrategy::Block, WaitStrategy::SpinThenYield { spins: 1000 }].map(|wait| stage.reader(wait));
        Self { readers, onlooker: Onlooker::start(stage.tap()) }
    }

    fn resume(&self) {
        self.readers.iter().for_each(Reader::resume);
    }

    /// Both readers meet `end`, and have read the same number of events. Returns that number. If a process died, logs
    /// how long the readers waited.
    fn end(&self, end: End, death: Option<(Instant, &mut Log)>) -> usize {
        let reports = [self.readers[0].end(), self.readers[1].end()];
        for report in &reports {
            assert_eq!(report.end, end);
        }
        assert_eq!(reports[0].read, reports[1].read, "two survivors see two histories");
        if let Some((alive, log)) = death {
            for report in &reports {
                // `None`: the reader learned it from a flag, before the process that set the flag died.
                if let Some(wait) = longest(&report.waits, alive, Instant::now()) {
                    log.waited(wait);
                }
            }
        }
        reports[0].read
    }

    /// Drops the ends, and checks that all of them saw one history: the events of each of the `authors` in turn, up to
    /// the position beside the author.
    fn finish(self, authors: &[(u64, usize)]) {
        let mut expected = Vec::new();
        for &(author, end) in authors {
            expected.extend((expected.len()..end).map(|sequence| Seen { sequence: sequence as i64, author }));
        }
        let seen = self.onlooker.finish();
        assert!(seen.is_sorted_by_key(|event| event.sequence), "the tap saw {seen:?}");
        for event in &seen {
            assert_eq!(Some(event), expected.get(event.sequence as usize), "the tap saw another history");
        }
        for reader in self.readers {
            assert_eq!(reader.finish(), expected, "a survivor saw another history");
        }
    }
}

fn publish<F: InForm>(producer: &mut SharedProducer<Event, F>, count: usize) {
    for _ in 0..count {
        let sequence = producer.last_published_sequence() + 1;
        producer.publish(|event| event.fill(sequence)).unwrap();
    }
}

fn us() -> u64 {
    std::process::id().into()
}

/// Builds a producer, which takes over after `visible` events by `author` and publishes to the live audience. All ends
/// see one history until the close.
fn carry_on<F: InForm>(stage: Stage<F>, audience: Audience, author: u64, visible: usize) {
    let mut next = stage.ring().build_producer(Event::blank).unwrap();
    assert_eq!((next.origin(), next.last_published_sequence() + 1), (Origin::TookOver, visible as i64));
    // A consumer that joins now gets no event from before.
    let late = stage.reader(WaitStrategy::Adaptive);
    late.resume();
    audience.resume();
    publish(&mut next, AFTERWARDS);
    drop(next);
    assert_eq!(audience.end(End::Closed, None), visible + AFTERWARDS);
    assert_eq!(
        (late.end().end, late.finish().first().map(|event| event.sequence)),
        (End::Closed, Some(visible as i64))
    );
    audience.finish(&[(author, visible), (us(), visible + AFTERWARDS)]);
    stage.strike();
}

/// Builds a producer, which has `origin` and a ring of its own. A consumer that joins reads all its events.
fn begin_anew<F: InForm>(stage: &Stage<F>, origin: Origin) {
    let mut next = stage.ring().build_producer(Event::blank).unwrap();
    assert_eq!(next.origin(), origin);
    let reader = stage.reader(WaitStrategy::Block);
    reader.resume();
    publish(&mut next, AFTERWARDS);
    drop(next);
    assert_eq!((reader.end().end, reader.finish().len()), (End::Closed, AFTERWARDS));
}

pub(super) fn publishing<F: InForm>(scenario: &Scenario, role: Role, visible: Visible, log: &mut Log) {
    let stage = Stage::<F>::new();
    let mut doomed = stage.doomed(scenario, role, None);
    let audience = Audience::attach(&stage);
    // This tap does not look before the victim is dead. It begins at event 0. The victim may have died in the slot of
    // that event, while it wrote an event of a later lap.
    let late_tap = stage.tap();
    let watch = LockWatch::on_producer(&stage.name);
    if role != Role::PublishUnread {
        audience.resume();
    }
    doomed.go();
    doomed.wait_dead();
    log.killed();
    let alive = watch.last_held();
    if role == Role::PublishUnread {
        audience.resume();
    }
    let read = audience.end(End::ProducerDied, Some((alive, log)));
    match visible {
        Visible::Exactly(count) => assert_eq!(read, count),
        Visible::AtLeast(count) => assert!(read >= count, "{read} events of {count}"),
    }
    assert!(Onlooker::start(late_tap).finish().iter().all(|event| event.sequence < read as i64));
    // The number of events that are complete and that no reader has seen. The next producer makes them visible.
    let unshown = match (scenario.step, role) {
        (Step::WrittenStored, Role::Publish) => 1,
        (Step::WrittenStored, _) => BATCH,
        _ => 0,
    };
    carry_on(stage, audience, doomed.author(), read + unshown);
}

pub(super) fn closing<F: InForm>(scenario: &Scenario, role: Role, published: usize, name_stays: bool, log: &mut Log) {
    let stage = Stage::<F>::new();
    let mut doomed = stage.doomed(scenario, role, None);
    let audience = Audience::attach(&stage);
    let watch = LockWatch::on_producer(&stage.name);
    audience.resume();
    doomed.go();
    doomed.wait_dead();
    log.killed();
    assert_eq!(audience.end(End::Closed, Some((watch.last_held(), log))), published);
    // A closed ring may still have readers, but no producer can take it over.
    let refused = stage.ring().take_over().build_producer(Event::blank).map(|producer| producer.origin());
    match refused {
        Err(MultiProcessError::NothingToTakeOver { .. }) if name_stays => {}
        Err(MultiProcessError::NotFound { .. }) if !name_stays => {}
        other => panic!("taking over a closed ring: {other:?}"),
    }
    begin_anew(&stage, if name_stays { Origin::Replaced } else { Origin::Created });
    audience.resume();
    assert_eq!(audience.end(End::Closed, None), published);
    audience.finish(&[(doomed.author(), published)]);
    stage.strike();
}

pub(super) fn creating<F: InForm>(scenario: &Scenario, is_named: bool, log: &mut Log) {
    let die = |log: &mut Log| {
        let stage = Stage::<F>::new();
        let mut doomed = stage.doomed(scenario, Role::Create, None);
        doomed.go();
        doomed.wait_dead();
        log.killed();
        assert_eq!(stage.shm.leftovers().len(), usize::from(is_named), "{:?}", stage.shm.leftovers());
        stage
    };
    // A collector removes a ring that has its name. A ring without a name has left nothing.
    let stage = die(log);
    let outcome = gc(stage.name.as_str()).unwrap();
    assert_eq!(outcome, if is_named { GcOutcome::Removed } else { GcOutcome::NotFound });
    stage.strike();
    // The next producer can create its ring there.
    let stage = die(log);
    begin_anew(&stage, if is_named { Origin::Replaced } else { Origin::Created });
    stage.strike();
    // A consumer is told that there is no ring, or that the producer of the ring died.
    let stage = die(log);
    match stage.ring().with_wait_strategy(WaitStrategy::Block).build_consumer() {
        Err(MultiProcessError::NotFound { .. }) if !is_named => {}
        Ok(mut consumer) if is_named => {
            let begun = Instant::now();
            assert!(matches!(consumer.consume_next_leased(), Err(ConsumeError::ProducerDied { .. })));
            log.waited(begun.elapsed());
        }
        other => panic!("{:?}", other.map(|consumer| consumer.consumer_id().to_owned())),
    }
    stage.strike();
}

/// Lets a producer of that role die. Returns the audience, the author of the events that it has read, and their number.
/// A producer of groups dies in its fourth group, and one that panics dies while it unwinds. Any other dies when its
/// last event is visible. Where stamps make an event visible, the cursor then lags by one event.
fn orphaned<F: InForm>(stage: &Stage<F>, role: Role, log: &mut Log) -> (Audience, u64, usize) {
    let (step, passes, visible) = match role {
        Role::PublishGroups if F::CURSOR_TELLS => (Step::GroupWritten, 3, 3 * BATCH),
        Role::PublishGroups => (Step::InsideGroup, 14, 3 * BATCH),
        Role::PublishAndPanic => (Step::ClosedStored, 0, 5),
        _ if F::CURSOR_TELLS => (Step::CursorStored, 12, 13),
        _ => (Step::StampStored, 12, 13),
    };
    let mut doomed = Doomed::spawn::<F>(&stage.name, role, None, step, passes);
    let audience = Audience::attach(stage);
    let watch = LockWatch::on_producer(&stage.name);
    audience.resume();
    doomed.go();
    doomed.wait_dead();
    log.killed();
    let read = audience.end(End::ProducerDied, Some((watch.last_held(), log)));
    assert_eq!(read, visible);
    (audience, doomed.author(), read)
}

/// Starts the second victim and lets it die; returns the last moment at which it certainly lived.
fn second_death<F: InForm>(stage: &Stage<F>, scenario: &Scenario, role: Role, log: &mut Log) -> Instant {
    let mut doomed = stage.doomed(scenario, role, None);
    let alive = Instant::now();
    doomed.go();
    doomed.wait_dead();
    log.killed();
    alive
}

pub(super) fn taking_over<F: InForm>(scenario: &Scenario, first: Role, log: &mut Log) {
    let stage = Stage::<F>::new();
    let (audience, author, read) = orphaned(&stage, first, log);
    let alive = second_death(&stage, scenario, Role::TakeOver, log);
    let cursor = stage.tap().producer_sequence() + 1;
    assert_eq!(cursor as usize, if scenario.step == Step::TakeOverLocked { read - 1 } else { read });
    audience.resume();
    assert_eq!(audience.end(End::ProducerDied, Some((alive, log))), read);
    carry_on(stage, audience, author, read);
}

pub(super) fn replacing<F: InForm>(scenario: &Scenario, old: Old, log: &mut Log) {
    let stage = Stage::<F>::new();
    let (audience, author, read) = orphaned(&stage, Role::Publish, log);
    let mut tap = stage.tap();
    let alive = second_death(&stage, scenario, Role::Replace, log);
    let end = if matches!(old, Old::Untouched | Old::Renamed) { End::ProducerDied } else { End::Replaced };
    audience.resume();
    assert_eq!(audience.end(end, Some((alive, log))), read);
    while tap.try_next().is_some() {}
    let told = tap.next(Instant::now()).map(|(sequence, _)| sequence);
    match old {
        // The tap waits for the next producer until its deadline.
        Old::Untouched => assert!(matches!(told, Err(ConsumeError::TimedOut { .. })), "{told:?}"),
        // No producer can come to a ring without a name.
        _ => assert!(matches!(told, Err(ConsumeError::Replaced)), "{told:?}"),
    }
    match old {
        Old::Untouched => return carry_on(stage, audience, author, read),
        Old::Renamed | Old::Marked => begin_anew(&stage, Origin::Replaced),
    }
    audience.resume();
    assert_eq!(audience.end(end, None), read);
    audience.finish(&[(author, read)]);
    stage.strike();
}

pub(super) fn clearing<F: InForm>(scenario: &Scenario, log: &mut Log) {
    let stage = Stage::<F>::new();
    let mut first = Doomed::spawn::<F>(&stage.name, Role::PublishRecords, None, Step::WordCommitted, 0);
    first.go();
    first.wait_dead();
    log.killed();
    second_death(&stage, scenario, Role::Replace, log);
    let is_named = scenario.step == Step::SegmentNamed;
    assert_eq!(stage.shm.leftovers().len(), usize::from(is_named), "{:?}", stage.shm.leftovers());
    begin_anew(&stage, if is_named { Origin::Replaced } else { Origin::Created });
    stage.strike();
}

pub(super) fn collecting<F: InForm>(scenario: &Scenario, log: &mut Log) {
    let die = |log: &mut Log| {
        let stage = Stage::<F>::new();
        let mut creator = Doomed::spawn::<F>(&stage.name, Role::Create, None, Step::SegmentNamed, 0);
        creator.go();
        creator.wait_dead();
        log.killed();
        // This tap has attached before the collector begins. Its mapping is all that is left of the ring.
        let tap = stage.tap();
        second_death(&stage, scenario, Role::Collect, log);
        assert_eq!(stage.shm.leftovers().len(), 0, "the name goes first");
        (stage, tap)
    };
    // The next collector finds nothing to do.
    let (stage, mut tap) = die(log);
    assert_eq!(gc(stage.name.as_str()).unwrap(), GcOutcome::NotFound);
    let end = tap.next(Instant::now()).map(|(sequence, _)| sequence);
    assert!(matches!(end, Err(ConsumeError::Replaced)), "{end:?}");
    assert!(!tap.producer_is_alive().unwrap());
    stage.strike();
    // A consumer cannot join a ring that was removed. The next producer can create its ring under that name.
    let (stage, _tap) = die(log);
    let refused = stage.ring().build_consumer().map(|consumer| consumer.consumer_id().to_owned());
    assert!(matches!(refused, Err(MultiProcessError::NotFound { .. })), "{refused:?}");
    begin_anew(&stage, Origin::Created);
    stage.strike();
}
