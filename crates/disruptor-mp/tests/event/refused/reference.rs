use disruptor_mp::event;

#[event]
struct Step {
    text: &'static u8,
}

fn main() {}
