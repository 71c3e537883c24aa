use disruptor_mp::event;

#[event]
struct Step {
    is_last: bool,
}

fn main() {}
