use disruptor_mp::event;

#[event]
struct Step {
    text: String,
}

fn main() {}
