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

mod client;
mod server;

use client::{CallError, Client};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStdout, Command, ExitCode, Stdio};

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

fn run() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => show(),
        ["serve", path] => server::serve(Path::new(path)),
        [path] => ask_each_line(path),
        [path, method] => print_answer(&Client::connect(path)?.call(method, None)?),
        [path, method, params] => print_answer(&Client::connect(path)?.call(method, Some(params))?),
        _ => Err("runtime_console [serve PATH | PATH [METHOD [PARAMS]]]".into()),
    }
}

/// A text as it is, anything else as JSON of several lines. It does not matter if the reader has gone.
fn print_answer(answer: &Value) -> Result<(), Failure> {
    let text = answer.as_str().map_or_else(|| format!("{answer:#}"), |text| text.trim_end().to_owned());
    let _ = writeln!(std::io::stdout(), "{text}");
    Ok(())
}

/// A line that fails is told, and the next one is asked.
fn ask_each_line(path: &str) -> Result<(), Failure> {
    let mut client = Client::connect(path)?;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let (method, params) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        if method.is_empty() {
            continue;
        }
        match client.call(method, Some(params).filter(|params| !params.trim().is_empty())) {
            Ok(answer) => print_answer(&answer)?,
            Err(error @ (CallError::Connect { .. } | CallError::Stream(_))) => return Err(error.into()),
            Err(error) => eprintln!("{error}"),
        }
    }
    Ok(())
}

/// Starts a server and shows what its console can do.
fn show() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("runtime-console-{}", std::process::id()));
    let path = folder.join("console");
    let mut server = Command::new(std::env::current_exe()?).arg("serve").arg(&path).stdout(Stdio::piped()).spawn()?;
    let shown = talk(&path, BufReader::new(server.stdout.take().ok_or("it was asked for")?));
    if shown.is_err() {
        // It may have ended already.
        let _ = server.kill();
    }
    let status = server.wait()?;
    shown?;
    // The directory was made by the server, and may have the sockets of others in it, so it stays.
    std::fs::remove_dir(&folder)?;
    if !status.success() {
        return Err(format!("the server has ended badly: {status}").into());
    }
    println!("the server has ended well, and left no file");
    Ok(())
}

fn talk(path: &Path, mut said: BufReader<ChildStdout>) -> Result<(), Failure> {
    expect(&mut said, "ready")?;
    let mut client = Client::connect(path)?;
    let methods = client.call("methods", None)?;
    let names = methods.as_array().into_iter().flatten().filter_map(|method| method["name"].as_str());
    println!("the server has the methods {}", names.collect::<Vec<_>>().join(", "));

    for params in ["[5]", "[\"loud\"]"] {
        match client.call("log_level", Some(params)) {
            Ok(old) => println!("log_level {params} -> {old}"),
            Err(error) => println!("log_level {params} -> {error}"),
        }
    }
    let sources = client.call("sources", None)?;
    let sources = sources.as_array().ok_or("a list")?;
    let timer = sources.iter().find(|source| source["kind"] == "timer").ok_or("the server has a timer")?;
    println!("sources -> among {} there is {}, a timer", sources.len(), timer["description"]);

    let commands = server::commands(path);
    std::fs::write(&commands, "G\n")?;
    println!("the byte G on the FIFO: {}", expect(&mut said, "the table")?);
    std::fs::write(&commands, "D\n")?;
    let dump = expect(&mut said, "loop: ")?;
    println!("the byte D on the FIFO: a dump of {}", dump.trim_start_matches("loop: ").split(',').next().unwrap_or(""));
    std::fs::write(&commands, "?")?;
    let told = expect(&mut said, "commands of a shell: ")?;
    println!("the byte ? on the FIFO: {}", told.split(';').next().unwrap_or(""));

    let answer = client.call("quit", None)?;
    assert_eq!(answer, json!(null));
    println!("quit -> {answer}");
    Ok(())
}

/// The next line of the server that begins so.
fn expect(said: &mut BufReader<ChildStdout>, beginning: &str) -> Result<String, Failure> {
    for line in said.lines() {
        let line = line?;
        if line.starts_with(beginning) {
            return Ok(line);
        }
    }
    Err(format!("the server has ended and not said `{beginning}`").into())
}
