//! A console for a server that has an event loop: its operator asks what it waits for, changes its settings, has its
//! tables read again at a safe point, and ends it. From a terminal, from a script, or from a program in any language. A
//! program to copy for both sides: the server is a screenful, and the client fits every server with such a console.
//!
//! ```text
//! cargo run --release --example runtime_console
//! ```
//!
//! ```text
//! the server has the methods counts, dump, exit, log_level, methods, quiesce, quit, sources
//! log_level [5] -> 3
//! log_level ["loud"] -> error -32602: invalid type: string "loud", expected u8
//! sources -> among 8 there is "heartbeat", a timer
//! the byte G on the FIFO: the table of models was read again
//! the byte D on the FIFO: a dump of 8 sources
//! the byte ? on the FIFO: commands of a shell: '?' (0x3f) is no command
//! quit -> null
//! the server has ended well, and left no file
//! ```
//!
//! Without arguments the program starts a server and talks to it. Each side alone:
//!
//! ```text
//! runtime_console serve PATH               a server: JSON-RPC on the socket PATH, bytes on the FIFO PATH.commands
//! runtime_console PATH METHOD [PARAMS]     asks it: runtime_console /run/my/console log_level '[5]'
//! runtime_console PATH                     asks it METHOD [PARAMS] for each line of the standard input
//! echo G > PATH.commands                   D: dump, G: quiesce, Q: quit, X: exit
//! ```
//!
//! # Where to look
//!
//! - **Who may connect** (`server.rs`). The directory, the socket and the FIFO are this user's alone. The server makes
//!   them, replaces what a killed server has left, and refuses to start beside one that runs.
//! - **Methods** (`server.rs`). A closure that gets the loop, in its thread: no locks. What every server has (`dump`,
//!   `sources`, `quit`) is there already.
//! - **Safe points** (`server.rs`). The table is read again when no other handler runs.
//! - **The client** (`client.rs`) is a socket and lines of JSON. Any language has both.
#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod client;
#[cfg(target_os = "linux")]
mod server;
#[cfg(target_os = "linux")]
mod terminal;
#[cfg(target_os = "linux")]
mod tour;

use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(target_os = "linux")]
fn run() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => tour::show(),
        ["serve", path] => server::serve(path.as_ref()),
        [path] => terminal::ask_each_line(path),
        [path, method] => terminal::ask(path, method, None),
        [path, method, params] => terminal::ask(path, method, Some(params)),
        _ => Err("runtime_console [serve PATH | PATH [METHOD [PARAMS]]]".into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn run() -> Result<(), Failure> {
    Err("sockets and FIFOs with an owner are on Linux only".into())
}
