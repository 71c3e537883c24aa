//! What a message costs beside its bytes.

use crate::messages::{BincodeStep, RkyvStep, Step};
use crate::stage::{BYTES, DEPTH, Frame, Stream};
use myelon::Patience;
use myelon::codec::{Codec, CodecError, CodecResult, EncodeShort, TypeTag, ZeroCopyCodec};
use myelon::transport::{AlignedFixedFrame, Format, Records, TransportError};
use myelon::typed_transport::{TypedMessage, TypedPublishError};
use std::cell::Cell;
use testkit::alloc::allocations_in;

thread_local! {
    static ENCODED: Cell<u32> = const { Cell::new(0) };
}

/// A number of bytes that counts its encodings and does not tell its length in advance.
struct Blob(usize);

impl Codec for Blob {
    const CODEC: &'static str = "blob";
    type Scratch = ();

    fn type_tag() -> TypeTag {
        TypeTag::new(Self::CODEC, "Blob/1")
    }

    fn encode(&self, _scratch: &mut (), into: &mut [u8]) -> Result<usize, EncodeShort> {
        ENCODED.set(ENCODED.get() + 1);
        into.get_mut(..self.0).ok_or(EncodeShort::TooSmall)?.fill(7);
        Ok(self.0)
    }

    fn decode(bytes: &[u8]) -> CodecResult<Self> {
        match bytes.iter().all(|&byte| byte == 7) {
            true => Ok(Self(bytes.len())),
            false => Err(CodecError::decode(Self::CODEC, bytes, "not a blob")),
        }
    }
}

#[test]
fn a_stream_of_long_messages_encodes_each_of_them_once() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Blob, Frame>::new();
    let mut encoded_for = |len: usize| {
        ENCODED.set(0);
        producer.publish(&Blob(len), 0).unwrap();
        assert_eq!(consumer.receive_owned(Patience::Endless).unwrap().unwrap().0.0, len);
        ENCODED.get()
    };
    assert!(encoded_for(30_000) > 1, "no sender could know its length");
    for _ in 0..10 {
        assert_eq!(encoded_for(30_000), 1);
    }
    assert_eq!(encoded_for(100), 1);
}

#[test]
fn a_record_is_encoded_again_only_at_the_end_of_the_ring() {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<Blob, Records>::of_depth(BYTES);
    ENCODED.set(0);
    let laps = 10;
    let messages = laps * BYTES / 30_000;
    for _ in 0..messages {
        producer.publish(&Blob(30_000), 0).unwrap();
        assert_eq!(consumer.receive_owned(Patience::Endless).unwrap().unwrap().0.0, 30_000);
    }
    let again = ENCODED.get() as usize - messages;
    // Once per lap, or twice if doubling does not reach far enough; and the working set may end before the ring.
    assert!(again <= 4 * laps, "{again} of {messages} messages were encoded again");
}

#[test]
fn a_small_message_does_not_wait_for_the_room_of_the_large_one_before_it() {
    let Stream { guards: _guards, mut producer, consumer: _consumer } = Stream::<Blob, Records>::of_depth(BYTES);
    let full = (0..BYTES).find_map(|_| producer.try_publish(&Blob(30_000), 0).err());
    assert!(matches!(full, Some(TypedPublishError::Transport(TransportError::Full))), "{full:?}");
    producer.try_publish(&Blob(100), 0).expect("what is left suffices for a small one");
}

/// Sends and receives in place until all buffers have grown, and then counts.
fn allocations_when_warm<T: Codec, F: Format>(
    depth: usize,
    message: &T,
    look: impl Fn(&TypedMessage<'_, T, F>),
) -> u64 {
    let Stream { guards: _guards, mut producer, mut consumer } = Stream::<T, F>::of_depth(depth);
    let mut rounds = |count| {
        for _ in 0..count {
            producer.publish(message, 0).unwrap();
            look(&consumer.next(Patience::Endless).unwrap().unwrap());
        }
    };
    rounds(5);
    allocations_in(|| rounds(20))
}

fn looked_at<T: ZeroCopyCodec, F: Format>(message: &TypedMessage<'_, T, F>) {
    assert!(message.get().is_ok());
}

#[test]
fn a_step_is_sent_and_read_in_place_without_the_heap() {
    let (rkyv, bincode) = (RkyvStep(Step::typical()), BincodeStep(Step::typical()));
    assert_eq!(allocations_when_warm::<_, Records>(BYTES, &rkyv, looked_at), 0, "rkyv in a record");
    assert_eq!(allocations_when_warm::<_, Records>(BYTES, &bincode, |_| ()), 0, "bincode in a record");
    assert_eq!(allocations_when_warm::<_, AlignedFixedFrame<65536>>(DEPTH, &rkyv, looked_at), 0, "rkyv in one frame");
    assert_eq!(allocations_when_warm::<_, Frame>(DEPTH, &rkyv, looked_at), 0, "rkyv in several");
    assert_eq!(
        allocations_when_warm::<_, AlignedFixedFrame<65536>>(DEPTH, &bincode, |_| ()),
        0,
        "bincode in one frame"
    );
    assert_eq!(allocations_when_warm::<_, Frame>(DEPTH, &bincode, |_| ()), 0, "bincode in several");
}
