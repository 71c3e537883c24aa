//! The attributes `#[event]` of disruptor-mp and `#[message]` of myelon. Those crates export them: depend on those, not
//! on this one.
#![forbid(unsafe_code)]

mod attributes;
mod event;
mod message;

use proc_macro::TokenStream;

// Its docs are in disruptor-mp, which exports it: the examples need that crate.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    event::expand(arguments.into(), item.into()).into()
}

// Its docs are in myelon, which exports it.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn message(arguments: TokenStream, item: TokenStream) -> TokenStream {
    message::expand(arguments.into(), item.into()).into()
}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
