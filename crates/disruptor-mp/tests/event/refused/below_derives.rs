use disruptor_mp::event;

#[derive(Clone, Copy)]
#[event]
struct Step {
    number: u64,
}

fn main() {}
