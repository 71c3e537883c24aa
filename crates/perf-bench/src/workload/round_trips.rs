//! One process asks, the other answers, and the time in between is measured, for any carrier of question and answer.

use std::time::{Duration, Instant};

use crate::side::{Measurement, Stop};
use crate::stats::{Latencies, Summary, Unit};

/// Short round trips that are timed together: enough to hide the clock's steps.
pub(crate) const GROUP: u64 = 64;

/// The ends of the side that asks.
pub(crate) trait Asking {
    /// One round trip: sends question `number` and waits for the answer, every byte of which is read and
    /// [checked](check).
    ///
    /// # Errors
    /// See [`Stop`].
    fn ask(&mut self, number: u64) -> Result<(), Stop>;

    /// Sends the question that is not answered: the end.
    ///
    /// # Errors
    /// See [`Stop`].
    fn stop(&mut self) -> Result<(), Stop>;
}

/// Whether the answer to question `number` has the wanted sum.
///
/// # Errors
/// It does not.
#[inline(always)]
pub(crate) fn check(number: u64, found: u64, wanted: u64) -> Result<(), Stop> {
    if found == wanted {
        return Ok(());
    }
    Err(Stop::Failed(format!("question {number} came back as {found}, not {wanted}")))
}

/// Role 0 of a round trip: asks one question after the other.
pub(crate) struct Questioner<A> {
    ends: A,
    /// How many questions were asked.
    number: u64,
}

impl<A: Asking> Questioner<A> {
    pub(crate) fn new(ends: A) -> Self {
        Self { ends, number: 0 }
    }

    /// One round trip.
    ///
    /// # Errors
    /// What the ends return.
    #[inline(always)]
    pub(crate) fn ask(&mut self) -> Result<(), Stop> {
        self.ends.ask(self.number)?;
        self.number += 1;
        Ok(())
    }

    /// Ends the conversation, or a part of it.
    ///
    /// # Errors
    /// What the ends return.
    pub(crate) fn stop(&mut self) -> Result<(), Stop> {
        self.ends.stop()
    }

    /// Asks for `window`, in groups of `group`, and ends the conversation.
    ///
    /// # Errors
    /// As [`ask`](Self::ask).
    pub(crate) fn measure(&mut self, window: Duration, group: u64) -> Result<Option<Measurement>, Stop> {
        let measurement = time(window, group, || self.ask())?;
        self.stop()?;
        Ok(Some(measurement))
    }
}

/// Calls `ask`, which makes one round trip, for `window`. The value is the median of groups of `group` of them. The
/// single round trips of the other half of the window, which include a reading of the clock, are there for their tail.
fn time(window: Duration, group: u64, mut ask: impl FnMut() -> Result<(), Stop>) -> Result<Measurement, Stop> {
    let mut latencies = Latencies::new();
    let mut groups_ns = Vec::with_capacity(4096);
    let begin = Instant::now();
    while groups_ns.is_empty() || begin.elapsed() < window / 2 {
        let group_begin = Instant::now();
        for _ in 0..group {
            ask()?;
        }
        groups_ns.push(group_begin.elapsed().as_nanos() as f64 / group as f64);
    }
    let begin = Instant::now();
    loop {
        let sent = Instant::now();
        if sent - begin >= window / 2 {
            break;
        }
        ask()?;
        latencies.record_ns(sent.elapsed().as_nanos() as u64);
    }
    let summary = Summary::of(&groups_ns).expect("there was a group");
    Ok(Measurement { value: summary.median, unit: Unit::Nanoseconds, latencies: Some(latencies) })
}
