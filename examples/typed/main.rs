//! Typed messages between processes: a type with serde's derives and one line, encoded by bincode into the ring. One
//! scheduler, two workers, each of which answers. A program to copy where both sides are Rust and messages become
//! values
//! at the receiver.
//!
//! ```text
//! cargo run --release --example typed
//! ```
//!
//! ```text
//! step 0 of 1 sequences: worker 0 says a=7, worker 1 says a=8
//! step 1 of 2 sequences: worker 0 says a=14 b=21, worker 1 says a=15 b=22
//! step 2 of 3 sequences: worker 0 says a=21 b=28 c=35, worker 1 says a=22 b=29 c=36
//! a consumer of other messages is refused: the ring has `bincode:Step/1`, it wants `bincode:Answer/1`
//! ```
//!
//! # Where to look
//!
//! - **Agreement.** A stream has one type of message. Its name and version are in the ring. Change the version with the
//!   fields (`bincode_message!(Step = "Step/2")`), and a worker of the other build is refused when it attaches. The
//!   attribute `#[message]` does that by itself, field by field.
//! - **Untrusted bytes.** Bytes that are no `Step` are an error with its cause, whatever length they claim. The stream
//!   goes on after them.
//! - **Meeting, the end, deaths.** As in the examples `framed` and `topology`. `TypedScheduler` and `TypedWorker` do
//!   both: topologies of one type out and one back.
#![forbid(unsafe_code)]

use myelon::transport::{TransportBuilder, TransportError, WaitStrategy};
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use myelon::{MultiProcessError, Patience};
use serde::{Deserialize, Serialize};
use std::process::{Child, Command};
use std::time::Duration;

/// What the scheduler tells every worker.
#[derive(Serialize, Deserialize)]
struct Step {
    number: u64,
    sequences: Vec<Scheduled>,
}

/// One sequence's part of a step.
#[derive(Serialize, Deserialize)]
struct Scheduled {
    request: String,
    last_token: u32,
}

/// What a worker says.
#[derive(Serialize, Deserialize)]
struct Answer {
    step: u64,
    sampled: Vec<Sampled>,
}

/// One sequence's next token.
#[derive(Serialize, Deserialize)]
struct Sampled {
    request: String,
    token: u32,
}

myelon::bincode_message!(Step);
myelon::bincode_message!(Answer);

const WORKERS: u32 = 2;

/// The application's kind of message: a byte that travels with it, for streams whose messages have several meanings.
const DECODE: u8 = 1;

/// Bytes of the ring to all workers, a power of two.
const STEPS_BYTES: usize = 4 << 20;

/// Bytes of each ring back.
const ANSWERS_BYTES: usize = 256 << 10;

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

fn steps_ring(name: &str) -> String {
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
    let name = format!("typed{}", std::process::id());
    let mut steps = TypedProducer::<Step>::create_with_consumers(steps_ring(&name), STEPS_BYTES, WORKERS as usize)?;
    let mut children = (0..WORKERS).map(|rank| start(&name, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut answers = (0..WORKERS).map(|rank| meet(&steps, &name, rank)).collect::<Result<Vec<_>, _>>()?;

    for number in 0..3 {
        let sequences = ["a", "b", "c"].into_iter().zip(number..).take(number as usize + 1);
        let scheduled = |(request, token)| Scheduled { request: String::from(request), last_token: token as u32 };
        let step = Step { number, sequences: sequences.map(scheduled).collect() };
        steps.send(&step, DECODE, PATIENCE)?;
        let mut said = Vec::new();
        for (rank, answers) in answers.iter_mut().enumerate() {
            let (answer, _kind) = answers.receive_owned(PATIENCE)?.ok_or("a deadline is no try")?;
            assert_eq!(answer.step, number, "a worker answers each step once, in order");
            let sampled = answer.sampled.iter().map(|next| format!(" {}={}", next.request, next.token));
            said.push(format!("worker {rank} says{}", sampled.collect::<String>()));
        }
        println!("step {number} of {} sequences: {}", step.sequences.len(), said.join(", "));
    }

    refuse_strangers(&name)?;
    // Closes the ring, which ends the workers.
    drop(steps);
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

/// Waits until the worker has joined, and attaches to its answers, which exist by then.
fn meet(steps: &TypedProducer<Step>, name: &str, rank: u32) -> Result<TypedConsumer<Answer>, Failure> {
    if !steps.raw().discover_consumer_id(&worker_id(rank), PATIENCE) {
        return Err(format!("{} has not joined within {PATIENCE:?}", worker_id(rank)).into());
    }
    Ok(TypedConsumer::build(TransportBuilder::new(answers_ring(name, rank), 0).with_consumer_id("scheduler"))?)
}

/// Attaches to the steps as if they were something else, as a program of another version would.
fn refuse_strangers(name: &str) -> Result<(), Failure> {
    match TypedConsumer::<Answer>::attach(steps_ring(name), 0, WaitStrategy::Adaptive) {
        Err(TransportError::Build(MultiProcessError::IncompatibleContent {
            found: Some(found),
            wanted: Some(wanted),
            ..
        })) => {
            println!("a consumer of other messages is refused: the ring has `{found}`, it wants `{wanted}`");
            Ok(())
        }
        Err(error) => Err(error.into()),
        Ok(_) => Err("a consumer of other messages was let in".into()),
    }
}

/// A worker's process: answers every step until there are no more.
fn work(name: &str, rank: u32) -> Result<(), Failure> {
    let mut answers = TypedProducer::<Answer>::create_with_consumers(answers_ring(name, rank), ANSWERS_BYTES, 1)?;
    let mut steps = TypedConsumer::<Step>::build(
        TransportBuilder::new(steps_ring(name), STEPS_BYTES).with_consumer_id(worker_id(rank)).with_rank(rank),
    )?;
    while let Some(message) = steps.next_or_end(Patience::Endless)? {
        // Answered first, and acknowledged when `message` is dropped: a worker that is killed in between answers twice,
        // not never.
        let step = message.decode()?;
        let sampled = step.sequences.into_iter().map(|sequence| sample(sequence, rank)).collect();
        answers.publish(&Answer { step: step.number, sampled }, message.kind())?;
    }
    Ok(())
}

/// The work: a model of very few parameters.
fn sample(sequence: Scheduled, rank: u32) -> Sampled {
    Sampled { request: sequence.request, token: 7 * (sequence.last_token + 1) + rank }
}
