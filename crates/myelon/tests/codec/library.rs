//! Our use of bincode and postcard: the same bytes as the libraries, and the same values from them, within the limits
//! of a message.

use crate::messages::{BincodeEverything, Everything, encoded};
use crate::strategies::everything;
use bincode::config::legacy;
use myelon::codec::{Codec, CodecError, EncodeShort};
use proptest::prelude::*;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The limit of memory for a list or a text: without a limit the library takes as much as the bytes claim.
const LIMIT_BYTES: usize = 1 << 16;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct InPostcard(Everything);

myelon::postcard_message!(InPostcard);

/// The value that the library decodes from all of these bytes.
fn by_bincode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, used) = bincode::serde::decode_from_slice(bytes, legacy().with_limit::<LIMIT_BYTES>()).ok()?;
    (used == bytes.len()).then_some(value)
}

fn by_postcard<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    rest.is_empty().then_some(value)
}

/// The content as a text: a damaged float may be NaN, which equals nothing.
fn told(content: Option<Everything>) -> Option<String> {
    let mut content = content?;
    let hashed: BTreeMap<_, _> = content.hashed.drain().collect();
    Some(format!("{content:?} {hashed:?}"))
}

proptest! {
    #[test]
    fn a_message_has_the_bytes_of_its_library(content in everything()) {
        let message = BincodeEverything(content.clone());
        prop_assert_eq!(&encoded(&message)[..], bincode::serde::encode_to_vec(&message, legacy()).unwrap());
        let message = InPostcard(content);
        let mut room = vec![0; 1 << 16];
        prop_assert_eq!(&encoded(&message)[..], &*postcard::to_slice(&message, &mut room).unwrap());
    }

    #[test]
    fn bytes_are_the_message_that_the_library_makes_of_them(
        content in everything(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..3),
    ) {
        let damaged = |mut bytes: Vec<u8>| {
            for (place, value) in &changes {
                let place = place.index(bytes.len());
                bytes[place] = *value;
            }
            bytes
        };
        let bytes = damaged(encoded(&BincodeEverything(content.clone())).to_vec());
        let (ours, library) = (BincodeEverything::decode(&bytes).ok(), by_bincode::<BincodeEverything>(&bytes));
        prop_assert_eq!(told(ours.map(|message| message.0)), told(library.map(|message| message.0)));
        let bytes = damaged(encoded(&InPostcard(content)).to_vec());
        let (ours, library) = (InPostcard::decode(&bytes).ok(), by_postcard::<InPostcard>(&bytes));
        prop_assert_eq!(told(ours.map(|message| message.0)), told(library.map(|message| message.0)));
    }
}

/// Defines each type twice, once for each codec.
macro_rules! in_both {
    ($($bincode:ident $postcard:ident $content:ty)*) => {$(
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct $bincode($content);

        myelon::bincode_message!($bincode);

        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct $postcard($content);

        myelon::postcard_message!($postcard);
    )*};
}

/// Elements that contain another list, map or variant.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Tree {
    Lists(Vec<Tree>),
    Map(BTreeMap<u8, Tree>),
    Variant { next: Box<Tree> },
    Leaf,
}

impl Tree {
    fn of(levels: usize, around: impl Fn(Tree) -> Tree) -> Self {
        (0..levels).fold(Self::Leaf, |tree, _| around(tree))
    }
}

in_both! {
    BincodeTree PostcardTree Tree
    BincodeUnits PostcardUnits BTreeMap<(), ()>
    BincodeFirst PostcardFirst (First, u8)
    BincodeRefusing PostcardRefusing Refusing
    BincodeAny PostcardAny Any
}

fn refusal<T: Codec>(bytes: &[u8]) -> String {
    match T::decode(bytes).map(|_| ()) {
        Err(CodecError::Decode { source, .. }) => source.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_nesting_is_bounded() {
    let arounds: [fn(Tree) -> Tree; 3] = [
        |tree| Tree::Lists(vec![tree]),
        |tree| Tree::Map([(7, tree)].into()),
        |tree| Tree::Variant { next: Box::new(tree) },
    ];
    for around in arounds {
        // A list in a variant is two levels.
        let received = |levels| {
            let (tree, again) = (BincodeTree(Tree::of(levels, around)), PostcardTree(Tree::of(levels, around)));
            assert_eq!(BincodeTree::decode(&encoded(&tree)).unwrap(), tree);
            assert_eq!(PostcardTree::decode(&encoded(&again)).unwrap(), again);
        };
        received(60);
        let deep = [encoded(&BincodeTree(Tree::of(130, around))), encoded(&PostcardTree(Tree::of(130, around)))];
        assert_eq!(refusal::<BincodeTree>(&deep[0]), "nested more than 128 levels deep");
        assert_eq!(refusal::<PostcardTree>(&deep[1]), "nested more than 128 levels deep");
    }
}

#[test]
fn entries_of_a_map_without_bytes_are_counted() {
    let claims = (1_u64 << 60).to_le_bytes();
    assert_eq!(
        refusal::<BincodeUnits>(&claims),
        format!("a message of 8 bytes cannot have a sequence of {} elements", 1_u64 << 60)
    );
    let claims = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x10];
    assert_eq!(
        refusal::<PostcardUnits>(&claims),
        format!("a message of 9 bytes cannot have a sequence of {} elements", 1_u64 << 60)
    );
}

/// The first of two numbers. It does not read the second.
#[derive(Debug, PartialEq)]
struct First(u8);

impl Serialize for First {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for First {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sees;
        impl<'de> Visitor<'de> for Sees {
            type Value = First;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("two numbers")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<First, A::Error> {
                Ok(First(seq.next_element()?.ok_or_else(|| A::Error::custom("no number"))?))
            }
        }
        deserializer.deserialize_tuple(2, Sees)
    }
}

#[test]
fn what_a_visitor_does_not_take_comes_next() {
    let message = BincodeFirst((First(3), 4));
    assert_eq!(BincodeFirst::decode(&encoded(&message)).unwrap(), message);
    let message = PostcardFirst((First(3), 4));
    assert_eq!(PostcardFirst::decode(&encoded(&message)).unwrap(), message);
}

/// A number that its type refuses.
#[derive(Debug, PartialEq)]
struct Refusing(u8);

impl Serialize for Refusing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.0)
    }
}

impl<'de> Deserialize<'de> for Refusing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Err(D::Error::custom(format_args!("{} is no rank", u8::deserialize(deserializer)?)))
    }
}

#[test]
fn what_a_type_says_when_it_refuses_is_said() {
    assert_eq!(refusal::<BincodeRefusing>(&[9]), "9 is no rank");
    assert_eq!(refusal::<PostcardRefusing>(&[9]), "9 is no rank");
}

/// A type that asks the bytes what they hold.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Any {
    Number(u8),
}

#[test]
fn a_type_that_asks_the_bytes_what_they_hold_is_refused_with_the_reason() {
    let text = "the type calls `deserialize_any` of serde, which needs bytes that say what they contain; the bytes of this \
                format do not";
    assert_eq!(refusal::<BincodeAny>(&[9]), text);
    assert_eq!(refusal::<PostcardAny>(&[9]), text);
}

#[test]
fn bytes_that_bincode_cannot_read_are_refused_in_words() {
    fn said<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> String {
        match myelon::codec::bincode_support::decode::<T>(bytes).map(|_| ()) {
            Err(CodecError::Decode { source, .. }) => source.to_string(),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(said::<u64>(&[1, 2]), "the bytes end, and 8 more are needed");
    assert_eq!(said::<String>(&9_u64.to_le_bytes()), "the bytes end, and 9 more are needed");
    assert_eq!(said::<bool>(&[2]), "a bool is 0 or 1, but the byte is 2");
    assert_eq!(said::<Option<u8>>(&[2, 0]), "an option begins with 0 or 1, but the byte is 2");
    assert_eq!(said::<char>(&[0xFF]), "the bytes are not a character in UTF-8");
    let text = said::<String>(&[1, 0, 0, 0, 0, 0, 0, 0, 0xFF]);
    assert!(text.starts_with("a text is not UTF-8: invalid utf-8 sequence"), "{text}");
}

#[test]
fn an_attempt_that_another_one_follows_does_not_say_how_long_the_message_is() {
    let message = BincodeFirst((First(3), 4));
    assert!(matches!(message.encode_if_it_fits(&mut (), &mut [0; 2]), Ok(2)));
    assert!(matches!(message.encode_if_it_fits(&mut (), &mut [0; 1]), Err(EncodeShort::TooSmall)));
    assert!(matches!(message.encode(&mut (), &mut [0; 1]), Err(EncodeShort::Needs { len_bytes: 2 })));
}
