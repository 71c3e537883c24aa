//! Looking at any segment from outside: a ring, a counters file or a cursor of any program, without its types.
//!
//! Everything here maps read-only, takes no lock, waits for nothing, and works on what runs, is stopped or is dead. It
//! is what the command `myelon`, exporters and monitors are made of. A program that knows the type of its events uses a
//! [tap](crate::Tap) or a [`SharedRingBuffer`](crate::SharedRingBuffer) instead.
//!
//! ```
//! use disruptor_mp::observe::{Life, Observer};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let name = disruptor_mp::portable_shm_segment_name("doc");
//! # let mut producer = disruptor_mp::SharedProducer::create(&name, 1024, || 0_u64)?;
//! # let _worker = disruptor_mp::SharedConsumer::<u64>::attach(&name, 1024, "worker-0")?;
//! # producer.publish(|slot| *slot = 7)?;
//! let ring = Observer::open(&name)?;
//! println!("{}: {}, {} bytes", ring.called(), ring.kind(), ring.total_len_bytes());
//! assert_eq!(ring.life(), Life::Alive);
//! for consumer in ring.consumers() {
//!     println!("{} lags by {} events", consumer.id, ring.published() - consumer.position);
//! }
//! // The last events, whatever they are.
//! let mut tap = ring.tap(10).expect("it is a ring");
//! while let Some(event) = tap.next_now() {
//!     println!("{}: {:?}", event.sequence(), &event[..]); // 0: [7, 0, 0, 0, 0, 0, 0, 0]
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What is read from a segment may be damaged or forged: numbers are checked before they are used, texts contain no
//! character that disguises a line on a terminal, and no look takes long. A file that is truncated *while* it is looked
//! at ends the process with SIGBUS, as with every mapping; [`Observer::is_whole`] asks before.

mod catalogue;
mod life;
mod observer;
mod tap;

pub use catalogue::{Catalogue, Found};
pub use life::{Life, ProducerInfo};
pub use observer::Observer;
pub use tap::{RawEvent, RawTap};
