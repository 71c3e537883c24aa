//! The expansion depends on no name that the user could have taken.
#![allow(dead_code, non_camel_case_types)]
#![no_implicit_prelude]

use ::disruptor_mp::event;

struct Option;
struct Result;
struct String;
struct Clone;
struct Copy;
struct Event;
struct FromBytes;
mod core {}
mod std {}
const advice: usize = 4;
const own: usize = 4;

#[event(align = 32)]
pub struct r#Loop {
    pub r#type: u32,
    pub length: [u8; advice],
    _pad0: [u8; own],
}

#[event]
struct Newtype(u64);

#[event]
struct Tuple(u32, f32, [Newtype; 0], u64);

#[event]
struct Several<const N: usize, const FLAG: bool>
where
    [u8; N]: ::std::marker::Sized,
{
    first: u8,
    second: [u8; N],
}

fn main() {
    #[event]
    struct Inner {
        number: u64,
    }

    ::std::assert_eq!(<r#Loop as ::disruptor_mp::Event>::schema().type_name(), "Loop");
    ::std::assert_eq!(<r#Loop as ::disruptor_mp::Event>::schema().fields()[0].name(), "type");
    ::std::assert_eq!(<Several<3, true> as ::disruptor_mp::Event>::schema().type_name(), "Several<3, true>");
    ::std::assert_eq!(<Inner as ::disruptor_mp::Event>::schema().size_bytes(), 8);
    ::std::assert_eq!(<Tuple as ::disruptor_mp::Event>::schema().fields()[1].name(), "1");
}
