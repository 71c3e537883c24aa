//! Any bytes as an rkyv archive: refused, or an archive of which every part can be read, and a message that survives
//! being encoded.
#![no_main]

use fuzz::messages::{RkyvChain, RkyvEverything, RkyvStep, encoded};
use libfuzzer_sys::fuzz_target;
use myelon::codec::ZeroCopyCodec;

fn access<T: ZeroCopyCodec>(bytes: &[u8], is_aligned: bool) {
    let in_place = T::access(bytes).map(|_| ());
    let owned = T::decode(bytes);
    match (&in_place, &owned) {
        (Ok(()), Ok(message)) => assert!(T::access(&encoded(message)).is_ok(), "what was decoded cannot be read again"),
        (Ok(()), Err(error)) => panic!("valid in place, but {error:?}"),
        (Err(_), Ok(_)) => assert!(!is_aligned, "decoded, but not valid in place"),
        (Err(error), Err(_)) => {
            let _ = error.to_string();
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&kind, input)) = input.split_first() else { return };
    let Some((bytes, offset)) = fuzz::payload(input) else { return };
    let payload = &bytes[offset..];
    match kind % 4 {
        0 => access::<RkyvStep>(payload, offset == 0),
        1 => access::<RkyvChain>(payload, offset == 0),
        _ => access::<RkyvEverything>(payload, offset == 0),
    }
});
