//! Records: messages of any length in a ring of bytes.
//!
//! The ring consists of *lines* of 64 bytes, and everything that `sequencer`, `reader` and `join` know of positions
//! holds for lines. What is different is here: a record covers several lines, so its first line says where it ends.
//!
//! ```text
//! word     what the first word of a line can say
//! line     the form
//! walk     what follows from the words of a ring alone
//! lossy    a reader that does not gate
//! write    the producer's half
//! course   where the producer is in the ring
//! gap      the lines that stay unused
//! ```
//!
//! Source: RFC 0006, which also says what a crash at each step leaves in the ring.

#[cfg(not(loom))]
pub(crate) mod course;
#[cfg(not(loom))]
pub(crate) mod gap;
pub(crate) mod line;
pub(crate) mod lossy;
pub(crate) mod walk;
pub(crate) mod word;
pub(crate) mod write;
