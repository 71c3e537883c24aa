//! Attributes of rkyv that make the archive another one.
use myelon::message;

#[message(rkyv)]
struct With {
    #[rkyv(with = myelon::rkyv::with::Inline)]
    field: u32,
}

#[message(rkyv)]
#[rkyv(as = Other)]
struct As(u32);

#[message(rkyv)]
#[rkyv(remote = Other)]
struct Remote(u32);

#[message(rkyv)]
#[rkyv(attr(derive(Debug), repr(packed)))]
struct Packed(u8, u32);

#[message(rkyv)]
#[rkyv(from_the_future)]
struct Unknown(u32);

#[message(rkyv)]
enum OnAVariant {
    #[rkyv(archived = "X")]
    A,
}

fn main() {}
