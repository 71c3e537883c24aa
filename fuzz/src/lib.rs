//! What the targets share: the event of their rings, the messages of their codecs, and reading an input as a list of
//! decisions.
#![deny(unsafe_code)]

use disruptor_mp::event;
use myelon::codec::Codec;
use myelon::codec::rkyv_support::rkyv::util::AlignedVec;
use std::ops::Range;

#[path = "../../crates/myelon/tests/codec/messages.rs"]
pub mod messages;
#[allow(unsafe_code)] // as flatbuffers' compiler writes it
#[path = "../../crates/myelon/tests/codec/step_generated.rs"]
pub mod step_generated;

/// Slots in the rings of the targets: few, so that laps come soon.
pub const CAPACITY: usize = 4;

/// Entries for expected consumers in their tables.
pub const TABLE_LEN: usize = 3;

/// Words of one entry. Source: RFC 0011, "Layout".
pub const ENTRY_WORDS: usize = 1024 / 8;

/// Words of an entry that say more than the position of its consumer. Source: RFC 0011, "Layout".
const TELLING_WORDS: [usize; 8] = [
    19, // redelivered from
    38, // redelivered until
    39, // ending, also *awaited*
    44, // refusal
    45, // given back until
    46, // held since
    63, // row of the refusal
    64, // the first word for a message that is released out of order
];

/// The event of the rings.
#[event]
pub struct Sample {
    /// Whatever was published.
    pub value: u64,
    /// Fills the slot so that a copy takes several words and bytes.
    pub rest: [u8; 20],
    /// No padding remains.
    pub tail: u32,
}

impl Sample {
    /// An event with a recognisable content.
    pub fn new(value: u64) -> Self {
        Self { value, rest: [value as u8; 20], tail: !value as u32 }
    }
}

/// An input, read from the front. At its end everything is 0, and [`is_over`](Self::is_over) says so.
pub struct Decisions<'a> {
    rest: &'a [u8],
}

impl<'a> Decisions<'a> {
    /// Begins to read.
    pub fn new(input: &'a [u8]) -> Self {
        Self { rest: input }
    }

    /// Whether everything has been read.
    pub fn is_over(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that have not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// One byte.
    pub fn byte(&mut self) -> u8 {
        self.array::<1>()[0]
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(u16::from_le_bytes(self.array())) % end
    }

    /// A value for a word: one at which arithmetic may overflow, one near `old`, or any.
    pub fn word(&mut self, old: u64) -> u64 {
        const SPECIAL: [i64; 12] = [0, 1, -1, 2, 3, 4, 5, i64::MAX, i64::MIN, i64::MAX - 1, i64::MAX - 4, i64::MAX / 2];
        let kind = usize::from(self.byte());
        match kind {
            0..64 => SPECIAL[kind % SPECIAL.len()] as u64,
            64..128 => old.wrapping_add(kind as u64).wrapping_sub(96),
            128..160 => old ^ 1 << (kind % 64),
            160..192 => old.rotate_left(32),
            _ => u64::from_le_bytes(self.array()),
        }
    }

    /// A word of the control lines or of an entry that an end reads.
    pub fn telling_word(&mut self, control: &Range<usize>, table: &Range<usize>) -> usize {
        match self.byte() % 8 {
            // The line of the claim limit, which also has the refusals and the arrivals.
            0 => control.start + 32 + self.below(16),
            // The first words of each control line and of each entry are the important ones.
            1..3 => control.start + 16 * self.below(control.len() / 16) + self.below(4),
            3..5 => table.start + ENTRY_WORDS * self.below(TABLE_LEN) + self.below(6),
            5 => table.start + ENTRY_WORDS * self.below(TABLE_LEN) + TELLING_WORDS[self.below(TELLING_WORDS.len())],
            6 => table.start + ENTRY_WORDS * self.below(TABLE_LEN) + 47 + self.below(ENTRY_WORDS - 47),
            _ => table.start + self.below(table.len()),
        }
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        let len = self.rest.len().min(N);
        let (taken, rest) = self.rest.split_at(len);
        bytes[..len].copy_from_slice(taken);
        self.rest = rest;
        bytes
    }
}

/// A payload like in a ring, at a multiple of 16, except that an odd first byte moves it away from there: then it must
/// be refused, or read without trusting it.
pub fn payload(input: &[u8]) -> Option<(AlignedVec<16>, usize)> {
    let (&place, content) = input.split_first()?;
    let offset = if place % 2 == 1 { usize::from(place >> 4) } else { 0 };
    let mut bytes = AlignedVec::new();
    bytes.resize(offset, 0);
    bytes.extend_from_slice(content);
    Some((bytes, offset))
}

/// The content of the other codecs' messages, as postcard writes it.
#[derive(serde::Serialize, serde::Deserialize)]
pub struct PostcardOf<T>(pub T);

myelon::postcard_message!(PostcardOf<messages::Step> = "Step/1");
myelon::postcard_message!(PostcardOf<messages::Chain> = "Chain/1");
myelon::postcard_message!(PostcardOf<messages::Everything> = "Everything/1");

/// Decodes any bytes.
///
/// # Panics
/// If the decoded value, encoded again, cannot be decoded.
pub fn decode<T: Codec>(bytes: &[u8]) {
    match T::decode(bytes) {
        Ok(message) => {
            assert!(T::decode(&messages::encoded(&message)).is_ok(), "what was decoded cannot be decoded again");
        }
        Err(error) => drop(error.to_string()),
    }
}
