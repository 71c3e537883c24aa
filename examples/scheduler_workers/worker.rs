//! A worker process: takes every chunk, counts its share of the lines, answers, and only then acknowledges.

use super::Failure;
use super::clock::{cpu_time, now_ns};
use super::events::{Answer, Chunk};
use super::options::Options;
use super::tally::Tally;
use disruptor_mp::{Patience, PublishError, attach_shared_consumer, build_shared_single_producer};

/// The most chunks that are acknowledged at once, and so the most that are answered twice after a death.
const BATCH_MAX: usize = 128;

/// The id of the worker of that rank, by which a restarted one continues where the dead one stopped.
pub(crate) fn worker_id(rank: u32) -> String {
    format!("worker-{rank}")
}

/// Works until the scheduler closes the ring, or dies. A panic ends the process.
///
/// # Errors
/// A ring could not be built or attached to, or the scheduler died.
pub(crate) fn run(rank: u32, options: &Options) -> Result<(), Failure> {
    die_of_panics();
    // The answer ring first: once a worker has joined the broadcast, the scheduler can attach to its answers. After a
    // restart this takes over the ring of the dead worker, in which the scheduler waits.
    let mut answers = build_shared_single_producer::<Answer>(options.answer_segment(rank), options.answer_capacity())
        .build_producer(|| Answer::EMPTY)?;
    let mut chunks = attach_shared_consumer::<Chunk>(options.segment.as_str(), options.capacity)
        .with_consumer_id(worker_id(rank))
        .with_rank(rank)
        .build_consumer()?;
    let (workers, rank) = (u64::from(options.workers), u64::from(rank));
    let mut cpu_ns = 0;
    while let Some(batch) = chunks.next_batch_or_end(BATCH_MAX, Patience::Endless)? {
        for (index, chunk) in batch.iter().enumerate() {
            let received_ns = now_ns();
            let tally = Tally::of_piece(chunk.piece(), |line| line % workers == rank);
            let answered = answers.publish(|answer| {
                answer.sequence = batch.first_sequence() + index as i64;
                answer.sent_ns = chunk.sent_ns;
                answer.received_ns = received_ns;
                answer.cpu_ns = cpu_ns;
                answer.redeliveries = batch.redeliveries(index);
                answer.set_tally(tally);
            });
            match answered {
                Ok(_) => {}
                Err(PublishError::ConsumerDied { pid, .. }) => return Err(format!("scheduler {pid} died").into()),
                Err(error) => return Err(error.into()),
            }
        }
        // Dropping the batch acknowledges it. Answered first, acknowledged second: a death in between repeats answers
        // and loses none.
        drop(batch);
        // A system call, so once per batch and not per chunk, and at a time when the scheduler waits for no answer.
        cpu_ns = cpu_time().as_nanos() as u64;
    }
    Ok(())
}

/// Makes a panic a death like any other. Unwinding would close the rings in good order, and give up the entry with
/// which a successor could go on.
fn die_of_panics() {
    let explain = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        explain(panic);
        std::process::abort();
    }));
}
