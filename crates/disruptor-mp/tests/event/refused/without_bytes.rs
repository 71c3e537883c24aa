use disruptor_mp::event;

#[event]
struct Nothing {}

#[event]
struct Unit;

#[event]
struct Empty {
    none: [u8; 0],
}

fn main() {}
