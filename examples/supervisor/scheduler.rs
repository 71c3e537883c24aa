//! The scheduler's process: sends steps, and makes sure that all ranks answer each.

use super::message::{Answer, Step, Work};
use super::{Failure, WORKERS};
use myelon::Sequence;
use myelon::topology::{Arrival, Outcome, Topology, TypedAnswer, TypedScheduler, Whom, Workers};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;

/// What a step may take here. An engine's deadline is above its longest prefill.
const STEP_TIMEOUT: Duration = Duration::from_secs(2);

/// What the supervisor and a new worker may take together. One that loads weights takes minutes.
const RETURN_TIMEOUT: Duration = Duration::from_secs(20);

type Scheduler = TypedScheduler<Step, Answer>;

pub(crate) fn run(topology: Topology) -> Result<(), Failure> {
    let mut scheduler: Scheduler = TypedScheduler::launch(topology, Workers::started_elsewhere())?;
    println!("{WORKERS} workers have joined");

    for number in 0..10 {
        expect_sums(&mut scheduler, number, Work::Short)?;
    }
    println!("steps 0 to 9: answered by all ranks");

    expect_sums(&mut scheduler, 10, Work::KillsRank(1))?;
    println!("step 10: rank 1 was killed in the middle of it, and its successor has answered");

    let step = send(&mut scheduler, 11, Work::UntilCancelled)?;
    scheduler.broadcast_urgent(&Step::Cancel, 0)?;
    if gather(&mut scheduler, step)? != [Answer::Cancelled; WORKERS] {
        return Err("a worker has finished what has no end".into());
    }
    println!("step 11: cancelled while all ranks worked on it");

    expect_sums(&mut scheduler, 12, Work::StopsRank(2))?;
    println!("step 12: rank 2 was late and stopped, so it was killed, and its successor has answered");

    for number in 13..20 {
        expect_sums(&mut scheduler, number, Work::Short)?;
    }
    println!("steps 13 to 19: answered by all ranks");
    // Its workers end. They are the supervisor's children, which waits for them.
    scheduler.close();
    Ok(())
}

fn expect_sums(scheduler: &mut Scheduler, number: u64, work: Work) -> Result<(), Failure> {
    let step = send(scheduler, number, work)?;
    match gather(scheduler, step)? {
        answers if answers == [Answer::Sum(6 * number); WORKERS] => Ok(()),
        answers => Err(format!("step {number}: {answers:?}").into()),
    }
}

fn send(scheduler: &mut Scheduler, number: u64, work: Work) -> Result<Sequence, Failure> {
    let tokens = [1, 2, 3].map(|token| token * number as u32).to_vec();
    Ok(scheduler.broadcast(&Step::Run { number, tokens, work }, 0, STEP_TIMEOUT)?)
}

/// The answers of all ranks to `step`, also if workers die or hang.
fn gather(scheduler: &mut Scheduler, step: Sequence) -> Result<Vec<Answer>, Failure> {
    let first = scheduler.gather_for(step, Whom::All, STEP_TIMEOUT);
    first.into_iter().map(|answer| insist(scheduler, step, answer)).collect()
}

/// Makes sure that there is an answer of the rank from which `answer` came, or from which none came.
fn insist(scheduler: &mut Scheduler, step: Sequence, mut answer: TypedAnswer<Answer>) -> Result<Answer, Failure> {
    let rank = answer.rank;
    loop {
        match answer.outcome {
            Ok((answer, _kind)) => return Ok(answer),
            Err(Outcome::Died { .. }) => {
                let arrival = scheduler.wait_for(rank, RETURN_TIMEOUT);
                if !matches!(arrival, Arrival::Joined { .. }) {
                    return Err(format!("rank {rank} has not come back: {arrival:?}").into());
                }
            }
            // The supervisor was quick: the successor is there already.
            Err(Outcome::Rejoined { .. }) => {}
            Err(Outcome::TimedOut) => {
                eprintln!("report: {}", scheduler.report(rank));
                end(scheduler, rank)?;
            }
            Err(other) => return Err(format!("rank {rank}: {other:?}").into()),
        }
        // The successor gets what the old process had not acknowledged.
        answer = scheduler.gather_for(step, Whom::Rank(rank), STEP_TIMEOUT).remove(0);
    }
}

/// Ends a worker that hangs. The pid is that of the worker's own pid namespace. If that is another one, let the
/// supervisor do this.
fn end(scheduler: &Scheduler, rank: usize) -> Result<(), Failure> {
    let pid = scheduler.raw().worker_pid(rank).and_then(|pid| Pid::from_raw(pid.cast_signed()));
    Ok(kill_process(pid.ok_or("it has gone meanwhile")?, Signal::KILL)?)
}
