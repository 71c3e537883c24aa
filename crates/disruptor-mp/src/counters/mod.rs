//! Counters that say what an endpoint has done so far. Every process can read them, even if the endpoint's process is
//! stopped or dead.
//!
//! A table of counters is a piece of memory, usually a section of a ring's segment. The ends of a ring count in it by
//! themselves. An application registers an id and a label and gets a [`CounterHandle`]; a reader takes a
//! [`CountersFile::snapshot`]. Each counter has one writer, which updates it with a relaxed load and a relaxed store:
//! counting costs no locked instruction and no system call, and it needs no process on the reading side.
//!
//! ```
//! use disruptor_mp::counters::{CountersFile, ids};
//!
//! let file = CountersFile::boxed(8);
//! let published = file.register(ids::EVENTS_PUBLISHED, 0, "rpc").expect("the table has eight records");
//! published.add(3);
//! let counter = &file.snapshot()[0];
//! assert_eq!(counter.to_string(), "events_published = 3 events (rpc; registered)");
//! assert_eq!(counter.help, "Events that a producer has published.");
//! ```
//!
//! # Whose counters they are
//!
//! - **An end of a ring, in the ring's own table,** has a *block*: the producer's, or that of the consumer's entry. The
//!   kernel's lock of the producer's byte, or of the entry's, says whose it is. The next owner continues the counts if
//!   it has the same label; otherwise they move to *former consumers*.
//! - **An end of a ring, in a file that was attached,** has *records* of its own, under a number that no other end of
//!   the file has. They are released when the end is dropped, and are taken again.
//! - **An application** has a *record*, under an id and a label. The same pair continues the count.
//!
//! # The bytes
//!
//! A table starts on a multiple of 128. All numbers are in the byte order of the host. Reserved bytes are zero.
//!
//! ```text
//! offset                    bytes
//! 0                         128              table header
//!       0      8  magic: "MYELCNTR", stored last, with Release; 0 while the table is being made
//!       8      4  version: 2
//!      12      4  records
//!      16      4  blocks: 0 in a file; in a ring 2 + the length of its table of consumers
//!      20      4  the last number that an attached end was given
//!      24    104  reserved
//! 128                       384 * blocks     one block per end: 0 the producer, 1 the former consumers, 2 + i entry i
//!       0      8  tenure: epoch << 8 | 1 counting, 2 ended; 0 while it changes hands (stored last, with Release)
//!       8      8  bit n: word n is in use
//!      16      4  pid of the owner, as the owner's pid namespace has it
//!      20      4  bytes of the label in use
//!      24    128  label, UTF-8, padded with zeros: "producer", or the consumer's id
//!     152     40  reserved
//!     192    192  24 counts; which is which says `ids`
//! 128 + 384 * blocks        128 * records    one record per registered or attached counter
//!       0      4  state: 0 free, 1 claiming, 2 ready (stored last, with Release), 3 released
//!       4      4  id
//!       8      4  flags
//!      12      4  pid of the owner
//!      16      4  number of the attached end; 0: registered
//!      20      4  bytes of the label in use
//!      24     48  label
//!      72      4  bytes of the ring's place in use
//!      76      4  1 + the lock byte of the attached end's process; 0: none
//!      80     40  the place of the attached end's ring
//!     120      8  count
//! ```
//!
//! Two writers never share a block or a record, and so never a cache line nor a pair of them that is fetched together.
//!
//! A process that is killed while it claims a record leaves one that all others skip: one counter fewer, and no wait.
//! RFC 0012 describes crashes of a block's owner.
//!
//! Only `memory` handles pointers.

mod block;
mod end;
mod file;
mod handle;
pub mod ids;
#[allow(unsafe_code, reason = "finds words in memory that is not ours to type")]
mod memory;
mod place;
mod record;
mod snapshot;
mod table;
mod text;

pub(crate) use end::EndCounters;
pub use file::CountersFile;
pub use handle::CounterHandle;
pub use record::LABEL_BYTES_MAX;
pub use snapshot::{COUNTER_FLAG_CONSUMER, COUNTER_FLAG_IN_USE, COUNTER_FLAG_PRODUCER, CounterOwner, CounterSnapshot};
pub(crate) use table::Shape;
pub use table::{CAPACITY_MAX, COUNTERS_FILE_RESERVED_BYTES, TableError};
