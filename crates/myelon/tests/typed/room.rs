//! A message waits for its own room, and is refused at once if it can never have it.

use crate::counted::{Counted, Unmeasured, encodings_of};
use crate::messages::{BincodeStep, RkyvStep, Sequence, SequenceT, Step, StepT};
use crate::stage::Stream;
use myelon::codec::{Codec, CodecError, CodecResult, EncodeShort, TypeTag};
use myelon::counters::ids;
use myelon::transport::{AlignedFixedFrame, FixedFrame, Format, Records, TransportBuilder, TransportError};
use myelon::typed_transport::{TypedProducer, TypedPublishError};
use myelon::{CounterSnapshot, Patience, Place, PublishError, RequiredConsumerLivenessConfig};
use std::cell::Cell;
use std::time::{Duration, Instant};
use testkit::watchdog::{PATIENCE, eventually};

/// Longer than any test waits.
fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(600)
}

/// A step that takes about `len` bytes, and exactly as many as its codec says.
fn step(len: usize) -> Step {
    Step { sequences: vec![Sequence { id: 1, tokens: vec![3; len / 4], blocks: vec![] }] }
}

fn object(len: usize) -> StepT {
    StepT {
        sequences: Some(vec![SequenceT { id: 3, tokens: Some(vec![7; len / 4]), blocks: None }]),
        ..StepT::default()
    }
}

/// How full the ring is when the message comes.
#[derive(Clone, Copy, Debug)]
enum Ring {
    IsEmpty,
    HasOneMessage,
    IsFull,
}

/// The errors for `huge`, with every patience, of a ring whose reader does not read.
fn refusals<T: Codec, F: Format>(depth: usize, small: &T, huge: &T) -> Vec<TransportError> {
    let mut refusals = Vec::new();
    for ring in [Ring::IsEmpty, Ring::HasOneMessage, Ring::IsFull] {
        let Stream { guards: _guards, mut producer, consumer: _consumer } = Stream::<T, F>::of_depth(depth);
        if !matches!(ring, Ring::IsEmpty) {
            producer.try_publish(small, 0).unwrap();
        }
        while matches!(ring, Ring::IsFull) && producer.try_publish(small, 0).is_ok() {}
        let managed = |ids: &[&str]| RequiredConsumerLivenessConfig::new(ids.iter().copied());
        let cases: [(Patience, Option<&[&str]>); 6] = [
            (Patience::Now, None),
            (Patience::Until(far_away()), None),
            (Patience::Endless, None),
            (Patience::Managed, Some(&["worker"])),
            (Patience::ManagedUntil(far_away()), Some(&["worker"])),
            // The call does not wait for an absent consumer either.
            (Patience::Managed, Some(&["worker", "absent"])),
        ];
        for (patience, required) in cases {
            if let Some(ids) = required {
                producer.enable_required_consumer_liveness(managed(ids)).unwrap();
            }
            match producer.send(huge, 0, patience) {
                Err(TypedPublishError::Transport(error @ TransportError::TooLarge { .. })) => refusals.push(error),
                other => panic!("{ring:?}, {patience:?}: {other:?}"),
            }
        }
    }
    refusals
}

/// Whether a ring of `depth` takes `message`.
fn takes<T: Codec, F: Format>(depth: usize, message: &T) -> bool {
    let mut producer = TypedProducer::<T, F>::create(Place::heap(), depth).unwrap();
    producer.try_publish(message, 0).is_ok()
}

fn is_refused_at_once<T: Codec, F: Format>(depth: usize, small: &T, huge: &T) {
    let mut scratch = T::Scratch::default();
    let mut bytes = vec![0; 1 << 24];
    let exact = huge.encode(&mut scratch, &mut bytes).unwrap();
    for refusal in refusals::<T, F>(depth, small, huge) {
        let TransportError::TooLarge { len_bytes, limit_bytes, depth_wanted } = refusal else { unreachable!() };
        assert_eq!(len_bytes, exact, "the length that the error states");
        assert!(limit_bytes < exact);
        let wanted = depth_wanted.expect("a larger ring would hold it");
        assert!(takes::<T, F>(wanted, huge), "refused by a ring of depth {wanted}, which the error asks for");
        assert!(!takes::<T, F>(wanted / 2, huge), "taken by half of the depth that the error asks for");
    }
}

#[test]
fn a_message_that_can_never_fit_is_refused_at_once_with_its_exact_size_over_records() {
    const BYTES: usize = 64 << 10;
    is_refused_at_once::<_, Records>(BYTES, &BincodeStep(step(40)), &BincodeStep(step(4_000_000)));
    is_refused_at_once::<_, Records>(BYTES, &BincodeStep(step(40)), &BincodeStep(step(400_000)));
    is_refused_at_once::<_, Records>(BYTES, &RkyvStep(step(40)), &RkyvStep(step(400_000)));
    is_refused_at_once::<_, Records>(BYTES, &object(40), &object(400_000));
}

#[test]
fn a_message_that_can_never_fit_is_refused_at_once_with_its_exact_size_over_frames() {
    const SLOTS: usize = 16;
    is_refused_at_once::<_, AlignedFixedFrame<4080>>(SLOTS, &BincodeStep(step(40)), &BincodeStep(step(400_000)));
    is_refused_at_once::<_, AlignedFixedFrame<4080>>(SLOTS, &RkyvStep(step(40)), &RkyvStep(step(400_000)));
    is_refused_at_once::<_, AlignedFixedFrame<4080>>(SLOTS, &object(40), &object(400_000));
    is_refused_at_once::<_, FixedFrame<4000>>(SLOTS, &BincodeStep(step(40)), &BincodeStep(step(400_000)));
    is_refused_at_once::<_, FixedFrame<4000>>(SLOTS, &object(40), &object(400_000));
}

#[test]
fn a_limit_of_the_users_is_told_with_the_exact_size_and_without_a_larger_ring() {
    let build = TransportBuilder::<Records>::new(Place::heap(), 1 << 20).with_message_limit(1000);
    let mut producer = TypedProducer::<BincodeStep>::build(build).unwrap();
    let error = producer.try_publish(&BincodeStep(step(5000)), 0).unwrap_err();
    let TypedPublishError::Transport(TransportError::TooLarge { len_bytes, limit_bytes, depth_wanted }) = error else {
        panic!("{error:?}")
    };
    assert_eq!((len_bytes, limit_bytes, depth_wanted), (8 + 8 + 8 + 5000 + 8, 1000, None));
}

/// How many messages a ring takes after `before`, sent by `send`.
fn taken_behind<T: Codec, F: Format>(
    depth: usize,
    before: &T,
    mut send: impl FnMut(&mut TypedProducer<T, F>) -> Result<i64, TypedPublishError>,
) -> usize {
    let Stream { guards: _guards, mut producer, consumer: _consumer } = Stream::<T, F>::of_depth(depth);
    producer.publish(before, 0).unwrap();
    let mut taken = 0;
    loop {
        match send(&mut producer) {
            Ok(_) => taken += 1,
            Err(TypedPublishError::Transport(TransportError::Full)) => return taken,
            Err(TypedPublishError::Transport(TransportError::Publish(PublishError::TimedOut { .. }))) => return taken,
            Err(error) => panic!("{error:?}"),
        }
    }
}

/// Checks that a ring takes as many typed messages as messages of the same bytes, whatever was sent before.
fn waits_for_its_own_room<T: Codec, F: Format>(depth: usize, messages: [&T; 2]) {
    for [before, message] in [messages, [messages[1], messages[0]]] {
        let mut room = vec![0; 1 << 20];
        let len = message.encode(&mut T::Scratch::default(), &mut room).unwrap();
        let untyped =
            taken_behind::<T, F>(depth, before, |producer| Ok(producer.send_raw(&room[..len], 0, Patience::Now)?));
        assert!(untyped > 0);
        for patience in [|| Patience::Now, || Patience::Until(Instant::now() + Duration::from_millis(20))] {
            let typed = taken_behind::<T, F>(depth, before, |producer| producer.send(message, 0, patience()));
            assert_eq!(typed, untyped, "messages of {len} bytes");
        }
    }
}

#[test]
fn a_message_that_fits_waits_for_its_own_room_and_no_more() {
    let steps = [step(26_000), step(40)];
    waits_for_its_own_room::<_, Records>(1 << 16, steps.each_ref().map(|step| BincodeStep(step.clone())).each_ref());
    waits_for_its_own_room::<_, Records>(1 << 16, steps.each_ref().map(|step| RkyvStep(step.clone())).each_ref());
    waits_for_its_own_room::<_, Records>(1 << 16, [object(26_000), object(40)].each_ref());
    type Aligned = AlignedFixedFrame<4080>;
    waits_for_its_own_room::<_, Aligned>(16, steps.each_ref().map(|step| RkyvStep(step.clone())).each_ref());
    waits_for_its_own_room::<_, FixedFrame<4000>>(16, steps.map(BincodeStep).each_ref());
}

#[test]
fn room_that_a_reader_releases_during_the_wait_is_enough_if_it_is_the_messages_own() {
    // 40 000 bytes of 64 KiB are in use, and 26 817 do not fit beside them. During the wait 30 000 of the 40 000 are
    // released, and no more.
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Counted, Records>::of_depth(1 << 16);
    for len in [30_000, 10_000] {
        producer.publish(&Counted(vec![1; len]), 0).unwrap();
    }
    let counters = producer.ring_counters();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let is_waiting = || {
                let full = |counter: &CounterSnapshot| counter.id == ids::PRODUCER_FULL_EVENTS && counter.value > 0;
                counters.snapshot().iter().any(full)
            };
            eventually("a producer that waits", PATIENCE, is_waiting).unwrap();
            drop(consumer.next(Patience::Now).unwrap().unwrap());
            consumer
        });
        let message = Counted(vec![2; 26_817 - 8]);
        producer.publish_deadline(&message, 0, Instant::now() + PATIENCE).expect("its own room is there");
    });
}

/// A message with a size hint that is far from its length.
#[derive(Debug, PartialEq)]
struct Hinted {
    hint: usize,
}

impl Codec for Hinted {
    const CODEC: &'static str = "hinted";
    type Scratch = ();

    fn type_tag() -> TypeTag {
        TypeTag::new(Self::CODEC, "Hinted/1")
    }

    fn size_hint(&self) -> usize {
        self.hint
    }

    fn encode(&self, _scratch: &mut (), into: &mut [u8]) -> Result<usize, EncodeShort> {
        into.get_mut(..100).ok_or(EncodeShort::TooSmall)?.fill(1);
        Ok(100)
    }

    fn decode(_bytes: &[u8]) -> CodecResult<Self> {
        Ok(Self { hint: 0 })
    }
}

fn hint_is_not_waited_for<F: Format>(depth: usize) {
    for hint in [0, 1 << 14, usize::MAX] {
        let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Hinted, F>::of_depth(depth);
        // A message of another length comes before: its room is not what the call waits for.
        let fill = vec![0; 1000];
        while producer.send_raw(&fill, 0, Patience::Now).is_ok() {}
        drop(consumer.next(Patience::Now).unwrap().unwrap());
        producer.try_publish(&Hinted { hint }, 0).expect("a thousand bytes are free");
    }
}

#[test]
fn a_hint_is_no_room_to_wait_for() {
    hint_is_not_waited_for::<Records>(1 << 16);
    hint_is_not_waited_for::<AlignedFixedFrame<4080>>(16);
}

/// Sends messages of mixed lengths to a reader that is always late. Returns the most encodings of one message.
fn most_encodings<T: Codec + 'static, F: Format>(depth: usize, longest: usize, message: impl Fn(usize) -> T) -> u32 {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<T, F>::of_depth(depth);
    // A reader that makes a little room each time that the producer has found too little.
    let reader = std::thread::spawn(move || {
        let mut received = 0;
        while consumer.next(Patience::Endless).is_ok() {
            received += 1;
            std::thread::yield_now();
        }
        received
    });
    let lengths = (0..300).map(|index: usize| if index.is_multiple_of(7) { longest } else { index * 131 % longest });
    let encodings = lengths
        .map(|len| {
            let message = message(len);
            encodings_of(|| assert!(producer.publish(&message, 0).is_ok()))
        })
        .max();
    drop(producer);
    assert_eq!(reader.join().unwrap(), 300);
    encodings.unwrap()
}

#[test]
fn whatever_the_reader_does_a_message_is_encoded_at_most_twice() {
    let counted = |len| Counted(vec![5; len]);
    assert!(most_encodings::<_, Records>(1 << 14, 16_000, counted) <= 2);
    assert!(most_encodings::<_, AlignedFixedFrame<1008>>(8, 7_900, counted) <= 2);
    assert!(most_encodings::<_, FixedFrame<100>>(32, 3_100, counted) <= 2);
    assert!(most_encodings::<_, Records>(1 << 14, 16_000, Unmeasured) <= 2);
    assert!(most_encodings::<_, AlignedFixedFrame<1008>>(8, 7_900, Unmeasured) <= 2);
}

#[test]
fn a_message_for_a_full_ring_is_encoded_once_however_long_it_waits() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Counted, Records>::of_depth(1 << 14);
    for _ in 0..4 {
        producer.publish(&Counted(vec![1; 4000]), 0).unwrap();
    }
    // The first message allocates the buffer; later messages use it.
    assert!(producer.try_publish(&Counted(vec![2; 4000]), 0).is_err());
    let message = Counted(vec![3; 4000]);
    let once = encodings_of(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..3 {
                    drop(consumer.next(Patience::Endless).unwrap().unwrap());
                }
            });
            producer.publish(&message, 0).unwrap();
        });
    });
    assert_eq!(once, 1);
}

#[test]
fn a_codec_that_does_not_know_a_length_is_refused_without_it() {
    let Stream { guards: _guards, mut producer, consumer: _consumer } =
        Stream::<Unmeasured, Records>::of_depth(1 << 14);
    // The first attempt has less room than the whole ring.
    producer.send_raw(&[0; 8000], 0, Patience::Endless).unwrap();
    let limit = producer.raw().max_message_bytes();
    let mut refusal = None;
    let encodings = encodings_of(|| refusal = producer.publish(&Unmeasured(1 << 20), 0).err());
    let Some(TypedPublishError::Transport(TransportError::TooLarge { len_bytes, .. })) = refusal else {
        panic!("{refusal:?}")
    };
    assert!(len_bytes > limit && encodings <= 2, "{len_bytes} bytes after {encodings} encodings");
}

/// A message that needs one byte more than it is given, each time; it counts its encodings.
struct Growing(Cell<u32>);

impl Codec for Growing {
    const CODEC: &'static str = "growing";
    type Scratch = ();

    fn type_tag() -> TypeTag {
        TypeTag::new(Self::CODEC, "Growing/1")
    }

    fn encode(&self, _scratch: &mut (), into: &mut [u8]) -> Result<usize, EncodeShort> {
        self.0.set(self.0.get() + 1);
        Err(EncodeShort::Needs { len_bytes: into.len() + 1 })
    }

    fn decode(_bytes: &[u8]) -> CodecResult<Self> {
        Ok(Self(Cell::new(0)))
    }
}

#[test]
fn a_message_that_changes_while_it_is_sent_is_an_error_and_not_a_loop() {
    let Stream { guards: _guards, mut producer, consumer: _consumer } = Stream::<Growing, Records>::of_depth(1 << 14);
    // The first attempt has less room than the whole ring.
    producer.send_raw(&[0; 8000], 0, Patience::Endless).unwrap();
    let message = Growing(Cell::new(0));
    let TypedPublishError::Codec(CodecError::Encode { source, .. }) = producer.publish(&message, 0).unwrap_err() else {
        panic!("another error than that of the codec")
    };
    assert!(source.to_string().contains("repeatable"), "{source}");
    assert_eq!(message.0.get(), 2, "encodings");
}
