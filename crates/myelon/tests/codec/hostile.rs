//! Untrusted bytes give an error or a message, but never a panic, a long wait or much memory.

use crate::messages::{
    BincodeChain, BincodeEverything, BincodeStep, Chain, RkyvChain, RkyvEverything, RkyvStep, SequenceT, Step, StepT,
    aligned, encoded,
};
use crate::strategies::{everything, objects};
use myelon::codec::{Codec, CodecError, CodecResult, MAX_NESTING, ZeroCopyCodec};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use testkit::alloc::bytes_allocated_in;
use testkit::watchdog::Watchdog;

/// Everything that reads bytes, over these.
fn read_all(bytes: &[u8]) {
    let say = |refused: Option<CodecError>| {
        if let Some(error) = refused {
            assert!(error.to_string().ends_with(&cause_of(&error)), "{error} without its cause");
        }
    };
    say(BincodeEverything::decode(bytes).err());
    say(BincodeStep::decode(bytes).err());
    say(BincodeChain::decode(bytes).err());
    say(RkyvEverything::decode(bytes).err());
    say(RkyvEverything::access(bytes).err());
    say(RkyvStep::decode(bytes).err());
    say(RkyvChain::decode(bytes).err());
    say(StepT::access(bytes).err());
    say(StepT::decode(bytes).err());
}

/// The message with some of its bytes changed and its end cut off.
fn damaged(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)], end: prop::sample::Index) -> Vec<u8> {
    if !bytes.is_empty() {
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = *value;
        }
        bytes.truncate(1 + end.index(bytes.len()));
    }
    bytes
}

proptest! {
    #[test]
    fn any_bytes_are_an_error_or_a_message(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&aligned(&bytes));
    }

    #[test]
    fn a_damaged_message_is_an_error_or_a_message(
        content in everything(),
        object in objects(),
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..6),
        end in any::<prop::sample::Index>(),
    ) {
        read_all(&aligned(&damaged(encoded(&BincodeEverything(content.clone())).to_vec(), &changes, end)));
        read_all(&aligned(&damaged(encoded(&RkyvEverything(content)).to_vec(), &changes, end)));
        read_all(&aligned(&damaged(encoded(&object).to_vec(), &changes, end)));
    }

    #[test]
    fn a_message_that_is_cut_off_or_goes_on_is_refused(content in everything(), more in 1_usize..40) {
        let mut bytes = encoded(&BincodeEverything(content)).to_vec();
        for len in 0..bytes.len() {
            prop_assert!(BincodeEverything::decode(&bytes[..len]).is_err(), "{} of {} bytes", len, bytes.len());
        }
        bytes.extend(vec![0; more]);
        let error = BincodeEverything::decode(&bytes).unwrap_err();
        let cause = cause_of(&error);
        prop_assert!(cause.contains("ends after"), "{}", cause);
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Texts {
    text: String,
    bytes: Vec<u8>,
    lists: Vec<Vec<u64>>,
    units: Vec<()>,
}

myelon::bincode_message!(Texts);

/// The fields of `Texts` up to the one with a false length.
fn lying_about(field: usize, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; 8 * field];
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(b"content");
    bytes
}

#[test]
fn a_length_that_is_not_there_takes_no_memory() {
    for len in [32, 1 << 12, 1 << 16, 1 << 17, 1 << 24, 1 << 32, 1 << 40, 1 << 60, i64::MAX as u64, u64::MAX] {
        for field in 0..3 {
            let bytes = lying_about(field, len);
            let allocated = bytes_allocated_in(|| {
                Texts::decode(&bytes).unwrap_err();
            });
            assert!(allocated < 2048, "{allocated} bytes for a field {field} that claims {len} elements");
        }
    }
}

#[test]
fn elements_without_bytes_are_counted_too() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "decoding a list of very many units");
    for len in [1 << 20, 1 << 40, 1 << 60, u64::MAX] {
        let mut bytes = vec![0; 24];
        bytes.extend_from_slice(&len.to_le_bytes());
        let error = Texts::decode(&bytes).unwrap_err();
        assert!(cause_of(&error).contains("a sequence of"), "{}", cause_of(&error));
    }
    let some = Texts { text: String::new(), bytes: vec![], lists: vec![], units: vec![(); 1000] };
    assert_eq!(Texts::decode(&encoded(&some)).unwrap(), some);
}

#[test]
fn an_archive_is_decoded_into_about_its_size() {
    let bytes = encoded(&RkyvStep(Step::typical()));
    let honest = bytes_allocated_in(|| drop(RkyvStep::decode(&bytes).unwrap()));
    // Each of its words is set to the largest possible length.
    for place in (0..bytes.len()).step_by(4) {
        let mut bytes = aligned(&bytes);
        bytes[place..place + 4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F]);
        let allocated = bytes_allocated_in(|| drop(RkyvStep::decode(&bytes)));
        assert!(allocated <= 2 * honest, "{allocated} bytes where {honest} suffice, with a lie at {place}");
    }
}

fn cause_of(error: &CodecError) -> String {
    match error {
        CodecError::Decode { source, .. } | CodecError::Encode { source, .. } => source.to_string(),
        other => panic!("{other}"),
    }
}

/// A chain so long that recursion over it needs more stack than a thread has. It is made in a thread with enough stack.
fn endless_chain<T: Codec>(message: impl FnOnce(usize) -> T + Send + 'static) -> Vec<u8> {
    const LINKS: usize = 30_000;
    let make = move || encoded(&message(LINKS)).to_vec();
    std::thread::Builder::new().stack_size(1 << 30).spawn(make).unwrap().join().unwrap()
}

fn object_chain(links: usize) -> StepT {
    (0..links).fold(StepT::default(), |object, _| StepT { previous: Some(Box::new(object)), ..StepT::default() })
}

#[test]
fn a_message_without_end_does_not_end_the_stack() {
    let bincode = BincodeChain::decode(&endless_chain(|links| BincodeChain(Chain::of(links)))).unwrap_err();
    assert!(cause_of(&bincode).contains("nested"), "{}", cause_of(&bincode));
    let rkyv = aligned(&endless_chain(|links| RkyvChain(Chain::of(links))));
    let rkyv = RkyvChain::access(&rkyv).map(|_| ()).unwrap_err();
    assert!(cause_of(&rkyv).contains("depth"), "{}", cause_of(&rkyv));
    let flatbuffers = StepT::decode(&endless_chain(object_chain)).unwrap_err();
    assert!(cause_of(&flatbuffers).contains("depth"), "{}", cause_of(&flatbuffers));
}

#[test]
fn a_message_that_is_nested_a_hundred_times_is_received() {
    const { assert!(MAX_NESTING > 100) };
    fn comes_back<T: Codec + PartialEq>(message: T) -> CodecResult<bool> {
        Ok(T::decode(&encoded(&message))? == message)
    }
    assert!(comes_back(BincodeChain(Chain::of(100))).unwrap());
    assert!(comes_back(RkyvChain(Chain::of(100))).unwrap());
    assert!(comes_back(object_chain(100)).unwrap());
}

#[test]
fn a_table_to_which_many_refer_is_not_unpacked_into_many() {
    // One sequence of 16 KiB, and 4 096 places in the list that all refer to it: 64 MiB when they are unpacked.
    let sequence = SequenceT { id: 1, tokens: Some(vec![7; 4096]), blocks: None };
    let honest = StepT { sequences: Some(vec![sequence; 2]), ..StepT::default() };
    let mut scratch = myelon::codec::flatbuf_support::Scratch::default();
    let mut bytes = aligned(&[0; 64 << 10]);
    let len = myelon::codec::flatbuf_support::encode(&mut scratch, &mut bytes, |builder| {
        let sequence = honest.sequences.as_ref().unwrap()[0].pack(builder);
        let sequences = builder.create_vector(&vec![sequence; 4096]);
        let table = builder.start_table();
        builder.push_slot_always(crate::messages::StepTable::VT_SEQUENCES, sequences);
        builder.end_table(table)
    })
    .unwrap();
    let allocated = bytes_allocated_in(|| {
        assert!(cause_of(&StepT::decode(&bytes[..len]).unwrap_err()).contains("size too large"));
    });
    assert!(allocated < 2 * len as u64, "{allocated} bytes");
    assert_eq!(StepT::decode(&encoded(&honest)).unwrap(), honest);
}
