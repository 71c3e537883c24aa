//! postcard: what comes back, what it costs, and what hostile bytes do. The tests of the other codecs are in one file
//! for each claim. postcard shares its guard with bincode, so only its differences are here.

use crate::messages::{Chain, Everything, Step, encoded};
use crate::strategies::everything;
use myelon::codec::{Codec, CodecError, EncodeShort};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use testkit::alloc::bytes_allocated_in;
use testkit::watchdog::Watchdog;

/// The content of the other codecs' messages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Of<T>(T);

macro_rules! messages {
    ($($message:ty = $name:literal)*) => {$( myelon::postcard_message!($message = $name); )*};
}

messages! { Of<Everything> = "Everything/1" Of<Step> = "Step/1" Of<Chain> = "Chain/1" }

fn cause_of(error: &CodecError) -> String {
    let CodecError::Decode { source, .. } = error else { panic!("{error}") };
    source.to_string()
}

/// Everything that reads bytes, over these.
fn read_all(bytes: &[u8]) {
    for refused in
        [Of::<Everything>::decode(bytes).err(), Of::<Step>::decode(bytes).err(), Of::<Chain>::decode(bytes).err()]
            .into_iter()
            .flatten()
    {
        assert!(refused.to_string().ends_with(&cause_of(&refused)), "{refused} without its cause");
    }
}

proptest! {
    #[test]
    fn postcard_returns_what_it_was_given(content in everything()) {
        let message = Of(content);
        prop_assert_eq!(Of::<Everything>::decode(&encoded(&message)).unwrap(), message);
    }

    #[test]
    fn any_bytes_are_an_error_or_a_message(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn a_damaged_message_is_an_error_or_a_message(
        content in everything(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
    ) {
        let mut bytes = encoded(&Of(content)).to_vec();
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        read_all(&bytes);
    }

    #[test]
    fn a_message_that_is_cut_off_or_goes_on_is_refused(content in everything(), more in 1_usize..40) {
        let mut bytes = encoded(&Of(content)).to_vec();
        for len in 0..bytes.len() {
            prop_assert!(Of::<Everything>::decode(&bytes[..len]).is_err(), "{} of {} bytes", len, bytes.len());
        }
        bytes.extend(vec![0; more]);
        let error = Of::<Everything>::decode(&bytes).unwrap_err();
        prop_assert!(cause_of(&error).contains("ends after"), "{}", error);
    }

    #[test]
    fn what_does_not_fit_says_how_many_bytes_it_needs(content in everything(), room in 0_usize..200) {
        let message = Of(content);
        let len = encoded(&message).len();
        let mut into = vec![0; room];
        match message.encode(&mut (), &mut into) {
            Ok(written) => prop_assert_eq!(written, len),
            Err(EncodeShort::Needs { len_bytes }) => {
                prop_assert!(room < len);
                prop_assert_eq!(len_bytes, len);
            }
            Err(other) => prop_assert!(false, "{:?}", other),
        }
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Lists {
    text: String,
    bytes: Vec<u8>,
    lists: Vec<Vec<u64>>,
    units: Vec<()>,
    nothings: Vec<Vec<()>>,
}

myelon::postcard_message!(Lists);

/// A number as postcard writes it.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

#[test]
fn a_length_that_is_not_there_takes_no_memory() {
    for len in [32, 1 << 12, 1 << 16, 1 << 17, 1 << 24, 1 << 32, 1 << 40, 1 << 60, i64::MAX as u64, u64::MAX] {
        for field in 0..3 {
            let bytes = [vec![0; field], varint(len), b"content".to_vec()].concat();
            let allocated = bytes_allocated_in(|| {
                Lists::decode(&bytes).unwrap_err();
            });
            assert!(allocated < 2048, "{allocated} bytes for a field {field} that claims {len} elements");
        }
    }
}

#[test]
fn elements_without_bytes_are_counted_too() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "decoding a list of very many units");
    for len in [1_u64 << 20, 1 << 40, 1 << 60, u64::MAX] {
        let error = Lists::decode(&[vec![0; 3], varint(len), vec![0]].concat()).unwrap_err();
        let len_bytes = 4 + varint(len).len();
        let text = format!("a message of {len_bytes} bytes cannot have a sequence of {len} elements");
        assert_eq!(cause_of(&error), text);
    }
    let lists = |units, nothings| Lists { text: String::new(), bytes: vec![], lists: vec![], units, nothings };
    let some = lists(vec![(); 1000], vec![vec![(); 100], vec![]]);
    assert_eq!(Lists::decode(&encoded(&some)).unwrap(), some);
}

#[test]
fn many_lists_that_each_claim_a_little_more_than_there_is_take_no_time() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "decoding lists of units in a message of a megabyte");
    const LISTS: usize = 300_000;
    // Each claims more units than there are bytes left, so that the hint does not give its length.
    let claims = varint(4 * LISTS as u64);
    let bytes = [vec![0; 4], varint(LISTS as u64), claims.repeat(LISTS)].concat();
    Lists::decode(&bytes).unwrap_err();
}

#[test]
fn a_message_without_end_does_not_end_the_stack() {
    let bytes = [vec![1; 30_000], vec![0]].concat();
    let error = Of::<Chain>::decode(&bytes).unwrap_err();
    assert_eq!(cause_of(&error), "nested more than 128 levels deep");
    let hundred = Of(Chain::of(100));
    assert_eq!(Of::<Chain>::decode(&encoded(&hundred)).unwrap(), hundred);
}

#[test]
fn encoding_takes_no_memory() {
    let message = Of(Step::typical());
    let mut into = vec![0; 64 << 10];
    let allocated = bytes_allocated_in(|| {
        message.encode(&mut (), &mut into).unwrap();
    });
    assert_eq!(allocated, 0);
}

#[test]
fn a_message_of_postcard_is_compared_field_by_field_and_with_its_codec() {
    use myelon::message;

    #[message(postcard)]
    struct Prompt {
        text: String,
        max_len: u32,
    }

    mod bincodes {
        #[myelon::message]
        pub struct Prompt {
            pub text: String,
            pub max_len: u32,
        }
    }

    let text = |tag: myelon::codec::TypeTag| tag.as_str().to_owned();
    assert_eq!(text(Prompt::type_tag()), "message/1 postcard struct Prompt { text: String, max_len: u32 }");
    assert_eq!(text(bincodes::Prompt::type_tag()), "message/1 bincode struct Prompt { text: String, max_len: u32 }");
    let prompt = Prompt { text: "a".into(), max_len: 300 };
    assert_eq!(encoded(&prompt)[..], [1, b'a', 0xac, 0x02]);
    let decoded = Prompt::decode(&encoded(&prompt)).unwrap();
    assert_eq!((decoded.text, decoded.max_len), (prompt.text, prompt.max_len));
}
