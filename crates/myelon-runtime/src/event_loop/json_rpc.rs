//! Commands of operators and of other programs: JSON-RPC 2.0, one message a line, on a Unix socket or a pair of FIFOs.
//!
//! ```text
//! client                                          server
//! {"jsonrpc":"2.0","id":1,"method":"dump"}    ->
//!                                             <-  {"jsonrpc":"2.0","id":1,"result":"loop: 3 sources, ..."}
//! ```
//!
//! | an answer with | means | a client |
//! |---|---|---|
//! | -32700 | the line is no JSON | mends its line |
//! | -32600 | it is JSON and no request, or the line is longer than [`LINE_BYTES_MAX`] | mends its request |
//! | -32601 | there is no such method; `methods` lists them | |
//! | -32602 | the method does not take these params | mends its params |
//! | -32603 | the method has failed or panicked, or its answer is too large | tells the server's operator |
//! | -32000 | [`CLIENTS_MAX`] clients are connected, and this one has no place; the stream is closed | connects later |
//! | others | what a method of the server says | |
//!
//! # Methods that every server has
//!
//! | method | answer |
//! |---|---|
//! | `dump` | the text of [`LoopHandle::dump`](super::LoopHandle::dump) |
//! | `sources` | a list with an object for each source; its durations are in nanoseconds (`_ns`) |
//! | `quiesce` | `null`; [`LoopHandle::request_quiesce`](super::LoopHandle::request_quiesce) |
//! | `quit` | `null`; [`LoopHandle::quit`](super::LoopHandle::quit) |
//! | `exit` | `null`; [`LoopHandle::exit`](super::LoopHandle::exit) |
//! | `methods` | a list with the name and the purpose of each method |
//! | `counts` | the numbers of [`RpcCounts`] |
//!
//! # Rules
//!
//! - An id is a string, a number or null. An integer of 64 bits comes back as it is, another number as the same `f64`.
//!   A request without id is a notification: it gets no answer, also if it fails.
//! - A batch is a list of requests in one line; its answers are in one line. If there are only notifications in it,
//!   there is none.
//! - Requests of one client are answered in their order. Clients are served in turn: each call serves one line.
//! - Empty lines are ignored. What is left without an end of line when a client closes its side is a line.
//! - **Silence.** A client may be silent as long as there are places. When [`CLIENTS_MAX`] clients are connected and a
//!   new one comes, the one that has sent no request for the longest time loses its place, if that is for
//!   [`SILENCE_MAX`]. A client that the program has paused, or that a rate limit holds back, keeps its place.
//! - **Memory.** A client costs at most a line, an answer, and errors for the other requests of a batch: an answer is
//!   at most [`ANSWER_BYTES_MAX`]. A client that does not read its answers is not read any more until it does; other
//!   clients and sources do not wait for it.
//!
//! Source: RFC 0025.

mod answer;
mod built_in;
mod conversation;
mod error;
mod fifos;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod lines;
mod methods;
mod request;
mod socket;

pub use error::RpcError;
pub use lines::LINE_BYTES_MAX;
pub use methods::{Methods, Params, RpcCounts};

use std::time::Duration;

/// How long an answer may be. An answer of more becomes an error; in a batch this is about all its answers.
pub const ANSWER_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many clients one listener serves. A further one gets the place of the client that has been silent longest, if
/// that is for [`SILENCE_MAX`]. Otherwise it gets an error, and its stream is closed.
pub const CLIENTS_MAX: usize = 64;

/// For how long a client of a listener may send no request when all places are taken. Then its stream is closed when a
/// new client connects. A request counts when its line is whole, and also if it is answered with an error.
///
/// A minute: longer than a program between two requests of one task, and short enough for an operator who waits.
pub const SILENCE_MAX: Duration = Duration::from_secs(60);
