//! The child: a worker that uses each thing which the server waits for.

use crate::{Failure, Request, Sample};
use myelon::ConsumerInfo;
use myelon::process::Signal;
use myelon::process::signals::block_first;
use myelon::typed_transport::TypedProducer;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const REQUESTS: i64 = 3;
const SAMPLES: i64 = 300;

/// Nothing here takes longer, unless the server is gone.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn work(requests: &str, samples: &str, directory: &Path) -> Result<(), Failure> {
    let blocked = block_first()?;
    let signals = blocked.reader()?;
    let mut requests = TypedProducer::<Request>::create_default(requests)?;
    let mut samples = TypedProducer::<Sample>::create_default(samples)?;
    let mut server = Server(BufReader::new(UnixStream::connect(directory.join("clients"))?));
    server.ask("the rings are there")?;

    let began = Instant::now();
    for number in 1..=REQUESTS as u64 {
        requests.publish(&Request { number }, 0)?;
    }
    for _ in 0..SAMPLES {
        samples.publish(&Sample { nanoseconds: began.elapsed().as_nanos() as u64 }, 0)?;
    }
    until("it has read all", || {
        let has_read = |consumers: Vec<ConsumerInfo>, sent: i64| consumers.iter().any(|it| it.position == sent);
        Ok(has_read(requests.consumers(), REQUESTS) && has_read(samples.consumers(), SAMPLES))
    })?;
    // Longer than the period of the server's timer.
    std::thread::sleep(Duration::from_millis(5));
    server.ask("all is sent")?;

    // As an operator does it: echo DG > commands
    std::fs::OpenOptions::new().write(true).open(directory.join("commands"))?.write_all(b"DG")?;
    until("the table is loaded anew", || Ok(server.ask("which version")? == "2"))?;

    let server = std::os::unix::process::parent_id().to_string();
    std::process::Command::new("kill").arg(server).status()?;
    // The end of `kill`, which is our child, is a signal as well, and may come first.
    while let Some(received) = signals.next(PATIENCE)? {
        if received.signal == Signal::TERM {
            return Ok(()); // the rings are closed and removed
        }
    }
    Err("the server did not ask to end".into())
}

/// A connection to the server.
struct Server(BufReader<UnixStream>);

impl Server {
    /// Sends a line and waits for the answer.
    fn ask(&mut self, line: &str) -> Result<String, Failure> {
        writeln!(self.0.get_mut(), "{line}")?;
        let mut answer = String::new();
        match self.0.read_line(&mut answer)? {
            0 => Err("the server has closed the connection".into()),
            _ => Ok(answer.trim_end().to_owned()),
        }
    }
}

/// Asks again and again, once a millisecond, until `is_so`.
fn until(what: &str, mut is_so: impl FnMut() -> Result<bool, Failure>) -> Result<(), Failure> {
    let began = Instant::now();
    while !is_so()? {
        if began.elapsed() > PATIENCE {
            return Err(format!("the server did not answer that {what}").into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
