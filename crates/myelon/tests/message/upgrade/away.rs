//! A reader that was away finds every message that it was promised, whichever side comes first.

use super::*;

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

/// The same writer comes again, with no other version: what an id was promised is there for it, whichever side comes
/// first.
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
    // A reader without an id, which gives its entry up.
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
    // Now no ring waits for a reader.
    assert_eq!(stage.writer(3).origin(), Origin::Replaced);
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
fn what_is_read_after_an_upgrade_is_not_removed_under_those_who_read_it() {
    let (stage, mut old, mut reader) = scene();
    old.publish(0);
    old.hand_over();
    let mut new = stage.writer(3);
    new.publish(0);
    // The new writer closes, or is killed, before the reader has moved to its ring.
    drop(new);
    assert!(matches!(gc(&stage.place).unwrap(), GcOutcome::InUse { .. }));
    expect(&mut reader, 1, 0..1);
    expect(&mut reader, 3, 0..1);
    let end = reader.next(Patience::Endless).map(drop).unwrap_err();
    assert!(matches!(end, TypedReceiveError::Transport(TransportError::Consume(ConsumeError::Closed))), "{end}");
    drop(reader);
    stage.names.assert_nothing_left();
}
