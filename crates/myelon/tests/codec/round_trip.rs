//! What was encoded comes back, in every codec.

use crate::messages::{BincodeEverything, BincodeStep, RkyvEverything, RkyvStep, SequenceT, Step, StepT, encoded};
use crate::strategies::{everything, objects};
use myelon::codec::rkyv_support::rkyv;
use myelon::codec::{Codec, ZeroCopyCodec};
use proptest::prelude::*;

proptest! {
    #[test]
    fn bincode_returns_what_it_was_given(content in everything()) {
        let message = BincodeEverything(content);
        prop_assert_eq!(BincodeEverything::decode(&encoded(&message)).unwrap(), message);
    }

    #[test]
    fn rkyv_returns_what_it_was_given(content in everything()) {
        let message = RkyvEverything(content);
        let bytes = encoded(&message);
        prop_assert_eq!(&RkyvEverything::decode(&bytes).unwrap(), &message);
        let archived = &RkyvEverything::access(&bytes).unwrap().0;
        prop_assert_eq!(archived.text.as_str(), message.0.text);
        prop_assert_eq!(archived.hashed.len(), message.0.hashed.len());
        prop_assert_eq!(archived.lists.iter().map(|list| list.len()).sum::<usize>(), message.0.lists.concat().len());
    }

    #[test]
    fn flatbuffers_returns_what_it_was_given(object in objects()) {
        let bytes = encoded(&object);
        prop_assert_eq!(&StepT::decode(&bytes).unwrap(), &object);
        let table = StepT::access(&bytes).unwrap();
        prop_assert_eq!(table.note(), object.note.as_deref());
        prop_assert_eq!(table.previous().is_some(), object.previous.is_some());
        prop_assert_eq!(table.sequences().map(|list| list.len()), object.sequences.as_ref().map(|list| list.len()));
    }
}

#[test]
fn a_step_is_read_in_place() {
    let step = Step::typical();
    let bytes = encoded(&RkyvStep(step.clone()));
    let archived = &RkyvStep::access(&bytes).unwrap().0;
    for (archived, sequence) in archived.sequences.iter().zip(&step.sequences) {
        assert_eq!(archived.id, sequence.id);
        assert_eq!(archived.tokens.as_slice(), sequence.tokens);
        assert_eq!(archived.blocks.as_slice(), sequence.blocks);
    }
    assert_eq!(BincodeStep::decode(&encoded(&BincodeStep(step.clone()))).unwrap().0, step);
    let sequence = SequenceT { id: 9, tokens: Some(vec![7, 8]), blocks: None };
    let bytes = encoded(&StepT { sequences: Some(vec![sequence]), ..StepT::default() });
    let in_place = StepT::access(&bytes).unwrap().sequences().unwrap().get(0);
    assert_eq!((in_place.id(), in_place.blocks().is_none()), (9, true));
    assert_eq!(in_place.tokens().unwrap().iter().collect::<Vec<_>>(), [7, 8]);
}

#[test]
fn every_codec_names_itself_in_the_tag() {
    assert_eq!(BincodeStep::type_tag().as_str(), "bincode:BincodeStep/1");
    assert_eq!(RkyvStep::type_tag().as_str(), "rkyv:RkyvStep/1");
    assert_eq!(StepT::type_tag().as_str(), "flatbuffers:Step/1");
}

#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct BincodeNothing;

myelon::bincode_message!(BincodeNothing = "Nothing/3");

#[derive(Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::codec::rkyv_support::rkyv)]
struct RkyvNothing;

myelon::rkyv_message!(crate::round_trip::RkyvNothing);

#[test]
fn a_message_may_have_no_bytes() {
    assert_eq!(BincodeNothing::type_tag().as_str(), "bincode:Nothing/3");
    assert_eq!(RkyvNothing::type_tag().as_str(), "rkyv:RkyvNothing/1");
    assert_eq!(BincodeNothing.encode(&mut (), &mut []).unwrap(), 0);
    assert_eq!(BincodeNothing::decode(&[]).unwrap(), BincodeNothing);
    assert_eq!(RkyvNothing.encode(&mut Default::default(), &mut []).unwrap(), 0);
    assert_eq!(RkyvNothing::decode(&[]).unwrap(), RkyvNothing);
    RkyvNothing::access(&[]).unwrap();
    assert!(StepT::access(&[]).is_err(), "a table has at least the place of its root");
}
