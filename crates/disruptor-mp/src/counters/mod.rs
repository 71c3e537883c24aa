//! Counters that anybody can read: what an endpoint has done so far, also when its process is stopped or dead.
//!
//! A table of counters is a piece of memory, usually a section of a ring's segment. Whoever has something to count
//! registers an id and a label and gets a [`CounterHandle`]; whoever wants to know takes a [`CountersFile::snapshot`].
//! Each counter has one writer, which updates it with a relaxed load and a relaxed store: counting costs no locked
//! instruction and no system call, and it needs nobody on the reading side.
//!
//! ```
//! use disruptor_mp::counters::{CountersFile, ids};
//!
//! let file = CountersFile::boxed(8);
//! let published = file.register(ids::EVENTS_PUBLISHED, 0, "rpc").expect("the table has eight records");
//! published.add(3);
//! assert_eq!(file.snapshot()[0].value, 3);
//! ```
//!
//! # The bytes
//!
//! A table of `capacity` counters is `128 * (1 + 2 * capacity)` bytes and starts on a multiple of 128. All numbers are
//! in the byte order of the host. Reserved bytes are zero.
//!
//! ```text
//! offset                    bytes
//! 0                         128              table header
//!       0      8  magic: "MYELCNTR", stored last, with Release; 0 while the table is being made
//!       8      4  version: 1
//!      12      4  capacity
//!      16    112  reserved
//! 128                       128 * capacity   one record per counter: what it is
//!       0      4  state: 0 free, 1 claiming, 2 ready (stored last, with Release)
//!       4      4  id
//!       8      4  flags
//!      12      4  pid of the owner, as the owner's pid namespace has it
//!      16      4  bytes of the label in use
//!      20      4  reserved
//!      24     48  label, UTF-8, padded with zeros
//!      72     56  reserved
//! 128 * (1 + capacity)      128 * capacity   one line per counter: how much
//!       0      8  value
//!       8    120  reserved, so that two writers never share a cache line, nor a pair that is fetched together
//! ```
//!
//! A record goes from free to claiming to ready and stays there as long as the table; nothing is ever unregistered.
//! Free records are taken from the front, therefore a record that is registered already always lies before the first
//! free one. A process that is killed while it claims leaves a record that everybody passes over: one counter fewer,
//! nobody waits.
//!
//! **Lives here:** the table, its files and handles, and the well-known [`ids`]. **Builds on:** `sync::primitive`.
//! **May touch it:** anybody registers and reads; only `memory` handles pointers.
#![deny(unsafe_code)]

mod file;
mod handle;
pub mod ids;
#[allow(unsafe_code)]
mod memory;
mod place;
mod table;

pub use file::CountersFile;
pub use handle::CounterHandle;
pub(crate) use memory::section_len;
pub use table::{CAPACITY_MAX, CounterSnapshot, LABEL_BYTES_MAX, TableError};
