//! The algorithm of the ring.
//!
//! **Lives here:** the words of a ring (`control`), what may stand in front of an event (`form`: `stamped` or `dense`
//! slots, or `records::line`), the producer's half (`sequencer`, with `slots` and `records::write`), the consumer's
//! (`reader`, `ahead`, `held`, `join`), that of who looks without gating (`tap`), and what follows from the words when
//! who wrote them is gone, or they are damaged (`recover`, `damage`, `records::walk`). **Builds on:** `sync`. **May
//! touch it:** the ends; and loom, which runs exactly this code.
//!
//! Behind this wall there is no `unsafe` code, no clock, no process and no system call. Where the words live is
//! `memory`'s to say, and payloads are seen only by the closures that it is given.
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
