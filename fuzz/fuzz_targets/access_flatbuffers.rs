//! Any bytes as a flatbuffers table: refused, or a table of which every field can be read, and an object that survives
//! being encoded.
#![no_main]

use fuzz::messages::{StepT, encoded};
use libfuzzer_sys::fuzz_target;
use myelon::codec::{Codec, ZeroCopyCodec};

fuzz_target!(|input: &[u8]| {
    let Some((bytes, offset)) = fuzz::payload(input) else { return };
    match StepT::access(&bytes[offset..]) {
        Ok(table) => {
            let object = table.unpack();
            assert_eq!(StepT::decode(&encoded(&object)).expect("what was read is a message"), object);
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
});
