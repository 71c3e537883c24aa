//! Typed messages between the processes of one host, at memory speed, for inference servers.
//!
//! # The problem
//!
//! An inference server is a scheduler and some workers on one host. A few hundred times a second the scheduler tells
//! all of them the same thing: a few kilobytes for a decode step, more for a prefill, megabytes for an image. The
//! answers come back. The transport is one or two per cent of such a step. What costs operators time is a stall that
//! names no culprit, a worker that died unnoticed or outlives its parent and keeps the GPU, cores that are burnt by
//! waiting, and a `/dev/shm` that is too small or has to be cleaned up by hand.
//!
//! So this library encodes a message once for all readers, directly where they read it. Waiting costs little, and every
//! wait ends with a reason. After a `kill -9` of any process the others go on, or are told.
//!
//! # Quick start
//!
//! A type becomes a message with one line, and a stream of that type is a name in shared memory.
//!
#![cfg_attr(feature = "bincode", doc = "```")]
#![cfg_attr(not(feature = "bincode"), doc = "```ignore")]
//! use myelon::prelude::*;
//!
//! /// What the scheduler tells every worker.
//! #[message]
//! #[derive(Debug, PartialEq)]
//! struct Step {
//!     number: u64,
//!     tokens: Vec<u32>,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = portable_shm_segment_name("doc");
//! // The scheduler: a ring of the default size.
//! let mut steps = TypedProducer::<Step>::create_default(&name)?;
//!
//! // A worker, usually in another process. With an id of its own it can be killed and come back: it continues where it
//! // stopped.
//! let mut consumer = TypedConsumer::<Step>::join(&name, "worker-0")?;
//!
//! // The second argument is the application's kind of message: a byte that travels with it.
//! steps.publish(&Step { number: 7, tokens: vec![1, 2, 3] }, 1)?;
//!
//! // Dropping the producer closes the ring.
//! drop(steps);
//!
//! // Waits for the next message; dropping it acknowledges it. `None` says that everything was read and the ring is
//! // closed. If the scheduler had died, this would be an error.
//! while let Some(message) = consumer.next_or_end(Patience::Endless)? {
//!     assert_eq!(message.decode()?, Step { number: 7, tokens: vec![1, 2, 3] });
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Programs to copy, with processes that start, die and come back, are in the repository's `examples/`.
//!
//! # Which layer for what
//!
//! | layer | gives | take it when |
//! |---|---|---|
//! | [topology] | a scheduler and N workers that meet, answer, die, come back and leave | that is the program's shape |
//! | 3, [zero-copy](typed_transport::TypedMessage::get) | typed messages, read in place | messages are large |
//! | 2, [`typed_transport`] | streams of one type; a program that expects another is refused | both ends are Rust |
//! | 1, [`transport`] | bytes of any length, whole or absent | you have bytes already, or the other end is not Rust |
//! | 0, [`disruptor_mp`], all of it here | events of a fixed size, in slots | events are small, and nanoseconds count |
//!
//! Each layer stands on the one below and hides nothing of it:
//! [`TypedProducer::raw`](typed_transport::TypedProducer::raw) is the transport, and both have the methods of every
//! [`ProducerEnd`]: the peers, the counters and the stall report.
//!
//! # Layer 0: events
//!
//! ```
//! use myelon::{Patience, attach_shared_consumer, build_shared_single_producer, event};
//!
//! /// The attribute refuses, at compile time, what must not be shared between processes.
//! #[event(crate = "myelon")]
//! struct Tick {
//!     number: u64,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = myelon::portable_shm_segment_name("doc");
//! let mut producer = build_shared_single_producer::<Tick>(&name, 1024).build_producer(|| Tick { number: 0 })?;
//! let mut consumer = attach_shared_consumer::<Tick>(&name, 1024).with_consumer_id("worker-0").build_consumer()?;
//!
//! // The closure writes the slot, and the lease reads it.
//! producer.publish_with(Patience::Endless, |tick| tick.number = 7)?;
//! assert_eq!(consumer.next(Patience::Endless)?.map(|tick| tick.number), Some(7));
//! # Ok(())
//! # }
//! ```
//!
//! # Layer 1: messages
//!
//! The layout of messages in the ring is a type parameter. [`Records`](transport::Records), the default, takes messages
//! of any length, in one piece. [Frames](transport::AlignedFixedFrame) have a fixed size; a longer message is split,
//! sent whole or not at all, and put together again.
//!
//! ```
//! use myelon::Patience;
//! use myelon::codec::EncodeShort;
//! use myelon::transport::{TransportConsumer, TransportProducer, TransportResult};
//!
//! # fn main() -> TransportResult<()> {
//! # let name = myelon::portable_shm_segment_name("doc");
//! let mut producer = TransportProducer::create_default(&name)?;
//! let mut consumer = TransportConsumer::join(&name, "worker-0")?;
//!
//! // Bytes that exist are copied into the ring; others are made there.
//! producer.publish(b"a step", 1)?;
//! producer.send_with(2, 600_000, Patience::Endless, |room| {
//!     room.get_mut(..600_000).ok_or(EncodeShort::Needs { len_bytes: 600_000 })?.fill(7);
//!     Ok(600_000)
//! })?;
//!
//! drop(producer); // closes the ring
//! # let mut received = vec![];
//! while let Some(message) = consumer.next_or_end(Patience::Endless)? {
//!     // Each message is in one piece, where its sender wrote it.
//!     println!("{} bytes of kind {}", message.len(), message.kind());
//! #   received.push((message.len(), message.kind(), message.is_in_place()));
//! }
//! # assert_eq!(received, [(6, 1, true), (600_000, 2, true)]);
//! # Ok(())
//! # }
//! ```
//!
//! # Layer 2: typed messages
//!
//! The schema of the messages is in the ring. A program that has another type under the name is refused when it
//! attaches, with the first field that differs. There are four [codecs](codec). [`#[message]`](message) uses `bincode`,
//! which is for serde's types and decodes a message when it arrives.
//!
#![cfg_attr(feature = "bincode", doc = "```")]
#![cfg_attr(not(feature = "bincode"), doc = "```ignore")]
//! use myelon::prelude::*;
//!
//! #[message]
//! struct Prompt {
//!     text: String,
//!     max_len: u32,
//! }
//!
//! /// The same message in a program that was built last week.
//! mod last_week {
//!     # use myelon::prelude::*;
//!     #[message]
//!     pub struct Prompt {
//!         pub text: String,
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = portable_shm_segment_name("doc");
//! let mut prompts = TypedProducer::<Prompt>::create(&name, 1 << 20)?;
//! if let Err(refused) = TypedConsumer::<last_week::Prompt>::join(&name, "worker-0") {
//!     // ... carries other messages: field `Prompt.max_len` is u32 at position 1 there, but does not exist here
//!     println!("{refused}");
//! #   assert!(matches!(refused, TransportError::Build(MultiProcessError::IncompatibleContent { .. })), "{refused}");
//! }
//!
//! let mut consumer = TypedConsumer::<Prompt>::join(&name, "worker-0")?;
//! prompts.publish(&Prompt { text: "Why?".to_owned(), max_len: 64 }, 0)?;
//! drop(prompts);
//! while let Some((prompt, _kind)) = consumer.receive_owned_or_end(Patience::Endless)? {
//!     assert_eq!(prompt.text, "Why?");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layer 3: messages that are read in place
//!
//! With the feature `rkyv` or `flatbuffers` a message is laid out in the ring, validated once, and read there.
//!
#![cfg_attr(feature = "rkyv", doc = "```")]
#![cfg_attr(not(feature = "rkyv"), doc = "```ignore")]
//! use myelon::prelude::*;
//!
//! #[message(rkyv)]
//! struct Prefill {
//!     tokens: Vec<u32>,
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = portable_shm_segment_name("doc");
//! let mut producer = TypedProducer::<Prefill>::create(&name, 4 << 20)?;
//! let mut consumer = TypedConsumer::<Prefill>::join(&name, "worker-0")?;
//! producer.publish(&Prefill { tokens: (0..100_000).collect() }, 0)?;
//! drop(producer);
//!
//! while let Some(message) = consumer.next_or_end(Patience::Endless)? {
//!     let prefill = message.get()?; // a view of the message in the ring
//!     assert_eq!(prefill.tokens[99_999], 99_999);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Validation reads the whole message once. [`codec::trusted::access`] skips that, for programs that vouch for the
//! sender; it is the only call here for which you write `unsafe`.
//!
//! # Topology
//!
//! A topology is one ring to all workers, one ring back from each, and the processes around them. Here the workers are
//! threads; [`Workers::spawned`](topology::Workers::spawned) starts processes, which find their invitation in their
//! environment. Where both ends are Rust, [`TypedScheduler`](topology::TypedScheduler) and
//! [`TypedWorker`](topology::TypedWorker) do the same with one type in each direction.
//!
//! ```
//! use myelon::prelude::*;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let label = format!("crate docs {}", std::process::id());
//! let topology: Topology = Topology::new(&label, 2usize)?;
//! let invitations = [topology.invitation(0)?, topology.invitation(1)?];
//! let workers = invitations.map(|invitation| {
//!     std::thread::spawn(move || {
//!         let mut worker: WorkerEnd = WorkerEnd::join(&invitation).expect("a scheduler comes");
//!         worker.serve(|step, answers| answers.send(&step.to_ascii_uppercase(), 1, Patience::Endless).map(drop))
//!     })
//! });
//!
//! let mut scheduler = topology.launch(Workers::started_elsewhere())?;
//! scheduler.broadcast(b"a step", 1, Patience::Endless)?;
//! for answer in scheduler.gather(Whom::All, Duration::from_secs(20)) {
//!     match answer.outcome {
//!         Outcome::Message { bytes, .. } => assert_eq!(bytes, b"A STEP"),
//!         other => panic!("rank {} {other}", answer.rank), // it has died, left, or is late
//!     }
//! }
//! scheduler.close();
//! for worker in workers {
//!     worker.join().expect("the worker has not panicked")?; // it was told that the topology is closed
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # When a process makes no progress
//!
//! The slowest consumer holds the producer back once the ring is full. No process is declared dead because of a
//! timeout: only the kernel decides that, by releasing the lock of a process that is gone. A wait that ends without
//! success names the process for which it waited.
//!
//! ```
//! use myelon::prelude::*;
//! use std::time::{Duration, Instant};
//!
//! # fn main() -> TransportResult<()> {
//! # let name = portable_shm_segment_name("doc");
//! let mut producer: TransportProducer = TransportProducer::create(&name, 1 << 16)?;
//! let idle = TransportBuilder::new(&name, 0).with_consumer_id("worker-3").with_rank(3);
//! let _idle: TransportConsumer = idle.build_consumer()?;
//! let error = loop {
//!     if let Err(error) = producer.publish_deadline(&[0; 4096], 1, Instant::now() + Duration::from_millis(10)) {
//!         break error;
//!     }
//! };
//! // ring shm:...: producer waits for space since 10.1ms; worker-3 (rank 3) pid 4711 is ..., at sequence 0, lags by
//! // 15 events; gives up
//! let TransportError::Publish(PublishError::TimedOut { report }) = error else { panic!("{error}") };
//! assert!(report.culprit.is_some_and(|culprit| culprit.rank == Some(3)));
//! # Ok(())
//! # }
//! ```
//!
//! | wanted | see |
//! |---|---|
//! | how long a call may wait | [`Patience`], a deadline or a `Duration`, in every call |
//! | *closed*, *nothing yet*, *full*, *peer gone* | [`TransportError::is_closed`] and the like, on all errors |
//! | alerts, a grace period and an end | [`ProducerEnd::enable_required_consumer_liveness`], [`Patience::Managed`] |
//! | the consumers in the ring, and their deaths | [`ProducerEnd::consumers`], [`ProducerEnd::check_peers`] |
//! | deaths of workers in a topology | [`topology::Outcome`] |
//! | a report at any time, from either side | [`ProducerEnd::stall_report`], [`ConsumerEnd::stall_report`] |
//! | counters, also of a process that is dead | [`observability`] |
//! | waiting in an event loop | [`ConsumerEnd::doorbell`]; in tokio `asynchronous`, with the feature `tokio` |
//! | waiting for several streams at once | [`Select`] |
//! | watching a stream | [`TransportTap`](transport::TransportTap), [`TypedTap`](typed_transport::TypedTap) |
//! | answering out of order, or in other threads | [`HeldMessage`](transport::HeldMessage): `next_held`, or `hold` |
//! | another version of a type, while programs run | [`#[message]`](message), "Older versions" |
//! | urgent messages: cancel, pause | [`Topology::with_urgent_lane`](topology::Topology::with_urgent_lane) |
//! | workers that a supervisor of yours starts | [`Workers::started_elsewhere`](topology::Workers::started_elsewhere) |
//! | signals as events, other children, a Unix socket for commands | [`process`] |
//! | starting before the other side | [`attach_when_ready`](transport::TransportBuilder::attach_when_ready) |
//! | removing what a crash left | [`gc`]; of a whole topology [`Topology::gc`](topology::Topology::gc) |
//!
//! # What holds
//!
//! - **Whole or absent.** A sender that is killed in the middle of a message has sent nothing, whatever its length.
//! - **At least once, in order.** A message is acknowledged when it is dropped, and not while a panic unwinds. A
//!   consumer that is killed and comes back under its id gets again what it had not acknowledged,
//!   [marked](transport::Message::is_redelivered).
//! - **Bytes of other processes are checked.** What cannot be read is an error with its cause, once, and counted; the
//!   stream goes on after it. No length that another process wrote decides how much memory is allocated.
//! - **Two programs agree or are refused**: on the layout, on the format, and on the type of the messages, field by
//!   field.
//! - **Space is reserved** when a ring is created; too little space is an error with the numbers in it, and not a
//!   SIGBUS.
//!
//! Not promised: protection from a process that may write to the segment and does not follow the protocol, durability,
//! and anything between machines.
//!
//! # Errors
//!
//! | enum | of |
//! |---|---|
//! | [`TransportError`] | layer 1: `Full` and `TooLarge`, and what the ring says as `Publish`, `Consume` and `Build` |
//! | [`TypedPublishError`], [`TypedReceiveError`](typed_transport::TypedReceiveError) | layers 2 and 3 |
//! | [`CodecError`] | a codec |
//! | [`TopologyError`](topology::TopologyError) | describing a topology, and every call of its ends; it names the end |
//! | [`LaunchError`](topology::LaunchError), [`WorkerJoinError`](topology::WorkerJoinError) | meeting |
//! | [`RestartError`](topology::RestartError) | restarting a worker |
//! | [`Outcome`](topology::Outcome) | not an error: the result of waiting for a worker |
//! | [`MultiProcessError`], [`PublishError`], [`ConsumeError`] | layer 0: building, publishing, consuming |
//! | [`RequiredConsumerError`] | managed publishing |
//!
//! A variant is a situation, its fields are what an operator needs, and the cause is kept as the field `source`. The
//! text of an error contains its causes, so print `{error}` and nothing else.
//!
//! # Features
//!
//! | feature | gives |
//! |---|---|
//! | `bincode` (default) | `#[message]`, `bincode_message!`: messages of serde's types; `myelon::serde` |
//! | `postcard` | `#[message(postcard)]`, `postcard_message!`: the same types in a smaller form |
//! | `rkyv` | `#[message(rkyv)]`, `rkyv_message!`: messages that are read in place; `myelon::rkyv` |
//! | `flatbuffers` | `flatbuffers_message!`: the same, with a schema for other languages too; `myelon::flatbuffers` |
//! | `tokio` | `asynchronous`: either end awaited in a tokio runtime |
//! | `serde` | configuration types implement serde's traits |
//! | `tracing` | stall reports are also emitted as events |
//!
//! # Environment
//!
//! These variables are read when an end, a producer or a consumer, is built, and override what the program asks for.
//! The last three are read by the functions that their lines name. An invalid value is an error that names the
//! variable.
//!
//! - `MYELON_WAIT`: how every end waits: `busy-spin`, `spin-hint`, `yield:SPINS`, `sleep:MICROSECONDS`, `block`, or
//!   `adaptive`, the default; see [`WaitStrategy`]
//! - `MYELON_WRITE_VIA`: where a producer writes a long payload first: `ring`, or `buffer`, its own; `learned`, the
//!   default, measures which costs less; see [`WriteVia`]
//! - `MYELON_PROCESS_CORE`: core for the thread that builds an end, as a number from 0; see
//!   [`with_process_core`](transport::TransportBuilder::with_process_core)
//! - `MYELON_PRODUCER_CORE`, `MYELON_CONSUMER_CORE`: the same, for producers only and for consumers only; they override
//!   `MYELON_PROCESS_CORE`
//! - `MYELON_AUTO_CONSUMER_CORE`: core for the thread of an [`AutoConsumer`], a consumer of events with a thread of its
//!   own
//! - `MYELON_SHUTDOWN_GRACE_MS`: grace period of managed publishing, in milliseconds; see
//!   [`enable_required_consumer_liveness`](ProducerEnd::enable_required_consumer_liveness)
//! - `MYELON_INVITATION`: which worker of which topology this process is. Its scheduler or your supervisor sets it, and
//!   [`Invitation::from_environment`](topology::Invitation::from_environment) reads it; see
//!   [`INVITATION_VARIABLE`](topology::INVITATION_VARIABLE)
//! - `MYELON_DST_SEED`: with the feature `dst`: the only seed for which `dst::seeds` lets a simulation run, to replay a
//!   failure
//!
//! # Platforms
//!
//! Linux, with `/proc`. macOS has fallbacks: a sleeper looks once a millisecond instead of being woken, shared memory
//! is a file in `/private/tmp`, workers learn of their scheduler's death from the ring alone, and there is no pinning.
#![deny(unsafe_code)]
#![deny(clippy::disallowed_types, clippy::disallowed_methods)]

#[cfg(feature = "tokio")]
pub mod asynchronous;
pub mod codec;
#[cfg(feature = "dst")]
pub mod dst;
pub mod inference;
mod namespaces;
pub mod topology;
pub mod transport;
pub mod typed_transport;

// Everything of layer 0, as the same types. Names that this crate defines as well take precedence.
#[doc(inline)]
pub use disruptor_mp::*;
#[doc(inline)]
pub use namespaces::{consumer, observability, prelude, process, producer};

// The names that programs of this family import from the root. The rest is in the modules.
#[doc(inline)]
pub use codec::{Codec, CodecError, message};
#[doc(inline)]
pub use inference::{FixedTopology, InferenceTopologyError, InferenceTopologyResult, WorkerCount};
#[doc(inline)]
pub use transport::{
    AlignedFixedFrame, DEFAULT_MYELON_RESPONSE_DEPTH, DEFAULT_MYELON_RPC_DEPTH, DEFAULT_TRANSPORT_PREFIX, FrameMeta,
    MmapFramedTransportConsumer, MmapFramedTransportProducer, MyelonTransportConfig, MyelonTransportLayout,
    MyelonWaitStrategy, RunnerMyelonTransportConfig, SEGMENT_NAME_LIMIT_MACOS, TransportConsumer, TransportError,
    TransportProducer, TransportResult, compact_session_tag, coordination_cursor_name, ensure_coordination_cursor,
    frame_flags, is_last_frame, is_single_frame, publish_framed_payload, recv_framed_message, validate_segment_name,
};
#[doc(inline)]
pub use typed_transport::{MmapTypedConsumer, MmapTypedProducer, TypedConsumer, TypedProducer, TypedPublishError};

// The libraries whose derives and builders make messages, so that programs need no dependency of their own.
// The front page lists our names only; its table of features says which libraries are here.
#[cfg(feature = "flatbuffers")]
#[doc(hidden)]
pub use flatbuffers;
#[cfg(feature = "rkyv")]
#[doc(hidden)]
pub use rkyv;
#[cfg(any(feature = "bincode", feature = "postcard", feature = "serde"))]
#[doc(hidden)]
pub use serde;

/// Compiles and runs the example of the README.
#[cfg(all(doctest, feature = "bincode"))]
#[doc = include_str!("../README.md")]
struct Readme;

/// Compiles and runs what the guide for users of the alpha shows.
#[cfg(all(doctest, feature = "bincode"))]
#[doc = include_str!("../docs/from-the-alpha.md")]
struct FromTheAlpha;

/// Compiles the quick start of the project's README.
#[cfg(all(doctest, feature = "bincode"))]
#[doc = include_str!("../docs/project.md")]
struct QuickStart;
