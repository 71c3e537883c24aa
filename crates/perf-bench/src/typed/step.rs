//! A scheduler's step: what a server tells its workers again and again.

use myelon::codec::Codec;
use myelon::codec::rkyv_support::rkyv;

/// Sequences of a step.
const SEQUENCES: u64 = 64;
/// Tokens of a sequence.
const TOKENS: u32 = 32;
/// Numbers of memory blocks of a sequence.
const BLOCKS: u32 = 64;

/// What a step says of one sequence.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
pub(crate) struct Sequence {
    id: u64,
    tokens: Vec<u32>,
    blocks: Vec<u32>,
}

/// A step that bincode encodes. A type has one codec, so there are three.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct BincodeStep(Vec<Sequence>);

/// A step that postcard encodes.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct PostcardStep(Vec<Sequence>);

/// A step that rkyv encodes.
#[derive(Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
pub(crate) struct RkyvStep(Vec<Sequence>);

myelon::bincode_message!(BincodeStep);
myelon::postcard_message!(PostcardStep);
myelon::rkyv_message!(RkyvStep);

/// A step that is built once and sent many times, each time with another number in it.
pub(crate) trait Step: Codec {
    /// The same content for every codec.
    fn build() -> Self;

    /// Puts a [number](number_of) in the place of the first sequence's id.
    fn set_number(&mut self, number: u64);

    /// What reading every field comes to: the number, and whatever the rest is.
    fn sum(&self) -> u64;
}

/// What `number` is in a step: a number with as many digits as any other, so that every step has the same length in
/// every codec.
pub(crate) fn number_of(number: u64) -> u64 {
    const DIGITS: u64 = 1 << 40;
    DIGITS | (number % DIGITS)
}

fn sequences() -> Vec<Sequence> {
    let numbers = |count: u32, first: u32| (0..count).map(|number| first.wrapping_add(number)).collect();
    let sequence = |id| Sequence { id, tokens: numbers(TOKENS, id as u32 * 7), blocks: numbers(BLOCKS, !(id as u32)) };
    (0..SEQUENCES).map(sequence).collect()
}

/// Reads every number of a list. The sum has as many bits as the numbers, so it does not slow the reading down.
#[inline(always)]
fn sum_list(numbers: impl Iterator<Item = u32>) -> u64 {
    u64::from(numbers.fold(0, u32::wrapping_add))
}

fn sum_owned(sequences: &[Sequence]) -> u64 {
    sequences.iter().fold(0, |sum, sequence| {
        let lists = sum_list(sequence.tokens.iter().copied()) + sum_list(sequence.blocks.iter().copied());
        sum.wrapping_add(sequence.id).wrapping_add(lists)
    })
}

impl ArchivedRkyvStep {
    /// As [`Step::sum`], in place.
    pub(crate) fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, sequence| {
            let list = |numbers: &rkyv::vec::ArchivedVec<rkyv::rend::u32_le>| {
                sum_list(numbers.iter().map(|number| number.to_native()))
            };
            let lists = list(&sequence.tokens) + list(&sequence.blocks);
            sum.wrapping_add(sequence.id.to_native()).wrapping_add(lists)
        })
    }
}

/// Both are the same, but for their names.
macro_rules! impl_step {
    ($($step:ident)*) => {$(
        impl Step for $step {
            fn build() -> Self {
                Self(sequences())
            }

            fn set_number(&mut self, number: u64) {
                self.0[0].id = number_of(number);
            }

            fn sum(&self) -> u64 {
                sum_owned(&self.0)
            }
        }
    )*};
}

impl_step!(BincodeStep PostcardStep RkyvStep);

/// The bytes of a step, as many as rkyv makes of it, filled up to a multiple of 64.
pub(crate) fn encoded() -> Result<Vec<u8>, myelon::codec::EncodeShort> {
    let mut bytes = vec![0; 64 << 10];
    let len_bytes = RkyvStep::build().encode(&mut Default::default(), &mut bytes)?;
    bytes.truncate(len_bytes.next_multiple_of(64));
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use myelon::codec::ZeroCopyCodec;

    #[test]
    fn a_step_has_26_kib_and_adds_up_to_the_same_however_it_is_read() {
        let mut step = RkyvStep::build();
        step.set_number(5);
        let mut bytes = rkyv::util::AlignedVec::<16>::new();
        bytes.resize(64 << 10, 0);
        let len_bytes = step.encode(&mut Default::default(), &mut bytes).unwrap();
        assert!((25 << 10..26 << 10).contains(&len_bytes), "{len_bytes}");
        assert_eq!(RkyvStep::access(&bytes[..len_bytes]).unwrap().sum(), step.sum());
        assert_eq!(step.sum(), RkyvStep::build().sum() + number_of(5));
        assert_eq!(BincodeStep::build().sum(), RkyvStep::build().sum());
        assert_eq!(PostcardStep::build().sum(), RkyvStep::build().sum());
    }
}
