//! Any first page, of an object of any length: accepted or refused, never a panic, and no section longer than the
//! object.
#![no_main]

use disruptor_mp::segment::fuzzing;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((len, bytes)) = input.split_first_chunk() else { return };
    let object_len = u64::from_le_bytes(*len);
    fuzzing::parse_header(bytes, object_len);
    // With the right checksum the numbers themselves are checked.
    let mut page = bytes.to_vec();
    page.resize(4096, 0);
    fuzzing::restamp_header(&mut page);
    fuzzing::parse_header(&page, object_len);
});
