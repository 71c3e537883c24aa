//! The names of this crate again, grouped as programs of this family import them. They are the same types under every
//! path.

/// What a program usually needs.
pub mod prelude {
    pub use crate::{
        AutoConsumer, AutoWaitStrategy, CoordinationMode, DiscoveryMode, Event, MmapConsumer, MmapProducer,
        MmapTransportLayout, MultiProcessResult, Patience, Sequence, SharedConsumer, SharedDisruptorBuilder,
        SharedProducer, attach_shared_consumer, build_shared_single_producer, event,
    };
    // Every error that a call of this crate can return.
    pub use crate::segment::{CreateError, GcError, OpenError};
    pub use crate::{
        AdvanceError, BeginningGone, ConsumeError, InvalidConsumerId, InvalidWaitStrategy, JoinError, MissingFreeSlots,
        MultiProcessError, NoRoom, PublishError, RecordError, RequiredConsumerError, RingBufferFull, ShapeError,
        WatchError,
    };
}

/// Rings in shared memory, looked at from outside.
pub mod shared_memory {
    pub use crate::{SharedMemoryConfig, SharedRingBuffer, ShmRingBuffer};
}

/// Where rings are. One algorithm serves every place, so these are aliases.
pub mod backend {
    pub use super::shared_memory;

    /// Rings in files.
    pub mod mmap {
        pub use crate::{
            MmapConsumer, MmapConsumerBarrier, MmapCursor, MmapCursorConfig, MmapFileConfig, MmapProducer,
            MmapRingBuffer, MmapTransportLayout,
        };
    }
}

/// Positions, looked at from outside.
pub mod lock_free {
    pub use crate::{ConsumerBarrier, DiscoveryMode, ProducerBarrier, SharedCursor, SharedCursorTrait};
}

/// The writing end.
pub mod producer {
    pub use crate::{CoordinationMode, MmapProducer, SharedProducer};
}

/// The reading end.
pub mod consumer {
    pub use crate::{MmapConsumer, SharedConsumer};
}

/// Counters that every process can read.
pub mod observability {
    pub use crate::counters::*;
}
