//! When a message counts as seen, and what happens to one that cannot be.

use crate::messages::{BincodeStep, RkyvStep, Sequence, Step};
use crate::stage::{DEPTH, Frame, Stream};
use myelon::codec::{Codec, CodecError, CodecResult, EncodeShort, TypeTag};
use myelon::counters::ids;
use myelon::transport::TransportError;
use myelon::typed_transport::{OnUndecodable, TypedConsumer, TypedProducer, TypedPublishError, TypedReceiveError};
use myelon::{
    ConsumeError, ConsumerEnd, CounterSnapshot, CountersFile, Patience, Place, RequiredConsumerError,
    RequiredConsumerLivenessConfig, WaitStrategy,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

fn step(id: u64) -> RkyvStep {
    RkyvStep(Step { sequences: vec![Sequence { id, tokens: vec![1, 2], blocks: vec![] }] })
}

#[test]
fn a_message_whose_handler_panics_comes_again_and_the_stream_goes_on() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<RkyvStep, Frame>::new();
    for id in 0..3 {
        producer.publish(&step(id), 0).unwrap();
    }
    let mut seen = Vec::new();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        consumer.process_available(|message| {
            let id = message.get().unwrap().0.sequences[0].id.to_native();
            seen.push(id);
            assert_ne!(id, 1, "this one is too much for the handler");
        })
    }));
    assert!(panicked.is_err());
    assert!(!producer.is_consumed(1), "acknowledged although its handler panicked");
    let handled = consumer.process_available(|message| seen.push(message.decode().unwrap().0.sequences[0].id));
    assert_eq!((handled.unwrap(), seen), (2, vec![0, 1, 1, 2]));
    assert!(producer.is_consumed(2));
}

/// A type whose decoding panics for some messages.
#[derive(Debug, PartialEq)]
struct Fragile(u8);

impl Codec for Fragile {
    const CODEC: &'static str = "fragile";
    type Scratch = ();

    fn type_tag() -> TypeTag {
        TypeTag::new(Self::CODEC, "Fragile/1")
    }

    fn encode(&self, _scratch: &mut (), into: &mut [u8]) -> Result<usize, EncodeShort> {
        if self.0 == u8::MAX {
            return Err(CodecError::encode(Self::CODEC, "255 is not sent").into());
        }
        *into.first_mut().ok_or(EncodeShort::TooSmall)? = self.0;
        Ok(1)
    }

    fn decode(bytes: &[u8]) -> CodecResult<Self> {
        assert_ne!(bytes, [13], "unlucky");
        Ok(Self(bytes[0]))
    }
}

/// A number of bytes, which are claimed and, if `is_refused`, not written.
struct Bulk {
    len: usize,
    is_refused: bool,
}

impl Codec for Bulk {
    const CODEC: &'static str = "bulk";
    type Scratch = ();

    fn type_tag() -> TypeTag {
        TypeTag::new(Self::CODEC, "Bulk/1")
    }

    fn size_hint(&self) -> usize {
        self.len
    }

    fn encode(&self, _scratch: &mut (), into: &mut [u8]) -> Result<usize, EncodeShort> {
        if self.is_refused {
            return Err(CodecError::encode(Self::CODEC, "asked for").into());
        }
        into.get_mut(..self.len).ok_or(EncodeShort::TooSmall)?.fill(1);
        Ok(self.len)
    }

    fn decode(bytes: &[u8]) -> CodecResult<Self> {
        Ok(Self { len: bytes.len(), is_refused: false })
    }
}

#[test]
fn a_wait_for_a_typed_message_does_not_end_where_only_padding_is_there() {
    fn is_available(consumer: &mut impl ConsumerEnd) -> bool {
        match consumer.wait_until_available(Some(Instant::now())) {
            Ok(()) => true,
            Err(ConsumeError::TimedOut { .. }) => false,
            Err(error) => panic!("{error}"),
        }
    }
    let place = Place::heap();
    let mut producer = TypedProducer::<Bulk>::create(&place, 1024).unwrap();
    let mut consumer = TypedConsumer::<Bulk>::attach(&place, 0, WaitStrategy::Block).unwrap();
    producer.publish(&Bulk { len: 600, is_refused: false }, 0).unwrap();
    assert!(is_available(&mut consumer));
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0.len, 600);
    // It does not fit before the end of the ring, so the rest of the ring is padded; then it is given up.
    let before = consumer.producer_sequence();
    producer.publish(&Bulk { len: 500, is_refused: true }, 0).unwrap_err();
    assert_eq!(consumer.producer_sequence(), before);
    assert!(!is_available(&mut consumer), "next finds nothing");
    producer.publish(&Bulk { len: 500, is_refused: false }, 0).unwrap();
    assert!(is_available(&mut consumer));
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0.len, 500);
}

#[test]
fn a_message_whose_decoding_panics_is_not_acknowledged_either_and_can_be_stepped_over() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Fragile, Frame>::new();
    producer.publish(&Fragile(13), 0).unwrap();
    producer.publish(&Fragile(14), 0).unwrap();
    for _ in 0..2 {
        assert!(catch_unwind(AssertUnwindSafe(|| consumer.receive_owned(Patience::Now))).is_err());
        assert!(!producer.is_consumed(0));
    }
    assert!(consumer.skip().unwrap());
    assert_eq!(consumer.receive_owned(Patience::Endless).unwrap().unwrap().0, Fragile(14));
}

#[test]
fn a_message_that_cannot_be_encoded_is_not_sent_and_the_stream_goes_on() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Fragile, Frame>::new();
    let failed = producer.publish(&Fragile(u8::MAX), 0).unwrap_err();
    assert!(matches!(&failed, TypedPublishError::Codec(CodecError::Encode { codec: "fragile", .. })), "{failed:?}");
    assert_eq!(failed.to_string(), "fragile could not encode the message: 255 is not sent");
    producer.publish(&Fragile(1), 0).unwrap();
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0, Fragile(1));
    assert!(consumer.next(Patience::Now).unwrap().is_none());
}

/// Bytes that are no step, between two that are.
fn with_garbage_between(producer: &mut myelon::typed_transport::TypedProducer<RkyvStep, Frame>) {
    producer.publish(&step(1), 0).unwrap();
    producer.send_raw(&[0xFF; 100], 4, Patience::Endless).unwrap();
    producer.publish(&step(2), 0).unwrap();
}

#[test]
fn bytes_that_are_no_message_are_reported_once_with_their_cause() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<RkyvStep, Frame>::new();
    with_garbage_between(&mut producer);
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0, step(1));
    let error = consumer.receive_owned(Patience::Now).unwrap_err();
    let TypedReceiveError::Undecodable { sequence: 1, kind: 4, source } = &error else { panic!("{error:?}") };
    assert!(matches!(source, CodecError::Decode { codec: "rkyv", len_bytes: 100, .. }), "{source:?}");
    let CodecError::Decode { source: said, .. } = source else { unreachable!() };
    assert!(error.to_string().ends_with(&said.to_string()), "without what the library said: {error}");
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0, step(2));
    assert_eq!(consumer.undecodable(), 1);
}

#[test]
fn bytes_that_are_no_message_are_stepped_over_when_asked_and_counted() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<RkyvStep, Frame>::new();
    consumer.set_on_undecodable(OnUndecodable::Skip);
    with_garbage_between(&mut producer);
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0, step(1));
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0, step(2));
    assert!(consumer.receive_owned(Patience::Now).unwrap().is_none());
    assert_eq!(consumer.undecodable(), 1);
}

#[test]
fn a_lease_on_bytes_that_are_no_message_can_be_given_back_or_dropped() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<RkyvStep, Frame>::new();
    producer.send_raw(&[0xFF; 100], 4, Patience::Endless).unwrap();
    producer.publish(&step(2), 0).unwrap();
    let message = consumer.next(Patience::Now).unwrap().unwrap();
    assert!(message.get().is_err());
    message.release_unread();
    assert!(!producer.is_consumed(0));
    let message = consumer.next(Patience::Now).unwrap().unwrap();
    assert!(message.decode().is_err() && message.get().is_err());
    drop(message);
    assert_eq!(consumer.receive_owned(Patience::Now).unwrap().unwrap().0, step(2));
    assert_eq!(consumer.undecodable(), 2, "each time that it was handed out counts once");
}

#[test]
fn what_does_not_fit_or_has_no_room_is_said_and_sends_nothing() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<BincodeStep, Frame>::new();
    let huge = BincodeStep(Step { sequences: vec![Step::typical().sequences[0].clone(); 1000] });
    let error = producer.publish(&huge, 0).unwrap_err();
    assert!(matches!(error, TypedPublishError::Transport(TransportError::TooLarge { .. })), "{error:?}");
    let empty = BincodeStep(Step { sequences: vec![] });
    for _ in 0..DEPTH {
        producer.try_publish(&empty, 0).unwrap();
    }
    let error = producer.try_publish(&empty, 0).unwrap_err();
    assert!(matches!(error, TypedPublishError::Transport(TransportError::Full)), "{error:?}");
    let deadline = std::time::Instant::now() + Duration::from_millis(20);
    let error = producer.publish_deadline(&empty, 0, deadline).unwrap_err();
    assert!(matches!(error, TypedPublishError::Transport(TransportError::Publish(_))), "{error:?}");
    assert_eq!(consumer.process_available(|message| assert_eq!(message.decode().unwrap(), empty)).unwrap(), DEPTH);
}

#[test]
fn who_is_missing_is_named_by_managed_sending() {
    let Stream { guards: _guards, mut producer, consumer: _consumer } = Stream::<BincodeStep, Frame>::new();
    let config = RequiredConsumerLivenessConfig::new(["nobody"]).with_startup_wait_timeout(Duration::from_millis(20));
    producer.enable_required_consumer_liveness(config).unwrap();
    let error = producer.publish_managed(&BincodeStep(Step { sequences: vec![] }), 0).unwrap_err();
    let TypedPublishError::RequiredConsumer(RequiredConsumerError::StartupTimeout { missing }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(missing, ["nobody"]);
}

fn value(file: &CountersFile, id: u32) -> u64 {
    file.snapshot().iter().filter(|counter: &&CounterSnapshot| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn what_was_encoded_and_decoded_is_counted() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<RkyvStep, Frame>::new();
    with_garbage_between(&mut producer);
    producer.publish(&step(3), 0).unwrap();
    consumer.receive_owned(Patience::Now).unwrap();
    consumer.receive_owned(Patience::Now).unwrap_err();
    let message = consumer.next(Patience::Now).unwrap().unwrap();
    message.get().unwrap();
    message.decode().unwrap();
    drop(message);
    let own = producer.ring_counters();
    assert_eq!(value(&own, ids::CODEC_ENCODE_TOTAL), 3);
    assert_eq!(value(&own, ids::CODEC_DECODE_TOTAL), 2, "a message that was looked at twice counts once");
    assert_eq!(value(&own, ids::CODEC_UNDECODABLE_COUNT), 1);
    let file = CountersFile::boxed(64);
    producer.attach_counters(&file);
    consumer.attach_counters(&file);
    producer.publish(&step(4), 0).unwrap();
    assert_eq!(consumer.process_available(|message| drop(message.decode().unwrap())).unwrap(), 2);
    assert_eq!((value(&file, ids::CODEC_ENCODE_TOTAL), value(&file, ids::CODEC_DECODE_TOTAL)), (1, 2));
    assert_eq!(consumer.undecodable(), 1, "moving the counters forgets nothing here");
}
