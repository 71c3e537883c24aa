//! The shape of a tensor-parallel executor. A scheduler sends each step to N workers at once and waits for their
//! results
//! until a deadline. A worker that is stopped is reported and replaced. A worker that is killed comes back and goes on
//! where it was. Nothing is left at the end, whether the scheduler closes the topology or is killed itself. A program
//! to
//! copy for an inference engine.
//!
//! ```text
//! cargo run --release --example topology            # 2 workers
//! cargo run --release --example topology -- 8
//! ```
//!
//! ```text
//! 2 workers have joined; their rings take 10 MiB of shared memory
//! steps 0 to 19: 4224 B to all workers, 3136 B back from rank 0
//! step 20: rank 1 is late; the report says that it is stopped
//! step 20: rank 1 was restarted, has rejoined, and has answered
//! step 21: rank 0 has died
//! step 21: rank 0 was restarted, has rejoined, and has answered
//! steps 22 to 25: 4224 B to all workers, 3136 B back from all
//! closed: 2 workers have left by themselves
//! another scheduler is killed: its 2 workers are gone, and 3 rings were removed
//! ```
//!
//! The report itself goes to stderr, with the facts that differ from run to run:
//! ```text
//! report: topology example 10908, rank 1 (pid 10910 stopped, waits in do_signal_stop) has received broadcast 20 and
//! has
//!     not answered it 2.0s after it was sent; its handler has it
//! ```
//!
//! # Where to look
//!
//! - **Which ranks answer.** In tensor parallelism all ranks compute the same tokens, so one rank's answer is enough:
//!   `gather_for(step, Whom::Rank(0), ..)`. The others do not even send their answers, unless the step's kind asks for
//!   them.
//! - **Late, or dead.** A deadline says that a worker is late, not why. Late is not dead: the kernel says which worker
//!   is dead. So the scheduler prints its report on that worker, and decides itself to replace a worker that lives.
//!   `wait_for` waits until the new one is there, and sleeps meanwhile. `check_workers` reports on the workers whose
//!   answer is not waited for.
//! - **Once more.** A worker acknowledges a step after it has answered. Its successor gets what was not acknowledged
//!   again. Each answer says which step it answers, and `gather_for` drops and counts an answer that comes twice, or
//!   late.
//! - **Typed.** Messages are bytes here, packed by the engine. `Topology::with_content_tags` would make the rings say
//!   what they are. `TypedScheduler` and `TypedWorker` are the same ends for your types: see the example `supervisor`,
//!   whose workers are also started by another process.
#![forbid(unsafe_code)]

mod killed_scheduler;
mod step;
mod worker;

use myelon::Sequence;
use myelon::process::{Command, Stdio};
use myelon::topology::{Answer, Arrival, Invitation, Outcome, Parting, SchedulerEnd, Topology, Whom, Workers};
use std::time::Duration;
use step::{Accident, Reply, Step};

/// Why a run ended early, for the user to read.
type Failure = Box<dyn std::error::Error>;

/// What a step may take here. An engine's deadline is above its longest prefill.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);

/// What a worker may take to come back. Here a process starts in milliseconds; loading weights takes minutes.
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

/// A topology with a name that no other process on this host uses. Both sides agree on it; nothing is created yet.
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
    println!("steps 0 to 19: {} B to all workers, {} B back from rank 0", step::STEP_BYTES, step::ANSWER_BYTES);

    let stops = Some((workers - 1, Accident::Stops));
    run_step(&mut scheduler, Step { number: 20, reply: Reply::FromAll, accident: stops })?;
    let is_killed = Some((0, Accident::IsKilled));
    run_step(&mut scheduler, Step { number: 21, reply: Reply::FromAll, accident: is_killed })?;

    for number in 22..26 {
        run_step(&mut scheduler, Step { number, reply: Reply::FromAll, accident: None })?;
    }
    println!("steps 22 to 25: {} B to all workers, {} B back from all", step::STEP_BYTES, step::ANSWER_BYTES);

    // Dropping the scheduler's end does the same, also when an error ends this function early.
    let departures = scheduler.close();
    let well =
        departures.iter().filter(|departure| matches!(departure.how, Parting::Exited { status } if status.success()));
    println!("closed: {} workers have left by themselves", well.count());
    killed_scheduler::show(&label, workers)
}

/// Sends the step to all workers, and waits for the answers to it.
fn run_step(scheduler: &mut SchedulerEnd, step: Step) -> Result<(), Failure> {
    // If a worker makes no progress, the ring fills up. This waits until the timeout; the error names that worker.
    let sent = scheduler.broadcast(&step.encode(), step.reply.kind(), STEP_TIMEOUT)?;
    let whom = match step.reply {
        Reply::FromRank0 => Whom::Rank(0),
        Reply::FromAll => Whom::All,
    };
    for answer in scheduler.gather_for(sent, whom, STEP_TIMEOUT) {
        settle(scheduler, answer, sent, step.number)?;
    }
    Ok(())
}

/// Makes sure that a worker has answered step `number`, which was broadcast as `sent`. If the worker is late or dead,
/// starts another in its place, and waits for that one's answer.
fn settle(scheduler: &mut SchedulerEnd, answer: Answer, sent: Sequence, number: u64) -> Result<(), Failure> {
    let rank = answer.rank;
    match answer.outcome {
        Outcome::Message { bytes, .. } => return check(&bytes, rank, number),
        Outcome::TimedOut => {
            // Whether it has the step, since when, and what its process is doing.
            let report = scheduler.report(rank);
            eprintln!("report: {report}");
            let state = report.process.map_or(String::from("unknown"), |facts| facts.state.to_string());
            println!("step {number}: rank {rank} is late; the report says that it is {state}");
        }
        Outcome::Died { .. } => println!("step {number}: rank {rank} has died"),
        other => return Err(format!("rank {rank}, step {number}: {other:?}").into()),
    }
    replace(scheduler, rank)?;
    // If it has answered before it ended, that answer is given at once. If not, its successor answers.
    let again = scheduler.gather_for(sent, Whom::Rank(rank), STEP_TIMEOUT).remove(0);
    match again.outcome {
        Outcome::Message { bytes, .. } => check(&bytes, rank, number)?,
        other => return Err(format!("rank {rank}, step {number}, after it was restarted: {other:?}").into()),
    }
    println!("step {number}: rank {rank} was restarted, has rejoined, and has answered");
    Ok(())
}

/// The topology says which step an answer belongs to. This checks that the answer's content is of the same step.
fn check(bytes: &[u8], rank: usize, number: u64) -> Result<(), Failure> {
    match step::answered(bytes)? {
        answered if answered == number => Ok(()),
        answered => Err(format!("rank {rank} answered step {number} with the result of step {answered}").into()),
    }
}

/// Ends what is left of the worker, starts another in its place, and waits until that one is there.
fn replace(scheduler: &mut SchedulerEnd, rank: usize) -> Result<(), Failure> {
    scheduler.restart(rank)?;
    match scheduler.wait_for(rank, RETURN_TIMEOUT) {
        Arrival::Joined { .. } => Ok(()),
        Arrival::TimedOut { report } => Err(report.to_string().into()),
        other => Err(format!("rank {rank} has not come back: {other:?}").into()),
    }
}
