//! A type is upgraded while its stream lives: a writer of another version replaces the ring, and every reader with an
//! id of its own gets all of both.

use myelon::codec::Codec;
use myelon::liveness::{Ending, RefusalCause, WaitingFor};
use myelon::prelude::*;
use myelon::typed_transport::{TypedPublishError, TypedReceiveError, TypedTap};
use myelon::{GcOutcome, Origin, PublishError, StartAt, gc, message};
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::Watchdog;

/// Three versions of one message, of which the last one is [`Step`], and takes the two before it.
pub(crate) mod version {
    use super::message;

    #[message(name = "Step")]
    pub(crate) struct First {
        pub(crate) number: u32,
    }

    #[message(name = "Step")]
    pub(crate) struct Second {
        pub(crate) number: u32,
        pub(crate) version: u8,
    }
}
use version::{First, Second};

#[message(name = "Step", takes(First, Second))]
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) version: u8,
    pub(crate) number: u64,
}

impl From<First> for Step {
    fn from(First { number }: First) -> Self {
        Self { version: 1, number: number.into() }
    }
}

impl From<Second> for Step {
    fn from(Second { number, version }: Second) -> Self {
        Self { version, number: number.into() }
    }
}

/// A writer of one of the versions.
pub(crate) enum Writer<F: Format = Records> {
    First(TypedProducer<First, F>),
    Second(TypedProducer<Second, F>),
    Third(TypedProducer<Step, F>),
}

impl<F: Format> Writer<F> {
    pub(crate) fn build(builder: TransportBuilder<F>, version: u8) -> Self {
        Self::try_build(builder, version).unwrap()
    }

    pub(crate) fn try_build(builder: TransportBuilder<F>, version: u8) -> Result<Self, TransportError> {
        Ok(match version {
            1 => Self::First(TypedProducer::build(builder)?),
            2 => Self::Second(TypedProducer::build(builder)?),
            _ => Self::Third(TypedProducer::build(builder)?),
        })
    }

    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::First(it) => it.origin(),
            Self::Second(it) => it.origin(),
            Self::Third(it) => it.origin(),
        }
    }

    pub(crate) fn publish(&mut self, number: u64) {
        match self {
            Self::First(it) => it.publish(&First { number: number as u32 }, 0),
            Self::Second(it) => it.publish(&Second { number: number as u32, version: 2 }, 0),
            Self::Third(it) => it.publish(&Step { version: 3, number }, 0),
        }
        .unwrap();
    }

    pub(crate) fn hand_over(self) {
        match self {
            Self::First(it) => it.hand_over(),
            Self::Second(it) => it.hand_over(),
            Self::Third(it) => it.hand_over(),
        }
    }
}

/// One stream, its ring in shared memory or in a file.
struct Stage {
    names: ShmGuard,
    place: Place,
    _watchdog: Watchdog,
}

const DEPTH: usize = 1 << 16;

impl Stage {
    fn new() -> Self {
        let names = ShmGuard::new();
        let place = Place::from(names.name("s"));
        Self { names, place, _watchdog: Watchdog::new(Duration::from_secs(120), "a stream is upgraded") }
    }

    fn builder<F: Format>(&self, depth: usize) -> TransportBuilder<F> {
        TransportBuilder::new(&self.place, depth)
    }

    fn writer(&self, version: u8) -> Writer {
        Writer::build(self.builder(DEPTH), version)
    }

    fn reader(&self, id: &str) -> TypedConsumer<Step> {
        TypedConsumer::build(self.builder(0).with_consumer_id(id)).unwrap()
    }

    fn assert_one_ring(&self) {
        assert_eq!(self.names.leftovers().len(), 1, "{:?}", self.names.leftovers());
    }
}

/// A stream with a writer of the first version, and a reader of all under the id `a`.
fn scene() -> (Stage, Writer, TypedConsumer<Step>) {
    let stage = Stage::new();
    let (writer, reader) = (stage.writer(1), stage.reader("a"));
    (stage, writer, reader)
}

/// The next messages of a reader, which are of `version` and have these numbers, and come for the first time.
#[track_caller]
fn expect<F: Format>(reader: &mut TypedConsumer<Step, F>, version: u8, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let message = reader.next(Patience::Endless).unwrap().unwrap();
        assert_eq!(message.decode().unwrap(), Step { version, number });
        assert_eq!(message.is_of_older_version(), version < 3);
        assert!(!message.is_redelivered(), "{number}");
        drop(message);
        assert_eq!(reader.is_of_older_version(), version < 3);
    }
}

#[test]
fn a_reader_drains_the_old_ring_and_goes_on_in_the_new_one_by_itself() {
    let (stage, mut old, mut reader) = scene();
    (0..4).for_each(|number| old.publish(number));
    expect(&mut reader, 1, 0..1);
    old.hand_over();
    let mut new = stage.writer(3);
    (0..3).for_each(|number| new.publish(number));
    expect(&mut reader, 1, 1..4);
    expect(&mut reader, 3, 0..3);
    stage.assert_one_ring();
    new.publish(3);
    expect(&mut reader, 3, 3..4);
    drop(new);
    let end = reader.next(Patience::Endless).map(drop).unwrap_err();
    assert!(matches!(end, TypedReceiveError::Transport(TransportError::Consume(ConsumeError::Closed))), "{end}");
    drop(reader);
    stage.names.assert_nothing_left();
}

#[test]
fn a_reader_that_does_not_wait_goes_on_too() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = stage.writer(3);
    new.publish(0);
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(reader.receive_owned(Patience::Now).unwrap().map(|(step, _)| (step.version, step.number)));
    }
    assert_eq!(seen, [(1, 0), (3, 0)]);
}

/// It stands between the last message of the old ring and the replacement, or sleeps there.
#[test]
fn a_reader_that_waits_in_the_old_ring_is_woken_and_goes_on() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    let thread = std::thread::spawn(move || {
        let mut read = Vec::new();
        while read.len() < 2 {
            match reader.receive_owned(Patience::Endless) {
                Ok(message) => read.push(message.unwrap().0.version),
                // Between the two writers.
                Err(TypedReceiveError::Transport(TransportError::Consume(ConsumeError::ProducerDied { .. }))) => {
                    std::thread::yield_now();
                }
                Err(error) => panic!("{error}"),
            }
        }
        read
    });
    old.hand_over();
    stage.writer(2).publish(0);
    assert_eq!(thread.join().unwrap(), [1, 2]);
}

#[test]
fn an_id_that_was_away_reads_the_old_ring_to_its_end_before_the_new_one() {
    for file in [false, true] {
        let mut stage = Stage::new();
        let dir = stage.names.name("d");
        let dir = std::env::temp_dir().join(dir);
        if file {
            std::fs::create_dir(&dir).unwrap();
            stage.place = Place::from(dir.join("steps.ring"));
        }
        let mut old = stage.writer(1);
        let mut reader = stage.reader("a");
        (0..3).for_each(|number| old.publish(number));
        expect(&mut reader, 1, 0..1);
        drop(reader);
        old.hand_over();
        let mut new = stage.writer(3);
        (0..2).for_each(|number| new.publish(number));
        let mut reader = stage.reader("a");
        expect(&mut reader, 1, 1..3);
        expect(&mut reader, 3, 0..2);
        drop((new, reader));
        if file {
            assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 0);
            std::fs::remove_dir(&dir).unwrap();
        }
        stage.names.assert_nothing_left();
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim_of_a_restart() {
    let Some(role) = testkit::process::role() else { return };
    let (part, name) = role.split_once(' ').unwrap();
    let builder = |depth| TransportBuilder::<Records>::new(name, depth);
    let _end: Box<dyn std::any::Any> = match part {
        "write" => {
            let mut writer = Writer::build(builder(DEPTH), 3);
            (0..4).for_each(|number| writer.publish(number));
            Box::new(writer)
        }
        "read" => {
            let mut reader = TypedConsumer::<Step>::build(builder(0).with_consumer_id("a")).unwrap();
            expect(&mut reader, 3, 0..1);
            Box::new(reader)
        }
        other => panic!("{other}"),
    };
    say("READY");
    wait_to_be_killed();
}

/// The same writer again, no other version: what an id was promised is there for it, whichever side comes first.
#[test]
fn when_all_processes_are_killed_and_started_again_nothing_is_lost() {
    for is_writer_first in [true, false] {
        let stage = Stage::new();
        let mut killed: Vec<_> = ["write", "read"]
            .map(|part| {
                let role = format!("{part} {}", stage.names.name("s"));
                let mut victim = Respawn::test(test_name!(victim_of_a_restart)).role(role).spawn();
                victim.wait_line("READY");
                victim
            })
            .into();
        if is_writer_first {
            killed.reverse();
        }
        for victim in &mut killed {
            victim.kill_and_reap();
        }
        let reader = (!is_writer_first).then(|| stage.reader("a"));
        let mut writer = stage.writer(3);
        assert_eq!(writer.origin(), Origin::TookOver);
        writer.publish(4);
        expect(&mut reader.unwrap_or_else(|| stage.reader("a")), 3, 1..5);
        stage.assert_one_ring();
    }
}

#[test]
fn the_last_process_that_leaves_takes_nothing_with_it_that_waits_for_an_id() {
    let stage = Stage::new();
    let mut writer = stage.writer(3);
    let reader = stage.reader("a");
    // One without an id, which gives its place up.
    let monitor = TypedConsumer::<Step>::build(stage.builder(0)).unwrap();
    let leaver = stage.reader("b");
    writer.publish(0);
    drop(reader);
    writer.hand_over();
    drop(monitor);
    leaver.leave();
    stage.assert_one_ring();
    let mut writer = stage.writer(3);
    writer.publish(1);
    let mut reader = stage.reader("a");
    expect(&mut reader, 3, 0..2);
    reader.leave();
    writer.hand_over();
    // Now nothing waits for any.
    assert_eq!(stage.writer(3).origin(), Origin::Replaced);
}

#[test]
fn a_ring_that_is_replaced_on_request_takes_the_rings_before_it_with_it() {
    let stage = Stage::new();
    let mut writer = stage.writer(1);
    drop(stage.reader("a"));
    for version in [2, 3] {
        writer.publish(0);
        writer.hand_over();
        writer = stage.writer(version);
    }
    writer.hand_over();
    assert_eq!(stage.names.leftovers().len(), 3, "all that `a` is to read");
    let anew = TypedProducer::<Step>::build(stage.builder(DEPTH).replace()).unwrap();
    assert_eq!(anew.origin(), Origin::Replaced);
    stage.assert_one_ring();
    assert_eq!(anew.get_consumer_count(), 0);
}

#[test]
fn an_id_that_was_away_for_several_upgrades_reads_all_rings_in_order() {
    let stage = Stage::new();
    let mut writer = stage.writer(1);
    let mut away = stage.reader("away");
    let mut here = stage.reader("here");
    writer.publish(0);
    drop(away);
    for version in [2, 3, 1, 2] {
        writer.hand_over();
        writer = stage.writer(version);
        writer.publish(0);
    }
    writer.publish(1);
    away = stage.reader("away");
    for reader in [&mut away, &mut here] {
        for version in [1, 2, 3, 1] {
            expect(reader, version, 0..1);
        }
        expect(reader, 2, 0..2);
    }
    stage.assert_one_ring();
    drop((away, here, writer));
    stage.names.assert_nothing_left();
}

#[test]
fn a_ring_in_which_nothing_is_to_be_read_is_not_kept_for_an_id_that_is_away() {
    let stage = Stage::new();
    let mut writer = stage.writer(1);
    let mut reader = stage.reader("a");
    drop(stage.reader("b"));
    writer.publish(0);
    expect(&mut reader, 1, 0..1);
    drop(reader);
    drop(stage.reader("b").next(Patience::Now).unwrap());
    for version in [2, 3, 1, 2, 3] {
        writer.hand_over();
        writer = stage.writer(version);
        assert_eq!(writer.origin(), Origin::Replaced);
        stage.assert_one_ring();
    }
    writer.publish(0);
    writer.hand_over();
    // Both have kept their places: one more writer goes on for them.
    writer = stage.writer(3);
    assert_eq!(writer.origin(), Origin::TookOver);
    writer.publish(1);
    for id in ["a", "b"] {
        expect(&mut stage.reader(id), 3, 0..2);
    }
}

#[test]
fn no_more_rings_are_kept_than_are_looked_through_and_the_writer_is_refused_instead() {
    let stage = Stage::new();
    let mut writer = stage.writer(1);
    drop(stage.reader("a"));
    writer.publish(0);
    let mut versions = vec![1];
    let refused = loop {
        writer.hand_over();
        let version = if versions.len() % 2 == 1 { 3 } else { 1 };
        match Writer::try_build(stage.builder(DEPTH), version) {
            Ok(next) => writer = next,
            Err(error) => break error,
        }
        writer.publish(0);
        versions.push(version);
        assert!(versions.len() < 100, "rings without end");
    };
    let text = format!(
        "{} follows on as many rings as can be kept for consumers that have not read them (a): start them, or give up \
         what is there for them by `replace`",
        stage.place
    );
    assert_eq!(refused.to_string(), text);
    assert_eq!(stage.names.leftovers().len(), versions.len());
    // One of the version that is there goes on, and all that was sent is read.
    assert_eq!(stage.writer(*versions.last().unwrap()).origin(), Origin::TookOver);
    let mut reader = stage.reader("a");
    versions.iter().for_each(|&version| expect(&mut reader, version, 0..1));
}

/// Not the ring that it was to come over to either.
#[test]
fn a_place_that_was_given_up_keeps_no_ring() {
    let (stage, mut old, reader) = scene();
    old.publish(0);
    old.hand_over();
    stage.writer(3).hand_over();
    reader.leave();
    stage.names.assert_nothing_left();
}

#[test]
fn an_older_ring_goes_when_the_last_id_that_has_something_to_read_in_it_has_come_over() {
    let stage = Stage::new();
    let mut old = stage.writer(1);
    let (mut reader, mut away) = (stage.reader("a"), stage.reader("b"));
    old.publish(0);
    // It has read everything, and has gone.
    expect(&mut away, 1, 0..1);
    drop(away);
    old.hand_over();
    let mut new = stage.writer(3);
    (0..2).for_each(|number| new.publish(number));
    assert_eq!(stage.names.leftovers().len(), 2);
    expect(&mut reader, 1, 0..1);
    assert_eq!(stage.names.leftovers().len(), 2, "it has not come over yet");
    expect(&mut reader, 3, 0..1);
    stage.assert_one_ring();
    // What it was promised in the new ring is there.
    let mut away = stage.reader("b");
    expect(&mut away, 3, 0..2);
    expect(&mut reader, 3, 1..2);
    drop((new, away, reader));
    stage.names.assert_nothing_left();
}

#[test]
fn an_older_ring_goes_when_its_last_reader_is_dropped_at_its_end_and_that_one_is_awaited_no_more_but_has_a_place() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = TypedProducer::<Step>::build(stage.builder(DEPTH)).unwrap();
    new.publish(&Step { version: 3, number: 0 }, 0).unwrap();
    expect(&mut reader, 1, 0..1);
    drop(reader);
    stage.assert_one_ring();
    let kept = &new.consumers()[0];
    assert_eq!((kept.id.as_str(), kept.ending), ("a", Some(Ending::Dropped)));
    expect(&mut stage.reader("a"), 3, 0..1);
    // As long as something is to be read, it stays.
    new.hand_over();
    let mut newest = stage.writer(1);
    newest.publish(0);
    stage.assert_one_ring();
    expect(&mut stage.reader("a"), 1, 0..1);
}

#[test]
fn what_a_closed_stream_has_for_a_reader_that_has_just_read_the_ring_before_is_there_after_the_next_writer() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = stage.writer(3);
    new.publish(0);
    drop(new);
    expect(&mut reader, 1, 0..1);
    drop(reader);
    let mut newest = stage.writer(1);
    newest.publish(5);
    let mut reader = stage.reader("a");
    expect(&mut reader, 3, 0..1);
    assert!(reader.next_or_end(Patience::Endless).unwrap().is_none(), "that stream has ended");
    drop(reader);
    stage.assert_one_ring();
    expect(&mut stage.reader("a"), 1, 5..6);
}

#[test]
fn all_rings_that_one_id_was_to_read_go_when_it_leaves_the_oldest_of_them() {
    for is_read_by_another in [false, true] {
        let stage = Stage::new();
        let mut writer = stage.writer(1);
        let reader = stage.reader("a");
        let mut other = None;
        writer.publish(0);
        for version in [2, 3] {
            writer.hand_over();
            writer = stage.writer(version);
            writer.publish(0);
            if version == 2 && is_read_by_another {
                // Its first ring is the second one.
                drop(stage.reader("b"));
                writer.publish(1);
                other = Some("b");
            }
        }
        assert_eq!(stage.names.leftovers().len(), 3);
        reader.leave();
        let Writer::Third(newest) = &writer else { unreachable!() };
        let places: Vec<_> = newest.consumers().into_iter().map(|consumer| consumer.id).collect();
        assert_eq!(places, other.iter().map(|&id| id.to_owned()).collect::<Vec<_>>());
        let Some(id) = other else {
            stage.assert_one_ring();
            continue;
        };
        assert_eq!(stage.names.leftovers().len(), 2, "what `b` is to read stays");
        let mut other = stage.reader(id);
        expect(&mut other, 2, 0..2);
        expect(&mut other, 3, 0..1);
        stage.assert_one_ring();
    }
}

#[test]
fn a_place_that_was_given_up_keeps_no_ring_when_the_type_changes_once_more() {
    let (stage, mut old, reader) = scene();
    old.publish(0);
    old.hand_over();
    let new = stage.writer(3);
    // A reader of the new ring which keeps that, but not for `a`.
    let other = stage.reader("b");
    reader.leave();
    stage.assert_one_ring();
    new.hand_over();
    drop(other);
    stage.writer(1).hand_over();
    stage.assert_one_ring();
}

#[test]
fn an_id_that_has_left_the_first_of_three_rings_gets_nothing_of_the_second_when_it_starts_again() {
    let stage = Stage::new();
    let mut writer = stage.writer(1);
    let (reader, other) = (stage.reader("a"), stage.reader("b"));
    for version in [2, 3] {
        writer.publish(0);
        writer.hand_over();
        writer = stage.writer(version);
    }
    reader.leave();
    assert_eq!(stage.names.leftovers().len(), 3, "`b` has read nothing");
    let tail = stage.builder(0).with_consumer_id("a").start_at(StartAt::Tail);
    let mut reader: TypedConsumer<Step> = TypedConsumer::build(tail).unwrap();
    writer.publish(5);
    expect(&mut reader, 3, 5..6);
    drop(other);
}

#[test]
fn a_ring_that_no_consumer_finds_any_more_goes_with_the_last_process_in_it_whatever_places_are_kept_there() {
    let stage = Stage::new();
    let mut old = stage.writer(1);
    drop(stage.reader("a"));
    let monitor = TypedConsumer::<Step>::build(stage.builder(0)).unwrap();
    old.publish(0);
    old.hand_over();
    stage.writer(3).hand_over();
    let newest = TypedProducer::<Step>::build(stage.builder(DEPTH).replace()).unwrap();
    assert_eq!(stage.names.leftovers().len(), 2, "the one that a process reads stays");
    drop(monitor);
    stage.assert_one_ring();
    drop(newest);
    stage.names.assert_nothing_left();
}

#[test]
fn all_that_was_kept_for_one_that_is_evicted_goes_with_its_place() {
    let stage = Stage::new();
    let mut writer = stage.writer(1);
    drop(stage.reader("a"));
    for version in [2, 3] {
        writer.publish(0);
        writer.hand_over();
        writer = stage.writer(version);
    }
    assert_eq!(stage.names.leftovers().len(), 3);
    let Writer::Third(mut newest) = writer else { unreachable!() };
    assert!(newest.evict_consumer("a").unwrap());
    stage.assert_one_ring();
}

#[test]
fn the_new_ring_is_written_over_for_no_reader_that_has_not_come_over() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = TypedProducer::<Step>::build(stage.builder(DEPTH)).unwrap();
    let mut sent = 0;
    while new.try_publish(&Step { version: 3, number: sent }, 0).is_ok() {
        sent += 1;
    }
    let report = new.stall_report();
    assert_eq!(report.waiting_for, WaitingFor::Space, "{report}");
    let text = report.to_string();
    assert!(text.contains("a has not come over from the ring before this one; process"), "{text}");
    // It lives, and is waited for.
    let deadline = std::time::Instant::now() + Duration::from_millis(60);
    let blocked = new.publish_deadline(&Step { version: 3, number: sent }, 0, deadline).unwrap_err();
    let is_late =
        matches!(&blocked, TypedPublishError::Transport(TransportError::Publish(PublishError::TimedOut { .. })));
    assert!(is_late, "{blocked}");
    expect(&mut reader, 1, 0..1);
    expect(&mut reader, 3, 0..sent);
    new.publish(&Step { version: 3, number: sent }, 0).unwrap();
    expect(&mut reader, 3, sent..sent + 1);
}

#[test]
fn a_reader_that_never_comes_back_is_named_and_given_up_with_the_ring_that_was_kept_for_it() {
    let (stage, mut old, reader) = scene();
    old.publish(0);
    drop(reader);
    old.hand_over();
    let mut new = TypedProducer::<Step>::build(stage.builder(DEPTH)).unwrap();
    assert_eq!(new.origin(), Origin::Replaced);
    let step = Step { version: 3, number: 0 };
    let died = loop {
        if let Err(error) = new.publish(&step, 0) {
            break error;
        }
    };
    let TypedPublishError::Transport(TransportError::Publish(PublishError::ConsumerDied { id, how, .. })) = &died
    else {
        panic!("{died}");
    };
    assert_eq!((id.as_str(), *how), ("a", Ending::Dropped));
    assert_eq!(stage.names.leftovers().len(), 2, "the old ring waits for it");
    assert!(new.evict_consumer("a").unwrap());
    stage.assert_one_ring();
    new.publish(&step, 0).unwrap();
}

#[test]
fn a_reader_that_leaves_the_old_ring_is_not_waited_for_in_the_new_one() {
    let (stage, mut old, reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = TypedProducer::<Step>::build(stage.builder(DEPTH)).unwrap();
    reader.leave();
    stage.assert_one_ring();
    for number in 0..10_000 {
        new.publish(&Step { version: 3, number }, 0).unwrap();
    }
}

#[test]
fn a_living_reader_of_the_old_ring_is_not_evicted_from_the_new_one() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = TypedProducer::<Step>::build(stage.builder(DEPTH)).unwrap();
    assert!(!new.evict_consumer("a").unwrap());
    assert!(new.check_peers().iter().all(|peer| peer.ending == Some(Ending::Awaited)));
    new.publish(&Step { version: 3, number: 0 }, 0).unwrap();
    expect(&mut reader, 1, 0..1);
    expect(&mut reader, 3, 0..1);
    assert_eq!(new.check_peers(), []);
}

#[test]
fn a_reader_that_does_not_know_the_new_version_reads_the_old_one_and_is_refused_and_named() {
    let stage = Stage::new();
    let mut old = stage.writer(1);
    let builder = stage.builder(0).with_consumer_id("a").with_rank(3);
    let mut reader = TypedConsumer::<First>::build(builder).unwrap();
    old.publish(0);
    old.hand_over();
    let new = TypedProducer::<Second>::build(stage.builder(DEPTH)).unwrap();
    assert_eq!(reader.receive_owned(Patience::Endless).unwrap().unwrap().0.number, 0);
    let refused = reader.next(Patience::Endless).map(drop).unwrap_err();
    let text = refused.to_string();
    assert!(text.contains("field `Step.version` is u8 at position 1 there, but does not exist here"), "{text}");
    let refusal = new.refusal(Some(3)).expect("it has said so");
    assert_eq!((refusal.cause, refusal.pid), (RefusalCause::OtherContent, std::process::id()));
}

#[test]
fn what_is_read_after_an_upgrade_is_not_removed_under_those_who_read_it() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = stage.writer(3);
    new.publish(0);
    // The new one closes, or is killed, before the reader has come over.
    drop(new);
    assert!(matches!(gc(&stage.place).unwrap(), GcOutcome::InUse { .. }));
    expect(&mut reader, 1, 0..1);
    expect(&mut reader, 3, 0..1);
    let end = reader.next(Patience::Endless).map(drop).unwrap_err();
    assert!(matches!(end, TypedReceiveError::Transport(TransportError::Consume(ConsumeError::Closed))), "{end}");
    drop(reader);
    stage.names.assert_nothing_left();
}

#[test]
fn a_collector_removes_the_rings_of_one_stream_together() {
    let stage = Stage::new();
    let mut old = stage.writer(1);
    drop(stage.reader("a"));
    old.publish(0);
    old.hand_over();
    stage.writer(2).hand_over();
    stage.writer(3).hand_over();
    assert_eq!(stage.names.leftovers().len(), 3);
    assert_eq!(gc(&stage.place).unwrap(), GcOutcome::Removed);
    stage.names.assert_nothing_left();
}

#[test]
fn a_memory_file_cannot_be_upgraded_and_says_so() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a memory file");
    let place = Place::memfd("steps");
    let mut old = TypedProducer::<First>::create(&place, DEPTH).unwrap();
    drop(TypedConsumer::<Step>::attach_with_consumer_id(&place, 0, "a", MyelonWaitStrategy::Adaptive).unwrap());
    old.publish(&First { number: 0 }, 0).unwrap();
    old.hand_over();
    let refused = TypedProducer::<Step>::create(&place, DEPTH).map(drop).unwrap_err().to_string();
    assert!(refused.contains("has no name under which it could be kept"), "{refused}");
    // As it was, or given up.
    let mut reader =
        TypedConsumer::<Step>::attach_with_consumer_id(&place, 0, "a", MyelonWaitStrategy::Adaptive).unwrap();
    expect(&mut reader, 1, 0..1);
    drop(reader);
    TypedProducer::<Step>::build(TransportBuilder::new(&place, DEPTH).replace()).unwrap();
}

#[test]
fn a_ring_of_frames_is_upgraded_like_one_of_records() {
    type Frames = AlignedFixedFrame<32>;
    let stage = Stage::new();
    let builder = || stage.builder::<Frames>(16);
    let mut old = Writer::build(builder(), 1);
    let mut reader: TypedConsumer<Step, Frames> = TypedConsumer::build(builder().with_consumer_id("a")).unwrap();
    (0..2).for_each(|number| old.publish(number));
    old.hand_over();
    let mut new = Writer::build(builder(), 3);
    (0..2).for_each(|number| new.publish(number));
    expect(&mut reader, 1, 0..2);
    expect(&mut reader, 3, 0..2);
}

#[test]
fn the_new_ring_may_have_another_size() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = Writer::<Records>::build(stage.builder(DEPTH * 4), 3);
    new.publish(0);
    expect(&mut reader, 1, 0..1);
    expect(&mut reader, 3, 0..1);
}

#[test]
fn a_new_ring_without_places_for_all_who_are_to_come_over_is_refused_and_the_old_one_goes_on() {
    let stage = Stage::new();
    let old = stage.writer(1);
    let _readers: Vec<_> = (0..6).map(|n| stage.reader(&format!("w{n}"))).collect();
    old.hand_over();
    let small = stage.builder(DEPTH).with_max_consumers(1);
    let refused = TypedProducer::<Step>::build(small).map(drop).unwrap_err();
    let is_refused = matches!(
        refused,
        TransportError::Build(MultiProcessError::TooManyExpected { expected: 6, max_consumers: 1, .. })
    );
    assert!(is_refused, "{refused}");
    stage.assert_one_ring();
    let Writer::First(again) = stage.writer(1) else { unreachable!() };
    assert_eq!(again.origin(), Origin::TookOver);
}

/// Without an id there is no place to keep, and no promise; nothing is lost all the same while the new ring has not
/// wrapped.
#[test]
fn a_reader_without_an_id_goes_on_with_the_oldest_message_of_the_new_ring() {
    let stage = Stage::new();
    let mut old = stage.writer(1);
    let mut reader = TypedConsumer::<Step>::build(stage.builder(0)).unwrap();
    old.publish(0);
    old.hand_over();
    let mut new = stage.writer(3);
    new.publish(0);
    expect(&mut reader, 1, 0..1);
    expect(&mut reader, 3, 0..1);
}

#[test]
fn a_tap_that_was_there_before_the_ring_was_replaced_gets_all_of_it_and_is_then_told() {
    for is_ring_kept in [false, true] {
        let stage = Stage::new();
        let mut old = stage.writer(1);
        let reader = is_ring_kept.then(|| stage.reader("a"));
        let mut tap = TypedTap::<Step>::attach(&stage.place).unwrap();
        let mut asleep = TypedTap::<Step>::attach(&stage.place).unwrap();
        let waiting = std::thread::spawn(move || {
            let mut seen = vec![];
            loop {
                match asleep.receive_owned(Patience::Endless) {
                    Ok(message) => seen.push(message.unwrap().0.number),
                    Err(end) => return (seen, end),
                }
            }
        });
        (0..3).for_each(|number| old.publish(number));
        assert_eq!(tap.receive_owned(Patience::Endless).unwrap().unwrap().0, Step { version: 1, number: 0 });
        old.hand_over();
        let mut new = stage.writer(3);
        new.publish(7);
        for number in 1..3 {
            let message = tap.next(Patience::Endless).unwrap().unwrap();
            assert_eq!((message.tag(), message.is_of_older_version()), (First::type_tag(), true));
            assert_eq!(message.decode().unwrap(), Step { version: 1, number });
        }
        let (seen, end) = waiting.join().unwrap();
        assert_eq!(seen, [0, 1, 2]);
        let ends =
            [end, tap.next(Patience::Endless).map(drop).unwrap_err(), tap.next(Patience::Now).map(drop).unwrap_err()];
        for end in ends {
            assert!(
                matches!(end, TypedReceiveError::Transport(TransportError::Consume(ConsumeError::Replaced))),
                "{end}"
            );
        }
        assert!(tap.is_of_older_version());
        // It keeps no ring for itself, and what it has copied counts for no reader.
        if let Some(mut reader) = reader {
            expect(&mut reader, 1, 0..3);
            expect(&mut reader, 3, 7..8);
        }
        stage.assert_one_ring();
        let mut tap = TypedTap::<Step>::attach(&stage.place).unwrap();
        new.publish(8);
        let mut last = None;
        while let Some(message) = tap.receive_owned(Patience::Now).unwrap() {
            last = Some(message.0);
        }
        assert_eq!((last, tap.is_of_older_version()), (Some(Step { version: 3, number: 8 }), false));
        drop(new);
        assert!(tap.next_or_end(Patience::Endless).unwrap().is_none());
    }
}

#[test]
fn an_untyped_reader_is_told_and_finds_what_is_there_for_it_when_it_attaches_again() {
    let stage = Stage::new();
    let mut old = stage.writer(1);
    let attach = || stage.builder::<Records>(0).with_consumer_id("a").build_consumer().unwrap();
    let mut reader = attach();
    old.publish(7);
    old.publish(8);
    old.hand_over();
    let mut new = stage.writer(2);
    new.publish(9);
    drop(reader.next(Patience::Endless).unwrap());
    drop(reader);
    reader = attach();
    drop(reader.next(Patience::Endless).unwrap());
    let end = reader.next(Patience::Endless).map(drop).unwrap_err();
    assert!(matches!(end, TransportError::Consume(ConsumeError::Replaced)), "{end}");
    drop(reader);
    reader = attach();
    assert_eq!(reader.next(Patience::Endless).unwrap().unwrap().len(), 5, "a number and a version");
    stage.assert_one_ring();
}

#[cfg(feature = "tokio")]
#[test]
fn an_awaited_reader_goes_on_in_the_new_ring_and_is_woken_there() {
    let stage = Stage::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut old = stage.writer(1);
    let reader = stage.reader("a");
    old.publish(0);
    runtime.block_on(async {
        let mut reader = myelon::asynchronous::AsyncConsumer::new(reader).unwrap();
        assert_eq!(reader.recv().await.unwrap().0, Step { version: 1, number: 0 });
        old.hand_over();
        let mut new = stage.writer(3);
        new.publish(0);
        assert_eq!(reader.recv().await.unwrap().0, Step { version: 3, number: 0 });
        // It sleeps at the bell of the new ring.
        let sender = std::thread::spawn(move || {
            new.publish(1);
            new
        });
        assert_eq!(reader.recv().await.unwrap().0, Step { version: 3, number: 1 });
        drop(sender.join().unwrap());
        assert!(reader.recv().await.is_err(), "closed");
    });
}
