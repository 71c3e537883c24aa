//! A program that has no dependency but myelon, and forbids unsafe code.
#![forbid(unsafe_code)]

use myelon::prelude::*;

#[message]
struct Step {
    id: u64,
    work: Work,
}

#[message(serde, rkyv)]
enum Work {
    Nothing,
    Tokens(Vec<u32>),
}

#[message(rkyv)]
struct Archive {
    work: Vec<Work>,
}

/// A program may give a type the name of one of Rust's types.
mod bare {
    #[::myelon::message(rkyv, serde)]
    pub struct Option {
        pub string: ::std::string::String,
    }
}

fn main() {
    let _ = (Step { id: 0, work: Work::Nothing }, bare::Option { string: "".into() }, Work::Tokens(vec![]));
    assert_eq!(
        Archive::type_tag().as_str(),
        "message/1 rkyv struct Archive { work: Vec<Work> } enum Work { Nothing, Tokens { 0: Vec<u32> } }"
    );
    assert_eq!(
        bare::Option::type_tag().as_str(),
        "message/1 rkyv struct Option'2 { string: String }"
    );
    assert!(Step::type_tag().schema().is_some());
}
