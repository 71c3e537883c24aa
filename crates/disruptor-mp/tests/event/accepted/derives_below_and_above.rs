//! A derive that a struct already has is not added again.
use disruptor_mp::{Event, event};

#[event]
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Below {
    a: u32,
}

#[event]
#[derive(Debug)]
#[derive(std::clone::Clone)]
#[repr(align(16))]
struct Half {
    a: [u32; 4],
}

#[derive(Clone, Copy, Debug)]
#[event(derived, align = 64)]
struct Above {
    a: u32,
}

#[event]
#[cfg(any())]
struct Gone {
    a: u32,
}

fn main() {
    let below = Below { a: 1 };
    let half = Half { a: [1; 4] };
    let above = Above { a: 1 };
    println!("{:?}{:?} {:?}{:?} {:?}{:?}", below, { below }, half, { half }, above, { above });
    assert_eq!(Below::SLOT_ALIGN, 4);
    assert_eq!(Half::SLOT_ALIGN, 16);
    assert_eq!(Above::SLOT_ALIGN, 64);
}
