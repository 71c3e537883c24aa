//! Waiting for what workers answer.
//!
//! **Lives here:** [`SchedulerEnd::gather`], [`SchedulerEnd::receive`]. **Builds on:** `peer`, and the waits of the response rings.
//! **May touch it:** the scheduler's thread.

use super::answer::{Answer, Outcome, Whom};
use super::peer::{Peer, Standing};
use super::scheduler::SchedulerEnd;
use crate::transport::{Format, FramedTransportConsumer, Message};
use disruptor_mp::{ConsumeError, Doorbell, Patience};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::time::{Duration, Instant};

/// The longest that the scheduler sleeps for one worker without looking at the others. A death is to be named within 100 ms.
const SLICE: Duration = Duration::from_millis(50);

/// The nap of somebody whose worker is about to have a ring again.
const NAP: Duration = Duration::from_millis(1);

/// What can be said of a worker without waiting.
enum Now {
    /// There is a message, which has not been taken.
    Message,
    /// There is an outcome that was not told before.
    News(Outcome),
    /// There is an outcome, and it was told before.
    Same(Outcome),
    /// Nothing yet.
    Nothing,
}

impl<F: Format> SchedulerEnd<F> {
    /// Waits until `deadline` for one answer of each worker that is asked for, and says per worker what came of it, in the order of ranks:
    /// a message, or why there is none. `Any` gives the one that comes first.
    ///
    /// Messages are copied out; see [`receive`](Self::receive) for reading in place. A message that was taken is acknowledged.
    ///
    /// # Panics
    /// If there is no worker of that rank.
    pub fn gather(&mut self, whom: Whom, deadline: Instant) -> Vec<Answer> {
        match whom {
            Whom::All => (0..self.worker_count()).map(|rank| self.answer_of(rank, deadline)).collect(),
            Whom::Rank(rank) => vec![self.answer_of(rank, deadline)],
            Whom::Any => self.first_answer(deadline),
        }
    }

    /// Waits until `deadline` for the next message of worker `rank`, and lends it where it lies; dropping it acknowledges it.
    ///
    /// # Errors
    /// The outcome, if it is no message.
    ///
    /// # Panics
    /// If there is no worker of that rank.
    pub fn receive(&mut self, rank: usize, deadline: Instant) -> Result<Message<'_, F>, Outcome> {
        self.wait_for(rank, deadline)?;
        let last = self.last_broadcast();
        self.peers[rank].progress.heard(last);
        match ring(&mut self.peers[rank]).next(Patience::Now) {
            Ok(Some(message)) => Ok(message),
            // Its wait said that there is one; only damage can make it vanish.
            Ok(None) => Err(Outcome::TimedOut),
            Err(error) => Err(Outcome::Unreadable(error)),
        }
    }

    fn answer_of(&mut self, rank: usize, deadline: Instant) -> Answer {
        let outcome = match self.wait_for(rank, deadline) {
            Ok(()) => self.take(rank),
            Err(outcome) => outcome,
        };
        Answer { rank, outcome }
    }

    /// The first of all workers that has something to say. The dead and those who have left are passed over once they have been told of.
    fn first_answer(&mut self, deadline: Instant) -> Vec<Answer> {
        loop {
            self.look_if_due();
            for offset in 0..self.worker_count() {
                let rank = (self.turn + offset) % self.worker_count();
                let peer = &mut self.peers[rank];
                let outcome = match now(peer) {
                    Now::Message => self.take(rank),
                    Now::News(outcome) => outcome,
                    Now::Same(_) | Now::Nothing => continue,
                };
                self.turn = rank + 1;
                return vec![Answer { rank, outcome }];
            }
            let is_anybody_there =
                self.peers.iter().any(|peer| peer.is_present() || peer.has_news() || peer.may_come());
            if Instant::now() >= deadline || !is_anybody_there {
                let ranks = 0..self.worker_count();
                return ranks.map(|rank| self.answer_of(rank, Instant::now())).collect();
            }
            self.doze(deadline);
        }
    }

    /// Takes the message of `rank` that is there.
    fn take(&mut self, rank: usize) -> Outcome {
        let last = self.last_broadcast();
        let peer = &mut self.peers[rank];
        peer.progress.heard(last);
        match ring(peer).receive_owned(Patience::Now) {
            Ok(Some((kind, bytes))) => Outcome::Message { kind, bytes },
            Ok(None) => Outcome::TimedOut,
            Err(error) => Outcome::Unreadable(error),
        }
    }

    /// Waits until there is a message of `rank`; or says why there will be none.
    fn wait_for(&mut self, rank: usize, deadline: Instant) -> Result<(), Outcome> {
        self.look_if_due();
        loop {
            let peer = &mut self.peers[rank];
            match now(peer) {
                Now::Message => return Ok(()),
                Now::News(outcome) | Now::Same(outcome) => return Err(outcome),
                Now::Nothing => {}
            }
            let moment = Instant::now();
            if moment >= deadline {
                // Of a process that is gone all that can be said by now, although it may become known how it ended.
                return Err(peer.word().map_or(Outcome::TimedOut, Outcome::from));
            }
            let Some(responses) = &mut peer.responses else {
                std::thread::sleep(NAP.min(deadline - moment));
                self.look();
                continue;
            };
            match responses.wait_until_available(Some(deadline.min(moment + SLICE))) {
                Ok(()) => return Ok(()),
                Err(ConsumeError::TimedOut { .. }) => self.look_if_due(),
                Err(ConsumeError::ProducerDied { .. }) => {
                    self.look();
                    // The kernel lets go of a dead process's locks one after the other, and says later how it ended; and a successor takes
                    // the table's lock before the ring's. Either way there is about to be more to say.
                    std::thread::sleep(NAP);
                }
                // The next turn lets go of the ring.
                Err(ConsumeError::Closed | ConsumeError::Replaced) => {}
                Err(error) => return Err(Outcome::Unreadable(error.into())),
            }
        }
    }

    /// Sleeps until somebody may have something to say, or it is time to look after the workers.
    fn doze(&mut self, deadline: Instant) {
        let mut slice = deadline.saturating_duration_since(Instant::now()).min(SLICE);
        if self.peers.iter().any(|peer| (peer.is_present() && !peer.is_ready()) || peer.has_news()) {
            std::thread::sleep(NAP.min(slice));
            return self.look();
        }
        if self.peers.iter().any(Peer::may_come) {
            slice = slice.min(super::scheduler::LOOK_INTERVAL);
        }
        let mut is_everybody_heard = true;
        for peer in &mut self.peers {
            let Some(responses) = peer.responses.as_mut().filter(|_| matches!(peer.standing, Standing::Present(_)))
            else {
                continue;
            };
            if peer.doorbell.is_none() {
                peer.doorbell = responses.doorbell().ok();
            }
            match &mut peer.doorbell {
                Some(doorbell) => {
                    if !doorbell.arm(responses) {
                        return;
                    }
                }
                None => is_everybody_heard = false,
            }
        }
        // Without doorbells (another system than Linux, or more rings than a process can have bells for) we look often.
        let slice = if is_everybody_heard { slice } else { slice.min(NAP) };
        let mut bells: Vec<_> = self.peers.iter().filter_map(|peer| peer.doorbell.as_ref()).map(bell).collect();
        let timeout = Timespec::try_from(slice).expect("a slice is short");
        // An interrupted poll is a short one.
        let _ = poll(&mut bells, Some(&timeout));
    }
}

fn bell(doorbell: &Doorbell) -> PollFd<'_> {
    PollFd::new(doorbell, PollFlags::IN)
}

/// What can be said of a worker without waiting.
fn now<F: Format>(peer: &mut Peer<F>) -> Now {
    // The end of the old process and the coming of the new one, before anything from the new one; its ring is another than theirs.
    if peer.is_ready()
        && let Some(change) = peer.tell()
    {
        return Now::News(change.into());
    }
    if peer.has_message() {
        return Now::Message;
    }
    if let Some(change) = peer.tell() {
        return Now::News(change.into());
    }
    match peer.word() {
        Some(change) if !peer.has_news() => Now::Same(change.into()),
        _ => Now::Nothing,
    }
}

fn ring<F: Format>(peer: &mut Peer<F>) -> &mut FramedTransportConsumer<F> {
    peer.responses.as_mut().expect("a worker with a message has a ring")
}
