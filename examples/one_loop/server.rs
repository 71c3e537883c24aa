//! The server: all of it is handlers of one loop.

use crate::ring::add_ring;
use crate::{Failure, Request, Sample};
use myelon::process::listen::{Access, Fifo, Listener};
use myelon::process::signals::{self, Received};
use myelon::process::{Child, Command, Ended, Signal};
use myelon::typed_transport::TypedConsumer;
use myelon_runtime::event_loop::{EventLoop, Interest, Next, OnFailure, Ready, Settings, SourceId};
use std::cell::Cell;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

/// How long the loop waits for a safe point. It attends no agenda here, so it is there at once.
const PATIENCE: Duration = Duration::from_secs(1);

/// The longest line that a client may send.
const LINE_BYTES: usize = 64 << 10;

/// What the handlers share. They run one after the other, in one thread.
#[derive(Default)]
struct State {
    requests: Cell<u64>,
    samples: Cell<u64>,
    ticks: Cell<u64>,
    table_version: Cell<u64>,
    worker: Cell<Option<SourceId>>,
}

pub(crate) fn serve() -> Result<(), Failure> {
    // First, before there is a second thread.
    let blocked = signals::block_first()?;
    let mut event_loop = EventLoop::new()?;
    event_loop.on_failure(|failure| eprintln!("{}: {}", failure.description, failure.cause));
    event_loop.on_dump(|text| eprint!("{text}"));
    let state = Rc::new(State::default());
    state.table_version.set(1);

    let seen = Rc::clone(&state);
    event_loop.add_interval(Duration::from_millis(1), "count the ticks", move |_: &mut EventLoop, _| {
        seen.ticks.set(seen.ticks.get() + 1);
    });

    // What clients and the operator use is in one directory, which only this user can enter.
    let pid = std::process::id();
    let directory = std::env::temp_dir().join(format!("one-loop-{pid}"));
    event_loop.add_command_fifo(Fifo::create(directory.join("commands"))?, "commands of the operator")?;
    let seen = Rc::clone(&state);
    event_loop.add_at_safe_point(PATIENCE, "load the table anew", move |_: &mut EventLoop| {
        seen.table_version.set(seen.table_version.get() + 1);
        println!("at a safe point: the table has version {}", seen.table_version.get());
    });

    let (requests, samples) = (format!("one_loop{pid}-requests"), format!("one_loop{pid}-samples"));
    let rings = Rc::new((requests.clone(), samples.clone()));
    let seen = Rc::clone(&state);
    let listener = Listener::bind(directory.join("clients"), Access::Owner)?;
    let accept = move |event_loop: &mut EventLoop, listener: &mut Listener, _: Ready| -> Result<Next, Failure> {
        let Some((stream, _)) = listener.accept()? else { return Ok(Next::Drained) };
        serve_client(event_loop, stream, &seen, &rings)?;
        Ok(Next::More)
    };
    event_loop.add(listener, Interest::Readable, "clients that connect", accept)?;

    let mut command = Command::new(std::env::current_exe()?);
    command.args(["worker", &requests, &samples]).arg(&directory);
    let worker = command.spawn()?;
    let ended = |event_loop: &mut EventLoop, _: &mut Child, ended: Ended| {
        println!("the worker {ended}");
        event_loop.handle().quit();
    };
    state.worker.set(Some(event_loop.add_child(worker, "the worker", ended)?));

    let seen = Rc::clone(&state);
    let signalled = move |event_loop: &mut EventLoop, received: Received| -> Result<(), Failure> {
        if received.signal == Signal::TERM || received.signal == Signal::INT {
            println!("{}: the worker is asked to end", received.signal);
            let worker = seen.worker.get().and_then(|id| event_loop.source_mut::<Child>(id));
            worker.ok_or("the worker has ended already")?.signal(Signal::TERM)?;
        }
        Ok(())
    };
    event_loop.add_signals(blocked.reader()?, "signals", signalled)?;

    let end = event_loop.run()?;
    println!("the loop has ended: {end:?}");
    drop(event_loop);
    std::fs::remove_dir(&directory)?;
    Ok(())
}

/// A client's stream, and what it has sent of a line.
struct Client {
    stream: UnixStream,
    begun: Vec<u8>,
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// A client: each line of it is answered by one line.
fn serve_client(
    event_loop: &mut EventLoop,
    stream: UnixStream,
    state: &Rc<State>,
    rings: &Rc<(String, String)>,
) -> Result<(), Failure> {
    stream.set_nonblocking(true)?;
    let (state, rings) = (Rc::clone(state), Rc::clone(rings));
    let handler = move |event_loop: &mut EventLoop, client: &mut Client, _: Ready| -> Result<Next, Failure> {
        // It reads once: what is left is told again.
        let mut bytes = [0; 4096];
        let len = client.stream.read(&mut bytes)?;
        if len == 0 || client.begun.len() > LINE_BYTES {
            return Ok(Next::Remove);
        }
        client.begun.extend_from_slice(&bytes[..len]);
        while let Some(end) = client.begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = client.begun.drain(..=end).collect();
            let answer = answer(event_loop, String::from_utf8_lossy(&line).trim_end(), &state, &rings)?;
            writeln!(client.stream, "{answer}")?;
        }
        Ok(Next::Again)
    };
    let settings = Settings::new("a client").on_failure(OnFailure::Remove);
    event_loop.add(Client { stream, begun: Vec::new() }, Interest::Readable, settings, handler)?;
    Ok(())
}

/// The answer to a client's line.
fn answer(
    event_loop: &mut EventLoop,
    line: &str,
    state: &Rc<State>,
    rings: &(String, String),
) -> Result<String, Failure> {
    match line {
        "which version" => return Ok(state.table_version.get().to_string()),
        "the rings are there" => {
            println!("a client said: {line}");
            let seen = Rc::clone(state);
            let requests = TypedConsumer::<Request>::join(&rings.0, "server")?;
            add_ring(event_loop, requests, "requests of the worker", move |request| seen.requests.set(request.number))?;
            let seen = Rc::clone(state);
            let samples = TypedConsumer::<Sample>::join(&rings.1, "server")?;
            let count = move |sample: Sample| {
                assert!(sample.nanoseconds > 0, "it took some time");
                seen.samples.set(seen.samples.get() + 1);
            };
            add_ring(event_loop, samples, "samples of the worker", count)?;
        }
        _ => {
            println!("a client said: {line}");
            let (requests, samples) = (state.requests.get(), state.samples.get());
            let ticked = if state.ticks.get() > 0 { "went on ticking" } else { "did not tick" };
            println!("{requests} requests and {samples} samples were read, and the timer {ticked}");
        }
    }
    Ok("ok".into())
}
