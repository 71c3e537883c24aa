//! An entry that is kept for a reader: for which readers the writer waits, and which it gives up.

use super::*;

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
