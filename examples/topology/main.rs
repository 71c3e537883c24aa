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
//! step 20: rank 1 has not answered in time; the stall report says that it is stopped
//! step 20: rank 1 was restarted, has rejoined, and has answered
//! step 21: rank 0 has died
//! step 21: rank 0 was restarted, has rejoined, and has answered
//! steps 22 to 25: 4224 B to everybody, 3136 B back from everybody
//! closed: 2 workers have left by themselves
//! another scheduler is killed: its 2 workers are gone, and 3 rings were removed
//! ```
//!
//! The stall report itself goes to stderr, with the facts that differ from run to run:
//! ```text
//! stall report: ring shm:vmy8rmxhocjp: producer waits for space since 0.0ns; vmy8rmxhocjp_wk_1 (rank 1) pid 10910 is stopped in
//!     do_signal_stop, at sequence 20, 1 events behind, inside its handler; keeps waiting
//! ```
//!
//! # Where to look
//!
//! - **Who answers.** In tensor parallelism all ranks compute the same tokens, so one rank's answer is enough: `gather(Whom::Rank(0), ..)`.
//!   The answers of the others are not even sent, unless the step's kind asks for them.
//! - **Late, or dead.** A deadline says that somebody is late and not who is to blame, and late is not dead: the kernel says who is dead. So
//!   the scheduler prints the stall report, and replacing a worker that lives is its own decision.
//! - **Once more.** A worker acknowledges a step after it has answered. Its successor gets what was not acknowledged again, so each answer
//!   carries its step's number, and one that comes twice is known by it.
//! - **Typed.** Messages are bytes here, as packed by the engine. `Topology::with_content_tags` makes the rings say what they are.
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
        broadcast(&mut scheduler, Step { number, reply: Reply::FromRank0, accident: None })?;
        expect_answers(&mut scheduler, Whom::Rank(0), number)?;
    }
    println!("steps 0 to 19: {} B to everybody, {} B back from rank 0", step::STEP_BYTES, step::ANSWER_BYTES);

    let last = workers - 1;
    broadcast(&mut scheduler, Step { number: 20, reply: Reply::FromAll, accident: Some((last, Accident::Stops)) })?;
    replace_who_is_missing(&mut scheduler, 20)?;
    broadcast(&mut scheduler, Step { number: 21, reply: Reply::FromAll, accident: Some((0, Accident::IsKilled)) })?;
    replace_who_is_missing(&mut scheduler, 21)?;

    for number in 22..26 {
        broadcast(&mut scheduler, Step { number, reply: Reply::FromAll, accident: None })?;
        expect_answers(&mut scheduler, Whom::All, number)?;
    }
    println!("steps 22 to 25: {} B to everybody, {} B back from everybody", step::STEP_BYTES, step::ANSWER_BYTES);

    // Dropping the scheduler's end does the same, also when an error ends this function early.
    let departures = scheduler.close();
    let well =
        departures.iter().filter(|departure| matches!(departure, Departure::Exited { status } if status.success()));
    println!("closed: {} workers have left by themselves", well.count());
    killed_scheduler::show(&label, workers)
}

/// Sends the step to all workers. Where one of them does not get on, the ring fills up behind it, and this waits, until it gives up and the
/// error says for whom.
fn broadcast(scheduler: &mut SchedulerEnd, step: Step) -> Result<(), Failure> {
    let patience = Patience::Until(Instant::now() + STEP_TIMEOUT);
    scheduler.broadcast(&step.encode(), step.reply.kind(), patience)?;
    Ok(())
}

/// Waits for the answers to a step in which nothing is to go wrong.
fn expect_answers(scheduler: &mut SchedulerEnd, whom: Whom, number: u64) -> Result<(), Failure> {
    for answer in scheduler.gather(whom, Instant::now() + STEP_TIMEOUT) {
        match answer.outcome {
            Outcome::Message { bytes, .. } => step::check_answer(&bytes, number)?,
            other => return Err(format!("rank {}, step {number}: {other:?}", answer.rank).into()),
        }
    }
    Ok(())
}

/// Waits for the answers to a step, and puts another worker in the place of whoever does not answer.
fn replace_who_is_missing(scheduler: &mut SchedulerEnd, number: u64) -> Result<(), Failure> {
    for answer in scheduler.gather(Whom::All, Instant::now() + STEP_TIMEOUT) {
        let rank = answer.rank;
        match answer.outcome {
            Outcome::Message { bytes, .. } => {
                step::check_answer(&bytes, number)?;
                continue;
            }
            Outcome::TimedOut => {
                // Who holds everybody up, since when, and what the process is doing.
                let report = scheduler.broadcast_ring().stall_report();
                eprintln!("stall report: {report}");
                let state = report.culprit.map_or(String::from("unknown"), |culprit| culprit.facts.state.to_string());
                println!(
                    "step {number}: rank {rank} has not answered in time; the stall report says that it is {state}"
                );
            }
            Outcome::Died { .. } => println!("step {number}: rank {rank} has died"),
            other => return Err(format!("rank {rank}, step {number}: {other:?}").into()),
        }
        scheduler.restart(rank)?;
        expect_return(scheduler, rank, number)?;
        println!("step {number}: rank {rank} was restarted, has rejoined, and has answered");
    }
    Ok(())
}

/// Waits for the new worker at `rank`, and for its answer to the step that its predecessor has not acknowledged.
fn expect_return(scheduler: &mut SchedulerEnd, rank: usize, number: u64) -> Result<(), Failure> {
    let deadline = Instant::now() + RETURN_TIMEOUT;
    loop {
        for answer in scheduler.gather(Whom::Rank(rank), deadline) {
            match answer.outcome {
                // What its predecessor had sent comes first, then its end, then the news that there is another.
                Outcome::Died { .. } if Instant::now() < deadline => {}
                Outcome::Rejoined { .. } => {}
                Outcome::Message { bytes, .. } => return step::check_answer(&bytes, number),
                other => return Err(format!("rank {rank} has not come back: {other:?}").into()),
            }
        }
    }
}
