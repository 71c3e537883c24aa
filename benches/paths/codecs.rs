//! What a codec does with a message, without a ring. For comparison: what the plain library does, into a slice and from
//! one.
//!
//! The messages are a scheduler's step, which is lists of numbers, and a request, which has a field of each kind.
//!
//! `NAME` is our codec and `NAME-plain` the library: the same value, the same bytes, in the same program. The library
//! decodes without a limit.

use crate::carriers::{Outcome, Part, Path, ROUND_OF_LONG, carry, path};
use bincode::config::legacy;
use myelon::codec::Codec;
use myelon::codec::rkyv_support::{self, rkyv};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::ops::Range;

/// Room for a message.
const ROOM_BYTES: usize = 32 << 10;

/// All paths of codecs.
pub(crate) const CODECS: [Path; 24] = [
    path("encode-bincode-step", Part::Send, ours::<BincodeStep>),
    path("encode-bincode-step-plain", Part::Send, plain::<BincodeStep>),
    path("decode-bincode-step", Part::Receive, ours::<BincodeStep>),
    path("decode-bincode-step-plain", Part::Receive, plain::<BincodeStep>),
    path("encode-bincode-request", Part::Send, ours::<BincodeRequest>),
    path("encode-bincode-request-plain", Part::Send, plain::<BincodeRequest>),
    path("decode-bincode-request", Part::Receive, ours::<BincodeRequest>),
    path("decode-bincode-request-plain", Part::Receive, plain::<BincodeRequest>),
    path("encode-postcard-step", Part::Send, ours::<PostcardStep>),
    path("encode-postcard-step-plain", Part::Send, plain::<PostcardStep>),
    path("decode-postcard-step", Part::Receive, ours::<PostcardStep>),
    path("decode-postcard-step-plain", Part::Receive, plain::<PostcardStep>),
    path("encode-postcard-request", Part::Send, ours::<PostcardRequest>),
    path("encode-postcard-request-plain", Part::Send, plain::<PostcardRequest>),
    path("decode-postcard-request", Part::Receive, ours::<PostcardRequest>),
    path("decode-postcard-request-plain", Part::Receive, plain::<PostcardRequest>),
    path("encode-rkyv-step", Part::Send, ours::<RkyvStep>),
    path("encode-rkyv-step-plain", Part::Send, plain::<RkyvStep>),
    path("decode-rkyv-step", Part::Receive, ours::<RkyvStep>),
    path("decode-rkyv-step-plain", Part::Receive, plain::<RkyvStep>),
    path("encode-rkyv-request", Part::Send, ours::<RkyvRequest>),
    path("encode-rkyv-request-plain", Part::Send, plain::<RkyvRequest>),
    path("decode-rkyv-request", Part::Receive, ours::<RkyvRequest>),
    path("decode-rkyv-request-plain", Part::Receive, plain::<RkyvRequest>),
];

/// The part of a step for one sequence.
#[derive(Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv)]
struct Sequence {
    id: u64,
    tokens: Vec<u32>,
    blocks: Vec<u32>,
}

/// 26 KiB in bincode.
#[derive(Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv)]
struct Step {
    sequences: Vec<Sequence>,
}

#[derive(Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv)]
enum Kind {
    Prefill,
    Decode { position: u32, limit: Option<u32> },
}

/// About 500 bytes in bincode.
#[derive(Serialize, Deserialize, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv)]
struct Request {
    id: u64,
    is_urgent: bool,
    model: String,
    kinds: Vec<Kind>,
    stops: Vec<String>,
    options: BTreeMap<String, f32>,
    parent: Option<Box<u64>>,
    window: (u16, u16),
    tokens: Vec<u32>,
}

/// A value with a number that is cheap to change.
trait Numbered: Sized {
    fn build() -> Self;
    fn number(&mut self) -> &mut u64;
}

impl Numbered for Step {
    fn build() -> Self {
        let numbers = |count: u32, first: u32| (0..count).map(|number| first + number).collect();
        let sequence = |id| Sequence { id, tokens: numbers(32, id as u32 * 700), blocks: numbers(64, id as u32 * 64) };
        Self { sequences: (0..64).map(sequence).collect() }
    }

    fn number(&mut self) -> &mut u64 {
        &mut self.sequences[0].id
    }
}

impl Numbered for Request {
    fn build() -> Self {
        let decode = |position| Kind::Decode { position, limit: position.is_multiple_of(2).then_some(4096) };
        Self {
            id: 0,
            is_urgent: true,
            model: "a-model-with-a-name".into(),
            kinds: [Kind::Prefill].into_iter().chain((0..6).map(decode)).collect(),
            stops: ["\n\n", "</s>", "a longer text at which to stop"].map(String::from).into(),
            options: ["temperature", "top_p", "min_p"].into_iter().map(|name| (name.into(), 0.75)).collect(),
            parent: Some(Box::new(7)),
            window: (100, 200),
            tokens: (0..48).map(|number| number * 321).collect(),
        }
    }

    fn number(&mut self) -> &mut u64 {
        &mut self.id
    }
}

/// A message, and what the plain library does with it.
trait Message: Codec {
    type Content: Numbered;

    fn new(content: Self::Content) -> Self;
    fn content(&mut self) -> &mut Self::Content;
    fn encode_plain(&self, into: &mut [u8]) -> usize;
    fn decode_plain(bytes: &[u8]) -> Self;
}

/// A type of messages for a content and a codec.
macro_rules! messages {
    ($derives:tt $codec:ident { $($message:ident of $content:ident),* } $encode:expr, $decode:expr) => {$(
        messages!(@type $derives $message $content);
        myelon::$codec!($message);

        impl Message for $message {
            type Content = $content;

            fn new(content: $content) -> Self {
                Self(content)
            }

            fn content(&mut self) -> &mut $content {
                &mut self.0
            }

            fn encode_plain(&self, into: &mut [u8]) -> usize {
                $encode(self, into)
            }

            fn decode_plain(bytes: &[u8]) -> Self {
                $decode(bytes)
            }
        }
    )*};
    (@type serde $message:ident $content:ident) => {
        #[derive(Serialize, Deserialize)]
        struct $message($content);
    };
    (@type rkyv $message:ident $content:ident) => {
        #[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
        #[rkyv(crate = rkyv)]
        struct $message($content);
    };
}

messages! {
    serde bincode_message { BincodeStep of Step, BincodeRequest of Request }
    |message, into| bincode::serde::encode_into_slice(message, into, legacy()).expect("room"),
    |bytes| bincode::serde::decode_from_slice(bytes, legacy()).expect("a message").0
}

messages! {
    serde postcard_message { PostcardStep of Step, PostcardRequest of Request }
    |message, into| postcard::to_slice(message, into).expect("room").len(),
    |bytes| postcard::from_bytes(bytes).expect("a message")
}

messages! {
    rkyv rkyv_message { RkyvStep of Step, RkyvRequest of Request }
    |message, into| {
        let room = rkyv::ser::writer::Buffer::from(into);
        rkyv::api::high::to_bytes_in::<_, rkyv_support::ArchiveError>(message, room).expect("room").len()
    },
    |bytes| rkyv::from_bytes::<_, rkyv_support::ArchiveError>(bytes).expect("a message")
}

/// Bytes that begin at a multiple of 16, like those of a ring.
#[derive(Clone)]
#[repr(align(16))]
struct Room([u8; ROOM_BYTES]);

/// One codec's sender and receiver, with the messages of a round between them.
struct Ends<T: Message> {
    message: T,
    scratch: T::Scratch,
    rooms: Vec<(Room, usize)>,
}

impl<T: Message> Ends<T> {
    fn new() -> Self {
        let rooms = vec![(Room([0; ROOM_BYTES]), 0); ROUND_OF_LONG as usize];
        Self { message: T::new(T::Content::build()), scratch: T::Scratch::default(), rooms }
    }

    fn encode(&mut self, numbers: Range<u64>, encode: impl Fn(&T, &mut T::Scratch, &mut [u8]) -> usize) {
        for (number, (room, len_bytes)) in numbers.zip(&mut self.rooms) {
            *self.message.content().number() = number;
            *len_bytes = encode(black_box(&self.message), &mut self.scratch, &mut room.0);
        }
    }

    fn decode(&self, count: u64, decode: impl Fn(&[u8]) -> T) -> u64 {
        let rooms = self.rooms.iter().take(count as usize);
        rooms.map(|(room, len_bytes)| *black_box(decode(&room.0[..*len_bytes])).content().number()).sum()
    }
}

fn ours<T: Message>(part: Part, operations: u64) -> Outcome {
    let encode = |message: &T, scratch: &mut T::Scratch, into: &mut [u8]| message.encode(scratch, into).expect("room");
    carry(
        part,
        operations,
        ROUND_OF_LONG,
        Ends::<T>::new(),
        |ends, numbers| ends.encode(numbers, encode),
        |ends, count| ends.decode(count, |bytes| T::decode(bytes).expect("a message")),
    )
}

fn plain<T: Message>(part: Part, operations: u64) -> Outcome {
    carry(
        part,
        operations,
        ROUND_OF_LONG,
        Ends::<T>::new(),
        |ends, numbers| ends.encode(numbers, |message, _, into| message.encode_plain(into)),
        |ends, count| ends.decode(count, T::decode_plain),
    )
}
