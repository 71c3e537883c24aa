//! A nested type without the attribute: our words come first, and serde's are about the same type.
use myelon::message;

struct Inner {
    tokens: Vec<u32>,
}

#[message]
struct Step {
    inner: Inner,
}

fn main() {}
