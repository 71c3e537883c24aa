//! Alignment: a message is read in place where it can be, refused where it cannot, and decoded at any address.

use crate::messages::{BincodeStep, RkyvStep, Step, StepT, aligned, encoded};
use myelon::codec::trusted;
use myelon::codec::{Codec, CodecError, ZeroCopyCodec};

/// The content at every distance from a multiple of 16.
fn everywhere(content: &[u8], mut look: impl FnMut(usize, &[u8])) {
    for offset in 0..16 {
        let mut bytes = vec![0; offset];
        bytes.extend_from_slice(content);
        look(offset, &aligned(&bytes)[offset..]);
    }
}

#[test]
fn an_archive_at_a_wrong_address_is_an_error_in_place_and_decoded_all_the_same() {
    let message = RkyvStep(Step::typical());
    everywhere(&encoded(&message), |offset, bytes| {
        assert_eq!(RkyvStep::decode(bytes).unwrap(), message);
        let accessed = RkyvStep::access(bytes);
        assert_eq!(accessed.is_ok(), offset == 0, "at {offset}: {:?}", accessed.err());
    });
}

#[test]
fn bincode_and_flatbuffers_do_not_care_about_addresses() {
    let message = BincodeStep(Step::typical());
    everywhere(&encoded(&message), |_, bytes| assert_eq!(BincodeStep::decode(bytes).unwrap(), message));
    let object = StepT { note: Some("here".into()), ..StepT::default() };
    everywhere(&encoded(&object), |_, bytes| assert_eq!(StepT::access(bytes).unwrap().unpack(), object));
}

#[test]
#[allow(unsafe_code)]
fn trusted_bytes_are_asked_for_what_costs_nothing() {
    let message = RkyvStep(Step::typical());
    let bytes = encoded(&message);
    // SAFETY: these are the bytes of that message.
    let archived = unsafe { trusted::access::<RkyvStep>(&bytes) }.unwrap();
    assert_eq!(archived.0.sequences.len(), 64);
    everywhere(&bytes, |offset, bytes| {
        if offset != 0 {
            // SAFETY: the bytes of that message are at an address where they cannot be read; `access` checks that
            // first.
            let refused = unsafe { trusted::access::<RkyvStep>(bytes) };
            assert!(matches!(refused, Err(CodecError::Decode { codec: "rkyv", .. })));
        }
    });
    // SAFETY: there are no bytes, so `access` refuses before it reads.
    assert!(unsafe { trusted::access::<RkyvStep>(&[]) }.is_err());
    // SAFETY: as above.
    assert!(unsafe { trusted::access::<StepT>(&[1, 0]) }.is_err());
    let object = StepT { note: Some("here".into()), ..StepT::default() };
    let bytes = encoded(&object);
    // SAFETY: these are the bytes of that object.
    assert_eq!(unsafe { trusted::access::<StepT>(&bytes) }.unwrap().note(), Some("here"));
}
