//! Which rings are kept, and when they go.

use super::*;

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
    // Both have kept their entries: another writer continues for them.
    writer = stage.writer(3);
    assert_eq!(writer.origin(), Origin::TookOver);
    writer.publish(1);
    for id in ["a", "b"] {
        expect(&mut stage.reader(id), 3, 0..2);
    }
}

/// Neither the old ring nor the one that it was to move to.
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
    // It has read everything, and is gone.
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
    // The ring stays as long as there is something to read.
    new.hand_over();
    let mut newest = stage.writer(1);
    newest.publish(0);
    stage.assert_one_ring();
    expect(&mut stage.reader("a"), 1, 0..1);
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
    // A reader of the new ring, which keeps that ring, but not for `a`.
    let other = stage.reader("b");
    reader.leave();
    stage.assert_one_ring();
    new.hand_over();
    drop(other);
    stage.writer(1).hand_over();
    stage.assert_one_ring();
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
