//! Messages that count how often they are encoded.

use myelon::codec::{Codec, CodecResult, EncodeShort, TypeTag};
use std::cell::Cell;

thread_local! {
    static ENCODED: Cell<u32> = const { Cell::new(0) };
}

/// How often a message was encoded or measured in this thread.
pub(crate) fn encodings() -> u32 {
    ENCODED.get()
}

/// The number of encodings during `call`.
pub(crate) fn encodings_of(call: impl FnOnce()) -> u32 {
    let before = encodings();
    call();
    encodings() - before
}

/// A message with serde's traits.
#[derive(Debug, PartialEq)]
pub(crate) struct Counted(pub(crate) Vec<u8>);

impl serde::Serialize for Counted {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        ENCODED.set(ENCODED.get() + 1);
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Counted {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Vec::<u8>::deserialize(deserializer)?))
    }
}

myelon::bincode_message!(Counted);

/// A message that does not know how long it is.
#[derive(Debug, PartialEq)]
pub(crate) struct Unmeasured(pub(crate) usize);

impl Codec for Unmeasured {
    const CODEC: &'static str = "unmeasured";
    type Scratch = ();

    fn type_tag() -> TypeTag {
        TypeTag::new(Self::CODEC, "Unmeasured/1")
    }

    fn encode(&self, _scratch: &mut (), into: &mut [u8]) -> Result<usize, EncodeShort> {
        ENCODED.set(ENCODED.get() + 1);
        into.get_mut(..self.0).ok_or(EncodeShort::TooSmall)?.fill(7);
        Ok(self.0)
    }

    fn decode(bytes: &[u8]) -> CodecResult<Self> {
        Ok(Self(bytes.len()))
    }
}
