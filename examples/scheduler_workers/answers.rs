//! The answers of all workers, added up. Each answer counts once, however often it comes.

use super::Failure;
use super::events::Answer;
use super::options::Options;
use super::tally::Tally;
use super::worker::worker_id;
use disruptor_mp::{ConsumeError, SharedConsumer, attach_shared_consumer};
use hdrhistogram::Histogram;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The answer rings, and what was read from them.
#[derive(Default)]
pub(crate) struct Answers {
    rings: Vec<AnswerRing>,
    books: Books,
}

/// One worker's answers.
struct AnswerRing {
    consumer: SharedConsumer<Answer>,
    cpu: Cpu,
}

/// Processor time of a worker, over all its lives.
#[derive(Clone, Copy, Default)]
struct Cpu {
    past_lives_ns: u64,
    this_life_ns: u64,
}

/// What was counted and measured.
pub(crate) struct Books {
    /// By rank: the sequence that the worker answers next. A smaller one has been counted.
    next: Vec<i64>,
    /// Of all answers that counted.
    pub(crate) tally: Tally,
    /// Answers to chunks that had been answered before.
    pub(crate) repeated: u64,
    /// Chunks that were handed out a second time, answered before or not.
    pub(crate) redelivered: u64,
    /// From publishing to the moment when the last worker took the event, in nanoseconds.
    pub(crate) latency_ns: Histogram<u64>,
    /// From the first worker to the last, in nanoseconds.
    pub(crate) skew_ns: Histogram<u64>,
    /// Events that some workers have answered and others have not, in order.
    open: VecDeque<OpenEvent>,
    /// The sequence of the first of them: all workers have answered everything before it.
    complete: i64,
}

struct OpenEvent {
    first_ns: u64,
    last_ns: u64,
    answers: usize,
}

impl Answers {
    /// Attaches to the answer rings of all workers, which have joined.
    ///
    /// # Errors
    /// A ring is not there, or is not ours.
    pub(crate) fn attach(&mut self, options: &Options) -> Result<(), Failure> {
        for rank in 0..options.workers {
            let consumer = attach_shared_consumer::<Answer>(options.answer_segment(rank), options.answer_capacity())
                .with_consumer_id("scheduler")
                .build_consumer()?;
            self.rings.push(AnswerRing { consumer, cpu: Cpu::default() });
        }
        self.books = Books::new(self.rings.len());
        Ok(())
    }

    /// Takes everything that is there now; returns how many answers that were.
    ///
    /// # Errors
    /// A worker has left out an event.
    pub(crate) fn drain(&mut self) -> Result<usize, Failure> {
        let mut taken = 0;
        for (rank, ring) in (0..).zip(&mut self.rings) {
            while let Some(batch) = ring.consumer.try_consume_batch_leased(usize::MAX) {
                for answer in batch.iter() {
                    ring.cpu.this_life_ns = answer.cpu_ns;
                    self.books.take(rank, answer)?;
                }
                taken += batch.len();
            }
        }
        Ok(taken)
    }

    /// Events that all workers have answered.
    pub(crate) fn complete(&self) -> i64 {
        self.books.complete
    }

    /// The worker that has answered least.
    pub(crate) fn slowest(&self) -> u32 {
        (0..).zip(&self.books.next).min_by_key(|(_, next)| **next).map_or(0, |(rank, _)| rank)
    }

    /// Waits for an answer of the worker, at most until `deadline`.
    ///
    /// # Errors
    /// `TimedOut`; `ProducerDied` or `Closed` if the worker is gone and all its answers have been read.
    pub(crate) fn wait(&mut self, rank: u32, deadline: Instant) -> Result<(), ConsumeError> {
        self.rings[rank as usize].consumer.wait_until_available(Some(deadline))
    }

    /// What the worker does that has not answered for `waited`, in one line.
    pub(crate) fn stall_report(&self, rank: u32, waited: Duration) -> String {
        self.rings[rank as usize].consumer.stall_report(waited).to_string()
    }

    /// The worker has been restarted: its processor time begins at zero again.
    pub(crate) fn note_restart(&mut self, rank: u32) {
        let cpu = &mut self.rings[rank as usize].cpu;
        *cpu = Cpu { past_lives_ns: cpu.past_lives_ns + cpu.this_life_ns, this_life_ns: 0 };
    }

    /// Processor time of each worker, as of its last answer.
    pub(crate) fn cpu_times(&self) -> Vec<Duration> {
        let cpu_time = |ring: &AnswerRing| Duration::from_nanos(ring.cpu.past_lives_ns + ring.cpu.this_life_ns);
        self.rings.iter().map(cpu_time).collect()
    }

    /// Leaves the rings; what was counted and measured stays.
    pub(crate) fn into_books(self) -> Books {
        self.books
    }
}

impl Default for Books {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Books {
    fn new(workers: usize) -> Self {
        let histogram = || Histogram::new(3).expect("three digits are a precision that histograms have");
        Self {
            next: vec![0; workers],
            tally: Tally::default(),
            repeated: 0,
            redelivered: 0,
            latency_ns: histogram(),
            skew_ns: histogram(),
            open: VecDeque::new(),
            complete: 0,
        }
    }

    /// Counts an answer, unless that worker has answered this event before.
    fn take(&mut self, rank: u32, answer: &Answer) -> Result<(), Failure> {
        let workers = self.next.len();
        let next = &mut self.next[rank as usize];
        self.redelivered += u64::from(answer.redeliveries > 0);
        if answer.sequence < *next {
            self.repeated += 1;
            return Ok(());
        }
        if answer.sequence > *next {
            return Err(format!("{} answered event {} instead of {next}", worker_id(rank), answer.sequence).into());
        }
        *next += 1;
        self.tally += answer.tally();
        // Every worker answers in order, so events become complete in order, and a new one follows the last.
        let index = (answer.sequence - self.complete) as usize;
        if index == self.open.len() {
            self.open.push_back(OpenEvent { first_ns: u64::MAX, last_ns: 0, answers: 0 });
        }
        let event = &mut self.open[index];
        event.first_ns = event.first_ns.min(answer.received_ns);
        event.last_ns = event.last_ns.max(answer.received_ns);
        event.answers += 1;
        if event.answers == workers {
            // The histograms grow as needed.
            self.latency_ns += event.last_ns.saturating_sub(answer.sent_ns);
            self.skew_ns += event.last_ns - event.first_ns;
            self.open.pop_front();
            self.complete += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(sequence: i64, received_ns: u64, redeliveries: u32) -> Answer {
        let mut answer = Answer::EMPTY;
        (answer.sequence, answer.sent_ns, answer.received_ns, answer.redeliveries) =
            (sequence, 100, received_ns, redeliveries);
        answer.set_tally(Tally { lines: 1, words: 2, bytes: 3, hash: 4 });
        answer
    }

    #[test]
    fn an_answer_that_comes_twice_counts_once() {
        let mut books = Books::new(2);
        for (rank, answer) in
            [(1, answer(0, 110, 0)), (1, answer(1, 120, 0)), (1, answer(0, 300, 1)), (1, answer(1, 310, 1))]
        {
            books.take(rank, &answer).unwrap();
        }
        assert_eq!((books.complete, books.repeated, books.redelivered), (0, 2, 2));
        books.take(0, &answer(0, 150, 0)).unwrap();
        assert_eq!((books.complete, books.latency_ns.max(), books.skew_ns.max()), (1, 50, 40));
        books.take(0, &answer(1, 115, 0)).unwrap();
        assert_eq!((books.complete, books.latency_ns.max(), books.skew_ns.max()), (2, 50, 40));
        assert_eq!(books.tally, Tally { lines: 4, words: 8, bytes: 12, hash: 16 });
    }

    #[test]
    fn an_event_that_nobody_answered_is_an_error() {
        let mut books = Books::new(1);
        books.take(0, &answer(0, 0, 0)).unwrap();
        assert!(books.take(0, &answer(2, 0, 0)).is_err());
    }
}
