//! The ring: one producer, strict broadcast, the slowest consumer gates.
//!
//! `sequencer`, `reader`, `join` and `tap` are the algorithm, generic over where the words live (`memory`), without system calls;
//! they are what the loom models run. Everything else here gives the algorithm a segment, peers that may die, and a public face.

pub(crate) mod control;
pub(crate) mod damage;
pub(crate) mod group;
pub(crate) mod join;
pub(crate) mod memory;
pub(crate) mod reader;
pub(crate) mod records;
pub(crate) mod recover;
pub(crate) mod sequencer;
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
pub(crate) mod doorbell;
#[cfg(not(loom))]
pub(crate) mod error;
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
pub(crate) mod patience;
#[cfg(not(loom))]
mod peek;
#[cfg(not(loom))]
pub(crate) mod producer;
#[cfg(not(loom))]
pub(crate) mod producer_end;
#[cfg(not(loom))]
pub(crate) mod refusal;
#[cfg(not(loom))]
pub(crate) mod room;
#[cfg(not(loom))]
pub(crate) mod tap_handle;
#[cfg(not(loom))]
pub(crate) mod words;

/// The table of counters in a ring's segment.
#[cfg(not(loom))]
pub(crate) fn counters_of(segment: &std::sync::Arc<crate::segment::Segment>) -> crate::counters::CountersFile {
    use crate::counters::CountersFile;
    // A table that a confused peer has overwritten counts nothing; the ring itself does not rest on it.
    CountersFile::in_segment(segment).unwrap_or_else(|_| CountersFile::boxed(1))
}

#[cfg(all(test, loom))]
mod models;
