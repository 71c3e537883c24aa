//! The lines of a ring of records.
//!
//! **Lives here:** [`RecordLine`], which is to a ring of records what an event is to a ring of events. **May touch it:** nobody: it gives
//! the ring its slots' size.

use crate::event;

/// One line of a ring of records. A ring of records is a ring of these; nobody makes or sees one.
#[event]
pub struct RecordLine {
    number: i64,
    payload: [u64; 6],
}
