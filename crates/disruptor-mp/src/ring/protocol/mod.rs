//! The algorithm of the ring. Loom runs exactly this code.
//!
//! ```text
//! control                              the words of a ring
//! form, stamped, dense, records::line  what a slot contains
//! sequencer, slots, records::write     the producer's half
//! reader, ahead, held, join            the consumer's half
//! tap                                  a reader that does not gate
//! recover, damage, records::walk       what the words say after their producer died, or when they are damaged
//! memory                               where the words live
//! ```
//!
//! **Invariant:** there is no `unsafe` code, no clock, no process and no system call in here. Only the closures that
//! `memory` is given see payloads.
#![forbid(unsafe_code)]

pub(crate) mod ahead;
pub(crate) mod claimed;
pub(crate) mod control;
pub(crate) mod damage;
pub(crate) mod dense;
pub(crate) mod ending;
pub(crate) mod form;
pub(crate) mod held;
pub(crate) mod join;
pub(crate) mod memory;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod refused;
pub(crate) mod sequencer;
pub(crate) mod slots;
pub(crate) mod stamped;
pub(crate) mod tap;
