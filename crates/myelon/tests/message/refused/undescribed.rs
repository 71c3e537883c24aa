//! Types that have no schema, in every place where a type may stand.
use myelon::message;
use myelon::serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

#[derive(Serialize, Deserialize)]
#[serde(crate = "myelon::serde")]
struct Inner;

#[message]
struct OfAnotherCrate {
    id: u64,
    address: Ipv4Addr,
}

#[message]
enum Nested {
    Some(Vec<Inner>),
}

fn main() {}
