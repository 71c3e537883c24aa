//! The ring: one producer, strict broadcast, the slowest consumer gates.
//!
//! ```text
//! protocol   the algorithm, generic over where its words live and over the form of a slot; loom models run this code
//! memory     where the words live
//! ends       what users hold
//! ```
//!
//! The other modules give the algorithm a segment, and peers that may die.

#[allow(unsafe_code, reason = "makes words and payloads of the bytes of a segment")]
pub(crate) mod memory;
pub(crate) mod protocol;

#[cfg(not(loom))]
pub(crate) mod construct;
#[cfg(not(loom))]
#[allow(unsafe_code, reason = "makes a payload, which the algorithm hands out as a pointer, a reference")]
pub(crate) mod ends;
#[cfg(not(loom))]
pub(crate) mod eviction;
#[cfg(not(loom))]
pub(crate) mod identity;
#[cfg(not(loom))]
pub(crate) mod lineage;
#[cfg(not(loom))]
pub(crate) mod membership;
#[cfg(not(loom))]
pub(crate) mod refusal;
#[cfg(not(loom))]
pub(crate) mod roster;
#[cfg(not(loom))]
pub(crate) mod selection;
#[cfg(not(loom))]
pub(crate) mod words;

#[cfg(all(test, loom))]
#[allow(unsafe_code, reason = "writes and reads payloads as the ends do")]
mod models;
#[cfg(all(test, not(loom)))]
mod tests;
