//! A question and its answer: an event through one ring, and an event back through another.
//!
//! **Lives here:** [`PingPong`]. **Builds on:** the library's interface, `workload::round_trips`.
//! **May touch it:** `workload`.

use disruptor_mp::{SharedConsumer, SharedProducer, WaitStrategy};
use serde::{Deserialize, Serialize};

use super::{Message, attach, create, fill, sum, with_words};
use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::round_trips;

/// Both sides spin.
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

        side.measured(|| {
            let measurement = round_trips::time(side.window(), round_trips::GROUP, || questioner.ask())?;
            questioner.there.publish(|message| fill(message, STOP))?;
            Ok(Some(measurement))
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
