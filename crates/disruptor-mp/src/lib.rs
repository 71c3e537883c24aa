//! A Disruptor between processes: one producer, up to 1 024 consumers, one ring in one shared-memory segment.
//!
//! # The problem
//!
//! An inference server is a scheduler and some workers on one host. A few hundred times a second the scheduler begins a
//! step: it hands all workers the same small message. The transport takes one or two per cent of a step, so its speed
//! is seldom the problem. The usual problems are these: a stall whose cause is not reported, a worker that died
//! unnoticed, cores that spin, a `/dev/shm` that is too small, so that a write ends in SIGBUS, and a name that must be
//! removed by hand after a crash.
//!
//! So this crate moves bytes at memory speed *and* solves those problems: waiting costs little, every wait ends with a
//! reason, and after a `kill -9` of any process the others work on or get an error.
//!
//! # Quick start
//!
//! ```
//! use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer, event};
//!
//! /// What the scheduler tells every worker. At compile time the attribute refuses types that processes cannot share.
//! #[event]
//! struct Step {
//!     number: u64,
//!     tokens: [u32; 14],
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = disruptor_mp::portable_shm_segment_name("doc");
//! // The scheduler: a ring of 1 024 slots in shared memory. The closure makes a slot's first content.
//! let mut producer = build_shared_single_producer::<Step>(&name, 1024)
//!     .build_producer(|| Step { number: 0, tokens: [0; 14] })?;
//!
//! // A worker, usually in another process. With an id of its own it can be killed, come back, and continue where it
//! // stopped.
//! let mut consumer = attach_shared_consumer::<Step>(&name, 1024)
//!     .with_consumer_id("worker-0")
//!     .build_consumer()?;
//!
//! // Waits for room as long as the patience says, lets the closure write the slot in place, and returns the event's
//! // sequence.
//! let sequence = producer.publish_with(Patience::Endless, |step| step.number = 7)?;
//! // Dropping the producer closes the ring.
//! drop(producer);
//!
//! // Waits for the next event and reads it in place; dropping the lease acknowledges it. `None` says that everything
//! // was read and the ring was closed. If the producer had died, the call would return an error.
//! while let Some(step) = consumer.next_or_end(Patience::Endless)? {
//!     assert_eq!((step.sequence(), step.number), (sequence, 7));
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Neither side needs `unsafe`: [`#[event]`](macro@event) checks what may be in a slot, and the ring checks which end
//! may access the slot. A crate that uses this one can say `#![forbid(unsafe_code)]`.
//!
//! # What to look at next
//!
//! - building either end, start-up order, which consumers count: [`SharedDisruptorBuilder`], [`CoordinationMode`],
//!   [`DiscoveryMode`]
//! - how long a call may wait: [`Patience`] (at once, until a moment, without end, under the liveness watch)
//! - publishing (one, a batch): [`SharedProducer`]
//! - what an end knows of its ring and of its peers: [`ProducerEnd`], [`ConsumerEnd`]
//! - messages of any length, written and read in place: [`SharedDisruptorBuilder::records`], [`RecordProducer`],
//!   [`RecordConsumer`]
//! - what a ring carries, as a type: [`Slots`] in a [`SlotForm`], [`Lines`]
//! - reading (one lease, a batch, a handler, a thread of its own): [`SharedConsumer`], [`Lease`], [`BatchLease`],
//!   [`AutoConsumer`]
//! - keeping events while newer ones are read, releasing them in any order from any thread: [`Lease::hold`],
//!   [`HeldEvent`], [`HeldRecord`]
//! - a `for` loop: [`SharedConsumer::messages`], [`RecordConsumer::messages`]
//! - watching without holding the producer back: [`Tap`], [`RecordTap`]; from outside [`SharedRingBuffer`],
//!   [`SharedCursor`], [`ConsumerBarrier`]
//! - where a late consumer starts: [`StartAt`]
//! - how an endpoint waits, and `MYELON_WAIT`: [`WaitStrategy`]
//! - waiting for several consumers at once: [`Select`]
//! - waiting in an event loop (epoll, tokio, asyncio): [`Doorbell`], [`RoomDoorbell`]
//! - attaching before the producer is there: [`SharedDisruptorBuilder::attach_when_ready`]
//! - required consumers, alerts, the stall report: [`liveness`], [`ProducerEnd::enable_required_consumer_liveness`]
//! - what may live in a slot, and the schema in the segment: [`schema`]
//! - shared memory, files, memory files, heap; space, permissions: [`segment`], [`Place`], [`CreateOptions`]
//! - any segment of any program, without its types: [`observe`]
//! - how many bytes a ring will take: [`plan`]
//! - numbers that every process can read, also of a dead process: [`counters`]
//! - removing what a crash left: [`gc`]
//!
//! # What holds, in short
//!
//! - **Strict broadcast.** Every registered consumer gets every event from its start on, in order, and the slowest one
//!   holds the producer back. A [`Tap`] does not hold the producer back. It may miss events, and counts them.
//! - **At least once.** An event is acknowledged when its lease is dropped, not before. A consumer that is killed and
//!   comes back under its id gets what it had not acknowledged again, [marked](Lease::is_redelivered).
//! - **Whole or absent.** A producer that is killed in the middle of a slot has not published it. The next producer
//!   [takes over](Origin::TookOver) and continues after the last whole event.
//! - **The kernel reports a death.** Every participant holds a file lock. When its process dies, the kernel drops the
//!   lock. So the ring needs no heartbeats, and no pids, which could mean another process in another container. An end
//!   that waits learns of a death within 100 ms. A stopped process is not dead.
//! - **Space is reserved** when a ring is created; too little space is an [error](MultiProcessError::NoSpace) that
//!   contains the numbers.
//! - **Two programs agree or are refused.** A ring carries the schema of its events; the refusal
//!   [names the first field](MultiProcessError::IncompatibleEvent) that differs.
//!
//! What is *not* promised: protection from a process that may write to the segment and breaks the protocol, durability,
//! and anything between machines. The protocols, with their bytes, their orderings and the result of a crash at each
//! step, are in the project's `rfcs/`: 0001 ring and segment, 0002 shared bytes, 0003 joining and leaving, 0004
//! waiting, 0005 ownership, 0006 records.
//!
//! # Errors
//!
//! One enum per operation; each variant is one situation, with the details that an operator needs.
//! [`MultiProcessError`]: a ring could not be built or attached to. [`PublishError`]: an event was not published, and
//! the closure has not run. [`ConsumeError`]: no event was handed out. If the ring has ended, everything that was
//! published before the end has been delivered. [`RequiredConsumerError`]: managed publishing. "Full" and "nothing yet"
//! are ordinary answers to [`Patience::Now`]. An error of publishing or of reading can be asked whether it says
//! [closed](ConsumeError::is_closed), [timed out](ConsumeError::is_timed_out), or [that a peer has
//! gone](ConsumeError::is_peer_gone); [`NoRoom`] also whether it says [full](NoRoom::is_full). Most errors that a
//! process causes hold a [`StallReport`]. Its `Display` is one line, which is wrapped here:
//!
//! ```text
//! ring shm:rpc: producer waits for space since 2.0s; worker-3 (rank 3) pid 4711 is stopped, at sequence 812, lags by
//! 1024 events, inside its handler, no progress for 2.0s; gives up
//! ```
//!
//! # Features
//!
//! None is on by default. `serde`: configuration types implement serde's traits. `tracing`: stall reports are also
//! emitted as events. `dst`: hooks for simulations, such as an end that dies while its process lives.
//!
//! # Platforms
//!
//! Linux, with `/proc`. macOS has fallbacks: a sleeper looks once a millisecond instead of being woken, shared memory
//! is a file in `/private/tmp`, there are no memory files and no pinning.

#![deny(unsafe_code)] // except in the modules that say `allow`, each with its reason
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

extern crate self as disruptor_mp;

#[cfg(not(loom))]
mod builder;
#[cfg(not(loom))]
pub mod counters;
#[cfg(not(loom))]
mod environment;
#[cfg(not(loom))]
mod error;
#[cfg(all(test, not(loom)))]
mod kill;
#[cfg(not(loom))]
pub mod liveness;
#[cfg(not(loom))]
mod namespaces;
#[cfg(not(loom))]
pub mod observe;
#[cfg(all(target_os = "linux", not(loom)))]
pub mod probe;
#[cfg(all(test, not(loom)))]
mod races;
mod ring;
pub mod schema;
#[cfg(not(loom))]
#[allow(unsafe_code, reason = "maps memory, holds locks by descriptor, and closes them in a forked child")]
pub mod segment;
mod step;
#[allow(unsafe_code, reason = "system calls and processor instructions that std does not have")]
mod sync;
mod text;
#[cfg(not(loom))]
mod view;

pub(crate) use step::step;

#[cfg(not(loom))]
pub use exports::*;
#[cfg(not(loom))]
pub use namespaces::*;
pub use ring::protocol::join::{BeginningGone, StartAt};
#[doc(inline)]
pub use schema::{Event, event};

/// The items that need processes. Models do not have them.
#[cfg(not(loom))]
mod exports {
    pub use crate::builder::{
        CoordinationMode, DiscoveryMode, SharedDisruptorBuilder, default_coordination_timeout_duration,
        default_scan_interval_duration,
    };
    #[doc(inline)]
    pub use crate::counters::{CounterHandle, CounterSnapshot, CountersFile};
    pub use crate::error::{CoreSetting, MultiProcessError, MultiProcessResult};
    #[doc(inline)]
    pub use crate::liveness::{
        RequiredConsumerAlert, RequiredConsumerAlertHook, RequiredConsumerError, RequiredConsumerFailureAction,
        RequiredConsumerLivenessConfig, StallReport, default_progress_check_interval_duration,
        default_progress_timeout_duration, default_shutdown_grace_period_duration,
        default_startup_wait_timeout_duration,
    };
    pub use crate::ring::ends::auto::{AutoConsumer, AutoConsumerEnd};
    pub use crate::ring::ends::consumer::{MmapConsumer, SharedConsumer};
    pub use crate::ring::ends::consumer_face::ConsumerEnd;
    pub use crate::ring::ends::doorbell::Doorbell;
    #[doc(hidden)]
    pub use crate::ring::ends::error::or_end;
    pub use crate::ring::ends::error::{
        ConsumeError, HeldLimit, MissingFreeSlots, NoRoom, PublishError, RingBufferFull,
    };
    pub use crate::ring::ends::held::{HeldBatch, HeldEvent};
    pub use crate::ring::ends::lease::{BatchLease, Lease};
    pub use crate::ring::ends::messages::{Holds, Messages, Release, Taken};
    pub use crate::ring::ends::patience::Patience;
    pub use crate::ring::ends::producer::{MmapProducer, SharedProducer};
    pub use crate::ring::ends::producer_end::Origin;
    pub use crate::ring::ends::producer_face::ProducerEnd;
    pub use crate::ring::ends::records::batch::RecordBatch;
    pub use crate::ring::ends::records::batch_lease::RecordBatchLease;
    pub use crate::ring::ends::records::claim::RecordClaim;
    pub use crate::ring::ends::records::consumer::RecordConsumer;
    pub use crate::ring::ends::records::error::RecordError;
    pub use crate::ring::ends::records::held::{HeldRecord, HeldRecordBatch};
    pub use crate::ring::ends::records::lease::{RecordLease, RecordMeta};
    pub use crate::ring::ends::records::producer::RecordProducer;
    pub use crate::ring::ends::records::tap::{RecordCopy, RecordTap};
    pub use crate::ring::ends::room_doorbell::RoomDoorbell;
    pub use crate::ring::ends::select::{Ready, Select, Selectable, Source};
    pub use crate::ring::ends::tap::Tap;
    pub use crate::ring::ends::via::{InvalidWriteVia, WriteVia};
    pub use crate::ring::identity::InvalidConsumerId;
    pub use crate::ring::membership::JoinError;
    pub use crate::ring::memory::layout::{
        CAPACITY_MAX, Carries, DEFAULT_MAX_CONSUMERS, PLACES_FOR_OTHERS, ShapeError, SizeUnit, Slots, TABLE_LEN_MAX,
        plan, plan_dense,
    };
    pub use crate::ring::memory::record_size::{
        DEFAULT_RECORD_RING_BYTES, RECORD_RING_BYTES_MAX, RECORD_RING_BYTES_MIN, plan_records, record_ring_bytes,
        records_in_flight,
    };
    pub use crate::ring::protocol::control::CONSUMER_ID_MAX_LEN;
    pub use crate::ring::protocol::form::{Dense, Form, Lines, SlotForm, Stamped};
    pub use crate::ring::protocol::held::HELD_MAX;
    pub use crate::ring::roster::ConsumerInfo;
    #[doc(inline)]
    pub use crate::segment::{
        CreateOptions, GcOutcome, MmapTransportLayout, PORTABLE_SHM_SEGMENT_NAME_MAX_LEN, Place, gc,
        portable_shm_segment_name,
    };
    pub use crate::sync::pause::{
        default_block_strategy_duration, default_consume_sleep_duration, default_discovery_poll_duration,
        perform_default_block_wait, perform_default_consume_sleep_wait, perform_default_discovery_poll_wait,
        perform_sleep_wait,
    };
    pub use crate::sync::wait::{AutoWaitStrategy, InvalidWaitSetting, InvalidWaitStrategy, WaitStrategy};
    pub use crate::view::{
        AdvanceError, ConsumerBarrier, MmapConsumerBarrier, MmapCursor, MmapCursorConfig, MmapFileConfig,
        MmapRingBuffer, ProducerBarrier, RingConfig, SharedCursor, SharedCursorTrait, SharedMemoryConfig,
        SharedRingBuffer, ShmRingBuffer, WatchError,
    };

    /// Begins a ring's producer: `size` slots, a power of two, at `place` (a name is shared memory, a path a file).
    ///
    /// ```
    /// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer, event};
    ///
    /// #[event]
    /// struct Step {
    ///     sequence: u64,
    /// }
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let segment = disruptor_mp::portable_shm_segment_name("doc");
    /// let mut producer = build_shared_single_producer::<Step>(&segment, 4096)
    ///     .build_producer(|| Step { sequence: 0 })?;
    /// // Usually in another process:
    /// let mut consumer = attach_shared_consumer::<Step>(&segment, 4096)
    ///     .with_consumer_id("worker-0")
    ///     .build_consumer()?;
    ///
    /// producer.publish_with(Patience::Endless, |slot| slot.sequence = 7)?;
    /// assert_eq!(consumer.next(Patience::Endless)?.map(|step| step.sequence), Some(7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn build_shared_single_producer<E: crate::Event>(
        place: impl Into<Place>,
        size: usize,
    ) -> SharedDisruptorBuilder<E> {
        SharedDisruptorBuilder::new(place, size)
    }

    /// Begins a consumer of the ring of `size` slots at `place`. A `size` of 0 accepts any number of slots.
    pub fn attach_shared_consumer<E: crate::Event>(place: impl Into<Place>, size: usize) -> SharedDisruptorBuilder<E> {
        SharedDisruptorBuilder::new(place, size)
    }
}

/// zerocopy for `#[event]`, which adds zerocopy's derives: the code that these generate finds zerocopy here. So a
/// program that uses `#[event]` needs no dependency on zerocopy, and zerocopy's names are not part of our interface.
// A glob in a hidden module of the root, and not `pub use zerocopy`. With the latter the compiler considers the traits
// unreachable. Then the errors of a struct that is not an event say that `Event` is a sealed trait.
#[doc(hidden)]
pub mod __zerocopy {
    pub use zerocopy::*;
}

/// For the code that `#[event]` generates. Not part of the interface: any release can change it.
#[doc(hidden)]
pub mod __private {
    pub use crate::schema::checks::{Advice, Field, UnalignedField};
    /// A descriptor with a lock that a forked child must not keep alive.
    #[cfg(not(loom))]
    pub use crate::segment::Registered;

    /// The items with which the layers above make their own ends from the ends of this crate.
    #[cfg(not(loom))]
    pub mod ends {
        pub use crate::ring::construct::Existing;
        pub use crate::ring::ends::consumer_end::ConsumerBase;
        pub use crate::ring::ends::consumer_face::{ConsumerMut, HasConsumer};
        pub use crate::ring::ends::peek::PeekedRun;
        pub use crate::ring::ends::producer::GroupBatch;
        pub use crate::ring::ends::producer_end::ProducerBase;
        pub use crate::ring::ends::producer_face::{HasProducer, ProducerMut};
        pub use crate::ring::ends::records::claims::Claims;
        pub use crate::ring::ends::records::consumer::Then;
        pub use crate::ring::protocol::ahead::Ahead;
    }
}

/// A sequence number: the position of an event in its ring, from 0.
pub type Sequence = i64;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
