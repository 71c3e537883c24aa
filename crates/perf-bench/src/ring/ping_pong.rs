//! A question and its answer: an event through one ring, and an event back through another.
//!
//! **Lives here:** [`PingPong`]. **Builds on:** `event_ring`, `workload::round_trips`. **May touch it:** `workload`.

use serde::{Deserialize, Serialize};

use super::event_ring::{EventRing, Publishing, Reading, Whose, with_ring};
use super::with_words;
use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::round_trips::{Asking, GROUP, Questioner, check};

/// Both sides spin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PingPong {
    pub(crate) whose: Whose,
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

/// Role 0's ends of the two rings, of events of `WORDS` words.
struct Ends<P, C, const WORDS: usize> {
    there: P,
    back: C,
}

impl<P: Publishing, C: Reading, const WORDS: usize> Asking for Ends<P, C, WORDS> {
    #[inline(always)]
    fn ask(&mut self, number: u64) -> Result<(), Stop> {
        self.there.publish(number)?;
        check(number, self.back.read()?.1, number.wrapping_mul(WORDS as u64))
    }

    fn stop(&mut self) -> Result<(), Stop> {
        self.there.publish(STOP)
    }
}

impl PingPong {
    fn ask<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut there = R::create::<WORDS>(side, THERE, self.slots)?;
        side.rendezvous()?;
        let back = R::attach::<WORDS>(side, BACK, self.slots)?;
        side.rendezvous()?;
        there.join()?;
        side.rendezvous()?;
        let mut questioner = Questioner::new(Ends::<_, _, WORDS> { there, back });
        // The first lap touches every page, which no later one does.
        (0..self.slots).try_for_each(|_| questioner.ask())?;
        side.measured(|| questioner.measure(side.window(), GROUP))
    }

    fn answer<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut back = R::create::<WORDS>(side, BACK, self.slots)?;
        side.rendezvous()?;
        let mut there = R::attach::<WORDS>(side, THERE, self.slots)?;
        side.rendezvous()?;
        back.join()?;
        side.rendezvous()?;
        let mut answer = || -> Result<bool, Stop> {
            let (number, sum) = there.read()?;
            if number == STOP {
                return Ok(false);
            }
            // The question was read as a whole, and what is written depends on it.
            back.publish(sum / WORDS as u64)?;
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
    fn is_peers(&self) -> bool {
        self.whose != Whose::Ours
    }

    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.whose, R => with_words!(self.payload_bytes, WORDS => self.ask::<R, WORDS>(side)))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.whose, R => with_words!(self.payload_bytes, WORDS => self.answer::<R, WORDS>(side)))
    }
}
