use disruptor_mp::event;

#[event]
struct Frame<const N: usize> {
    length: u32,
    payload: [u8; N],
}

fn main() {}
