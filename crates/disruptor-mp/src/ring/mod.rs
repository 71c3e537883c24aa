//! The ring: one producer, strict broadcast, the slowest consumer gates.
//!
//! `sequencer`, `reader`, `join` and `tap` are the algorithm, generic over where the words live (`memory`), without system calls;
//! they are what the loom models run. Everything else here gives the algorithm a segment, peers that may die, and a public face.

pub(crate) mod control;
pub(crate) mod damage;
pub(crate) mod ending;
pub(crate) mod form;
pub(crate) mod join;
pub(crate) mod memory;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod sequencer;
pub(crate) mod slots;
pub(crate) mod stamped;
pub(crate) mod tap;

#[cfg(not(loom))]
pub(crate) mod auto;
#[cfg(not(loom))]
pub(crate) mod construct;
#[cfg(not(loom))]
pub(crate) mod consumer;
#[cfg(not(loom))]
pub(crate) mod consumer_end;
#[cfg(not(loom))]
mod consumer_side;
#[cfg(not(loom))]
pub(crate) mod doorbell;
#[cfg(not(loom))]
pub(crate) mod error;
#[cfg(not(loom))]
pub(crate) mod identity;
#[cfg(not(loom))]
pub(crate) mod layout;
#[cfg(not(loom))]
pub(crate) mod lease;
#[cfg(not(loom))]
pub(crate) mod managed;
#[cfg(not(loom))]
pub(crate) mod mapped;
#[cfg(not(loom))]
pub(crate) mod membership;
#[cfg(not(loom))]
mod pace;
#[cfg(not(loom))]
pub(crate) mod patience;
#[cfg(not(loom))]
mod peek;
#[cfg(not(loom))]
pub(crate) mod producer;
#[cfg(not(loom))]
pub(crate) mod producer_end;
#[cfg(not(loom))]
pub(crate) mod producer_side;
#[cfg(not(loom))]
pub(crate) mod refusal;
#[cfg(not(loom))]
pub(crate) mod room;
#[cfg(not(loom))]
mod sections;
#[cfg(not(loom))]
pub(crate) mod selection;
#[cfg(not(loom))]
pub(crate) mod tap_handle;
#[cfg(not(loom))]
pub(crate) mod words;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
