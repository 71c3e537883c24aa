//! Both ends of a stream, and of a topology, for programs that await, in a tokio runtime.
//!
//! | for | see |
//! |---|---|
//! | receiving: in place, owned, held, as a `Stream` | [`AsyncConsumer`] |
//! | sending, and awaiting room | [`AsyncProducer`] |
//! | a topology: its scheduler, a worker, of bytes or of types | [`AsyncScheduler`], [`AsyncWorker`] |
//!
//! Each wraps an end that was built as usual, and can be turned back into it. The process at the other end of the ring
//! notices no difference. The runtime needs its I/O and time drivers (`enable_all`, as `#[tokio::main]` has them).
//!
//! ```
//! use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
//! use myelon::prelude::*;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # if !cfg!(target_os = "linux") { return Ok(()); }
//! # let name = portable_shm_segment_name("doc");
//! # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
//! # runtime.block_on(async {
//! let mut producer = AsyncProducer::new(TransportProducer::create_default(&name)?);
//! // Usually in another process:
//! let mut consumer = AsyncConsumer::new(TransportConsumer::join(&name, "worker-0")?)?;
//!
//! producer.publish(b"a step", 1).await?;
//! drop(producer); // closes the stream
//! while let Some(message) = consumer.next_or_end().await? {
//!     assert_eq!((&message[..], message.kind()), (&b"a step"[..], 1));
//! }
//! # Ok(())
//! # })
//! # }
//! ```
//!
//! A future that is dropped before it is ready has done nothing; each method says so in detail. A message is taken out
//! of the ring, or put in, only in the poll that returns `Ready`. Source: RFC 0010, "Awaiting".

mod bell;
mod receive;
mod scheduler;
mod send;
mod worker;

pub use receive::{AsyncConsumer, AsyncMessages, Receive};
pub use scheduler::{AsyncScheduler, AsyncTypedScheduler, Schedule};
pub use send::{AsyncProducer, Publish};
pub use worker::{Answerable, AsyncBroadcast, AsyncTypedBroadcast, AsyncTypedWorker, AsyncWorker, Work};
