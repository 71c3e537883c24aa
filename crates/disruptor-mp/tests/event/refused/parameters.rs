use disruptor_mp::event;

#[event]
struct Typed<T> {
    value: T,
}

#[event]
struct Borrowed<'a> {
    value: &'a u8,
}

fn main() {}
