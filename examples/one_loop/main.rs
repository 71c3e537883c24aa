//! One thread that waits for everything a server waits for: two rings, a timer, signals, a child, clients on a Unix
//! socket, and an operator's FIFO. A program to copy for a supervisor or a dispatcher.
//!
//! ```text
//! cargo run --release --example one_loop
//! ```
//!
//! ```text
//! a client said: the rings are there
//! a client said: all is sent
//! 3 requests and 300 samples were read, and the timer went on ticking
//! at a safe point: the table has version 2
//! SIGTERM: the worker is asked to end
//! the worker has exited with 0
//! the loop has ended: Quit { drained: true }
//! ```
//!
//! # Where to look
//!
//! - **Rings.** `add_ring` in `ring.rs`: a ring's doorbell is a descriptor, so the loop waits for it like for a socket.
//! - **Signals.** They are blocked in the first line of `serve`, before there is a second thread. The child gets the
//!   mask of before.
//! - **Ending.** TERM asks the worker to end, and the end of the worker ends the loop. A server with work of its own
//!   drains it in between.
//! - **The operator.** `echo D > FIFO` prints what each source has done; `G` runs what waits for a safe point.
//! - **State.** All handlers run in one thread, so `Rc` and `RefCell` are enough.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod ring;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod worker;

type Failure = Box<dyn std::error::Error>;

/// What the worker asks.
#[myelon::message]
struct Request {
    number: u64,
}

/// What the worker has measured.
#[myelon::message]
struct Sample {
    nanoseconds: u64,
}

#[cfg(target_os = "linux")]
fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => server::serve(),
        ["worker", requests, samples, directory] => worker::work(requests, samples, directory.as_ref()),
        _ => Err("this program takes no arguments".into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn main() -> Result<(), Failure> {
    Err("signals and children are sources of a loop only on Linux".into())
}
