//! A question and its answer: an event through one ring, and an event back through another.

use serde::{Deserialize, Serialize};

use super::event_ring::{EventRing, Publishing, Reading, Ring, with_ring};
use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::payload::{STOP, Source};
use crate::workload::round_trips::{Asking, GROUP, Questioner, check};

/// Through two rings of the same kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct PingPong {
    pub(crate) ring: Ring,
}

/// The ring of the questions.
const THERE: usize = 0;
/// The ring of the answers.
const BACK: usize = 1;
/// The one consumer of each.
const CONSUMER: usize = 0;

/// Bytes of the warm-up, at the most: for rings of long events, whose laps are short
/// anyway.
const WARM_UP_BYTES: usize = 64 << 20;
/// Bytes of questions that are timed together, at the most.
const GROUP_BYTES: usize = 64 << 10;

/// Role 0's ends of the two rings, of events of `WORDS` words.
struct Ends<P, C, const WORDS: usize> {
    there: P,
    back: C,
    source: Source,
}

impl<P: Publishing<WORDS>, C: Reading, const WORDS: usize> Asking for Ends<P, C, WORDS> {
    #[inline(always)]
    fn ask(&mut self, number: u64) -> Result<(), Stop> {
        self.there.publish(self.source.event(number))?;
        check(number, self.back.read()?.sum, self.source.sum(number))
    }

    fn stop(&mut self) -> Result<(), Stop> {
        let stop = self.source.stop(0).first_chunk().expect("an event is as long as a message");
        self.there.publish(stop)
    }
}

impl PingPong {
    /// Round trips of the first lap, which touches every page, as no later one does.
    fn warm_up(&self) -> usize {
        self.ring.slots.min((WARM_UP_BYTES / self.ring.payload_bytes).max(1))
    }

    /// Round trips that are timed together. Long ones take far longer than a step of the clock.
    fn group(&self) -> u64 {
        ((GROUP_BYTES / self.ring.payload_bytes) as u64).clamp(1, GROUP)
    }

    fn ask<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut there = R::create::<WORDS>(side, &self.ring, THERE)?;
        side.rendezvous()?;
        let back = R::attach::<WORDS>(side, &self.ring, BACK, CONSUMER)?;
        side.rendezvous()?;
        there.join(&self.ring)?;
        side.rendezvous()?;
        let source = Source::new(self.ring.payload_bytes);
        let mut questioner = Questioner::new(Ends::<_, _, WORDS> { there, back, source });
        (0..self.warm_up()).try_for_each(|_| questioner.ask())?;
        side.measured(|| questioner.measure(side.window(), self.group()))
    }

    fn answer<R: EventRing, const WORDS: usize>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut back = R::create::<WORDS>(side, &self.ring, BACK)?;
        side.rendezvous()?;
        let mut there = R::attach::<WORDS>(side, &self.ring, THERE, CONSUMER)?;
        side.rendezvous()?;
        back.join(&self.ring)?;
        side.rendezvous()?;
        let source = Source::new(self.ring.payload_bytes);
        let mut answer = || -> Result<bool, Stop> {
            let question = there.read()?;
            if question.first == STOP {
                return Ok(false);
            }
            let answer = source.answer(question).ok_or_else(|| Stop::Failed(format!("no question is {question:?}")))?;
            back.publish(source.event(answer))?;
            Ok(true)
        };
        for _ in 0..self.warm_up() {
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
        !self.ring.whose.is_ours()
    }

    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.ring, R, WORDS => self.ask::<R, WORDS>(side))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_ring!(self.ring, R, WORDS => self.answer::<R, WORDS>(side))
    }
}
