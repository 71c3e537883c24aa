//! Records: messages of any length in a ring of bytes.
//!
//! The ring is one of *lines*, 64 bytes each, and everything that `sequencer`, `reader` and `join` know of positions
//! holds for lines. What is different is here: a record covers several lines, so where it ends stands in its first one.
//!
//! **Lives here:** `word`, what the first word of a line can say; `line`, the form; `walk`, what follows from the words
//! of a ring alone; `lossy`, what a reader sees of it that does not gate; `write`, the producer's half; `course`, where
//! it is on its way; and `gap`, what it leaves unused. **Builds on:** the algorithm of the ring. The protocol, and what
//! a crash at each step leaves behind: RFC 0006.

#[cfg(not(loom))]
pub(crate) mod course;
#[cfg(not(loom))]
pub(crate) mod gap;
pub(crate) mod line;
pub(crate) mod lossy;
pub(crate) mod walk;
pub(crate) mod word;
pub(crate) mod write;
