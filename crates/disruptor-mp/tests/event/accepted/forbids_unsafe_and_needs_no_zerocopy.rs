//! Every lint that the expansion could trip over is forbidden, and no path of the expansion may lead to a dependency
//! that the user does not have: `::zerocopy` is the standard library here.
#![forbid(unsafe_code)]
#![deny(warnings, missing_docs, unreachable_pub, unused_qualifications, clippy::all, clippy::pedantic)]

extern crate std as zerocopy;

use disruptor_mp::{Event, event};

/// A field that is an event itself.
#[event]
#[derive(Debug, PartialEq)]
pub struct Leg {
    /// In cents.
    pub price: u64,
}

/// An event with fields of every kind.
#[event]
#[derive(Debug, PartialEq)]
pub struct Order {
    /// The first leg.
    pub first: Leg,
    /// The others.
    pub others: [Leg; 3],
    /// A share.
    pub ratio: f32,
    /// A flag.
    pub is_last: u8,
    _pad0: [u8; 3],
}

/// An event with a parameter.
#[event(align = 16)]
#[repr(C, packed)]
pub struct Frame<const N: usize> {
    /// How many bytes of the payload are used.
    pub length: u32,
    /// The rest.
    pub payload: [u8; N],
}

fn main() {
    let order = Order { first: Leg { price: 1 }, others: [Leg { price: 2 }; 3], ratio: 0.5, is_last: 1, _pad0: [0; 3] };
    assert_eq!(order, { order });
    assert_eq!(Order::schema().fields().len(), 7);
    let frame = Frame::<12> { length: 3, payload: [0; 12] };
    assert_eq!({ frame.length }, 3);
    assert_eq!(Frame::<12>::SLOT_ALIGN, 16);
}
