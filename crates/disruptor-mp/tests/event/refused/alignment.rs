use disruptor_mp::event;

#[event(align = 3)]
struct Odd {
    a: u64,
}

#[event(align = 256)]
struct Much {
    a: u64,
}

#[event]
#[repr(align(256))]
struct Itself {
    a: [u8; 256],
}

fn main() {}
