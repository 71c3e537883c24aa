//! A live reader moves to the new ring, whichever way it reads.

use super::*;

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

/// The reader is between the last message of the old ring and the replacement, perhaps asleep.
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
    // It lives, and the writer waits for it.
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

/// Without an id there is no entry to keep, and no promise. Still, nothing is lost while the new ring has not wrapped.
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
        // A tap keeps no ring, and what it has copied counts for no reader.
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
