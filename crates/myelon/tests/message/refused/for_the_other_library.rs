//! A type that is described for serde is no part of an archive: serde's attributes do not count there.
use myelon::message;
use myelon::rkyv::{self, Archive};

#[message(serde)]
#[derive(Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::rkyv)]
struct Inner {
    #[serde(skip)]
    skipped: u32,
}

#[message(rkyv)]
struct Outer {
    inner: Inner,
}

fn main() {}
