//! Waiting for the answers of workers.

use super::answer::{Answer, Outcome, Whom};
use super::error::TopologyError;
use super::peer::Peer;
use super::scheduler::{LOOK_INTERVAL, SchedulerEnd};
use super::steps::Version;
use crate::transport::{Format, Message};
use disruptor_mp::{ConsumeError, Patience, Selectable, Sequence};
use std::time::{Duration, Instant};

/// The longest sleep for one worker without a look at the others: a death must be reported within 100 ms.
const SLICE: Duration = Duration::from_millis(50);

/// Why a worker that was found to have a message has a ring.
const HAS_RING: &str = "a worker with a message has a ring";

/// The nap of a call whose worker is about to have a ring again.
const NAP: Duration = Duration::from_millis(1);

/// What a worker has now, without waiting. Nothing was reported and nothing was handed out.
enum Now {
    /// A message.
    Message,
    /// An outcome that was not reported before.
    News,
    /// An outcome that was reported before.
    Same(Outcome),
    /// Nothing yet.
    Nothing,
}

/// A worker's next message.
pub(super) enum Found<'a, F: Format> {
    /// In place in the worker's ring, with the version of that ring.
    InRing(Message<'a, F>, Version),
    /// A copy that was made before. Its outcome is a message.
    Copied(Answer),
}

impl<F: Format> SchedulerEnd<F> {
    /// Waits as long as `patience` says for one message of each worker in `whom`, whatever it answers. Returns an
    /// outcome for each worker, in the order of ranks: a message, or why there is none. `Any` gives the one that comes
    /// first. [`gather_for`](Self::gather_for) waits for the answers to one broadcast.
    ///
    /// [`Endless`](Patience::Endless) waits until there is an outcome for each worker: a message, or that the worker
    /// has died or left. It waits for a worker that lives and sends nothing. `Managed` is the same here, because this
    /// call publishes nothing; `Now` returns what there is.
    ///
    /// Messages are copied out; see [`receive`](Self::receive) for reading in place. A message that was taken is
    /// acknowledged.
    ///
    /// # Panics
    /// If there is no worker of that rank.
    #[track_caller]
    pub fn gather(&mut self, whom: Whom, patience: impl Into<Patience>) -> Vec<Answer> {
        self.gather_step(None, whom, Instant::now(), patience.into().deadline())
    }

    /// Waits as long as `patience` says for the answers to the broadcast `step`, the number that
    /// [`broadcast`](Self::broadcast) has returned. Returns an outcome for each worker, in the order of ranks. `Any`
    /// gives the one that comes first. The caller says for each step which workers must answer: the others may answer
    /// or not. [`gather`](Self::gather) says what each patience means.
    ///
    /// Every answer that it returns is an answer to `step`. Answers to earlier steps, and to steps that the worker has
    /// answered before, are dropped and [counted](super::WorkerReport::unwanted). An answer to a later step is kept for
    /// the call that asks for it. A worker whose answer was handed out before gives [`Outcome::Answered`] at once.
    ///
    /// ```
    /// use myelon::Patience;
    /// use myelon::topology::{Outcome, SchedulerEnd, Whom};
    /// use std::time::Duration;
    ///
    /// fn step(scheduler: &mut SchedulerEnd, bytes: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    ///     let step = scheduler.broadcast(bytes, 1, Patience::Endless)?;
    ///     for answer in scheduler.gather_for(step, Whom::All, Duration::from_millis(50)) {
    ///         match answer.outcome {
    ///             Outcome::Message { bytes, .. } => println!("rank {}: {bytes:?}", answer.rank),
    ///             // The next call drops and counts a later answer.
    ///             Outcome::TimedOut => println!("{}", scheduler.report(answer.rank)),
    ///             other => println!("rank {} {other}", answer.rank),
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Panics
    /// If there is no worker of that rank, or `step` was not broadcast.
    /// Source: RFC 0016, "Steps".
    #[track_caller]
    pub fn gather_for(&mut self, step: Sequence, whom: Whom, patience: impl Into<Patience>) -> Vec<Answer> {
        self.check_step(step);
        self.gather_step(Some(step), whom, Instant::now(), patience.into().deadline())
    }

    /// # Panics
    /// If `step` was not broadcast: no worker can answer it.
    #[track_caller]
    pub(crate) fn check_step(&self, step: Sequence) {
        let last = self.last_broadcast();
        let label = self.label();
        assert!((0..=last).contains(&step), "{label}: step {step} was not broadcast: the last broadcast is {last}");
    }

    #[track_caller]
    fn check_whom(&self, whom: Whom) {
        if let Whom::Rank(rank) = whom {
            self.check_rank(rank);
        }
    }

    /// The ranks of the workers that have nothing yet for a caller that waits for answers to `step`, or for any
    /// message. If it is empty, `gather_step` does not wait. This call reports nothing and hands out nothing.
    #[cfg(feature = "tokio")]
    pub(crate) fn silent(&mut self, step: Option<Sequence>, whom: Whom) -> Vec<usize> {
        self.check_whom(whom);
        self.look_if_due();
        let asked = match whom {
            Whom::Rank(rank) => rank..rank + 1,
            Whom::All | Whom::Any => 0..self.worker_count(),
        };
        let mut silent = Vec::new();
        for rank in asked {
            step.inspect(|&step| self.peers[rank].expect(step));
            match self.find(rank, step) {
                Now::Nothing => silent.push(rank),
                Now::Message | Now::News if whom == Whom::Any => return Vec::new(),
                // An outcome that was reported before does not end a wait for any worker.
                Now::Same(_) if whom == Whom::Any => silent.push(rank),
                Now::Same(_) | Now::Message | Now::News => {}
            }
        }
        match whom {
            Whom::Any if !self.may_any_answer(step) => Vec::new(),
            _ => silent,
        }
    }

    /// How long at most to wait for something new of worker `rank` before the next look at it.
    #[cfg(feature = "tokio")]
    pub(crate) fn patience_with(&self, rank: usize) -> Duration {
        let peer = &self.peers[rank];
        match (peer.is_present() && !peer.is_ready()) || peer.has_news() {
            true => NAP,
            false if peer.may_come() => LOOK_INTERVAL,
            false => SLICE,
        }
    }

    /// The ring of worker `rank` and that ring's number, if the worker lives and nothing is to be reported before its
    /// next message.
    #[cfg(feature = "tokio")]
    pub(crate) fn heard_ring(&mut self, rank: usize) -> Option<(u64, &mut crate::transport::TransportConsumer<F>)> {
        self.peers[rank].heard_ring()
    }

    #[track_caller]
    pub(crate) fn gather_step(
        &mut self,
        step: Option<Sequence>,
        whom: Whom,
        since: Instant,
        deadline: Option<Instant>,
    ) -> Vec<Answer> {
        self.check_whom(whom);
        match whom {
            Whom::All => (0..self.worker_count()).map(|rank| self.answer_of(rank, step, since, deadline)).collect(),
            Whom::Rank(rank) => vec![self.answer_of(rank, step, since, deadline)],
            Whom::Any => self.first_answer(step, since, deadline),
        }
    }

    /// Waits as long as `patience` says for the next message of worker `rank`, and lends it in place; dropping it
    /// acknowledges it. Its [`in_reply_to`](Message::in_reply_to) is the broadcast that it answers.
    /// [`gather`](Self::gather) says what each patience means.
    ///
    /// # Errors
    /// The outcome, if it is no message in the ring. A message that [`gather_for`](Self::gather_for) has kept, or that
    /// [`wait_for`](Self::wait_for) has set aside, was copied before and is returned here.
    ///
    /// # Panics
    /// If there is no worker of that rank.
    #[track_caller]
    pub fn receive(&mut self, rank: usize, patience: impl Into<Patience>) -> Result<Message<'_, F>, Outcome> {
        match self.next_answer(rank, patience.into())? {
            Found::InRing(message, _) => Ok(message),
            Found::Copied(answer) => Err(answer.outcome),
        }
    }

    /// [`receive`](Self::receive) that also returns copied messages, and the version of each message.
    #[track_caller]
    pub(super) fn next_answer(&mut self, rank: usize, patience: Patience) -> Result<Found<'_, F>, Outcome> {
        self.check_rank(rank);
        let (since, deadline) = (Instant::now(), patience.deadline());
        self.look_if_due();
        let last = self.last_broadcast();
        loop {
            let now = self.find(rank, None);
            let peer = &mut self.peers[rank];
            match now {
                Now::Message if peer.is_next_in_ring() => break,
                Now::Message => {
                    return match peer.take(None, last) {
                        answer @ Answer { outcome: Outcome::Message { .. }, .. } => Ok(Found::Copied(answer)),
                        none => Err(none.outcome),
                    };
                }
                Now::News => return Err(peer.tell().map_or(Outcome::TimedOut, Outcome::from)),
                Now::Same(outcome) => return Err(outcome),
                Now::Nothing => self.pause(rank, since, deadline)?,
            }
        }
        let Peer { responses, answered, progress, version, id, .. } = &mut self.peers[rank];
        match responses.as_mut().expect(HAS_RING).next(Patience::Now) {
            Ok(Some(message)) => {
                answered.handed_out(message.in_reply_to());
                progress.heard(message.in_reply_to(), last);
                Ok(Found::InRing(message, *version))
            }
            Ok(None) => Err(Outcome::TimedOut),
            Err(error) => Err(Outcome::Unreadable(TopologyError::of(id, error))),
        }
    }

    /// The answer of worker `rank` to `step`, or its next message; or why there is none.
    #[track_caller]
    fn answer_of(&mut self, rank: usize, step: Option<Sequence>, since: Instant, deadline: Option<Instant>) -> Answer {
        if let (Some(step), Some(peer)) = (step, self.peers.get_mut(rank)) {
            peer.expect(step);
        }
        self.look_if_due();
        loop {
            let now = self.find(rank, step);
            if let Some(answer) = self.tell(rank, step, now) {
                return answer;
            }
            if let Err(outcome) = self.pause(rank, since, deadline) {
                return Answer::without_message(rank, outcome);
            }
        }
    }

    /// The answer of the first worker that has something to report. Workers that have died or left are skipped once
    /// that was reported.
    fn first_answer(&mut self, step: Option<Sequence>, since: Instant, deadline: Option<Instant>) -> Vec<Answer> {
        if let Some(step) = step {
            self.peers.iter_mut().for_each(|peer| peer.expect(step));
        }
        loop {
            self.look_if_due();
            for offset in 0..self.worker_count() {
                let rank = (self.turn + offset) % self.worker_count();
                let now = match self.find(rank, step) {
                    Now::Same(_) => Now::Nothing,
                    now => now,
                };
                if let Some(answer) = self.tell(rank, step, now) {
                    self.turn = rank + 1;
                    return vec![answer];
                }
            }
            if left_until(deadline).is_zero() || !self.may_any_answer(step) {
                let ranks = 0..self.worker_count();
                return ranks.map(|rank| self.answer_of(rank, step, since, Some(Instant::now()))).collect();
            }
            self.doze(deadline);
        }
    }

    /// Whether a worker may still answer `step`, or send any message if `step` is `None`.
    fn may_any_answer(&self, step: Option<Sequence>) -> bool {
        let may_answer = |peer: &Peer<F>| match step {
            Some(step) if peer.answered.has_answered(step) => false,
            _ => peer.is_present() || peer.may_come(),
        };
        self.peers.iter().any(|peer| may_answer(peer) || peer.has_news())
    }

    /// What worker `rank` has for a caller that waits for its answer to `step`, or for any message. Messages that
    /// answer other steps are sorted on the way, as many as there are now; the answer to `step` is kept.
    fn find(&mut self, rank: usize, step: Option<Sequence>) -> Now {
        let last = self.last_broadcast();
        let peer = &mut self.peers[rank];
        // A limit, so that a worker that sends without end does not hide a deadline.
        for _ in 0..=peer.unseen() {
            if peer.answered.has_kept(step) || peer.has_unreadable() {
                return Now::Message;
            }
            match (now(peer, step), step) {
                (Now::Message, Some(step)) => peer.sort_next(step, last),
                (now, _) => return now,
            }
        }
        Now::Nothing
    }

    /// The answer that reports what was found for worker `rank`; `None` if nothing was found.
    fn tell(&mut self, rank: usize, step: Option<Sequence>, now: Now) -> Option<Answer> {
        let last = self.last_broadcast();
        let peer = &mut self.peers[rank];
        let outcome = match now {
            Now::Message => return Some(peer.take(step, last)),
            Now::News => peer.tell()?.into(),
            Now::Same(outcome) => outcome,
            Now::Nothing => return None,
        };
        Some(Answer::without_message(rank, outcome))
    }

    /// Waits until worker `rank` may have something new. An error is the final outcome of a call that waits since
    /// `since`.
    fn pause(&mut self, rank: usize, since: Instant, deadline: Option<Instant>) -> Result<(), Outcome> {
        let peer = &mut self.peers[rank];
        let left = left_until(deadline);
        if left.is_zero() {
            // For a process that is gone: what is known by now, even if its exit status may still become known.
            return Err(peer.word().map_or_else(|| peer.silence(since.elapsed()), Outcome::from));
        }
        let Some(responses) = &mut peer.responses else {
            std::thread::sleep(NAP.min(left));
            self.look();
            return Ok(());
        };
        match responses.wait_until_available(left.min(SLICE)) {
            Ok(()) => {}
            Err(error) if error.is_timed_out() => self.look_if_due(),
            Err(ConsumeError::ProducerDied { .. }) => {
                self.look();
                // The kernel releases a dead process's locks one after the other, and reports its exit later. A
                // successor takes the table's lock before the ring's. In both cases more will be known soon.
                std::thread::sleep(NAP);
            }
            // The next look detaches from the ring.
            Err(ConsumeError::Closed | ConsumeError::Replaced) => {}
            Err(error) => return Err(peer.unreadable(error)),
        }
        Ok(())
    }

    /// Sleeps until a worker may have something new, or it is time to look after the workers.
    fn doze(&mut self, deadline: Option<Instant>) {
        let slice = left_until(deadline).min(SLICE);
        if self.peers.iter().any(|peer| (peer.is_present() && !peer.is_ready()) || peer.has_news()) {
            std::thread::sleep(NAP.min(slice));
            return self.look();
        }
        let slice = if self.peers.iter().any(Peer::may_come) { slice.min(LOOK_INTERVAL) } else { slice };
        let rings = self.peers.iter_mut().filter(|peer| peer.is_present()).filter_map(|peer| peer.responses.as_mut());
        let mut rings: Vec<_> = rings.map(|responses| responses as &mut dyn Selectable).collect();
        if rings.is_empty() {
            return std::thread::sleep(slice);
        }
        let ready = self.select.wait(&mut rings, slice);
        if ready.iter().any(|ready| ready.outcome.is_err()) {
            // A ring that has ended returns at once; how its worker ended is known a moment later.
            std::thread::sleep(NAP.min(slice));
            self.look();
        }
    }
}

/// The time until `deadline`; without one, longer than any slice.
pub(crate) fn left_until(deadline: Option<Instant>) -> Duration {
    deadline.map_or(Duration::MAX, |deadline| deadline.saturating_duration_since(Instant::now()))
}

/// What a worker has for a caller that waits for its answer to `step`, or for any message, apart from kept answers.
fn now<F: Format>(peer: &mut Peer<F>, step: Option<Sequence>) -> Now {
    if peer.has_aside() {
        return Now::Message;
    }
    // The end of the old process and the arrival of the new one are reported before any message from the new one, which
    // has another ring.
    let comes_first = peer.has_news_before_ring();
    if (comes_first || peer.is_ready()) && peer.can_tell() {
        return Now::News;
    }
    if comes_first {
        return Now::Nothing;
    }
    if peer.has_message() {
        return Now::Message;
    }
    if peer.can_tell() {
        return Now::News;
    }
    match peer.word() {
        _ if step.is_some_and(|step| peer.answered.has_answered(step)) => Now::Same(Outcome::Answered),
        Some(change) if !peer.has_news() => Now::Same(change.into()),
        _ => Now::Nothing,
    }
}
