//! What cannot be upgraded is refused, and says why.

use super::*;

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
        "{} was not created: no more older rings can be kept for consumers that have not read them (a); start these \
         consumers, or give up their unread messages with `replace`",
        stage.place
    );
    assert_eq!(refused.to_string(), text);
    assert_eq!(stage.names.leftovers().len(), versions.len());
    // A writer of the ring's version continues, and everything that was sent is read.
    assert_eq!(stage.writer(*versions.last().unwrap()).origin(), Origin::TookOver);
    let mut reader = stage.reader("a");
    versions.iter().for_each(|&version| expect(&mut reader, version, 0..1));
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
fn a_memory_file_cannot_be_upgraded_and_says_so() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a memory file");
    let place = Place::memfd("steps");
    let mut old = TypedProducer::<First>::create(&place, DEPTH).unwrap();
    drop(TypedConsumer::<Step>::attach_with_consumer_id(&place, 0, "a", MyelonWaitStrategy::Adaptive).unwrap());
    old.publish(&First { number: 0 }, 0).unwrap();
    old.hand_over();
    let refused = TypedProducer::<Step>::create(&place, DEPTH).map(drop).unwrap_err().to_string();
    assert!(refused.contains("has no name under which it could be kept"), "{refused}");
    // The entry is as it was, or was given up.
    let mut reader =
        TypedConsumer::<Step>::attach_with_consumer_id(&place, 0, "a", MyelonWaitStrategy::Adaptive).unwrap();
    expect(&mut reader, 1, 0..1);
    drop(reader);
    TypedProducer::<Step>::build(TransportBuilder::new(&place, DEPTH).replace()).unwrap();
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
