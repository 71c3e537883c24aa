//! Plays of a rolling upgrade. In some, a producer dies whose messages have another type than the ring. In others, a
//! consumer dies that moves over from the old ring.

use super::event::{Event, Seen};
use super::victim::{Doomed, Role};
use super::{ID, Log, Scenario, Stage, Stamped, versioned};
use crate::step::Step;
use crate::{ConsumeError, GcOutcome, Origin, SharedConsumer, SharedProducer, gc};

/// Events in the first ring, and in the last one.
const FIRST: i64 = 5;
const LAST: i64 = 3;

/// A consumer that reads on from ring to ring.
struct Traveller<'a> {
    stage: &'a Stage<Stamped>,
    id: &'static str,
    consumer: Option<SharedConsumer<Event>>,
}

impl<'a> Traveller<'a> {
    fn new(stage: &'a Stage<Stamped>, id: &'static str) -> Self {
        Self { stage, id, consumer: None }
    }

    /// Reads `count` events. When a ring ends, attaches to the next one.
    fn read(&mut self, count: i64) -> Vec<Seen> {
        let mut seen = Vec::new();
        while seen.len() < count as usize {
            let attach = || self.stage.ring().with_consumer_id(self.id).keep_place().build_consumer().unwrap();
            let consumer = self.consumer.get_or_insert_with(attach);
            let event = consumer.consume_next_leased().map(|event| {
                assert!(!event.is_redelivered(), "nothing comes twice");
                event.seen(event.sequence())
            });
            match event {
                Ok(event) => seen.push(event),
                Err(ConsumeError::Replaced | ConsumeError::ProducerDied { .. }) => self.consumer = None,
                Err(error) => panic!("{error}"),
            }
        }
        seen
    }
}

fn publish(producer: &mut SharedProducer<Event>, count: i64) {
    for _ in 0..count {
        let sequence = producer.last_published_sequence() + 1;
        producer.publish(|event| event.fill(sequence)).unwrap();
    }
}

/// Events `from..to` of `author`.
fn events(author: u64, from: i64, to: i64) -> impl Iterator<Item = Seen> {
    (from..to).map(move |sequence| Seen { sequence, author })
}

/// Makes a ring of the first version and lets its producer die. Returns the author of the events.
fn first_ring(stage: &Stage<Stamped>, log: &mut Log, readers: &mut [(&mut Traveller<'_>, i64)]) -> u64 {
    let mut first =
        Doomed::spawn::<Stamped>(&stage.name, Role::PublishFirst, None, Step::CursorStored, FIRST as u32 - 1);
    for (reader, _) in readers.iter_mut() {
        reader.consumer = Some(stage.ring().with_consumer_id(reader.id).keep_place().build_consumer().unwrap());
    }
    first.go();
    first.wait_dead();
    log.killed();
    for (reader, count) in readers {
        assert_eq!(reader.read(*count), events(first.author(), 0, *count).collect::<Vec<_>>());
    }
    first.author()
}

/// A producer of the second version dies while it replaces a ring of the first version. The next producer has the
/// first, the second or a third version. No consumer loses an event.
pub(super) fn upgrading(scenario: &Scenario, is_replaced: bool, log: &mut Log) {
    for next in [1, 2, 3] {
        let stage = Stage::<Stamped>::new();
        let (mut alive, mut kept) = (Traveller::new(&stage, "alive"), Traveller::new(&stage, "kept"));
        let author = first_ring(&stage, log, &mut [(&mut alive, 2), (&mut kept, 1)]);
        kept.consumer = None;
        let mut victim = stage.doomed(scenario, Role::Upgrade, None);
        victim.go();
        victim.wait_dead();
        log.killed();

        let mut producer = versioned(&stage.name, next).build_producer(Event::blank).unwrap();
        let takes_over = next == if is_replaced { 2 } else { 1 };
        assert_eq!(producer.origin(), if takes_over { Origin::TookOver } else { Origin::Replaced }, "version {next}");
        publish(&mut producer, LAST);
        let us = std::process::id().into();
        let begin = if takes_over && !is_replaced { FIRST } else { 0 };
        for (reader, from) in [(&mut alive, 2), (&mut kept, 1)] {
            let expected: Vec<_> = events(author, from, FIRST).chain(events(us, begin, begin + LAST)).collect();
            assert_eq!(reader.read(FIRST - from + LAST), expected, "version {next}");
        }
        assert_eq!(stage.shm.leftovers().len(), 1, "{:?}", stage.shm.leftovers());
        drop(producer);
        drop((alive, kept));
        stage.strike();
    }
}

/// The same as [`upgrading`], but two consumers have read all of the first ring and have gone, so nothing of it is
/// kept. They find their entries in the present ring, and get what comes next.
pub(super) fn upgrading_read(scenario: &Scenario, is_replaced: bool, log: &mut Log) {
    for next in [1, 2, 3] {
        let stage = Stage::new();
        let (mut one, mut other) = (Traveller::new(&stage, "one"), Traveller::new(&stage, "other"));
        first_ring(&stage, log, &mut [(&mut one, FIRST), (&mut other, FIRST)]);
        (one.consumer, other.consumer) = (None, None);
        let mut victim = stage.doomed(scenario, Role::Upgrade, None);
        victim.go();
        victim.wait_dead();
        log.killed();

        let mut producer = versioned(&stage.name, next).build_producer(Event::blank).unwrap();
        let takes_over = next == if is_replaced { 2 } else { 1 };
        assert_eq!(producer.origin(), if takes_over { Origin::TookOver } else { Origin::Replaced }, "version {next}");
        assert_eq!(stage.shm.leftovers().len(), 1, "{:?}", stage.shm.leftovers());
        publish(&mut producer, LAST);
        let begin = if takes_over && !is_replaced { FIRST } else { 0 };
        let expected: Vec<_> = events(std::process::id().into(), begin, begin + LAST).collect();
        for reader in [&mut one, &mut other] {
            assert_eq!(reader.read(LAST), expected, "version {next}");
        }
        drop((producer, one, other));
        stage.strike();
    }
}

/// Only one consumer lives in the first of three rings, and it dies while it leaves that ring. Another consumer has
/// read the first ring and has gone; it gets everything of the other rings. Only the last ring is left, and the dead
/// consumer has no entry in it. It makes no difference whether the other consumer comes back next or a producer takes
/// over.
pub(super) fn leaving_older(scenario: &Scenario, log: &mut Log) {
    for is_taken_over in [false, true] {
        let stage = Stage::new();
        let mut kept = Traveller::new(&stage, "kept");
        first_ring(&stage, log, &mut [(&mut kept, FIRST)]);
        kept.consumer = None;
        let mut victim = stage.doomed(scenario, Role::LeaveUnread, Some(ID));
        let build = |version| versioned(&stage.name, version).build_producer(Event::blank).unwrap();
        let mut producer = build(2);
        publish(&mut producer, LAST);
        producer.hand_over();
        producer = build(3);
        publish(&mut producer, LAST);
        assert_eq!(stage.shm.leftovers().len(), 3, "{:?}", stage.shm.leftovers());
        victim.go();
        victim.wait_dead();
        log.killed();

        if is_taken_over {
            producer.hand_over();
            producer = build(3);
            assert_eq!(producer.origin(), Origin::TookOver);
            let ids: Vec<_> = producer.consumers().into_iter().map(|consumer| consumer.id).collect();
            assert_eq!(ids, ["kept"]);
            assert_eq!(stage.shm.leftovers().len(), 2, "{:?}", stage.shm.leftovers());
        }
        let us = std::process::id().into();
        assert_eq!(kept.read(2 * LAST), events(us, 0, LAST).chain(events(us, 0, LAST)).collect::<Vec<_>>());
        assert_eq!(stage.shm.leftovers().len(), 1, "{:?}", stage.shm.leftovers());
        assert_eq!(producer.get_consumer_count(), 1);
        drop((producer, kept));
        stage.strike();
    }
}

/// A collector dies while it removes two rings. A consumer that has gone has not read all of the first. The next
/// collector removes all that is left.
pub(super) fn collecting_both(scenario: &Scenario, log: &mut Log) {
    let stage = Stage::new();
    let mut kept = Traveller::new(&stage, "kept");
    first_ring(&stage, log, &mut [(&mut kept, 1)]);
    kept.consumer = None;
    versioned(&stage.name, 2).build_producer(Event::blank).unwrap().hand_over();
    assert_eq!(stage.shm.leftovers().len(), 2, "{:?}", stage.shm.leftovers());
    let mut victim = stage.doomed(scenario, Role::Collect, None);
    victim.go();
    victim.wait_dead();
    log.killed();
    let is_over = scenario.passes == 1;
    let expected = if is_over { GcOutcome::NotFound } else { GcOutcome::Removed };
    assert_eq!(gc(stage.name.as_str()).unwrap(), expected);
    stage.strike();
}

/// A consumer that has read the first ring to its end dies while it moves over to the second. It comes back, gets
/// everything, and nothing is left of the first ring once another consumer has read it, too.
pub(super) fn coming_over(scenario: &Scenario, log: &mut Log) {
    let stage = Stage::new();
    let (mut reader, mut other) = (Traveller::new(&stage, ID), Traveller::new(&stage, "other"));
    let author = first_ring(&stage, log, &mut [(&mut reader, FIRST), (&mut other, 1)]);
    // The first ring is kept for it.
    other.consumer = None;
    let mut producer = versioned(&stage.name, 2).build_producer(Event::blank).unwrap();
    reader.consumer = None;
    publish(&mut producer, LAST);
    let mut victim = stage.doomed(scenario, Role::Join, Some(ID));
    victim.go();
    victim.wait_dead();
    log.killed();
    let new: Vec<_> = events(std::process::id().into(), 0, LAST).collect();
    assert_eq!(reader.read(LAST), new);
    assert_eq!(other.read(FIRST - 1 + LAST), events(author, 1, FIRST).chain(new).collect::<Vec<_>>());
    assert_eq!(stage.shm.leftovers().len(), 1, "{:?}", stage.shm.leftovers());
    drop((reader, other, producer));
    stage.strike();
}
