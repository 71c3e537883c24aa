//! Any bytes as a bincode message: refused, or a message that survives being encoded.
#![no_main]

use fuzz::messages::{BincodeChain, BincodeEverything, BincodeStep, encoded};
use libfuzzer_sys::fuzz_target;
use myelon::codec::Codec;

fn decode<T: Codec>(bytes: &[u8]) {
    match T::decode(bytes) {
        Ok(message) => {
            assert!(T::decode(&encoded(&message)).is_ok(), "what was decoded cannot be decoded again");
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&kind, bytes)) = input.split_first() else { return };
    match kind % 4 {
        0 => decode::<BincodeStep>(bytes),
        1 => decode::<BincodeChain>(bytes),
        _ => decode::<BincodeEverything>(bytes),
    }
});
