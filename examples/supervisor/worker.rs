//! A worker's process: answers steps until the scheduler closes the topology, and receives urgent messages meanwhile.

use super::Failure;
use super::message::{Answer, Step, Work};
use myelon::codec::Codec;
use myelon::topology::{Invitation, TypedWorker, UrgentHandle};
use myelon::{Patience, Sequence};
use rustix::process::{Signal, getpid, kill_process};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// What a forward pass takes here.
const SIMULATED_WORK: Duration = Duration::from_millis(1);

pub(crate) fn run() -> Result<(), Failure> {
    let mut worker: TypedWorker<Step, Answer> = TypedWorker::join(&Invitation::from_environment()?)?;
    let rank = worker.raw().rank() as u32;
    let cancelled = Arc::new(AtomicI64::new(-1));
    let urgent = worker.take_urgent().ok_or("the topology has an urgent lane")?;
    let listener = std::thread::spawn({
        let cancelled = Arc::clone(&cancelled);
        move || listen(urgent, &cancelled)
    });

    while let Some(mut broadcast) = worker.next_or_end(Patience::Endless)? {
        let Step::Run { tokens, work, .. } = broadcast.message() else { continue };
        // What killed or stopped its predecessor does not happen to a successor.
        if !broadcast.is_redelivered() {
            meet_with_accident(*work, rank)?;
        }
        let answer = compute(tokens, *work, || cancelled.load(Ordering::Relaxed) >= broadcast.step());
        // Answered first, and acknowledged when it is dropped: a death between the two repeats the answer, which the
        // scheduler drops, and loses none.
        broadcast.answer(&answer, 0, Patience::Endless)?;
    }
    listener.join().map_err(|_| "the listener has panicked")?;
    Ok(())
}

/// Notes the step up to which the work has to end.
fn listen(mut urgent: UrgentHandle, cancelled: &AtomicI64) {
    // The broadcasts also say why there are no more.
    while let Ok(Some(message)) = urgent.next_or_end(Patience::Endless) {
        if let Ok(Step::Cancel) = Step::decode(&message) {
            let last_before: Sequence = message.in_reply_to().unwrap_or(-1);
            cancelled.fetch_max(last_before, Ordering::Relaxed);
        }
    }
}

fn compute(tokens: &[u32], work: Work, is_cancelled: impl Fn() -> bool) -> Answer {
    loop {
        std::thread::sleep(SIMULATED_WORK);
        if is_cancelled() {
            return Answer::Cancelled;
        }
        if work != Work::UntilCancelled {
            return Answer::Sum(tokens.iter().map(|token| u64::from(*token)).sum());
        }
    }
}

/// Does to this process what the step says.
fn meet_with_accident(work: Work, rank: u32) -> Result<(), Failure> {
    let signal = match work {
        Work::KillsRank(whom) if whom == rank => Signal::KILL,
        Work::StopsRank(whom) if whom == rank => Signal::STOP,
        _ => return Ok(()),
    };
    Ok(kill_process(getpid(), signal)?)
}
