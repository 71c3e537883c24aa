//! Messages of any size between processes: one scheduler, two workers, each of which answers. The program runs twice:
//! over records, and over frames of a fixed size; one type parameter makes the difference. A program to copy where
//! other code makes the bytes of the messages.
//!
//! ```text
//! cargo run --release --example framed
//! ```
//!
//! ```text
//! records: messages of 84 B to 1000000 B
//!   step 0: worker 0 read 84 B (sum 3486) in place, worker 1 read 84 B (sum 3486) in place
//!   step 1: worker 0 read 4224 B (sum 523528) in place, worker 1 read 4224 B (sum 523528) in place
//!   step 2: worker 0 read 1000000 B (sum 124998120) in place, worker 1 read 1000000 B (sum 124998120) in place
//! frames of 8160 B: messages of 84 B to 1000000 B
//!   step 0: worker 0 read 84 B (sum 3486) in place, worker 1 read 84 B (sum 3486) in place
//!   step 1: worker 0 read 4224 B (sum 523528) in place, worker 1 read 4224 B (sum 523528) in place
//!   step 2: worker 0 read 1000000 B (sum 124998120) copied, worker 1 read 1000000 B (sum 124998120) copied
//! ```
//!
//! # Where to look
//!
//! - **Formats.** [`Records`] is the one to use. Frames are for messages that all fit into one frame, and for programs
//!   that already count in slots. A longer message is split, is still whole or absent, and its reader copies it once.
//! - **Meeting.** The ring exists before the workers do, and each worker's ring for answers before it joins. So no
//!   process looks for a ring that may not be there yet, and a worker that has joined gets everything that is sent.
//! - **The end.** The scheduler drops its producer. The workers read what is left, are told `Closed`, and end. If the
//!   scheduler is killed they end as well, with another error. See the example `topology` for workers that die.
#![forbid(unsafe_code)]

use myelon::Patience;
use myelon::codec::EncodeShort;
use myelon::transport::{
    AlignedFixedFrame, Format, Message, Records, TransportBuilder, TransportConsumer, TransportProducer,
};
use std::process::{Child, Command};
use std::time::Duration;

/// With its header and its stamp, it makes a slot of 8 KiB.
type Frame = AlignedFixedFrame<8160>;

const WORKERS: u32 = 2;

/// A decode step of one sequence, one of 256 sequences, and images or prompt embeddings.
const MESSAGE_BYTES: [usize; 3] = [84, 4224, 1_000_000];

/// The application's kind of message: a byte that travels with it.
const STEP: u8 = 1;
const ANSWER: u8 = 2;

/// Nothing here takes longer, unless a process is missing.
const PATIENCE: Duration = Duration::from_secs(10);

type Outcome = Result<(), Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        // Depths are bytes for records and slots for frames: 4 MiB each.
        [] => {
            run::<Records>("records", "records", 4 << 20).and_then(|()| run::<Frame>("frames", "frames of 8160 B", 512))
        }
        ["worker", "records", name, rank] => work::<Records>(name, rank.parse()?),
        ["worker", "frames", name, rank] => work::<Frame>(name, rank.parse()?),
        _ => Err("this program takes no arguments".into()),
    }
}

/// The ring in which the scheduler of `name` sends to all workers.
fn steps_ring(name: &str) -> String {
    format!("{name}s")
}

/// The ring in which the worker answers.
fn answers_ring(name: &str, rank: u32) -> String {
    format!("{name}a{rank}")
}

/// The worker's id in the ring, and in every report.
fn worker_id(rank: u32) -> String {
    format!("worker-{rank}")
}

/// The scheduler's process: the whole of one session.
fn run<F: Format>(format: &str, title: &str, depth: usize) -> Outcome {
    let name = format!("framed{}", std::process::id());
    let mut steps: TransportProducer<F> =
        TransportBuilder::new(steps_ring(&name), depth).with_max_consumers(WORKERS as usize).build_producer()?;
    let mut children = (0..WORKERS).map(|rank| start(format, &name, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut answers = (0..WORKERS).map(|rank| meet(&steps, &name, rank)).collect::<Result<Vec<_>, _>>()?;

    println!("{title}: messages of {} B to {} B", MESSAGE_BYTES[0], MESSAGE_BYTES[MESSAGE_BYTES.len() - 1]);
    for (number, len) in MESSAGE_BYTES.into_iter().enumerate() {
        // Written where the workers will read it. `steps.publish(&bytes, STEP)` copies bytes from another place.
        steps.send_with(STEP, len, PATIENCE, |room| {
            let message = room.get_mut(..len).ok_or(EncodeShort::Needs { len_bytes: len })?;
            message.iter_mut().enumerate().for_each(|(index, byte)| *byte = (index % 251) as u8);
            Ok(len)
        })?;
        let mut said = Vec::new();
        for (rank, answers) in answers.iter_mut().enumerate() {
            let answer = answers.next(PATIENCE)?.ok_or("a deadline is no try")?;
            said.push(format!("worker {rank} read {}", str::from_utf8(&answer)?));
        }
        println!("  step {number}: {}", said.join(", "));
    }

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
fn start(format: &str, name: &str, rank: u32) -> std::io::Result<Child> {
    Command::new(std::env::current_exe()?).args(["worker", format, name, &rank.to_string()]).spawn()
}

/// Waits until the worker has joined, and attaches to its answers.
fn meet<F: Format>(
    steps: &TransportProducer<F>,
    name: &str,
    rank: u32,
) -> Result<TransportConsumer, Box<dyn std::error::Error>> {
    if !steps.discover_consumer_id(&worker_id(rank), PATIENCE) {
        return Err(format!("{} has not joined within {PATIENCE:?}", worker_id(rank)).into());
    }
    Ok(TransportBuilder::new(answers_ring(name, rank), 0).with_consumer_id("scheduler").build_consumer()?)
}

/// A worker's process: answers every step until there are no more.
fn work<F: Format>(name: &str, rank: u32) -> Outcome {
    let mut answers = TransportProducer::<Records>::create_with_consumers(answers_ring(name, rank), 64 << 10, 1)?;
    let mut steps: TransportConsumer<F> = TransportBuilder::new(steps_ring(name), 0)
        .with_consumer_id(worker_id(rank))
        .with_rank(rank)
        .build_consumer()?;
    while let Some(step) = steps.next_or_end(Patience::Endless)? {
        // Answered first, and acknowledged when `step` is dropped: a worker that is killed in between answers twice,
        // not never.
        answers.publish(describe(&step).as_bytes(), ANSWER)?;
    }
    Ok(())
}

/// The work.
fn describe<F: Format>(step: &Message<'_, F>) -> String {
    let sum: u64 = step.iter().map(|byte| u64::from(*byte)).sum();
    let place = if step.is_in_place() { "in place" } else { "copied" };
    format!("{} B (sum {sum}) {place}", step.len())
}
