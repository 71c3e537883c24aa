//! Child processes that are told what they need and end as they should, signals as events, and Unix sockets and FIFOs
//! with rules.
//!
//! A server starts workers, reads signals and takes commands from operators. The standard library does each of these
//! with a trap: a child of a process that has blocked signals survives SIGTERM; a child dies with the *thread* that
//! started it, or outlives its parent; where SIGCHLD is ignored its end cannot be known; a socket has the mode that the
//! umask happens to leave. This crate has one way without the trap for each.
//!
//! | you want to | take |
//! |---|---|
//! | start a program, and know how it ended | [`Command`], [`Child`], [`Ended`] |
//! | have children that end with their parent | [`Nursery`], [`orphan::die_with_parent`] |
//! | read SIGTERM as an event | [`signals::block_first`] |
//! | take commands through a Unix socket | [`listen::Listener`] |
//! | take commands of a shell through a FIFO | [`listen::Fifo`] |
//!
//! It needs no runtime, and has threads only where you ask for one (a nursery), or drop a child that still runs.
//!
//! # Example
//!
//! ```
//! use myelon_process::{Command, Ended, Nursery, Stdio};
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let nursery = Nursery::start()?;
//! let mut command = Command::new("sh");
//! command.args(["-c", "exit 3"]).stdin(Stdio::null());
//! let mut worker = nursery.spawn(&command)?;
//! match worker.wait(Duration::from_secs(30)) {
//!     Some(Ended::Exited(code)) => assert_eq!(code, 3),
//!     Some(ended) => println!("the worker {ended}"), // "was ended by SIGKILL"
//!     None => worker.kill()?,
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Platforms
//!
//! Linux 5.4 or later. On macOS there is neither a tie to the parent nor a descriptor of a child, `signals` has no
//! reader, and `listen` is missing.
//!
//! Source: RFC 0020.
#![forbid(unsafe_code)]

mod child;
mod command;
mod ended;
mod error;
#[cfg(target_os = "linux")]
pub mod listen;
mod nursery;
pub mod orphan;
mod prepared;
mod signal;
pub mod signals;
mod stdio;

pub use child::Child;
pub use command::Command;
#[doc(inline)]
pub use disruptor_mp::Patience;
pub use ended::{Ended, StatusUnknown};
pub use error::SpawnError;
pub use nursery::Nursery;
pub use signal::{Signal, SignalSet};
pub use stdio::Stdio;

/// Compiles and runs the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
