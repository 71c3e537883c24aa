//! Types of a program whose only dependency is `myelon`: every derive, attribute and macro finds its library through
//! it.
//!
//! It has one type for each way to make a message or an event, and a test that sends them through their codec.
#![deny(unsafe_code)]
#![allow(missing_docs, missing_debug_implementations, unreachable_pub)]

use myelon::codec::Codec;
use myelon::{event, message, rkyv};

#[event(crate = "myelon")]
pub struct Tick {
    pub number: u64,
}

#[message]
#[derive(Debug, PartialEq)]
pub struct Step {
    pub id: u64,
    pub work: Work,
}

#[message(postcard)]
#[derive(Debug, PartialEq)]
pub struct Prompt {
    pub text: String,
}

#[message(serde, rkyv)]
#[derive(Debug, PartialEq)]
pub enum Work {
    Nothing,
    Tokens(Vec<u32>),
}

#[message(rkyv)]
#[derive(Debug, PartialEq)]
pub struct Archive {
    pub work: Vec<Work>,
}

/// The libraries' own derives, by their paths in `myelon`.
#[derive(Debug, PartialEq, myelon::serde::Serialize, myelon::serde::Deserialize)]
#[serde(crate = "myelon::serde")]
pub struct ByBincode {
    pub text: String,
}

myelon::bincode_message!(ByBincode);

#[derive(Debug, PartialEq, myelon::serde::Serialize, myelon::serde::Deserialize)]
#[serde(crate = "myelon::serde")]
pub struct ByPostcard {
    pub text: String,
}

myelon::postcard_message!(ByPostcard);

#[derive(Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = myelon::rkyv)]
pub struct ByRkyv {
    pub text: String,
}

myelon::rkyv_message!(ByRkyv);

/// The output of flatbuffers' compiler, with `use myelon::flatbuffers;` in place of its `extern crate flatbuffers;`.
#[path = "../../codec/step_generated.rs"]
#[allow(unsafe_code)] // as flatbuffers' compiler writes it
pub mod step_generated;

use step_generated::{Step as StepTable, StepT};

myelon::flatbuffers_message!(StepT as StepTable);

/// The message from its own bytes.
pub fn back<T: Codec>(message: &T) -> T {
    let mut bytes = [0; 256];
    let len = message.encode(&mut T::Scratch::default(), &mut bytes).expect("it fits");
    T::decode(&bytes[..len]).expect("it is what was encoded")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_needs_no_dependency_but_myelon() {
        let step = Step { id: 7, work: Work::Tokens(vec![1, 2]) };
        assert_eq!(back(&step), step);
        let prompt = Prompt { text: "a prompt".into() };
        assert_eq!(back(&prompt), prompt);
        let archive = Archive { work: vec![Work::Nothing, Work::Tokens(vec![3])] };
        assert_eq!(back(&archive), archive);
        let text = "by its macro".to_owned();
        assert_eq!(back(&ByBincode { text: text.clone() }).text, text);
        assert_eq!(back(&ByPostcard { text: text.clone() }).text, text);
        assert_eq!(back(&ByRkyv { text: text.clone() }).text, text);
        let object = StepT { note: Some(text), ..StepT::default() };
        assert_eq!(back(&object), object);
        assert_eq!(size_of::<Tick>(), 8);
    }
}
