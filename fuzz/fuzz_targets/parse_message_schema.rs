//! Any text as the schema of a message, as a ring may carry it: an error, or a schema that survives the round trip and
//! can be compared with ours.
#![no_main]

use disruptor_mp::schema::{MESSAGE_SCHEMA_BYTES_MAX, MessageSchema, Schema};
use libfuzzer_sys::fuzz_target;

/// Most inputs are a changed version of this; an input that does not begin like a schema is appended to it.
const BEGINNING: &str = "message/1 bincode struct Step { id: u64, kind: Kind } enum Kind { Nothing, Number = 7 { 0: Vec<u8> } }";

fuzz_target!(|bytes: &[u8]| {
    let Ok(input) = std::str::from_utf8(bytes) else { return };
    let ours = MessageSchema::parse(BEGINNING).expect("a schema");
    let kept = BEGINNING.len() - input.len().min(BEGINNING.len() - 10);
    for text in [input.to_owned(), format!("{}{input}", &BEGINNING[..kept])] {
        let _ = Schema::is_content_tag(&text);
        match MessageSchema::parse(&text) {
            Ok(schema) => {
                assert!(text.len() <= MESSAGE_SCHEMA_BYTES_MAX);
                assert_eq!(schema.to_string(), text, "a schema has one text");
                assert!(schema.rows().len() <= text.len(), "more rows than there are bytes");
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
    }
});
