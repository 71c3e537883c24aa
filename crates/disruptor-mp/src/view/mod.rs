//! Looking at a ring, or at one cursor, without taking part in it.
//!
//! The handles have a read-only mapping: they load and wait, and hold no producer back. Only the creator of a cursor on
//! its own stores.
//!
//! A view of a ring cannot store: events would be lost if it moved the position of another process. No process can wake
//! a view either, because a view cannot announce itself through a read-only mapping; it looks once a millisecond.

mod barrier;
mod cursor;
mod ring_buffer;
mod watch;

pub use barrier::{ConsumerBarrier, MmapConsumerBarrier};
pub use cursor::{AdvanceError, MmapCursor, MmapCursorConfig, ProducerBarrier, SharedCursor};
pub use ring_buffer::{
    MmapFileConfig, MmapRingBuffer, RingConfig, SharedMemoryConfig, SharedRingBuffer, ShmRingBuffer,
};
pub use watch::{SharedCursorTrait, WatchError};
