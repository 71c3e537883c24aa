//! Encoding says exactly whether there was too little room and how much is needed, and says the same when it is called
//! again.

use crate::messages::{
    BincodeEverything, BincodeStep, RkyvEverything, RkyvStep, Sequence, Step, StepT, aligned, encoded,
};
use crate::strategies::{everything, objects};
use myelon::codec::rkyv_support::rkyv;
use myelon::codec::{Codec, CodecError, EncodeShort};
use proptest::prelude::*;
use serde::ser::{Error, SerializeTuple};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Every room that is too small is refused with the length that suffices, and that length gives the same bytes as any
/// larger one.
fn every_room_is_judged<T: Codec>(message: &T) {
    let expected = encoded(message);
    let mut scratch = T::Scratch::default();
    // All lengths of a small message, and the lengths near both ends of a large one.
    let rooms = (0..expected.len()).filter(|room| *room < 600 || room + 100 > expected.len());
    for room in rooms {
        let mut bytes = aligned(&vec![0x55; room]);
        let short = message.encode(&mut scratch, &mut bytes);
        let len = expected.len();
        let is_exact = matches!(short, Err(EncodeShort::Needs { len_bytes }) if len_bytes == len);
        assert!(is_exact, "{short:?} with {room} of {len} bytes");
    }
    for more in [0, 1, 1000] {
        let mut bytes = aligned(&vec![0x55; expected.len() + more]);
        assert_eq!(message.encode(&mut scratch, &mut bytes).unwrap(), expected.len());
        assert_eq!(bytes[..expected.len()], expected[..], "encoded again, the message has other bytes");
        assert!(bytes[expected.len()..].iter().all(|&byte| byte == 0x55), "written after its end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn too_small_is_exact_and_encoding_is_repeatable(content in everything(), object in objects()) {
        every_room_is_judged(&BincodeEverything(content.clone()));
        every_room_is_judged(&RkyvEverything(content));
        every_room_is_judged(&object);
    }
}

#[test]
fn too_small_is_exact_for_a_message_that_outgrows_its_scratch() {
    every_room_is_judged(&BincodeStep(Step::typical()));
    // Its parts are remembered until the end, in more memory than the arena begins with.
    let sequence = Sequence { id: 1, tokens: vec![2, 3], blocks: vec![] };
    every_room_is_judged(&RkyvStep(Step { sequences: vec![sequence; 500] }));
    every_room_is_judged(&StepT { note: Some("x".repeat(5000)), ..StepT::default() });
}

/// A message that cannot be encoded from its `failing`th element on.
struct Unwilling {
    failing: usize,
}

impl serde::Serialize for Unwilling {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(4)?;
        for index in 0..4_u64 {
            if index == self.failing as u64 {
                return Err(S::Error::custom("not this one"));
            }
            tuple.serialize_element(&index)?;
        }
        tuple.end()
    }
}

#[test]
fn a_message_that_fails_is_not_taken_for_one_without_room() {
    let encode =
        |failing, room: usize| myelon::codec::bincode_support::encode(&Unwilling { failing }, &mut vec![0; room]);
    assert!(matches!(encode(4, 32), Ok(32)));
    for failing in 0..4 {
        let failed = encode(failing, 8 * failing);
        assert!(matches!(failed, Err(EncodeShort::Failed(CodecError::Encode { codec: "bincode", .. }))), "{failed:?}");
        if let Err(error) = failed {
            assert!(error.to_string().contains("not this one"), "the cause is lost: {error:?}");
        }
        // Also if the room ended before that element: more room would not help.
        assert!(matches!(encode(failing, (8 * failing).saturating_sub(1)), Err(EncodeShort::Failed(_))));
    }
}

/// An implementation that hides that something did not fit.
struct Careless;

impl serde::Serialize for Careless {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(2)?;
        let _ = tuple.serialize_element(&u64::MAX);
        let _ = tuple.serialize_element(&1_u8);
        tuple.end()
    }
}

#[test]
fn room_that_was_missing_is_not_forgotten_although_the_message_does() {
    for room in 0..9 {
        let short = myelon::codec::bincode_support::encode(&Careless, &mut vec![0; room]);
        assert!(matches!(short, Err(EncodeShort::Needs { len_bytes: 9 })), "{short:?} with {room} bytes");
    }
    assert!(matches!(myelon::codec::bincode_support::encode(&Careless, &mut [0; 9]), Ok(9)));
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
struct Located {
    #[rkyv(with = rkyv::with::AsString)]
    path: PathBuf,
}

myelon::rkyv_message!(Located);

#[test]
fn an_archive_that_fails_says_why() {
    let not_text = Located { path: PathBuf::from(OsStr::from_bytes(&[0xFF])) };
    let failed = not_text.encode(&mut Default::default(), &mut aligned(&[0; 64]));
    let Err(EncodeShort::Failed(CodecError::Encode { codec: "rkyv", source })) = failed else { panic!("{failed:?}") };
    assert!(source.to_string().contains("UTF-8"), "{source}");
    let text = Located { path: PathBuf::from("a/b") };
    assert_eq!(Located::decode(&encoded(&text)).unwrap().path, text.path);
}
