//! The `#[event]` attribute of disruptor-mp, which exports it; depend on that crate, not on this one.
//!
//! **Lives here:** the entry point. **Builds on:** syn and quote. **May touch it:** disruptor-mp.
#![forbid(unsafe_code)]

mod arguments;
mod expansion;
mod types;

use proc_macro::TokenStream;

// Documented where disruptor-mp exports it: the examples need that crate.
#[allow(missing_docs)]
#[proc_macro_attribute]
pub fn event(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expansion::expand(arguments.into(), item.into()).into()
}
