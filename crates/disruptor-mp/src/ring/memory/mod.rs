//! Where the words and slots of a ring live: on the heap for models and tests (`heap`), or in a segment (`mapped`;
//! `raw` for a reader that does not know the type of the events).
//!
//! Besides `ends`, this is the only part of the ring with `unsafe` code.

#[cfg(test)]
pub(crate) mod heap;
#[cfg(not(loom))]
pub(crate) mod layout;
#[cfg(not(loom))]
pub(crate) mod mapped;
#[cfg(not(loom))]
pub(crate) mod raw;
#[cfg(not(loom))]
pub(crate) mod record_size;
#[cfg(not(loom))]
pub(crate) mod sections;
