//! Segments: memory that several processes map, with a header that says what it is, and locks that say which processes
//! use it.
//!
//! Nothing here knows what an event is.
//!
//! ```text
//! name       what a segment may be called        header     its first page: written once, parsed as untrusted bytes
//! place      where it is                         segment    one that is mapped: opened, looked at, claimed
//! blueprint  how long, and what begins where     creation   making one, also in the place of another; options
//! sole       one that dies with its creator      gc         removing segments without users
//! copy       whether an object is a copy
//! owner      who uses it; who we are             backend    finding, naming, unlinking: shm, file, memfd, heap
//! ```
//!
//! # What is promised, and what is not
//!
//! - A segment that can be found is complete, or its creator is alive and still making it, or its creator is
//!   recognisably dead.
//! - Its space is reserved: no SIGBUS for lack of space on tmpfs, memory files, ext4 and xfs, unless a sparse segment
//!   was asked for. Not promised: anything against a process with write permission that truncates the file, I/O errors,
//!   a cgroup's OOM kill. Hence the mode 0600, and memory files that are sealed against changing their length.
//! - The kernel says whether a participant lives, without a timeout and across pid namespaces. A child of a fork holds
//!   no lock.
//! - Every number that is read from a segment is copied once, checked, and used from the copy.
//! - A peer that may map a segment read-write is trusted to write only where the protocol allows it. No reader in place
//!   could survive anything else.
//!
//! On Linux this needs `/proc`. macOS has neither files without a name nor sealed memory files: there a segment is
//! created under its name and openers wait for it, `Place::Memfd` does not exist, and shared memory is a file in
//! `/private/tmp`.

mod backend;
mod blueprint;
mod copy;
mod creation;
mod error;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gc;
mod header;
mod name;
mod options;
mod owner;
mod permissions;
mod place;
#[allow(clippy::module_inception)] // the module is the directory, the file its main type
mod segment;
mod sole;
mod title;
#[cfg(target_os = "linux")]
mod trial;

#[cfg(test)]
mod conformance;

pub use backend::HeapObject;
#[cfg(target_os = "linux")]
pub use backend::MemfdObject;
pub use backend::MemoryLimit;
pub(crate) use backend::{Access, name_of_shared_memory, shared_memory_directory};
pub use blueprint::{Blueprint, HEADER_BYTES, Kind, MAX_TOTAL_LEN, PlanError, Section, SegmentPlan};
pub use copy::is_copy;
pub(crate) use creation::replace;
pub use error::{CreateError, GcError, OpenError};
pub use gc::{GcOutcome, gc};
pub(crate) use gc::{called_at, collect, occupant};
#[cfg(test)]
pub(crate) use header::restamp;
pub use header::{ABI, AbiVersion, SegmentMake};
pub use name::{
    InvalidName, MmapTransportLayout, NameProblem, PORTABLE_SHM_SEGMENT_NAME_MAX_LEN, SegmentName,
    portable_shm_segment_name,
};
pub use options::CreateOptions;
#[doc(hidden)]
pub use owner::Registered;
pub use owner::fork_epoch;
pub(crate) use owner::{COLLECTOR, Claim, PRODUCER, Spare};
pub use permissions::Permissions;
pub use place::Place;
pub(crate) use segment::{Fate, Segment};
pub(crate) use sole::Sole;
pub use title::Title;
#[cfg(target_os = "linux")]
pub use trial::{DirectoryTrial, directory_trial, is_ring};
