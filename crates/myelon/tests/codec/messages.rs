//! The messages of the tests, each in every codec. The fuzz targets use them too.

use myelon::codec::rkyv_support::rkyv;
use std::collections::{BTreeMap, HashMap};

/// What one sequence of a batch needs in one step.
#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
pub struct Sequence {
    pub id: u64,
    pub tokens: Vec<u32>,
    pub blocks: Vec<u32>,
}

/// One step of a scheduler.
#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
pub struct Step {
    pub sequences: Vec<Sequence>,
}

impl Step {
    /// 64 sequences with 32 tokens and 64 blocks each: 25 KiB of content.
    pub fn typical() -> Self {
        let sequence = |id: u64| Sequence {
            id,
            tokens: (0..32).map(|i| i * 1000 + id as u32).collect(),
            blocks: (0..64).map(|i| i << 20 | id as u32).collect(),
        };
        Self { sequences: (0..64).map(sequence).collect() }
    }
}

/// One of several kinds of content.
#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
pub enum Kind {
    Nothing,
    Number(u64),
    Pair(i8, f32),
    Named { values: Vec<i64>, text: String },
}

/// A field of every kind that both libraries know.
#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
pub struct Everything {
    pub flag: bool,
    pub letter: char,
    pub wide: i128,
    pub text: String,
    pub lists: Vec<Vec<u16>>,
    pub sorted: BTreeMap<String, u32>,
    pub hashed: HashMap<u32, String>,
    pub perhaps: Option<Box<u64>>,
    pub kinds: Vec<Kind>,
    pub pair: (u8, u64),
    pub array: [u32; 3],
}

/// A type that contains itself.
#[derive(
    Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize,
)]
#[rkyv(
    crate = myelon::codec::rkyv_support::rkyv,
    serialize_bounds(__S: rkyv::ser::Writer),
    bytecheck(bounds(__C: rkyv::validation::ArchiveContext, __C::Error: rkyv::rancor::Source)),
    deserialize_bounds(__D::Error: rkyv::rancor::Source),
)]
pub struct Chain {
    #[rkyv(omit_bounds)]
    pub next: Option<Box<Chain>>,
}

impl Chain {
    /// A chain with this number of links after the first.
    pub fn of(links: usize) -> Self {
        (0..links).fold(Self { next: None }, |chain, _| Self { next: Some(Box::new(chain)) })
    }
}

/// The same content as two messages, since a type has one codec.
macro_rules! in_both {
    ($($bincode:ident $rkyv:ident $content:ident)*) => {$(
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        pub struct $bincode(pub $content);

        myelon::bincode_message!($bincode);

        #[derive(Clone, Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
        #[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
        pub struct $rkyv(pub $content);

        myelon::rkyv_message!($rkyv);
    )*};
}

in_both! {
    BincodeStep RkyvStep Step
    BincodeEverything RkyvEverything Everything
    BincodeChain RkyvChain Chain
}

pub use crate::step_generated::{SequenceT, Step as StepTable, StepT};

myelon::flatbuffers_message!(StepT as StepTable = "Step/1");

/// Bytes that begin at a multiple of 16, as those of a ring do.
pub fn aligned(content: &[u8]) -> rkyv::util::AlignedVec<16> {
    let mut bytes = rkyv::util::AlignedVec::new();
    bytes.extend_from_slice(content);
    bytes
}

/// The message's bytes, and no more.
pub fn encoded<T: myelon::codec::Codec>(message: &T) -> rkyv::util::AlignedVec<16> {
    let mut bytes = rkyv::util::AlignedVec::new();
    let mut scratch = T::Scratch::default();
    for room in (6..).map(|power| 1 << power) {
        bytes.resize(room, 0xAA);
        match message.encode(&mut scratch, &mut bytes) {
            Ok(len) => {
                bytes.resize(len, 0);
                break;
            }
            Err(myelon::codec::EncodeShort::Failed(error)) => panic!("{error}"),
            Err(_) => {}
        }
    }
    bytes
}
