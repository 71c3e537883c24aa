//! Records: messages of any length in a ring of bytes.
//!
//! The ring is one of *lines*, 64 bytes each, and everything that `sequencer`, `reader`, `join` and the waits know of positions holds for
//! lines. What is different is here: a record covers several lines, so where it ends stands in its first one.
//!
//! **Lives here:** `word`, what the first word of a line can say; `line`, the lines in memory; `walk`, what follows from the words of a
//! ring alone; `write`, the producer's half; and the public ends and what they hand out. **Builds on:** the algorithm of the ring.
//! The protocol, and what a crash at each step leaves behind: RFC 0006.

#[cfg(not(loom))]
pub(crate) mod batch;
#[cfg(not(loom))]
pub(crate) mod builder;
#[cfg(not(loom))]
pub(crate) mod claim;
#[cfg(not(loom))]
pub(crate) mod consumer;
#[cfg(not(loom))]
pub(crate) mod error;
#[cfg(not(loom))]
pub(crate) mod lease;
pub(crate) mod line;
#[cfg(not(loom))]
pub(crate) mod producer;
pub(crate) mod walk;
pub(crate) mod word;
pub(crate) mod write;
