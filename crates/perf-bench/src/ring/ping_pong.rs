//! A question and its answer: an event through one ring, and an event back through another.
//!
//! **Lives here:** [`PingPong`]. **Builds on:** the library's interface. **May touch it:** `workload`.

use std::time::Instant;

use disruptor_mp::{SharedConsumer, SharedProducer, WaitStrategy};
use serde::{Deserialize, Serialize};

use super::{Message, attach, create, fill, sum, with_words};
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Latencies, Summary, Unit};
use crate::workload::Subject;

/// Both sides spin. As for a cache line, the value is timed in groups, and the single round trips, which include a reading
/// of the clock, are there for their tail.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PingPong {
    pub(crate) payload_bytes: usize,
    /// Slots of each of the two rings.
    pub(crate) slots: usize,
}

/// The ring of the questions.
const THERE: usize = 0;
/// The ring of the answers.
const BACK: usize = 1;

/// Round trips that are timed together: enough to hide the clock's steps.
const GROUP: u64 = 64;

/// The question that is not answered: the end.
const STOP: u64 = u64::MAX;

/// Role 0's ends of the two rings.
struct Questioner<const WORDS: usize> {
    there: SharedProducer<Message<WORDS>>,
    back: SharedConsumer<Message<WORDS>>,
    /// How many questions were asked.
    number: u64,
}

impl<const WORDS: usize> Questioner<WORDS> {
    /// One round trip; the answer is checked.
    fn ask(&mut self) -> Result<(), Stop> {
        let number = self.number;
        self.there.publish(|message| fill(message, number))?;
        let (wanted, found) = (number.wrapping_mul(WORDS as u64), sum(&*self.back.consume_next_leased()?));
        if found != wanted {
            return Err(Stop::Failed(format!("question {number} came back as {found}, not {wanted}")));
        }
        self.number += 1;
        Ok(())
    }
}

impl PingPong {
    fn ask<const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let there = create::<WORDS>(side, THERE, self.slots)?;
        side.rendezvous()?;
        let back = attach::<WORDS>(side, BACK, WaitStrategy::BusySpin)?;
        side.rendezvous()?;
        let mut questioner = Questioner { there, back, number: 0 };
        // The first lap touches every page, which no later one does.
        (0..self.slots).try_for_each(|_| questioner.ask())?;

        let mut latencies = Latencies::new();
        side.measured(|| {
            let mut groups_ns = Vec::with_capacity(4096);
            let begin = Instant::now();
            while groups_ns.is_empty() || begin.elapsed() < side.window() / 2 {
                let group_begin = Instant::now();
                for _ in 0..GROUP {
                    questioner.ask()?;
                }
                groups_ns.push(group_begin.elapsed().as_nanos() as f64 / GROUP as f64);
            }
            let begin = Instant::now();
            loop {
                let sent = Instant::now();
                if sent - begin >= side.window() / 2 {
                    break;
                }
                questioner.ask()?;
                latencies.record_ns(sent.elapsed().as_nanos() as u64);
            }
            questioner.there.publish(|message| fill(message, STOP))?;
            let summary = Summary::of(&groups_ns).expect("there was a group");
            let (value, unit) = (summary.median, Unit::Nanoseconds);
            Ok(Some(Measurement { value, unit, latencies: Some(latencies) }))
        })
    }

    fn answer<const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut back = create::<WORDS>(side, BACK, self.slots)?;
        side.rendezvous()?;
        let mut there = attach::<WORDS>(side, THERE, WaitStrategy::BusySpin)?;
        side.rendezvous()?;
        let mut answer = || -> Result<bool, Stop> {
            let question = there.consume_next_leased()?;
            let number = question[0];
            let sum = sum(&question);
            drop(question);
            if number == STOP {
                return Ok(false);
            }
            // The question was read as a whole, and what is written depends on it.
            back.publish(|message| fill(message, sum / WORDS as u64))?;
            Ok(true)
        };
        for _ in 0..self.slots {
            answer()?;
        }
        side.measured(|| {
            while answer()? {}
            Ok(None)
        })
    }
}

impl Subject for PingPong {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_words!(self.payload_bytes, self.ask(side))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_words!(self.payload_bytes, self.answer(side))
    }
}
