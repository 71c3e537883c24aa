//! The lines of a ring of records.
//!
//! **Lives here:** [`RecordLine`], which is to a ring of records what an event is to a ring of events; [`Lines`], its memory.
//! **Builds on:** `memory`. **May touch it:** the algorithm of records.

use crate::event;
use crate::ring::memory::Memory;
use crate::sync::primitive::AtomicI64;

/// One line of a ring of records. A ring of records is a ring of these; nobody makes or sees one.
#[event]
pub struct RecordLine {
    number: i64,
    payload: [u64; 6],
}

/// A ring in which records lie: [`stamp`](Memory::stamp) is the commit word of a line.
pub(crate) trait Lines: Memory {
    /// The number of the record that begins, or will begin, at `position`.
    fn number(&self, position: i64) -> &AtomicI64;
}
