//! Typed messages that are never decoded: rkyv lays them out in the ring, and the workers read fields and arrays in
//! place, after one validation. One scheduler, two workers, each of which answers. A program to copy for large
//! messages.
//!
//! ```text
//! cargo run --release --example typed_zero_copy
//! ```
//!
//! ```text
//! step 0: worker 0 sees 2 requests and 4096 tokens, the last 4095, in place
//! step 0: worker 1 sees 2 requests and 4096 tokens, the last 4095, in place
//! step 1: worker 0 sees 2 requests and 65536 tokens, the last 65535, in place
//! step 1: worker 1 sees 2 requests and 65536 tokens, the last 65535, in place
//! step 2: worker 0 sees 2 requests and 131072 tokens, the last 131071, in place
//! step 2: worker 1 sees 2 requests and 131072 tokens, the last 131071, in place
//! ```
//!
//! # Where to look
//!
//! - **Reading.** `message.get()` gives the archive, a view of the message in the ring: no allocation, no copy.
//!   `message.decode()` gives the value, where the program wants to keep it.
//! - **Checked.** `get` reads the message once to validate it, so untrusted bytes are an error and never undefined
//!   behaviour. If both ends are of one executable, and validating takes too long,
//!   [`myelon::codec::trusted::access`] leaves it out. It is an `unsafe fn`, whose caller vouches for the sender.
//! - **Holding on.** A message holds its place in the ring, and the producer waits for it once the ring is full. Answer
//!   and drop it, or copy out what is needed.
//! - **Versions, meeting, the end, deaths.** As in the examples `typed`, `framed` and `topology`.
#![forbid(unsafe_code)]

use myelon::rkyv::{self, Archive, Deserialize, Serialize};
use myelon::transport::{TransportBuilder, TransportConsumer, TransportProducer};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use myelon::{DEFAULT_RECORD_RING_BYTES, Patience};
use std::process::{Child, Command};
use std::time::Duration;

/// What the scheduler tells every worker: a prefill, which consists mostly of tokens.
#[derive(Archive, Serialize, Deserialize)]
#[rkyv(crate = myelon::rkyv)]
struct Prefill {
    number: u64,
    requests: Vec<String>,
    tokens: Vec<u32>,
}

myelon::rkyv_message!(Prefill = "Prefill/1");

const WORKERS: u32 = 2;

/// The application's kind of message: a byte that travels with it.
const PREFILL: u8 = 1;
const ANSWER: u8 = 2;

/// Tokens of the prefills: the last one is half a megabyte.
const TOKENS: [u32; 3] = [4 << 10, 64 << 10, 128 << 10];

/// Nothing here takes longer, unless a process is missing.
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => schedule(),
        ["worker", name, rank] => work(name, rank.parse()?),
        _ => Err("this program takes no arguments".into()),
    }
}

fn prefills_ring(name: &str) -> String {
    format!("{name}s")
}

fn answers_ring(name: &str, rank: u32) -> String {
    format!("{name}a{rank}")
}

/// The worker's id in the ring, and in every report.
fn worker_id(rank: u32) -> String {
    format!("worker-{rank}")
}

/// The scheduler's process.
fn schedule() -> Result<(), Failure> {
    let name = format!("zero{}", std::process::id());
    let mut prefills = TypedProducer::<Prefill>::create_with_consumers(
        prefills_ring(&name),
        DEFAULT_RECORD_RING_BYTES,
        WORKERS as usize,
    )?;
    let mut children = (0..WORKERS).map(|rank| start(&name, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut answers = (0..WORKERS).map(|rank| meet(&prefills, &name, rank)).collect::<Result<Vec<_>, _>>()?;

    for (number, tokens) in (0..).zip(TOKENS) {
        let requests = vec![format!("request {number}"), String::from("and another")];
        let prefill = Prefill { number, requests, tokens: (0..tokens).collect() };
        // Laid out in the ring itself; `prefill` can be used again for the next one.
        prefills.send(&prefill, PREFILL, PATIENCE)?;
        for (rank, answers) in answers.iter_mut().enumerate() {
            let answer = answers.next(PATIENCE)?.ok_or("a deadline is no try")?;
            println!("step {number}: worker {rank} sees {}", str::from_utf8(&answer)?);
        }
    }

    // Closes the ring, which ends the workers.
    drop(prefills);
    for child in &mut children {
        let status = child.wait()?;
        if !status.success() {
            return Err(format!("a worker ended with {status}").into());
        }
    }
    Ok(())
}

/// Starts this very program as a worker.
fn start(name: &str, rank: u32) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?).args(["worker", name, &rank.to_string()]).spawn()
}

/// Waits until the worker has joined, and attaches to its answers, which exist by then. They are plain bytes: a stream
/// is typed by choice.
fn meet(prefills: &TypedProducer<Prefill>, name: &str, rank: u32) -> Result<TransportConsumer, Failure> {
    if !prefills.raw().discover_consumer_id(&worker_id(rank), PATIENCE) {
        return Err(format!("{} has not joined within {PATIENCE:?}", worker_id(rank)).into());
    }
    Ok(TransportBuilder::new(answers_ring(name, rank), 0).with_consumer_id("scheduler").build_consumer()?)
}

/// A worker's process: answers every prefill until there are no more.
fn work(name: &str, rank: u32) -> Result<(), Failure> {
    let mut answers: TransportProducer =
        TransportProducer::create_with_consumers(answers_ring(name, rank), 64 << 10, 1)?;
    let mut prefills = TypedConsumer::<Prefill>::build(
        TransportBuilder::new(prefills_ring(name), 0).with_consumer_id(worker_id(rank)).with_rank(rank),
    )?;
    while let Some(message) = prefills.next_or_end(Patience::Endless)? {
        // Answered first, and acknowledged when `message` is dropped: a worker that is killed in between answers twice,
        // not never.
        let place = if message.is_in_place() { "in place" } else { "copied" };
        let answer = format!("{}, {place}", describe(message.get()?));
        answers.publish(answer.as_bytes(), ANSWER)?;
    }
    Ok(())
}

/// The work, on the message in the ring. Numbers have the byte order of the archive on every machine.
fn describe(prefill: &rkyv::Archived<Prefill>) -> String {
    let last = prefill.tokens.last().map_or(0, |token| token.to_native());
    format!("{} requests and {} tokens, the last {last}", prefill.requests.len(), prefill.tokens.len())
}
