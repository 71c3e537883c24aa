//! Types with `#[message]`: what programs compare when they attach to a stream of them.
//!
//! | what must not happen | shown by |
//! |---|---|
//! | a type that has changed is read as the one that was written | `changed::*` |
//! | one type that is defined in two places is refused | `same::*` |
//! | an attribute changes the bytes and no program sees it | `attributes::*`, `refused/` |
//! | a value does not come back as it was sent | `round_trip::*` |
//! | a message is lost while a type is upgraded | `upgrade::*`, `upgrade_generated::*` |
//! | only one side learns why it was refused | `changed::the_writer_learns_who_was_refused` |
#![deny(unsafe_code)]
#![allow(dead_code, missing_debug_implementations, unreachable_pub)] // most types here are compared and never sent

mod attributes;
mod changed;
mod compiled;
mod held_over;
mod round_trip;
mod same;
mod stage;
mod topologies;
mod upgrade;
#[cfg(feature = "dst")]
mod upgrade_generated;
mod users;
mod versions;
