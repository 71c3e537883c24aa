use disruptor_mp::event;

#[event(size = 3)]
struct Unknown {
    a: u64,
}

#[event(crate = "a::b")]
struct Path {
    a: u64,
}

#[event]
#[repr(transparent)]
struct Transparent {
    a: u64,
}

#[event]
struct Conditional {
    #[cfg(unix)]
    a: u64,
}

fn main() {}
