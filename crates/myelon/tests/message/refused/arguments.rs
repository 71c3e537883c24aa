//! What `#[message]` itself takes.
use myelon::message;

#[message(json)]
struct Codec;

#[message(serde, serde)]
struct Twice;

#[message(name = "two words")]
struct Words;

#[message(as = u64, opaque = "number/1")]
struct Both;

#[message(crate = "a::b")]
struct Path;

#[message]
struct Field {
    #[message(rkyv)]
    field: u32,
}

#[message]
enum Variant {
    #[message(opaque = "a/1")]
    A(u32),
}

fn main() {}
