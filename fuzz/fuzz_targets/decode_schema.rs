//! Any bytes as a schema: an error, or a schema that survives the round trip and can be compared with ours.
#![no_main]

use disruptor_mp::schema::Schema;
use disruptor_mp::{Event, event};
use libfuzzer_sys::fuzz_target;

#[event]
struct Ours {
    sequence: u64,
    values: [u32; 5],
    flags: [u8; 4],
}

fuzz_target!(|bytes: &[u8]| {
    match Schema::decode(bytes) {
        Ok(schema) => {
            assert_eq!(Schema::decode(&schema.encode()).as_ref(), Ok(&schema), "a schema does not survive its own bytes");
            let ours = Ours::schema();
            let difference = ours.first_difference(&schema);
            assert_eq!(difference.is_none(), ours == schema, "the comparison and equality do not agree");
            if let Some(difference) = difference {
                let _ = difference.to_string();
            }
            let _ = schema.fingerprint();
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
});
