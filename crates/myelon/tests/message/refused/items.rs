//! What is no message, and what differs between builds.
use myelon::message;

#[message]
union Union {
    a: u32,
    b: f32,
}

#[message]
struct Borrowed<'a> {
    text: &'a str,
}

#[message]
struct OfLetter<const LETTER: char>(u8);

#[message]
struct Conditional {
    #[cfg(unix)]
    field: u32,
}

#[message]
struct SerdeAs {
    #[serde_as(as = "Bytes")]
    field: Vec<u8>,
}

fn main() {}
