//! Senders that send what no sender of ours sends: frames that are written by hand.

use crate::stage::{DEPTH, Small, everywhere, payload};
use myelon::counters::ids;
use myelon::transport::reassembly::Reassembler;
use myelon::transport::{
    FrameHeader, FramedTransportConsumer, FramedTransportFrame, Malformed, TransportBuilder, TransportError,
    publish_framed_payload, recv_framed_message,
};
use myelon::{
    ConsumeError, Patience, Place, SharedProducer, StartAt, attach_shared_consumer, build_shared_single_producer,
};
use std::time::Instant;

/// A ring of frames whose sender the test controls, and a receiver.
fn stage(place: &Place) -> (SharedProducer<Small>, FramedTransportConsumer<Small>) {
    let producer = build_shared_single_producer::<Small>(place, DEPTH).build_producer(zeroed).unwrap();
    let consumer = TransportBuilder::<Small>::new(place, 0).with_consumer_id("w").build_consumer().unwrap();
    (producer, consumer)
}

/// The factory of the ring's first frames; groups never call it.
fn zeroed() -> Small {
    unreachable!("frames are published as groups")
}

/// Publishes one frame with that header.
fn frame(producer: &mut SharedProducer<Small>, header: FrameHeader) {
    let published = producer.publish_group(1, Patience::Now, |frame: &mut Small, _| {
        frame.write_frame(header, |data| data.fill(0));
        Ok::<(), ()>(())
    });
    published.unwrap().unwrap();
}

/// The first frame of a message of two frames, with the length `total`.
fn beginning(producer: &mut SharedProducer<Small>, total: u64) {
    let published = producer.publish_group(1, Patience::Now, |frame: &mut Small, _| {
        let header = FrameHeader { len: 40, kind: 0, flags: 1, index: 0, msg_id: 7 };
        frame.write_frame(header, |data| data[..8].copy_from_slice(&total.to_le_bytes()));
        Ok::<(), ()>(())
    });
    published.unwrap().unwrap();
}

const GOOD: FrameHeader = FrameHeader { len: 4, kind: 0, flags: 3, index: 0, msg_id: 1 };

#[test]
fn every_fault_is_an_error_and_the_next_message_is_received() {
    everywhere(|place| {
        let (mut producer, mut consumer) = stage(&place);
        let mut faults = 0;
        let mut expect = |producer: &mut SharedProducer<Small>, wanted: fn(Malformed) -> bool| {
            let sent = payload(90, faults);
            publish_framed_payload(producer, 99, &sent, 5, Patience::Now).unwrap();
            let fault = match consumer.next(Patience::Now).map(|_| ()) {
                Err(TransportError::Malformed(fault)) => fault,
                other => panic!("{other:?}"),
            };
            assert!(wanted(fault), "{fault}");
            faults += 1;
            assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((5, sent)), "after {fault}");
            assert_eq!(consumer.skipped(), faults as u64);
        };
        frame(&mut producer, FrameHeader { len: u32::MAX, ..GOOD });
        expect(&mut producer, |fault| matches!(fault, Malformed::Length { .. }));
        frame(&mut producer, FrameHeader { flags: 0xff, ..GOOD });
        expect(&mut producer, |fault| matches!(fault, Malformed::Flags { .. }));
        frame(&mut producer, FrameHeader { index: 1, ..GOOD });
        expect(&mut producer, |fault| matches!(fault, Malformed::Index { .. }));
        frame(&mut producer, FrameHeader { flags: 0, ..GOOD });
        expect(&mut producer, |fault| matches!(fault, Malformed::NoBeginning { .. }));
        beginning(&mut producer, u64::MAX);
        expect(&mut producer, |fault| matches!(fault, Malformed::BeyondLimit { .. }));
        beginning(&mut producer, 0);
        expect(&mut producer, |fault| matches!(fault, Malformed::Total { .. }));
        beginning(&mut producer, 60);
        expect(&mut producer, |fault| matches!(fault, Malformed::Unfinished { .. }));
        beginning(&mut producer, 60);
        frame(&mut producer, FrameHeader { flags: 2, index: 1, len: 28, ..GOOD });
        expect(&mut producer, |fault| matches!(fault, Malformed::Foreign { .. }));
        let counters = producer.ring_counters().snapshot();
        let counter = counters.iter().find(|counter| counter.id == ids::FRAME_SKIPPED_COUNT).unwrap();
        assert_eq!(counter.value, 8);
    });
}

#[test]
fn a_message_that_does_not_go_on_is_not_waited_for() {
    everywhere(|place| {
        let (mut producer, mut consumer) = stage(&place);
        beginning(&mut producer, 60);
        let fault = consumer.next(Patience::Endless).map(|_| ());
        assert!(
            matches!(
                fault,
                Err(TransportError::Malformed(Malformed::Unfinished { msg_id: 7, have_bytes: 32, total_bytes: 60 }))
            ),
            "{fault:?}"
        );
        // A later frame of that message has no beginning, and the message was counted already.
        frame(&mut producer, FrameHeader { flags: 2, index: 1, len: 28, msg_id: 7, ..GOOD });
        assert!(consumer.next(Patience::Now).unwrap().is_none());
        assert_eq!(consumer.skipped(), 1);
    });
}

#[test]
fn a_wait_ends_where_there_is_a_message_to_receive_or_a_fault_to_tell_and_nowhere_else() {
    everywhere(|place| {
        let (mut producer, mut consumer) = stage(&place);
        // The rest of a message that began before this receiver came.
        frame(&mut producer, FrameHeader { flags: 2, index: 1, len: 28, ..GOOD });
        let nothing = consumer.wait_until_available(Some(Instant::now()));
        assert!(matches!(nothing, Err(ConsumeError::TimedOut { .. })), "{nothing:?}");
        assert!(consumer.next(Patience::Now).unwrap().is_none());
        beginning(&mut producer, 60);
        for _ in 0..2 {
            consumer.wait_until_available(Some(Instant::now())).unwrap();
        }
        let fault = consumer.next(Patience::Now).map(|_| ());
        assert!(matches!(fault, Err(TransportError::Malformed(Malformed::Unfinished { .. }))), "{fault:?}");
        publish_framed_payload(&mut producer, 1, &payload(100, 0), 5, Patience::Now).unwrap();
        for _ in 0..2 {
            consumer.wait_until_available(Some(Instant::now())).unwrap();
        }
        assert_eq!(consumer.receive_owned(Patience::Now).unwrap(), Some((5, payload(100, 0))));
        let counters = producer.ring_counters().snapshot();
        let counted = counters.iter().find(|counter| counter.id == ids::FRAME_SKIPPED_COUNT).unwrap().value;
        assert_eq!((consumer.skipped(), counted), (2, 2));
    });
}

#[test]
fn a_receiver_that_starts_in_the_middle_begins_with_the_next_message() {
    everywhere(|place| {
        let mut producer = build_shared_single_producer::<Small>(&place, DEPTH).build_producer(zeroed).unwrap();
        // A reader of frames, not messages, has read half of the first message; the third message wraps around the ring
        // after it.
        let mut reader = attach_shared_consumer::<Small>(&place, 0).build_consumer().unwrap();
        for id in 0..3 {
            publish_framed_payload(&mut producer, id, &payload(100, id as usize), 0, Patience::Now).unwrap();
            assert!(id > 0 || reader.skip());
        }
        let mut consumer =
            TransportBuilder::<Small>::new(&place, 0).start_at(StartAt::Oldest).build_consumer().unwrap();
        let mut received = Vec::new();
        while let Some(message) = consumer.next(Patience::Now).unwrap() {
            received.push(message.msg_id());
            assert_eq!(message[..], payload(100, message.msg_id() as usize));
        }
        assert_eq!((received, consumer.skipped()), (vec![1, 2], 1));
    });
}

#[test]
fn frames_over_a_ring_of_ones_own_arrive_as_well() {
    everywhere(|place| {
        let mut producer = build_shared_single_producer::<Small>(&place, DEPTH).build_producer(zeroed).unwrap();
        let mut consumer = attach_shared_consumer::<Small>(&place, 0).build_consumer().unwrap();
        let mut reassembler = Reassembler::new(Small::SHAPE, 1000);
        assert_eq!(recv_framed_message(&mut consumer, &mut reassembler, Patience::Now).unwrap(), None);
        for size in [0, 40, 41, 250] {
            publish_framed_payload(&mut producer, 1, &payload(size, 1), 2, Patience::Endless).unwrap();
            let received = recv_framed_message(&mut consumer, &mut reassembler, Patience::Endless).unwrap();
            assert_eq!(received, Some((2, payload(size, 1))));
        }
        let refused = publish_framed_payload(&mut producer, 1, &payload(900, 1), 2, Patience::Now);
        assert!(matches!(refused, Err(TransportError::TooLarge { depth_wanted: Some(32), .. })), "{refused:?}");
    });
}

#[test]
fn a_first_reader_of_frames_loses_at_most_the_message_in_whose_middle_it_starts() {
    everywhere(|place| {
        let mut starts_in_the_middle = 0;
        for published in 40..60_u32 {
            let place = if place.to_string().starts_with("heap") { Place::heap() } else { place.clone() };
            let mut producer = build_shared_single_producer::<Small>(&place, DEPTH).build_producer(zeroed).unwrap();
            for id in 0..published {
                publish_framed_payload(&mut producer, id, &payload(100, id as usize), 0, Patience::Now).unwrap();
            }
            let mut consumer = TransportBuilder::<Small>::new(&place, 0).build_consumer().unwrap();
            let mut received = Vec::new();
            while let Some(message) = consumer.next(Patience::Now).unwrap() {
                assert_eq!(message[..], payload(100, message.msg_id() as usize));
                received.push(message.msg_id());
            }
            let first = received[0];
            assert_eq!(received, Vec::from_iter(first..published));
            assert!(consumer.skipped() <= 1);
            starts_in_the_middle += consumer.skipped();
        }
        assert!(starts_in_the_middle > 0);
    });
}
