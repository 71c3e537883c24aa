//! Derives and attributes that a type has already, with paths and without.
use myelon::message;
use myelon::serde::{self, Deserialize, Serialize};

#[message]
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(crate = "myelon::serde")]
struct Bare(u64);

#[message]
#[derive(Clone, serde::Serialize)]
#[serde(crate = "myelon::serde")]
struct Half(u64);

/// Serde's derives for another purpose, beside an archive.
#[message(rkyv)]
#[derive(Clone, Serialize, Deserialize)]
#[serde(crate = "myelon::serde", tag = "kind")]
enum AlsoJson {
    A { a: u8 },
}

#[message(rkyv)]
#[derive(myelon::rkyv::Archive, myelon::rkyv::Serialize, myelon::rkyv::Deserialize)]
#[rkyv(crate = myelon::rkyv, archived = Archived, derive(Debug))]
struct Own(u64);

/// `async` is a word of Rust.
#[message(serde, rkyv)]
struct Raw {
    r#async: u8,
}

fn main() {}
