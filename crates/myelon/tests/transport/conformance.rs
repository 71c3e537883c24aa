//! What every format promises, whatever it looks like in the ring.
//!
//! Add a new format to `in_every_format`; it has to pass.

use crate::stage::{
    Aligned, DEPTH, Small, Subject, TempDir, everywhere, in_every_format, pair, payload, soon, watchdog,
};
use myelon::codec::{CodecError, EncodeShort};
use myelon::counters::ids;
use myelon::transport::{
    FixedFrame, FramedTransportConsumer, FramedTransportProducer, MmapFramedTransportConsumer,
    MmapFramedTransportProducer, MyelonWaitStrategy, Records, TransportBuilder, TransportError, monotonic_ns,
};
use myelon::{
    ConsumeError, CoordinationMode, CounterSnapshot, CreateOptions, MultiProcessError, Patience, Place, PublishError,
    RequiredConsumerError, RequiredConsumerLivenessConfig,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

/// The counter `id` with that label.
fn counter(counters: &[CounterSnapshot], id: u32, label: &str) -> u64 {
    let found = counters.iter().find(|counter| counter.id == id && counter.label == label);
    found.unwrap_or_else(|| panic!("no counter {id:#x} of {label} in {counters:?}")).value
}

#[test]
fn messages_of_every_size_arrive_whole_and_in_order() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, mut consumer) = pair::<F>(&place);
        for (seed, size) in (0..200).enumerate() {
            let sent = payload(size, seed);
            let sequence = producer.publish(&sent, seed as u8).unwrap();
            let message = consumer.next(Patience::Endless).unwrap().unwrap();
            assert_eq!((&message[..], message.kind(), message.sequence()), (&sent[..], seed as u8, sequence));
            assert_eq!((message.msg_id(), message.is_redelivered()), (seed as u32, false));
            assert!(!producer.is_consumed(sequence), "acknowledged while it is read");
            drop(message);
            assert!(producer.is_consumed(sequence));
        }
        // The longest messages may need the whole ring, and a reader that makes room.
        let most = producer.max_message_bytes();
        let longest = [most, most - 1, most];
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (seed, size) in longest.into_iter().enumerate() {
                    producer.publish(&payload(size, seed), 0).unwrap();
                }
            });
            for (seed, size) in longest.into_iter().enumerate() {
                assert!(consumer.next(Patience::Endless).unwrap().unwrap()[..] == payload(size, seed));
            }
        });
        assert_eq!(consumer.skipped(), 0);
    }
    in_every_format!(claim);
}

#[test]
fn payloads_begin_where_their_format_promises() {
    fn claim<F: Subject>(place: Place) {
        let mut producer = TransportBuilder::<F>::new(&place, F::DEPTH).with_send_time(true).build_producer().unwrap();
        let mut consumer = FramedTransportConsumer::<F>::attach(&place, F::DEPTH, MyelonWaitStrategy::Block).unwrap();
        for seed in 0..40 {
            // Also after a prefix, whose parts move the payload.
            producer.set_trace_id((seed % 2 == 0).then_some([7; 16]));
            let sent = payload(seed * 5, seed);
            producer.publish(&sent, 0).unwrap();
            let message = consumer.next(Patience::Endless).unwrap().unwrap();
            assert_eq!(message[..], sent);
            let align = if message.is_in_place() { F::PAYLOAD_ALIGN } else { 16 };
            assert!(message.as_ptr().addr().is_multiple_of(align), "{} bytes", sent.len());
        }
    }
    in_every_format!(claim);
}

#[test]
fn the_time_and_the_trace_of_a_message_arrive_with_it() {
    fn claim<F: Subject>(place: Place) {
        let mut producer = TransportBuilder::<F>::new(&place, F::DEPTH).with_send_time(true).build_producer().unwrap();
        let mut consumer = TransportBuilder::<F>::new(&place, 0).build_consumer().unwrap();
        for size in [0, 3, 150] {
            for trace_id in [None, Some(*b"0123456789abcdef")] {
                producer.set_trace_id(trace_id);
                let begun = monotonic_ns();
                producer.publish(&payload(size, 1), 9).unwrap();
                let message = consumer.next(Patience::Now).unwrap().unwrap();
                assert_eq!((message[..].to_vec(), message.trace_id()), (payload(size, 1), trace_id));
                let sent = message.timestamp_ns().unwrap();
                assert!((begun..=monotonic_ns()).contains(&sent));
                assert_eq!((message.meta().timestamp_ns, message.in_reply_to()), (Some(sent), None));
            }
        }
    }
    in_every_format!(claim);
}

#[test]
fn a_message_says_which_one_it_answers_instead_of_when_it_was_sent() {
    fn claim<F: Subject>(place: Place) {
        let mut producer = TransportBuilder::<F>::new(&place, F::DEPTH).with_send_time(true).build_producer().unwrap();
        let mut consumer = TransportBuilder::<F>::new(&place, 0).build_consumer().unwrap();
        for size in [0, 3, 150] {
            for (sequence, trace_id) in [(0, None), (i64::MAX, Some(*b"0123456789abcdef"))] {
                producer.set_trace_id(trace_id);
                producer.set_in_reply_to(Some(sequence));
                producer.publish(&payload(size, 1), 9).unwrap();
                let message = consumer.next(Patience::Now).unwrap().unwrap();
                assert_eq!((message[..].to_vec(), message.trace_id()), (payload(size, 1), trace_id));
                assert_eq!((message.in_reply_to(), message.timestamp_ns()), (Some(sequence), None));
                drop(message);
                producer.set_in_reply_to(None);
                producer.publish(b"", 9).unwrap();
                let message = consumer.next(Patience::Now).unwrap().unwrap();
                assert!(message.in_reply_to().is_none() && message.timestamp_ns().is_some());
            }
        }
    }
    in_every_format!(claim);
}

#[test]
fn one_that_encodes_is_called_again_until_there_is_room_and_never_beyond_the_limit() {
    fn claim<F: Subject>(place: Place) {
        let limit = 300;
        let mut producer =
            TransportBuilder::<F>::new(&place, F::DEPTH).with_message_limit(limit).build_producer().unwrap();
        let mut consumer = TransportBuilder::<F>::new(&place, 0).build_consumer().unwrap();
        let most = producer.max_message_bytes();
        for size in [0, 1, 20, 40, 41, 97, most] {
            for hint in [0, size, 2 * limit] {
                let sent = payload(size, hint);
                let mut largest = 0;
                let result = producer.send_with(3, hint, Patience::Now, |into| {
                    largest = largest.max(into.len());
                    let place = into.get_mut(..size).ok_or(EncodeShort::TooSmall)?;
                    place.copy_from_slice(&sent);
                    Ok(size)
                });
                result.unwrap();
                assert!(largest <= limit, "was given {largest} bytes");
                assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((3, sent)));
            }
        }
        let mut calls = 0;
        let refused = producer.send_with(3, 0, Patience::Now, |_| {
            calls += 1;
            Err(EncodeShort::TooSmall)
        });
        assert!(matches!(refused, Err(TransportError::TooLarge { .. })), "{refused:?}");
        assert!(calls < 20, "called {calls} times");
        assert!(consumer.next(Patience::Now).unwrap().is_none());
    }
    in_every_format!(claim);
}

#[test]
fn an_encoder_that_fails_or_panics_sends_nothing_and_the_stream_goes_on() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, mut consumer) = pair::<F>(&place);
        for hint in [1, 100] {
            let failed = producer.send_with(0, hint, Patience::Now, |into| {
                into.fill(0xff);
                Err(CodecError::Encode { codec: "a test", source: "on purpose".into() }.into())
            });
            assert!(matches!(failed, Err(TransportError::Codec(CodecError::Encode { .. }))));
            for claimed in [None, Some(10_000)] {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    producer.send_with(0, hint, Patience::Now, |_| Ok(claimed.expect("a test panics on purpose")))
                }));
                assert!(panicked.is_err(), "claimed more than it was given");
            }
            let sent = payload(60, hint);
            producer.publish(&sent, 1).unwrap();
            assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((1, sent)));
        }
        assert_eq!(consumer.skipped(), 0);
    }
    in_every_format!(claim);
}

#[test]
fn a_full_ring_answers_as_the_patience_says() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, mut consumer) = pair::<F>(&place);
        let sent = payload(100, 1);
        let mut count = 0;
        while producer.try_publish(&sent, 0).is_ok() {
            count += 1;
        }
        assert!(matches!(producer.try_publish(&sent, 0), Err(TransportError::Full)));
        let late = producer.publish_deadline(&sent, 0, soon());
        let Err(TransportError::Publish(PublishError::TimedOut { report })) = late else { panic!("{late:?}") };
        assert!(report.to_string().contains('w'), "{report}");
        assert!(matches!(
            producer.publish_managed(&sent, 0),
            Err(TransportError::RequiredConsumer(RequiredConsumerError::NotEnabled))
        ));
        producer.enable_required_consumer_liveness(RequiredConsumerLivenessConfig::new(["w"])).unwrap();
        let late = producer.send(&sent, 0, Patience::ManagedUntil(soon()));
        let Err(TransportError::RequiredConsumer(RequiredConsumerError::TimedOut { report })) = late else {
            panic!("{late:?}")
        };
        assert_eq!(report.culprit.unwrap().id, "w");
        for _ in 0..count {
            assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((0, sent.clone())));
        }
        assert!(consumer.next(Patience::Now).unwrap().is_none(), "nothing came of what failed");
        producer.publish_managed(&sent, 0).unwrap();
        assert!(consumer.next(Patience::Managed).unwrap().is_some());
        let late = consumer.next(Patience::Until(soon())).map(|_| ());
        assert!(matches!(late, Err(TransportError::Consume(ConsumeError::TimedOut { .. }))), "{late:?}");
    }
    in_every_format!(claim);
}

#[test]
fn a_message_that_can_never_be_sent_is_refused_at_once_with_the_depth_to_ask_for() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, _consumer) = pair::<F>(&place);
        let most = producer.max_message_bytes();
        let sent = payload(3 * most, 1);
        let refused = producer.publish(&sent, 0);
        let Err(TransportError::TooLarge { len_bytes, limit_bytes, depth_wanted: Some(depth) }) = refused else {
            panic!("{refused:?}")
        };
        assert!(len_bytes == sent.len() && (most..len_bytes).contains(&limit_bytes));
        drop(producer);
        // The advised depth is right.
        let place = Place::heap();
        let mut producer = FramedTransportProducer::<F>::create(&place, depth).unwrap();
        producer.publish(&sent, 0).unwrap();
        let mut limited =
            TransportBuilder::<F>::new(Place::heap(), F::DEPTH).with_message_limit(10).build_producer().unwrap();
        let refused = limited.publish(&[0; 11], 0);
        assert!(
            matches!(refused, Err(TransportError::TooLarge { len_bytes: 11, limit_bytes: 10, depth_wanted: None })),
            "{refused:?}"
        );
        limited.publish(&[0; 10], 0).unwrap();
    }
    in_every_format!(claim);
}

#[test]
fn a_receiver_with_a_lower_limit_skips_what_is_longer_and_goes_on() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, _other) = pair::<F>(&place);
        let mut consumer = TransportBuilder::<F>::new(&place, 0).with_message_limit(50).build_consumer().unwrap();
        producer.publish(&payload(51, 1), 0).unwrap();
        producer.publish(&payload(50, 2), 0).unwrap();
        assert!(matches!(consumer.next(Patience::Now), Err(TransportError::Malformed(_))));
        assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((0, payload(50, 2))));
        assert_eq!(consumer.skipped(), 1);
    }
    in_every_format!(claim);
}

#[test]
fn a_message_is_not_acknowledged_while_its_reader_panics() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, mut consumer) = pair::<F>(&place);
        for size in [10, 150] {
            let sequence = producer.publish(&payload(size, 1), 4).unwrap();
            let panicked = catch_unwind(AssertUnwindSafe(|| {
                let _message = consumer.next(Patience::Now).unwrap().unwrap();
                panic!("a test panics on purpose");
            }));
            assert!(panicked.is_err() && !producer.is_consumed(sequence));
            let panicked =
                catch_unwind(AssertUnwindSafe(|| consumer.process_available(|_| panic!("a test panics on purpose"))));
            assert!(panicked.is_err() && !producer.is_consumed(sequence));
            consumer.next(Patience::Now).unwrap().unwrap().release_unread();
            assert!(!producer.is_consumed(sequence));
            assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((4, payload(size, 1))));
            assert!(producer.is_consumed(sequence));
        }
        producer.publish(&payload(150, 2), 4).unwrap();
        assert!(consumer.skip().unwrap() && !consumer.skip().unwrap());
        assert_eq!(consumer.skipped(), 0, "it was not skipped because it could not be read");
    }
    in_every_format!(claim);
}

#[test]
fn a_handler_gets_everything_that_is_there() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, mut consumer) = pair::<F>(&place);
        for (seed, size) in [5, 120, 0].into_iter().enumerate() {
            producer.publish(&payload(size, seed), seed as u8).unwrap();
        }
        let mut seen = Vec::new();
        let handled = consumer.process_available(|meta| {
            assert_eq!(meta.len, meta.data.len());
            seen.push((meta.kind, meta.msg_id, meta.data.to_vec()));
        });
        assert_eq!(handled.unwrap(), 3);
        assert_eq!(seen, [(0, 0, payload(5, 0)), (1, 1, payload(120, 1)), (2, 2, payload(0, 2))]);
        assert_eq!(consumer.process_available(|_| ()).unwrap(), 0);
    }
    in_every_format!(claim);
}

#[test]
fn what_is_sent_before_the_expected_consumers_are_there_is_kept_for_them() {
    fn claim<F: Subject>(place: Place) {
        let kept = CoordinationMode::BufferUntilConsumers { max_buffer: F::DEPTH };
        let builder = TransportBuilder::<F>::new(&place, F::DEPTH).with_coordination(kept).with_expected_consumers(2);
        let mut producer = builder.build_producer().unwrap();
        producer.publish(&payload(100, 1), 1).unwrap();
        let mut consumers =
            ["a", "b"].map(|id| TransportBuilder::<F>::new(&place, 0).with_consumer_id(id).build_consumer().unwrap());
        for consumer in &mut consumers {
            assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((1, payload(100, 1))));
        }
        producer.publish(&payload(100, 2), 2).unwrap();
    }
    in_every_format!(claim);
}

#[test]
fn the_end_comes_behind_the_last_message() {
    fn claim<F: Subject>(place: Place) {
        let (mut producer, mut consumer) = pair::<F>(&place);
        producer.publish(&payload(150, 1), 1).unwrap();
        drop(producer);
        assert_eq!(consumer.receive_owned(Patience::Endless).unwrap(), Some((1, payload(150, 1))));
        assert!(matches!(consumer.next(Patience::Endless), Err(TransportError::Consume(ConsumeError::Closed))));
    }
    in_every_format!(claim);
}

#[test]
fn every_consumer_gets_every_message_while_one_sends_and_two_wait() {
    fn claim<F: Subject>(place: Place) {
        let mut producer = FramedTransportProducer::<F>::create_with_consumers(&place, F::DEPTH, 2).unwrap();
        assert!(!producer.discover_consumers(Duration::from_millis(2)));
        let readers = [MyelonWaitStrategy::Block, MyelonWaitStrategy::Adaptive].map(|wait| {
            let id = format!("{wait:?}");
            let mut consumer =
                FramedTransportConsumer::<F>::attach_with_consumer_id(&place, F::DEPTH, id, wait).unwrap();
            std::thread::spawn(move || {
                for seed in 0..500 {
                    let message = consumer.next(Patience::Endless).unwrap().unwrap();
                    assert!(message[..] == payload(seed % 190, seed) && message.msg_id() == seed as u32);
                }
            })
        });
        assert!(producer.discover_consumers(Duration::from_secs(20)));
        assert!(producer.discover_consumer_id("Block", Duration::from_secs(20)));
        for seed in 0..500 {
            producer.publish(&payload(seed % 190, seed), 0).unwrap();
        }
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    }
    in_every_format!(claim);
}

#[test]
fn counters_say_what_was_sent_joined_and_copied() {
    everywhere(|place| {
        let (mut producer, mut consumer) = pair::<FixedFrame<256>>(&place);
        for size in [64, 64, 600] {
            producer.publish(&payload(size, 0), 0).unwrap();
            drop(consumer.next(Patience::Now).unwrap().unwrap());
        }
        let encoded = producer.send_with(0, 64, Patience::Now, |into| {
            into[..64].fill(1);
            Ok(64)
        });
        encoded.unwrap();
        drop(consumer.next(Patience::Now).unwrap().unwrap());
        let counters = producer.ring_counters().snapshot();
        assert_eq!(counter(&counters, ids::FRAME_PUBLISH_TOTAL, "producer"), 4);
        assert_eq!(counter(&counters, ids::FRAME_FRAGMENT_COUNT, "producer"), 6);
        // Copies are counted in bytes of messages, not of frames, and messages that were encoded in place do not count.
        assert_eq!(counter(&counters, ids::FRAME_BYTES_COPIED, "producer"), 64 + 64 + 600);
        assert_eq!(counter(&counters, ids::FRAME_REASSEMBLE_COUNT, "w"), 1);
        assert_eq!(counter(&counters, ids::FRAME_BYTES_COPIED, "w"), 600);
        assert_eq!(counter(&counters, ids::FRAME_SKIPPED_COUNT, "w"), 0);
    });
}

#[test]
fn a_consumer_that_is_called_as_producers_are_counts_for_itself() {
    everywhere(|place| {
        let mut producer = FramedTransportProducer::<FixedFrame<256>>::create(place.clone(), 16).unwrap();
        let builder = TransportBuilder::<FixedFrame<256>>::new(place, 0).with_consumer_id("producer");
        let mut consumer = builder.build_consumer().unwrap();
        for size in [100, 600] {
            producer.publish(&payload(size, 0), 0).unwrap();
            drop(consumer.next(Patience::Now).unwrap().unwrap());
        }
        let counters = producer.ring_counters().snapshot();
        let copied: Vec<_> = counters.iter().filter(|counter| counter.id == ids::FRAME_BYTES_COPIED).collect();
        let values: Vec<_> = copied.iter().map(|counter| (&*counter.label, counter.value)).collect();
        assert_eq!(values, [("producer", 700), ("producer", 600)]);
        assert_ne!(copied[0].owner, copied[1].owner);
    });
}

#[test]
fn a_message_of_one_frame_is_read_in_place_and_one_of_several_is_not() {
    everywhere(|place| {
        let (mut producer, mut consumer) = pair::<Aligned>(&place);
        for (size, is_in_place) in [(0, true), (96, true), (97, false)] {
            producer.publish(&payload(size, 0), 0).unwrap();
            assert_eq!(consumer.next(Patience::Now).unwrap().unwrap().is_in_place(), is_in_place);
        }
    });
}

#[test]
fn another_frame_or_another_tag_is_refused() {
    everywhere(|place| {
        let _producer =
            TransportBuilder::<Small>::new(&place, DEPTH).with_content_tag("steps/1").build_producer().unwrap();
        let refused = TransportBuilder::<FixedFrame<41>>::new(&place, 0).build_consumer().map(|_| ());
        let Err(TransportError::Build(MultiProcessError::IncompatibleEvent { difference, .. })) = refused else {
            panic!("{refused:?}")
        };
        assert!(difference.to_string().contains("FixedFrame<40>"), "{difference}");
        assert!(matches!(
            TransportBuilder::<Aligned>::new(&place, 0).build_consumer().map(|_| ()),
            Err(TransportError::Build(MultiProcessError::IncompatibleEvent { .. }))
        ));
        let refused = TransportBuilder::<Small>::new(&place, 0).with_content_tag("steps/2").build_consumer();
        let Err(TransportError::Build(MultiProcessError::IncompatibleContent { found, wanted, .. })) =
            refused.map(|_| ())
        else {
            panic!("another tag was accepted")
        };
        assert_eq!((found.as_deref(), wanted.as_deref()), (Some("steps/1"), Some("steps/2")));
        TransportBuilder::<Small>::new(&place, 0).with_content_tag("steps/1").build_consumer().unwrap();
    });
}

#[test]
fn a_file_is_a_place_like_any_other() {
    let _watchdog = watchdog();
    let dir = TempDir::new();
    let layout = myelon::MmapTransportLayout::new(&dir.0, "steps").unwrap();
    layout.ensure_directories().unwrap();
    let mut producer = MmapFramedTransportProducer::<Small>::create(&layout, DEPTH).unwrap();
    let mut consumer =
        MmapFramedTransportConsumer::<Small>::attach(&layout, DEPTH, MyelonWaitStrategy::default()).unwrap();
    producer.publish(b"through a file", 1).unwrap();
    assert_eq!(&consumer.next(Patience::Until(Instant::now())).unwrap().unwrap()[..], b"through a file");
}

#[test]
fn creating_at_a_path_makes_its_directory() {
    fn claim<F: Subject>(place: Place) {
        // Only the format matters here: the place is a path of this test.
        drop(place);
        let dir = TempDir::new();
        let at = |name: &str| dir.0.join(name).join("deep").join("ring");
        drop(MmapFramedTransportProducer::<F>::create(at("plain"), F::DEPTH).unwrap());
        drop(FramedTransportProducer::<F>::create_with_consumers(at("counted"), F::DEPTH, 2).unwrap());
        drop(TransportBuilder::<F>::new(at("built"), F::DEPTH).build_producer().unwrap());
        let without = CreateOptions::default().make_directories(false);
        let refused = TransportBuilder::<F>::new(at("refused"), F::DEPTH).with_create_options(without).build_producer();
        assert!(refused.is_err() && !dir.0.join("refused").exists());
    }
    in_every_format!(claim);
}

#[test]
fn places_are_kept_for_the_consumers_of_a_prefix() {
    fn claim<F: Subject>(place: Place) {
        let builder = TransportBuilder::<F>::new(&place, F::DEPTH).with_max_consumers(1).with_consumer_prefix("wk");
        let _producer = builder.build_producer().unwrap();
        let attach = |id: &str| TransportBuilder::<F>::new(&place, 0).with_consumer_id(id).build_consumer();
        let _others: Vec<_> = (0..4).map(|number| attach(&format!("monitor-{number}")).unwrap()).collect();
        assert!(attach("monitor-4").is_err());
        assert!(attach("wk-0").is_ok());
    }
    in_every_format!(claim);
}

#[test]
fn ends_messages_and_frames_say_where_who_and_which_and_no_contents() {
    fn shows<F: Subject>() {
        let place = Place::heap();
        let mut producer = FramedTransportProducer::<F>::create(&place, F::DEPTH).unwrap();
        let mut consumer = TransportBuilder::<F>::new(&place, 0).with_consumer_id("reader").build_consumer().unwrap();
        producer.publish(&[211; 32], 7).unwrap();
        let ends = format!("{producer:?} {consumer:?}");
        let message = format!("{:?}", consumer.next(Patience::Now).unwrap().unwrap());
        for wanted in ["heap", "next_sequence: 1", "next_sequence: 0", "id: \"reader\""] {
            assert!(ends.contains(wanted), "{ends} does not say {wanted}");
        }
        for wanted in ["sequence: 0", "kind: 7", "redeliveries: 0", "len_bytes: 32"] {
            assert!(message.contains(wanted), "{message} does not say {wanted}");
        }
        assert!(!ends.contains("211") && !message.contains("211"), "{ends} {message}");
    }
    let _watchdog = watchdog();
    shows::<Records>();
    shows::<Small>();
    shows::<Aligned>();
}
