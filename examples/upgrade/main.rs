//! A rolling upgrade: the type of a stream's messages changes twice while one writer and two readers run, are stopped,
//! and are killed. Readers first, then the writer. A program to copy where a stream has to outlive the releases of the
//! programs at its ends.
//!
//! ```text
//! cargo run --release --example upgrade
//! ```
//!
//! ```text
//! version 1 writes, versions 1 and 1 read
//! version 1 writes, versions 2 and 2 read: SIGTERM for one reader, SIGKILL for the other
//! version 2 writes, versions 2 and 2 read: the writer has handed over, with a backlog for a reader that is away
//! version 2 writes, versions 3 and 3 read: SIGKILL for one reader, SIGTERM for the other
//! version 3 writes, versions 3 and 3 read: SIGKILL for the writer, with a backlog for both readers, which are away
//! the writer closes the stream
//! reader a: 60 messages of 60, each once
//! reader b: 60 messages of 60, each once
//! ```
//!
//! # Where to look
//!
//! - **Versions** (`measurement.rs`). What a reader declares about older messages: a field with a default, or a
//!   conversion.
//! - **Readers** (`reader.rs`) have ids, so their entries are kept while they are away. They do nothing for an upgrade:
//!   `next` reads the old ring to its end, and goes on in the new one with that ring's decoder.
//! - **The writer** (`writer.rs`) hands over when it is asked to stop. Dropping its end would close the stream, and its
//!   readers would end.
//! - **Once.** A reader that is killed between using a message and acknowledging it gets the message again, marked. All
//!   others come once.
#![forbid(unsafe_code)]

mod child;
mod measurement;
mod reader;
mod writer;

use child::{Reader, Writer};
use rustix::process::Signal;

/// How many messages are sent in all.
const MESSAGES: u64 = 60;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => upgrade(),
        ["writer", name, version] => writer::write(name, version.parse()?),
        ["reader", name, id, version] => reader::read(name, id, version.parse()?),
        _ => Err("this program takes no arguments".into()),
    }
}

/// The operator's part.
fn upgrade() -> Result<(), Failure> {
    let name = format!("upgrade{}", std::process::id());
    let mut writer = Writer::start(&name, 1)?;
    let mut a = Reader::start(&name, "a", 1)?;
    let mut b = Reader::start(&name, "b", 1)?;
    println!("version 1 writes, versions 1 and 1 read");
    writer.send(0..12)?;
    a.wait_for(12)?;
    b.wait_for(12)?;

    println!("version 1 writes, versions 2 and 2 read: SIGTERM for one reader, SIGKILL for the other");
    a.stop(Signal::TERM)?;
    writer.send(12..18)?;
    a.restart(2)?;
    b.stop(Signal::KILL)?;
    writer.send(18..24)?;
    b.restart(2)?;
    a.wait_for(24)?;
    b.wait_for(24)?;

    b.stop(Signal::KILL)?;
    writer.send(24..30)?;
    writer.stop(Signal::TERM)?;
    writer = Writer::start(&name, 2)?;
    println!(
        "version 2 writes, versions 2 and 2 read: the writer has handed over, with a backlog for a reader that is away"
    );
    writer.send(30..36)?;
    b.restart(2)?;
    a.wait_for(36)?;
    b.wait_for(36)?;

    println!("version 2 writes, versions 3 and 3 read: SIGKILL for one reader, SIGTERM for the other");
    a.stop(Signal::KILL)?;
    writer.send(36..42)?;
    a.restart(3)?;
    b.stop(Signal::TERM)?;
    writer.send(42..48)?;
    b.restart(3)?;
    a.wait_for(48)?;
    b.wait_for(48)?;

    a.stop(Signal::TERM)?;
    b.stop(Signal::KILL)?;
    writer.send(48..54)?;
    writer.stop(Signal::KILL)?;
    writer = Writer::start(&name, 3)?;
    println!(
        "version 3 writes, versions 3 and 3 read: SIGKILL for the writer, with a backlog for both readers, which are away"
    );
    writer.send(54..MESSAGES)?;
    a.restart(3)?;
    b.restart(3)?;
    a.wait_for(MESSAGES as usize)?;
    b.wait_for(MESSAGES as usize)?;

    println!("the writer closes the stream");
    writer.close()?;
    for (id, reader) in [("a", a), ("b", b)] {
        println!("reader {id}: {}", reader.account(MESSAGES)?);
    }
    Ok(())
}
