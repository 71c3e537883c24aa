//! A nested type without the attribute: our error comes first, and serde's errors are about the same type.
use myelon::message;

struct Inner {
    tokens: Vec<u32>,
}

#[message]
struct Step {
    inner: Inner,
}

fn main() {}
