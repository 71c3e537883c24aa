//! One loop that waits for everything a process of a server waits for, and an agenda that runs its work by priority on
//! a few threads.
//!
//! Source: RFC 0022 (the loop) and RFC 0023 (the agenda).
#![forbid(unsafe_code)]

pub mod agenda;
pub mod clock;
pub mod testing;
pub mod timers;
