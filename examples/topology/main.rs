//! The shape of a tensor-parallel executor: a scheduler sends each step to N workers at once and waits, until a deadline, for what they
//! found. A worker that is stopped is reported and replaced, one that is killed comes back and goes on where it was, and nothing is left at
//! the end, whether the scheduler closes the topology or is killed itself. A program to copy for an inference engine.
//!
//! ```text
//! cargo run --release --example topology            # 2 workers
//! cargo run --release --example topology -- 8
//! ```
//!
//! ```text
//! 2 workers have joined; their rings take 5 MiB of shared memory
//! steps 0 to 19: 4224 B to everybody, 3136 B back from rank 0
//! step 20: rank 1 is late; the report says that it is stopped
//! step 20: rank 1 was restarted, has rejoined, and has answered
//! step 21: rank 0 has died
//! step 21: rank 0 was restarted, has rejoined, and has answered
//! steps 22 to 25: 4224 B to everybody, 3136 B back from everybody
//! closed: 2 workers have left by themselves
//! another scheduler is killed: its 2 workers are gone, and 3 rings were removed
//! ```
//!
//! The report itself goes to stderr, with the facts that differ from run to run:
//! ```text
//! report: worker 1 (pid 10910 stopped, waits in do_signal_stop) has received broadcast 20 and has not answered it 2.0s after it was sent;
//!     its handler has it
//! ```
//!
//! # Where to look
//!
//! - **Who answers.** In tensor parallelism all ranks compute the same tokens, so one rank's answer is enough: `gather(Whom::Rank(0), ..)`.
//!   The answers of the others are not even sent, unless the step's kind asks for them.
//! - **Late, or dead.** A deadline says that somebody is late and not who is to blame, and late is not dead: the kernel says who is dead. So
//!   the scheduler prints its report on that worker, and replacing a worker that lives is its own decision. Of those whose answer nobody
//!   waits for, `check_workers` tells.
//! - **Once more.** A worker acknowledges a step after it has answered. Its successor gets what was not acknowledged again, so each answer
//!   carries its step's number, and one that comes twice is known by it.
//! - **Typed.** Messages are bytes here, as packed by the engine, and `Topology::with_content_tags` would make the rings say what they are.
//!   `TypedScheduler` and `TypedWorker` are the same ends for types of yours.
#![forbid(unsafe_code)]

mod killed_scheduler;
mod step;
mod worker;

use myelon::Patience;
use myelon::topology::{Departure, Invitation, Outcome, SchedulerEnd, Topology, Whom, Workers};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use step::{Accident, Reply, Step};

/// Why a run ended early, for the user to read.
type Failure = Box<dyn std::error::Error>;

/// What a step may take here. An engine's deadline is above its longest prefill.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a worker may take to come back: here a process starts in milliseconds; one that loads weights, minutes.
const RETURN_TIMEOUT: Duration = Duration::from_secs(20);

/// How often to ask whether it is back.
const RETURN_POLL: Duration = Duration::from_millis(2);

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => run(2),
        ["worker"] => worker::run(&Invitation::from_environment()?),
        ["doomed scheduler", label, workers] => killed_scheduler::be_killed(label, workers.parse()?),
        [workers] if workers.parse().is_ok_and(|workers: usize| workers >= 2) => run(workers.parse()?),
        _ => Err("the only argument is the number of workers, at least 2".into()),
    }
}

/// A topology whose name nobody else on this host uses. It is what both sides agree on; nothing is created yet.
fn topology(label: &str, workers: usize) -> Result<Topology, Failure> {
    Ok(Topology::new(label, workers)?)
}

/// Starts this very program as a worker. Its invitation is put into its environment.
fn workers() -> Result<Workers, Failure> {
    let program = std::env::current_exe()?;
    Ok(Workers::spawned(move |_rank| {
        let mut command = Command::new(&program);
        command.arg("worker").stdin(Stdio::null());
        command
    }))
}

/// The scheduler's process.
fn run(workers: usize) -> Result<(), Failure> {
    let label = format!("topology example {}", std::process::id());
    let topology = topology(&label, workers)?;
    let mut scheduler = topology.launch(self::workers()?)?;
    let mib = topology.planned_bytes()?.div_ceil(1 << 20);
    println!("{workers} workers have joined; their rings take {mib} MiB of shared memory");

    for number in 0..20 {
        run_step(&mut scheduler, Step { number, reply: Reply::FromRank0, accident: None })?;
    }
    println!("steps 0 to 19: {} B to everybody, {} B back from rank 0", step::STEP_BYTES, step::ANSWER_BYTES);

    let stops = Some((workers - 1, Accident::Stops));
    run_step(&mut scheduler, Step { number: 20, reply: Reply::FromAll, accident: stops })?;
    let is_killed = Some((0, Accident::IsKilled));
    run_step(&mut scheduler, Step { number: 21, reply: Reply::FromAll, accident: is_killed })?;

    for number in 22..26 {
        run_step(&mut scheduler, Step { number, reply: Reply::FromAll, accident: None })?;
    }
    println!("steps 22 to 25: {} B to everybody, {} B back from everybody", step::STEP_BYTES, step::ANSWER_BYTES);

    // Dropping the scheduler's end does the same, also when an error ends this function early.
    let departures = scheduler.close();
    let well =
        departures.iter().filter(|departure| matches!(departure, Departure::Exited { status } if status.success()));
    println!("closed: {} workers have left by themselves", well.count());
    killed_scheduler::show(&label, workers)
}

/// Sends the step to all workers, and waits for the answers to it.
fn run_step(scheduler: &mut SchedulerEnd, step: Step) -> Result<(), Failure> {
    // Where a worker does not get on, the ring fills up behind it, and this waits until it gives up; the error says for whom.
    let patience = Patience::Until(Instant::now() + STEP_TIMEOUT);
    scheduler.broadcast(&step.encode(), step.reply.kind(), patience)?;
    let whom = match step.reply {
        Reply::FromRank0 => Whom::Rank(0),
        Reply::FromAll => Whom::All,
    };
    for answer in scheduler.gather(whom, Instant::now() + STEP_TIMEOUT) {
        settle(scheduler, answer.rank, answer.outcome, step.number)?;
    }
    Ok(())
}

/// Sees to it that the worker at `rank` has answered step `number`, of which `outcome` has come so far: puts another one in its place if it is
/// late or dead, and waits for that one's answer.
fn settle(scheduler: &mut SchedulerEnd, rank: usize, mut outcome: Outcome, number: u64) -> Result<(), Failure> {
    let answers_by = Instant::now() + STEP_TIMEOUT;
    // Once it was replaced.
    let mut returns_by = None;
    loop {
        match outcome {
            Outcome::Message { bytes, .. } if step::answered(&bytes)? == number => break,
            // A worker has died between answering and acknowledging, and its successor has answered that step once more.
            Outcome::Message { .. } => {}
            Outcome::TimedOut if returns_by.is_none() => {
                // Whether it has the step, since when, and what its process is doing.
                let report = scheduler.report(rank);
                eprintln!("report: {report}");
                let state = report.process.map_or(String::from("unknown"), |facts| facts.state.to_string());
                println!("step {number}: rank {rank} is late; the report says that it is {state}");
                returns_by = Some(replace(scheduler, rank)?);
            }
            Outcome::Died { .. } if returns_by.is_none() => {
                println!("step {number}: rank {rank} has died");
                returns_by = Some(replace(scheduler, rank)?);
            }
            // What the old process had sent comes first, then its end, for as long as nobody has taken its place, then its successor.
            Outcome::Died { .. } if returns_by.is_some_and(|deadline| Instant::now() < deadline) => {
                std::thread::sleep(RETURN_POLL)
            }
            Outcome::Rejoined { .. } => {}
            other => return Err(format!("rank {rank}, step {number}: {other:?}").into()),
        }
        outcome = scheduler.gather(Whom::Rank(rank), returns_by.unwrap_or(answers_by)).remove(0).outcome;
    }
    if returns_by.is_some() {
        println!("step {number}: rank {rank} was restarted, has rejoined, and has answered");
    }
    Ok(())
}

/// Ends what is left of the worker, starts another in its place, and says until when that one is to have answered.
fn replace(scheduler: &mut SchedulerEnd, rank: usize) -> Result<Instant, Failure> {
    scheduler.restart(rank)?;
    Ok(Instant::now() + RETURN_TIMEOUT)
}
