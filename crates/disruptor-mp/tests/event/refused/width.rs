use disruptor_mp::event;

#[event]
struct Count {
    count: usize,
}

#[event]
struct Difference {
    counts: [isize; 2],
}

#[event]
struct Identifier(u128);

fn main() {}
