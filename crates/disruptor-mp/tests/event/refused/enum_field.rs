use disruptor_mp::event;

#[derive(Clone, Copy)]
#[repr(u8)]
enum Kind {
    Prefill,
    Decode,
}

#[event]
struct Step {
    kind: Kind,
}

fn main() {}
