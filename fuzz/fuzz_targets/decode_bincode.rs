//! Any bytes as a bincode message: refused, or a message that survives being encoded.
#![no_main]

use fuzz::decode;
use fuzz::messages::{BincodeChain, BincodeEverything, BincodeStep};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&kind, bytes)) = input.split_first() else { return };
    match kind % 4 {
        0 => decode::<BincodeStep>(bytes),
        1 => decode::<BincodeChain>(bytes),
        _ => decode::<BincodeEverything>(bytes),
    }
});
