use disruptor_mp::event;

type Flag = bool;

#[event]
struct Step {
    is_last: Flag,
}

#[event]
struct Counted {
    counts: [std::num::NonZero<u32>; 2],
}

fn main() {}
