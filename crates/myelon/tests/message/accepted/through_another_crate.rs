//! A facade that passes myelon on.
extern crate myelon as facade;

#[facade::message(serde, rkyv, crate = "facade")]
struct Step(u64);

fn main() {
    assert!(<Step as facade::Codec>::type_tag().schema().is_some());
}
