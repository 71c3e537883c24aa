use disruptor_mp::event;

#[event]
enum Kind {
    Prefill,
    Decode,
}

#[event]
union Word {
    a: u32,
    b: f32,
}

#[event]
fn step() {}

fn main() {}
