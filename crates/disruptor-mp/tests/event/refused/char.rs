use disruptor_mp::event;

#[event]
struct Step {
    letter: char,
}

fn main() {}
