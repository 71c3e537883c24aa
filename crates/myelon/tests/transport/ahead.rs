//! Messages that are copied while they are written: nothing of a message that its sender gives up is received.
//!
//! The senders wait inside a group until the receiver has copied what is written of it. `ring::models::ahead` of
//! `disruptor-mp` shows that every order of the stores gives the same.

use crate::stage::{everywhere, payload};
use myelon::counters::ids;
use myelon::transport::{
    AlignedFixedFrame, FrameHeader, FramedTransportConsumer, FramedTransportFrame, TransportBuilder, WaitStrategy,
    frame_flags, publish_framed_payload,
};
use myelon::{Patience, Place, SharedProducer, build_shared_single_producer};

/// Frames that are long enough to be copied ahead.
type Long = AlignedFixedFrame<FRAME_BYTES>;
const FRAME_BYTES: usize = 4096;

/// The frames of a message, and how many of them the receiver copies before the next one is written.
const FRAMES: usize = 4;
const COPIED: usize = 2;

/// As many bytes as these frames hold after the prefix: the length, padded to 16 bytes.
const MESSAGE_BYTES: usize = FRAMES * FRAME_BYTES - 16;

/// More looks than a receiver makes before it has copied what it can see. It counts its looks late, so this is doubled.
const LOOKS: u64 = 10_000;

const KIND: u8 = 5;
const MSG_ID: u32 = 99;

/// A ring of frames and its receiver, which spins.
fn stage(place: &Place) -> (SharedProducer<Long>, FramedTransportConsumer<Long>) {
    let zeroed = || unreachable!("frames are published as groups");
    let producer = build_shared_single_producer::<Long>(place, 2 * FRAMES).build_producer(zeroed).unwrap();
    let builder = TransportBuilder::<Long>::new(place, 0).with_wait_strategy(WaitStrategy::BusySpin);
    (producer, builder.with_consumer_id("w").build_consumer().unwrap())
}

/// Publishes the bytes of `message` up to `end`, as a sender would. When some of them are written, it waits until the
/// receiver has copied those. Returns whether it was published.
fn publish_slowly(producer: &mut SharedProducer<Long>, message: &[u8], end: usize) -> bool {
    let counters = producer.ring_counters();
    let looks = || -> u64 {
        let snapshot = counters.snapshot();
        snapshot.iter().filter(|counter| counter.id == ids::CONSUMER_EMPTY_SPINS).map(|counter| counter.value).sum()
    };
    let bytes = [&(message.len() as u64).to_le_bytes()[..], &[0; 8], message].concat();
    let published = producer.publish_group(FRAMES, Patience::Now, |frame: &mut Long, index| {
        if index == COPIED {
            let begin = looks();
            while looks() < begin + LOOKS {
                std::thread::yield_now();
            }
        }
        if index == end {
            return Err(());
        }
        let flags = frame_flags(index == 0, index + 1 == FRAMES);
        let header = FrameHeader { len: FRAME_BYTES as u32, kind: KIND, flags, index: index as u16, msg_id: MSG_ID };
        frame.write_frame(header, |data| data.copy_from_slice(&bytes[index * FRAME_BYTES..][..FRAME_BYTES]));
        Ok(())
    });
    published.unwrap().is_ok()
}

/// What the receiver gets while `send` sends it.
fn received(place: &Place, send: impl FnOnce(&mut SharedProducer<Long>)) -> (u8, Vec<u8>) {
    let (mut producer, mut consumer) = stage(place);
    let receiving = std::thread::spawn(move || {
        let received = consumer.receive_owned(Patience::Endless).unwrap();
        assert_eq!(consumer.skipped(), 0);
        received
    });
    send(&mut producer);
    receiving.join().unwrap().unwrap()
}

#[test]
fn a_message_that_is_copied_while_it_is_written_is_received() {
    everywhere(|place| {
        let sent = payload(MESSAGE_BYTES, 1);
        let received = received(&place, |producer| assert!(publish_slowly(producer, &sent, FRAMES)));
        assert!(received == (KIND, sent), "another message");
    });
}

#[test]
fn nothing_of_a_message_that_was_given_up_while_it_was_copied_is_received() {
    everywhere(|place| {
        // The next message has as many frames and begins in the same way, or has a single frame.
        for bytes in [MESSAGE_BYTES, 100] {
            let (given_up, sent) = (payload(MESSAGE_BYTES, 1), payload(bytes, 2));
            let received = received(&place, |producer| {
                assert!(!publish_slowly(producer, &given_up, FRAMES - 1));
                publish_framed_payload(producer, MSG_ID, &sent, KIND, Patience::Now).unwrap();
            });
            assert!(received == (KIND, sent), "{bytes} bytes of another message");
        }
    });
}

#[test]
fn nothing_of_a_message_whose_sender_panicked_while_it_was_copied_is_received() {
    everywhere(|place| {
        let (given_up, sent) = (payload(MESSAGE_BYTES, 1), payload(MESSAGE_BYTES, 2));
        let received = received(&place, |producer| {
            let panicking = std::panic::AssertUnwindSafe(|| {
                let short = &given_up[..2 * FRAME_BYTES];
                publish_slowly(producer, short, FRAMES)
            });
            assert!(std::panic::catch_unwind(panicking).is_err(), "its third frame has no bytes");
            publish_framed_payload(producer, MSG_ID, &sent, KIND, Patience::Now).unwrap();
        });
        assert!(received == (KIND, sent), "another message");
    });
}
