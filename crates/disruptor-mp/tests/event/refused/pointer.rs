use disruptor_mp::event;

#[event]
struct Step {
    at: *const u8,
}

fn main() {}
