//! A worker's process: takes each step, computes, answers if the step asks for it, and only then acknowledges.

use super::Failure;
use super::step::{Accident, Reply, Step, answer};
use myelon::Patience;
use myelon::topology::{Invitation, WorkerEnd};
use rustix::process::{Signal, getpid, kill_process};
use std::time::Duration;

/// What a forward pass takes here.
const SIMULATED_WORK: Duration = Duration::from_millis(2);

/// The application's kind of an answer.
const ANSWER: u8 = 1;

/// Works until the scheduler closes the topology. If the scheduler is killed, the kernel ends this process with it.
///
/// # Errors
/// It could not join, or the bytes of a step were invalid.
pub(crate) fn run(invitation: &Invitation) -> Result<(), Failure> {
    let mut worker = WorkerEnd::join(invitation)?;
    // An engine loads its weights here. Steps that are sent meanwhile wait in the ring.
    let (rank, has_rejoined) = (worker.rank(), worker.has_rejoined());
    worker.serve(|message, answers| {
        let step = Step::decode(message, message.kind())?;
        // Only the first time: otherwise it would kill every successor.
        if !has_rejoined {
            meet_with_accident(&step, rank)?;
        }
        std::thread::sleep(SIMULATED_WORK);
        if step.reply == Reply::FromAll || rank == 0 {
            answers.send(&answer(step.number), ANSWER, Patience::Endless)?;
        }
        Ok::<(), Failure>(())
    })
}

/// Does to this process what the step says.
fn meet_with_accident(step: &Step, rank: usize) -> Result<(), Failure> {
    match step.accident {
        Some((whom, accident)) if whom == rank => {
            let signal = if accident == Accident::Stops { Signal::STOP } else { Signal::KILL };
            Ok(kill_process(getpid(), signal)?)
        }
        _ => Ok(()),
    }
}
