//! Both ends of typed streams in tokio. One thread awaits room in a ring, answers from several workers, timers, and the
//! rest of a server's work. One scheduler, two workers, each of which answers. A program to copy for the front of an
//! inference server.
//!
//! ```text
//! cargo run --release --example async_tokio
//! ```
//!
//! ```text
//! request 0: worker 0 says HELLO, worker 1 says OLLEH
//! request 1: worker 0 says TOKIO, worker 1 says OIKOT
//! the only thread was free meanwhile: a timer went on ticking
//! nothing more within 20ms; giving up on an answer loses none
//! request 2: worker 0 says AGAIN, worker 1 says NIAGA
//! closed: worker 0 has left, worker 1 has left
//! ```
//!
//! # Where to look
//!
//! - **No task spins.** While a ring is empty its task sleeps, and so may the thread. A doorbell of the ring wakes the
//!   reactor.
//! - **Giving up.** A future that is dropped before it is ready has taken nothing and sent nothing, so `timeout` and
//!   `select!` are safe around every call.
//! - **In place.** `next` lends a message, as without tokio. The message holds its place in the ring, so do not keep it
//!   over long waits; `recv` gives the value.
//! - **One end or both.** Whether the other end awaits makes no difference to this one.
//! - **Deaths.** As everywhere: `ProducerDied` ends a wait for messages within 100 ms, `ConsumerDied` one for room.
#![forbid(unsafe_code)]

use myelon::asynchronous::{AsyncConsumer, AsyncProducer};
use myelon::transport::TransportBuilder;
use myelon::typed_transport::{TypedConsumer, TypedProducer};
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::process::{Child, Command};
use std::rc::Rc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// What the scheduler asks of every worker.
#[derive(Serialize, Deserialize)]
struct Request {
    number: u64,
    text: String,
}

/// What a worker says.
#[derive(Serialize, Deserialize)]
struct Answer {
    request: u64,
    text: String,
}

myelon::bincode_message!(Request);
myelon::bincode_message!(Answer);

const WORKERS: u32 = 2;

/// The application's kind of message: a byte that travels with it.
const REQUEST: u8 = 1;
const ANSWER: u8 = 2;

/// Bytes of every ring here, a power of two.
const RING_BYTES: usize = 1 << 20;

/// How long a worker's model computes.
const SIMULATED_WORK: Duration = Duration::from_millis(50);

/// The interval of the timer that runs beside everything else.
const TICK: Duration = Duration::from_millis(5);

/// How long the scheduler waits for an answer that does not come.
const GIVE_UP: Duration = Duration::from_millis(20);

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

/// A runtime of one thread, with the drivers that waiting needs.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn requests_ring(name: &str) -> String {
    format!("{name}q")
}

fn answers_ring(name: &str, rank: u32) -> String {
    format!("{name}a{rank}")
}

/// The worker's id in the ring, and in every report.
fn worker_id(rank: u32) -> String {
    format!("worker-{rank}")
}

/// The scheduler's process. Its rings and workers are there before the runtime is: meeting is short, and may block.
fn schedule() -> Result<(), Failure> {
    let name = format!("tokio{}", std::process::id());
    let requests = TypedProducer::<Request>::create_with_consumers(requests_ring(&name), RING_BYTES, WORKERS as usize)?;
    let mut children = (0..WORKERS).map(|rank| start(&name, rank)).collect::<Result<Vec<_>, _>>()?;
    let answers = (0..WORKERS).map(|rank| meet(&requests, &name, rank)).collect::<Result<Vec<_>, _>>()?;
    runtime()?.block_on(serve(requests, answers))?;
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
fn meet(requests: &TypedProducer<Request>, name: &str, rank: u32) -> Result<TypedConsumer<Answer>, Failure> {
    if !requests.raw().discover_consumer_id(&worker_id(rank), PATIENCE) {
        return Err(format!("{} has not joined within {PATIENCE:?}", worker_id(rank)).into());
    }
    Ok(TypedConsumer::build(TransportBuilder::new(answers_ring(name, rank), 0).with_consumer_id("scheduler"))?)
}

/// What the scheduler does in its runtime.
async fn serve(requests: TypedProducer<Request>, answers: Vec<TypedConsumer<Answer>>) -> Result<(), Failure> {
    let mut requests = AsyncProducer::new(requests);
    let mut answers = answers.into_iter().map(AsyncConsumer::new).collect::<Result<Vec<_>, _>>()?;
    let ticks = Rc::new(Cell::new(0));
    let tasks = tokio::task::LocalSet::new();
    tasks.spawn_local({
        let ticks = Rc::clone(&ticks);
        async move {
            loop {
                sleep(TICK).await;
                ticks.set(ticks.get() + 1);
            }
        }
    });
    tasks
        .run_until(async {
            ask(&mut requests, &mut answers, 0, "hello").await?;
            ask(&mut requests, &mut answers, 1, "tokio").await?;
            if ticks.get() == 0 {
                return Err("a wait has blocked the thread".into());
            }
            println!("the only thread was free meanwhile: a timer went on ticking");

            if timeout(GIVE_UP, answers[0].recv()).await.is_ok() {
                return Err("a worker has answered what was not asked".into());
            }
            println!("nothing more within {GIVE_UP:?}; giving up on an answer loses none");
            ask(&mut requests, &mut answers, 2, "again").await?;

            // Closes the ring. This ends the workers, and they close their rings.
            drop(requests);
            let mut left = Vec::new();
            for (rank, answers) in answers.iter_mut().enumerate() {
                if answers.recv_or_end().await?.is_some() {
                    return Err("a worker has answered what was not asked".into());
                }
                left.push(format!("worker {rank} has left"));
            }
            println!("closed: {}", left.join(", "));
            Ok(())
        })
        .await
}

/// Sends one request to both workers, and awaits what each says.
async fn ask(
    requests: &mut AsyncProducer<TypedProducer<Request>>,
    answers: &mut [AsyncConsumer<TypedConsumer<Answer>>],
    number: u64,
    text: &str,
) -> Result<(), Failure> {
    requests.publish(&Request { number, text: text.to_owned() }, REQUEST).await?;
    let mut said = Vec::new();
    for (rank, answers) in answers.iter_mut().enumerate() {
        let (answer, _kind) = timeout(PATIENCE, answers.recv()).await??;
        assert_eq!(answer.request, number, "a worker answers each request once, in order");
        said.push(format!("worker {rank} says {}", answer.text));
    }
    println!("request {number}: {}", said.join(", "));
    Ok(())
}

/// A worker's process: answers every request until there are no more.
fn work(name: &str, rank: u32) -> Result<(), Failure> {
    let answers = TypedProducer::<Answer>::create_with_consumers(answers_ring(name, rank), RING_BYTES, 1)?;
    let requests = TypedConsumer::<Request>::build(
        TransportBuilder::new(requests_ring(name), 0).with_consumer_id(worker_id(rank)).with_rank(rank),
    )?;
    runtime()?.block_on(async {
        let (mut requests, mut answers) = (AsyncConsumer::new(requests)?, AsyncProducer::new(answers));
        while let Some(message) = requests.next_or_end().await? {
            // Answered first, and acknowledged when `message` is dropped: a worker that is killed in between answers
            // twice, not never.
            let request = message.decode()?;
            // Not acknowledged during this time, so a successor would do it again.
            sleep(SIMULATED_WORK).await;
            answers.publish(&Answer { request: request.number, text: think(&request.text, rank) }, ANSWER).await?;
        }
        Ok(())
    })
}

/// The work.
fn think(text: &str, rank: u32) -> String {
    let loud = text.to_uppercase();
    if rank == 0 { loud } else { loud.chars().rev().collect() }
}
