//! What the user sees: progress while it runs, a table at the end, and whether the total is right.

use super::answers::Books;
use super::tally::Tally;
use hdrhistogram::Histogram;
use std::fmt;
use std::time::{Duration, Instant};

/// Lines of progress in a run.
const PROGRESS_STEPS: i64 = 10;

/// Says now and then how far the run has got.
pub(crate) struct Progress {
    events: i64,
    started: Instant,
    shown: i64,
}

impl Progress {
    /// Of a run of `events` events that begins now.
    pub(crate) fn new(events: i64) -> Self {
        Self { events, started: Instant::now(), shown: 0 }
    }

    /// Writes a line if another tenth has been published.
    pub(crate) fn show(&mut self, published: i64, answered: i64) {
        let step = published * PROGRESS_STEPS / self.events;
        if step > self.shown {
            self.shown = step;
            let percent = 100 * published / self.events;
            let rate = per_second(published, self.started.elapsed());
            eprintln!(
                "{percent:>3} %  {published} of {} events published, {answered} seen answered by all, {rate:.0}/s",
                self.events
            );
        }
    }
}

/// A finished run.
pub(crate) struct Summary {
    pub(crate) events: i64,
    pub(crate) elapsed: Duration,
    pub(crate) books: Books,
    pub(crate) scheduler_cpu: Duration,
    pub(crate) worker_cpu: Vec<Duration>,
    pub(crate) restarts: u32,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, elapsed, books, .. } = self;
        let rate = per_second(*events, *elapsed);
        writeln!(f, "events       {events} in {elapsed:.2?}, {rate:.0} events/s")?;
        writeln!(f, "latency      to the last worker  {}", Percentiles(&books.latency_ns))?;
        writeln!(f, "rank skew    first to last       {}", Percentiles(&books.skew_ns))?;
        write!(f, "cpu seconds  scheduler {:.3}", self.scheduler_cpu.as_secs_f64())?;
        for (rank, cpu) in self.worker_cpu.iter().enumerate() {
            write!(f, "  worker-{rank} {:.3}", cpu.as_secs_f64())?;
        }
        let Books { redelivered, repeated, .. } = books;
        writeln!(f, "\nrestarts     {}, {redelivered} events redelivered, {repeated} answers came twice", self.restarts)
    }
}

/// Median, 99th percentile and maximum of nanoseconds.
struct Percentiles<'a>(&'a Histogram<u64>);

impl fmt::Display for Percentiles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ns: u64| format!("{:.1?}", Duration::from_nanos(ns));
        let (p50, p99) = (self.0.value_at_quantile(0.5), self.0.value_at_quantile(0.99));
        write!(f, "p50 {:>8}  p99 {:>8}  max {:>8}", time(p50), time(p99), time(self.0.max()))
    }
}

fn per_second(events: i64, elapsed: Duration) -> f64 {
    // Not zero, however coarse the clock.
    events as f64 / elapsed.max(Duration::from_nanos(1)).as_secs_f64()
}

/// The workers did not count what is there.
#[derive(Debug, PartialEq)]
pub(crate) struct WrongTotal {
    counted: Tally,
    wanted: Tally,
}

impl fmt::Display for WrongTotal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "WRONG TOTAL  {}", self.counted)?;
        write!(f, "instead of   {}", self.wanted)
    }
}

impl std::error::Error for WrongTotal {}

/// Whether the workers together counted the same as one process alone.
///
/// # Errors
/// They did not.
pub(crate) fn verify(counted: Tally, wanted: Tally) -> Result<(), WrongTotal> {
    if counted == wanted { Ok(()) } else { Err(WrongTotal { counted, wanted }) }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lines, words, bytes, hash } = self;
        write!(f, "{lines} lines, {words} words, {bytes} bytes, hash {hash:016x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_too_many_is_a_wrong_total() {
        let wanted = Tally::of_text(b"a text of five words\n");
        let counted = Tally { words: wanted.words + 1, ..wanted };
        assert_eq!(verify(wanted, wanted), Ok(()));
        assert_eq!(verify(counted, wanted), Err(WrongTotal { counted, wanted }));
    }
}
