//! The ring: one producer, strict broadcast, the slowest consumer gates.
//!
//! Three rooms: `protocol`, the algorithm, generic over where its words live and over what lies in front of an event,
//! which is what the loom models run; `memory`, where the words live; `ends`, what users hold. What stands beside them
//! gives the algorithm a segment and peers that may die.

pub(crate) mod memory;
pub(crate) mod protocol;

#[cfg(not(loom))]
pub(crate) mod construct;
#[cfg(not(loom))]
pub(crate) mod ends;
#[cfg(not(loom))]
pub(crate) mod identity;
#[cfg(not(loom))]
pub(crate) mod lineage;
#[cfg(not(loom))]
pub(crate) mod membership;
#[cfg(not(loom))]
pub(crate) mod refusal;
#[cfg(not(loom))]
pub(crate) mod selection;
#[cfg(not(loom))]
pub(crate) mod words;

#[cfg(all(test, loom))]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
