//! Any bytes as a postcard message: refused, or a message that survives being encoded.
#![no_main]

use fuzz::messages::{Chain, Everything, Step};
use fuzz::{PostcardOf, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&kind, bytes)) = input.split_first() else { return };
    match kind % 4 {
        0 => decode::<PostcardOf<Step>>(bytes),
        1 => decode::<PostcardOf<Chain>>(bytes),
        _ => decode::<PostcardOf<Everything>>(bytes),
    }
});
