//! Looking at a ring, or at one cursor, without taking part in it.
//!
//! **Lives here:** handles on a read-only mapping: they load and wait, and hold nobody back. The one thing that stores is a cursor on its
//! own in the hands of its creator. **Builds on:** `ring::words`. **May touch it:** anybody with read permission.
//!
//! Storing through a view of a ring is not offered: a position that somebody else moved is how events are lost. Nobody can wake a view
//! either, because a read-only mapping has no way to say that somebody waits; views look once a millisecond.

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
