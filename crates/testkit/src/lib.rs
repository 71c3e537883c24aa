//! Tools of our own tests: processes that can be stopped and killed, watchdogs, names, scarce space, and counters of
//! what a call costs.
//!
//! Each module is one tool, usable without the others. Nothing here depends on our other crates, so every crate can use
//! it in its tests; nothing that is published depends on it. It needs Linux.
//!
//! A tool that cannot do its work panics with everything it knows, which fails the test. A tool that the machine does
//! not permit to work returns a [`skip::Reason`], which the test hands to [`skip!`].
#![deny(unsafe_code)]
#![allow(clippy::disallowed_types)] // nothing here is modelled with loom

pub mod alloc;
pub mod docs;
pub mod errors;
pub mod fork;
pub mod mutants;
pub mod names;
pub mod namespace;
pub mod process;
mod procfs;
#[allow(unsafe_code, reason = "forks, closes descriptors by number, sends values with signals, and is an allocator")]
mod raw;
pub use raw::{close_descriptors_above, queue_signal};
pub mod seccomp;
pub mod signatures;
pub mod skip;
pub mod tmpfs;
pub mod usage;
pub mod watchdog;

pub use rustix::process::Signal;
