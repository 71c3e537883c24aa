//! What a message costs beside its bytes.

use crate::messages::{BincodeStep, RkyvStep, Step};
use crate::stage::{Frame, Stream};
use myelon::Patience;
use myelon::codec::{Codec, CodecError, CodecResult, EncodeShort, TypeTag, ZeroCopyCodec};
use myelon::transport::{AlignedFixedFrame, Format};
use std::cell::Cell;
use testkit::alloc::allocations_in;

thread_local! {
    static ENCODED: Cell<u32> = const { Cell::new(0) };
}

/// So many bytes, which count how often they are encoded and say nothing about their number in advance.
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
    let Stream { mut producer, mut consumer, .. } = Stream::<Blob, Frame>::new();
    let mut encoded_for = |len: usize| {
        ENCODED.set(0);
        producer.publish(&Blob(len), 0).unwrap();
        assert_eq!(consumer.receive_owned(Patience::Endless).unwrap().unwrap().0.0, len);
        ENCODED.get()
    };
    assert!(encoded_for(30_000) > 1, "nobody could know its length");
    for _ in 0..10 {
        assert_eq!(encoded_for(30_000), 1);
    }
    assert_eq!(encoded_for(100), 1);
}

/// Sends and receives in place until everything has grown, and then counts.
fn allocations_when_warm<T: Codec, F: Format>(
    message: &T,
    look: impl Fn(&myelon::typed_transport::TypedMessage<'_, T, F>),
) -> u64 {
    let Stream { mut producer, mut consumer, .. } = Stream::<T, F>::new();
    let mut rounds = |count| {
        for _ in 0..count {
            producer.publish(message, 0).unwrap();
            look(&consumer.next(Patience::Endless).unwrap().unwrap());
        }
    };
    rounds(5);
    allocations_in(|| rounds(20))
}

fn looked_at<T: ZeroCopyCodec, F: Format>(message: &myelon::typed_transport::TypedMessage<'_, T, F>) {
    assert!(message.get().is_ok());
}

#[test]
fn a_step_is_sent_and_read_in_place_without_the_heap() {
    let (rkyv, bincode) = (RkyvStep(Step::typical()), BincodeStep(Step::typical()));
    assert_eq!(allocations_when_warm::<_, AlignedFixedFrame<65536>>(&rkyv, looked_at), 0, "rkyv in one frame");
    assert_eq!(allocations_when_warm::<_, Frame>(&rkyv, looked_at), 0, "rkyv in several");
    assert_eq!(allocations_when_warm::<_, AlignedFixedFrame<65536>>(&bincode, |_| ()), 0, "bincode in one frame");
    assert_eq!(allocations_when_warm::<_, Frame>(&bincode, |_| ()), 0, "bincode in several");
}
