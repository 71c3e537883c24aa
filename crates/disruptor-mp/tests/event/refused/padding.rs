use disruptor_mp::event;

#[event]
struct Between {
    a: u32,
    b: u64,
}

#[event]
struct AtTheEnd {
    a: u64,
    b: u8,
}

#[event]
struct Several {
    _pad0: u8,
    a: u64,
    b: u8,
    c: u16,
    d: u8,
}

#[event]
struct Tuple(u8, u16);

#[event]
#[repr(align(64))]
struct Aligned {
    a: u64,
}

fn main() {}
