//! What was sent is received, in every codec, over every format, in every way of receiving.

use crate::messages::{BincodeStep, RkyvStep, SequenceT, Step, StepT};
use crate::stage::{BYTES, DEPTH, Frame, Stream};
use myelon::codec::rkyv_support::rkyv;
use myelon::codec::{Codec, ZeroCopyCodec, trusted};
use myelon::transport::{AlignedFixedFrame, FixedFrame, Format, Records, TransportBuilder};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use myelon::{Patience, WriteVia};
use std::fmt::Debug;
use testkit::names::ShmGuard;
use testkit::watchdog::{PATIENCE, Watchdog};

fn owned_and_decoded<T: Codec + Debug + PartialEq, F: Format>(depth: usize, messages: &[T]) {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<T, F>::of_depth(depth);
    for message in messages {
        producer.publish(message, 7).unwrap();
        assert_eq!(&consumer.receive_owned(Patience::Endless).unwrap().unwrap().0, message);
        let sent = producer.publish(message, 9).unwrap();
        let received = consumer.next(Patience::Endless).unwrap().unwrap();
        assert_eq!(&received.decode().unwrap(), message);
        assert_eq!((received.kind(), received.sequence()), (9, sent));
    }
    assert!(consumer.receive_owned(Patience::Now).unwrap().is_none());
}

fn in_place<T: ZeroCopyCodec, F: Format>(depth: usize, messages: &[T], look: impl Fn(&T, T::Archived<'_>)) {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<T, F>::of_depth(depth);
    for message in messages {
        producer.publish(message, 0).unwrap();
        let received = consumer.next(Patience::Endless).unwrap().unwrap();
        look(message, received.get().unwrap());
    }
}

fn steps() -> [Step; 3] {
    let mut short = Step::typical();
    short.sequences.truncate(1);
    [short, Step { sequences: vec![] }, Step::typical()]
}

fn objects() -> [StepT; 3] {
    let sequence = SequenceT { id: 3, tokens: Some((0..32).collect()), blocks: Some((0..64).collect()) };
    let of = |count| StepT { sequences: Some(vec![sequence.clone(); count]), ..StepT::default() };
    [of(0), of(2), of(64)]
}

#[test]
fn whole_messages_wherever_they_are_encoded_first() {
    fn claim<T: Codec + Debug + PartialEq>(messages: &[T]) {
        for via in [WriteVia::Learned, WriteVia::Ring, WriteVia::Buffer] {
            let names = ShmGuard::new();
            let builder = TransportBuilder::<Records>::new(names.name("s"), BYTES).write_via(via);
            let mut producer = TypedProducer::<T, Records>::build(builder).unwrap();
            let mut consumer = TypedConsumer::<T, Records>::build(TransportBuilder::new(names.name("s"), 0)).unwrap();
            for message in messages.iter().cycle().take(200) {
                producer.send(message, 7, Patience::Now).unwrap();
                assert_eq!(&consumer.receive_owned(Patience::Now).unwrap().unwrap().0, message, "via {via:?}");
            }
            assert_eq!(producer.send_batch(messages, 3, Patience::Now).unwrap().count, messages.len());
            for message in messages {
                assert_eq!(&consumer.receive_owned(Patience::Now).unwrap().unwrap().0, message, "via {via:?}");
            }
        }
    }
    let _watchdog = Watchdog::new(PATIENCE, "messages that are encoded elsewhere");
    claim(&steps().map(BincodeStep));
    claim(&steps().map(RkyvStep));
    claim(&objects());
}

#[test]
fn whole_messages_over_every_format() {
    owned_and_decoded::<_, Records>(BYTES, &steps().map(BincodeStep));
    owned_and_decoded::<_, Records>(BYTES, &steps().map(RkyvStep));
    owned_and_decoded::<_, Records>(BYTES, &objects());
    owned_and_decoded::<_, Frame>(DEPTH, &steps().map(BincodeStep));
    owned_and_decoded::<_, Frame>(DEPTH, &steps().map(RkyvStep));
    owned_and_decoded::<_, Frame>(DEPTH, &objects());
    // Their payloads are not aligned; decoding does not need that.
    owned_and_decoded::<_, FixedFrame<2500>>(DEPTH, &steps().map(BincodeStep));
    owned_and_decoded::<_, FixedFrame<2500>>(DEPTH, &steps().map(RkyvStep));
    owned_and_decoded::<_, FixedFrame<2500>>(DEPTH, &objects());
    owned_and_decoded::<_, AlignedFixedFrame<65536>>(DEPTH, &steps().map(RkyvStep));
}

#[test]
fn in_place_in_a_record_or_in_frames() {
    let same_step = |step: &RkyvStep, archived: &rkyv::Archived<RkyvStep>| {
        assert_eq!(archived.0.sequences.len(), step.0.sequences.len());
        for (archived, sequence) in archived.0.sequences.iter().zip(&step.0.sequences) {
            assert_eq!(archived.tokens.as_slice(), sequence.tokens);
            assert_eq!(archived.blocks.as_slice(), sequence.blocks);
        }
    };
    in_place::<_, Records>(BYTES, &steps().map(RkyvStep), same_step);
    in_place::<_, Records>(BYTES, &objects(), |object, table| assert_eq!(&table.unpack(), object));
    in_place::<_, Frame>(DEPTH, &steps().map(RkyvStep), same_step);
    in_place::<_, AlignedFixedFrame<65536>>(DEPTH, &steps().map(RkyvStep), same_step);
    in_place::<_, Frame>(DEPTH, &objects(), |object, table| assert_eq!(&table.unpack(), object));
    in_place::<_, FixedFrame<2500>>(DEPTH, &objects(), |object, table| assert_eq!(&table.unpack(), object));
}

#[test]
#[allow(unsafe_code)]
fn trusted_in_place() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<RkyvStep, Records>::of_depth(BYTES);
    producer.publish(&RkyvStep(Step::typical()), 0).unwrap();
    let message = consumer.next(Patience::Endless).unwrap().unwrap();
    // SAFETY: the producer is the one above, and waits for this message.
    let archived = unsafe { trusted::access::<RkyvStep>(&message) }.unwrap();
    assert_eq!(archived.0.sequences[63].tokens[31], 31 * 1000 + 63);
}

#[test]
fn both_ends_can_be_moved_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let stream = Stream::<RkyvStep, Frame>::new();
    is_send(&stream.producer);
    is_send(&stream.consumer);
}
