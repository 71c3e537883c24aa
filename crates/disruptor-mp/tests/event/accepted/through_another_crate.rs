//! Through a facade or a renamed dependency: nothing is called `disruptor_mp` here.
extern crate disruptor_mp as facade;
extern crate std as disruptor_mp;

use facade::event;

#[event(crate = "facade", align = 16)]
struct Step {
    number: u64,
}

#[event(crate = "facade")]
struct Frame<const N: usize> {
    kind: u8,
    payload: [u8; N],
}

fn main() {
    let _ = (Step { number: 1 }.number, Frame { kind: 1, payload: [0; 2] });
    assert_eq!(<Frame<2> as facade::Event>::schema().fields()[0].type_name(), "u8");
}
