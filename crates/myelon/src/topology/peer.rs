//! One worker as its scheduler sees it: whether it is there, and the ring on which it answers.
//!
//! **Lives here:** [`Peer`], [`Standing`]. **Builds on:** the broadcast ring's table of consumers, which says who
//! lives, and the response ring. **May touch it:** the scheduler's end.
//!
//! The table decides. A response ring alone proves nothing: it may have been left by a dead session or belong to a
//! worker that is about to leave one. So a ring counts as this worker's only if the process that publishes in it is the
//! one that the table has under this worker's id. A worker joins the table first and makes its ring afterwards, so such
//! a moment comes for every worker that does not die on the way.

use super::answer::{Answer, Change, Outcome};
use super::child::{ChildProcess, Exit};
use super::error::TopologyError;
use super::refusal::JoinRefusal;
use super::report::Progress;
use super::steps::{Answered, Reply, Unwanted, Version};
use crate::transport::{
    Format, TransportBuilder, TransportConsumer, TransportError, TransportProducer, TransportResult, WaitStrategy,
};
use crate::typed_transport::Tally;
use disruptor_mp::__private::ends::HasConsumer;
use disruptor_mp::counters::ids;
use disruptor_mp::liveness::{Ending, ProcessIdentity, Refusal, RefusalCause, RefusalReason, leave_refusal};
use disruptor_mp::{ConsumeError, ConsumerBarrier, ConsumerInfo, MultiProcessError, Patience, Place, Sequence};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a death is not told while it is not known how the process ended. The kernel lets go of a process's locks
/// before it lets the parent know.
const STATUS_PATIENCE: Duration = Duration::from_millis(50);

/// The same for a process whose end was dropped: it was alive then, and says how it ends when it has unwound and
/// returned from `main`.
const UNWINDING_PATIENCE: Duration = Duration::from_secs(2);

/// What the table last said about a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has never been there.
    Absent,
    /// It lives.
    Present(ProcessIdentity),
    /// It is not there any more.
    Gone(Gone),
}

/// A worker that is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gone {
    pub(super) process: ProcessIdentity,
    /// How its end went, and its place is kept for a successor, unless that is not known; `None` if it has given its
    /// place up.
    how: Option<Ending>,
    since: Instant,
    /// How our process ended, if it became this worker and the kernel has said so.
    exit: Option<Exit>,
    /// Whether our process is the worker itself, and not a shell in front of it.
    is_itself: bool,
    /// Whether it was heard, so that it had joined: a refused process of its number is another one.
    was_heard: bool,
}

impl Gone {
    /// Our process, which joined as `joined_as`, has ended.
    fn learn(&mut self, joined_as: Option<ProcessIdentity>, pid: u32, exit: Exit) {
        if joined_as == Some(self.process) {
            self.exit = Some(exit);
            self.is_itself = has_number(self.process, pid);
        }
    }

    /// What it is called. A process that ended with success has left, unless a panic has dropped its end. The success
    /// of a shell says nothing of a worker behind it that was killed. Where there is no status, the place decides.
    fn change(&self) -> Change {
        let (pid, how) = (self.process.pid, self.how.unwrap_or(Ending::Left));
        match self.exit {
            Some(Ok(status)) => {
                let is_clean = match how {
                    Ending::Left | Ending::Dropped => true,
                    Ending::Killed | Ending::Unknown => self.is_itself,
                    _ => false,
                };
                if is_clean && status.success() {
                    Change::Left
                } else {
                    Change::Died { pid, status: Some(status), how }
                }
            }
            Some(Err(_)) | None if how == Ending::Left => Change::Left,
            Some(Err(_)) | None => Change::Died { pid, status: None, how },
        }
    }
}

/// Whether `process` has number `pid` here. A number is compared only with one of the same namespace.
fn has_number(process: ProcessIdentity, pid: u32) -> bool {
    process.pid == pid && process.pid_namespace == ProcessIdentity::current().pid_namespace
}

/// What nobody has been told yet.
#[derive(Debug)]
enum News {
    Gone(Gone),
    /// To be told once the process can be heard, or could be before it went.
    Rejoined {
        process: ProcessIdentity,
        /// Which owner of the place in the broadcast ring it is.
        owner_number: u64,
        was_heard: bool,
    },
    JoinFailed(Failure),
}

/// A process that could not take a worker's place.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// As seen in its own pid namespace.
    pub(super) pid: u32,
    /// The process that we have started, if it is that one or came out of it.
    child: Option<u32>,
    /// How it ended, if it was ours and has.
    pub(super) exit: Option<Exit>,
    /// What it has said.
    pub(super) refusal: Option<JoinRefusal>,
    since: Instant,
}

impl Failure {
    /// Our process has ended and has said nothing.
    fn of_child(pid: u32, exit: Exit) -> Self {
        Self { pid, child: Some(pid), exit: Some(exit), refusal: None, since: Instant::now() }
    }

    /// Whether it is that of the process which was refused: `child`, or one that is not ours.
    fn is_that_of(&self, refusal: &JoinRefusal, child: Option<u32>) -> bool {
        match child {
            Some(_) => self.child == child,
            None => self.child.is_none() && self.refusal.as_ref().is_some_and(|said| said.is_of_same(refusal)),
        }
    }

    /// Whether `process`, which the table has or had, is the one that could not join.
    fn is_of(&self, process: ProcessIdentity) -> bool {
        self.refusal.as_ref().is_some_and(|said| said.is_of(process))
    }

    fn change(&self) -> Change {
        let status = self.exit.and_then(Exit::ok);
        Change::JoinFailed { pid: self.pid, status, refusal: self.refusal.clone() }
    }
}

/// A process that we have started as this worker.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: ChildProcess,
    /// The worker that it became, as the table says; behind a shell it has another number than the process.
    joined_as: Option<ProcessIdentity>,
    /// It has said that another process has the place, so that one is not what it became, and that was told.
    is_refused: bool,
}

impl Started {
    /// Whether it may still become the worker, as far as it has said.
    fn may_join(&self) -> bool {
        self.joined_as.is_none() && !self.is_refused
    }
}

/// How response rings are attached to: the same for all workers.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) depth: usize,
    pub(super) scheduler_id: String,
    pub(super) wait: WaitStrategy,
    pub(super) message_limit_bytes: Option<usize>,
    pub(super) content_tag: Option<String>,
    /// Others that will do.
    pub(super) older_tags: Vec<String>,
}

/// One worker as its scheduler sees it.
pub(super) struct Peer<F: Format> {
    pub(super) rank: usize,
    /// Its consumer id in the broadcast ring.
    pub(super) id: String,
    pub(super) place: Place,
    pub(super) standing: Standing,
    /// See [`tell`](Self::tell).
    news: VecDeque<News>,
    pub(super) responses: Option<TransportConsumer<F>>,
    /// Of which version its messages there are.
    pub(super) version: Version,
    /// The process that publishes in `responses`, as long as no other is known.
    owner: Option<ProcessIdentity>,
    /// Which owner of the place in the broadcast ring made `responses`.
    ring_number: Option<u64>,
    /// Which owner of the place in the broadcast ring we know, and which one has not signed yet, as far as we know.
    owner_number: u64,
    unsigned: Option<u64>,
    /// Why the ring could not be attached to, the last time.
    pub(super) refusal: Option<TransportError>,
    /// Whether trying again is pointless.
    is_refused_for_good: bool,
    /// The process that was refused because it is not on the urgent lane, as seen in its own pid namespace.
    pub(super) without_lane: Option<u32>,
    /// The last process that we have started for it.
    pub(super) started: Option<Started>,
    /// The last process that could not take its place; the answer until another one comes.
    pub(super) failed: Option<Failure>,
    /// The last process that the broadcast ring says was refused as this worker.
    refused: Option<Refusal>,
    /// What other processes have said that could not take its place: it lives, or we have started one that has not
    /// joined. Nothing waits for their answers.
    strays: Vec<JoinRefusal>,
    /// How it gets on.
    pub(super) progress: Progress,
    /// What it has answered.
    pub(super) answered: Answered,
    /// What was taken from the ring of a process that has gone, so that its successor can be heard. It comes before all
    /// news.
    aside: VecDeque<TransportResult<Reply>>,
}

impl<F: Format> Peer<F> {
    pub(super) fn new(rank: usize, id: String, place: Place) -> Self {
        Self {
            rank,
            id,
            place,
            standing: Standing::Absent,
            news: VecDeque::new(),
            responses: None,
            version: Version::default(),
            owner: None,
            ring_number: None,
            owner_number: 0,
            unsigned: None,
            refusal: None,
            is_refused_for_good: false,
            without_lane: None,
            started: None,
            failed: None,
            refused: None,
            strays: Vec::new(),
            progress: Progress::default(),
            answered: Answered::default(),
            aside: VecDeque::new(),
        }
    }

    /// Whether it lives, and the ring that we read is its own.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.standing, Standing::Present(process) if self.responses.is_some() && self.owner == Some(process))
    }

    /// Its process, if it is there and can be heard.
    pub(super) fn heard_pid(&self) -> Option<u32> {
        match self.standing {
            Standing::Present(process) if self.is_ready() => Some(process.pid),
            _ => None,
        }
    }

    /// Its ring, if nothing else is to be said of it before what comes there; with which of its rings that is.
    #[cfg(feature = "tokio")]
    pub(super) fn heard_ring(&mut self) -> Option<(u64, &mut TransportConsumer<F>)> {
        let is_next = self.is_ready() && !self.has_news() && self.aside.is_empty();
        self.ring_number.zip(self.responses.as_mut()).filter(|_| is_next)
    }

    /// Whether it is there, or about to be.
    pub(super) fn is_present(&self) -> bool {
        matches!(self.standing, Standing::Present(_))
    }

    /// Whether it is there and can never be heard.
    pub(super) fn is_refused_for_good(&self) -> bool {
        self.is_refused_for_good
    }

    /// Whether a process that we have started to take its place is on its way.
    pub(super) fn may_come(&self) -> bool {
        self.failed.is_none() && self.started.as_ref().is_some_and(Started::may_join)
    }

    /// A process was started to take its place. The table was looked at after the last one had ended.
    pub(super) fn start(&mut self, process: ChildProcess) {
        self.started = Some(Started { process, joined_as: None, is_refused: false });
        self.failed = None;
    }

    /// Takes note of what the table says now, and attaches to its ring if it has none. Its process was
    /// [reaped](Self::reap) before the table was read: so a process that has ended and is not in the table was never
    /// there. `lane` is the ring of urgent messages, if the topology has one.
    pub(super) fn look(
        &mut self,
        info: Option<&ConsumerInfo>,
        refused: Option<&Refusal>,
        attachment: &Attachment,
        lane: Option<&TransportProducer<F>>,
    ) {
        match (info, self.standing) {
            (Some(info), standing) if info.alive => {
                if self.is_new(info, standing) {
                    let keeps_place = match standing {
                        Standing::Present(_) => true,
                        Standing::Gone(gone) => !matches!(gone.how, None | Some(Ending::Unknown)),
                        Standing::Absent => false,
                    };
                    if !keeps_place {
                        self.progress.begin(info.position);
                    }
                    self.came(info);
                    self.standing = Standing::Present(info.process);
                    // The first process under this id succeeds nobody.
                    if standing != Standing::Absent {
                        let (process, owner_number) = (info.process, info.owner);
                        self.news.push_back(News::Rejoined { process, owner_number, was_heard: false });
                    }
                }
            }
            (Some(info), Standing::Gone(_)) if info.owner == self.owner_number => {}
            (Some(info), Standing::Absent | Standing::Gone(_)) => {
                self.came(info);
                self.went(info.process, info.ending);
            }
            (Some(info), Standing::Present(process)) => {
                if info.owner != self.owner_number && info.process != process {
                    // The process that was there has gone as well, and the place says only how its successor went.
                    let how = self.ending_in_ring(process);
                    self.went(process, Some(how.unwrap_or(Ending::Unknown)));
                    self.came(info);
                }
                self.owner_number = info.owner;
                self.went(info.process, info.ending);
            }
            // It has given its place up, which it can only after it was heard; or it has died, and the place was taken
            // away before we looked. Then its own ring says so.
            (None, Standing::Present(process)) => {
                let how = self.ending_in_ring(process);
                self.went(process, how.or_else(|| (self.owner != Some(process)).then_some(Ending::Unknown)));
            }
            // The place of one that has gone was given away.
            (None, Standing::Absent | Standing::Gone(_)) => {}
        }
        self.settle();
        if refused != self.refused.as_ref()
            && let Some(refusal) = refused
        {
            self.refused = Some(refusal.clone());
            let refusal = JoinRefusal::left(self.id.clone(), refusal.clone());
            let child = self.started.as_ref().map(|started| started.process.pid());
            let child = child.filter(|&pid| refusal.is_of_ours(pid));
            self.could_not_join(refusal, child);
        }
        let is_known = self.is_present() && self.unsigned.is_none() && !self.is_refused_for_good;
        let lacks_ring = is_known && !self.is_ready();
        if lacks_ring && !self.has_message() && self.responses.is_none() && self.hears_urgent(lane) {
            self.attach(attachment);
        }
        if self.is_ready()
            && let Some(started) = self.started.as_mut().filter(|started| started.joined_as.is_some())
        {
            started.process.forget_pipe();
        }
    }

    /// Whether an owner of the place that is there is another than the one that we know.
    fn is_new(&mut self, info: &ConsumerInfo, standing: Standing) -> bool {
        let (known, is_kept_by_dead) = match standing {
            Standing::Absent => return true,
            Standing::Present(process) => (process, false),
            Standing::Gone(gone) if matches!(gone.how, None | Some(Ending::Unknown)) => return true,
            Standing::Gone(gone) => (gone.process, gone.how == Some(Ending::Killed)),
        };
        if info.process != known {
            return true;
        }
        // The number steps before the new owner signs. Until then the entry has the name of the old one, which may be
        // the new one as well: a process that has dropped its end and joins again. That it stays so is what tells; a
        // dead process does not come again.
        let is_unsigned = info.owner == self.owner_number || is_kept_by_dead;
        !is_unsigned && self.unsigned.replace(info.owner) == Some(info.owner)
    }

    /// How the end of `process` went, as its own ring says it; `None` if that does not say.
    fn ending_in_ring(&self, process: ProcessIdentity) -> Option<Ending> {
        let ring = self.responses.as_ref().filter(|_| self.owner == Some(process))?;
        match ring.end_of_publishing()? {
            ConsumeError::ProducerDied { how, .. } => Some(how),
            ConsumeError::Replaced => Some(Ending::Unknown),
            _ => None,
        }
    }

    fn came(&mut self, info: &ConsumerInfo) {
        let process = info.process;
        self.owner_number = info.owner;
        self.unsigned = None;
        // Until the new process's ring is there, the old one's is read to its end.
        self.owner = None;
        self.failed = None;
        self.is_refused_for_good = false;
        self.without_lane = None;
        // A child that was refused may have tried again.
        let is_it = |started: &Started| !started.is_refused || has_number(process, started.process.pid());
        if let Some(started) = self.started.as_mut().filter(|started| is_it(started)) {
            started.joined_as = Some(process);
        }
    }

    fn went(&mut self, process: ProcessIdentity, how: Option<Ending>) {
        let gone = Gone {
            process,
            how,
            since: Instant::now(),
            exit: None,
            is_itself: false,
            was_heard: self.is_heard(process),
        };
        self.standing = Standing::Gone(gone);
        if let Some(News::Rejoined { process: rejoined, was_heard, .. }) = self.news.back_mut()
            && *rejoined == process
        {
            *was_heard = gone.was_heard;
            // One that could never be heard has not come back.
            if !gone.was_heard {
                self.news.pop_back();
            }
        }
        // Why it has gone was told already.
        if gone.was_heard || self.failed.as_ref().is_none_or(|failure| !failure.is_of(process)) {
            self.news.push_back(News::Gone(gone));
        }
    }

    /// Whether `process`, which is this worker or was, has joined: we have found its ring.
    fn is_heard(&self, process: ProcessIdentity) -> bool {
        self.owner == Some(process) && !self.is_refused_for_good
    }

    /// A process has said that it could not take this place. `child`: it is our process, or came out of it.
    fn could_not_join(&mut self, refusal: JoinRefusal, child: Option<u32>) {
        let is_other = match self.standing {
            Standing::Present(process) => !refusal.is_of(process) || self.is_heard(process),
            // What is to be said is said of the one that we have started, which is on its way, or has ended on it.
            Standing::Absent | Standing::Gone(_) => {
                child.is_none() && self.started.as_ref().is_some_and(Started::may_join)
            }
        };
        if is_other || refusal.cause == RefusalCause::IdInUse {
            if let Some(started) = self.started.as_mut().filter(|started| child == Some(started.process.pid())) {
                started.is_refused = true;
                // How it ends is not how the one in its place ends.
                started.joined_as = started.joined_as.filter(|process| refusal.is_of(*process));
            }
            return self.strays.push(refusal);
        }
        // It may have been in the table for a moment.
        self.news.retain(|news| match news {
            News::Gone(gone) => gone.was_heard || !refusal.is_of(gone.process),
            News::Rejoined { process, .. } => !refusal.is_of(*process),
            News::JoinFailed(failure) => !failure.is_that_of(&refusal, child),
        });
        let known = self.failed.as_ref().filter(|failure| failure.is_that_of(&refusal, child));
        let exit = known.and_then(|failure| failure.exit);
        self.fail(Failure { pid: refusal.pid, child, exit, refusal: Some(refusal), since: Instant::now() });
    }

    fn fail(&mut self, failure: Failure) {
        self.news.push_back(News::JoinFailed(failure.clone()));
        self.failed = Some(failure);
    }

    /// Connects what our process has said, and how it ended, with what the table has said of it.
    fn settle(&mut self) {
        let Some(Started { process, .. }) = &mut self.started else { return };
        let (pid, exit) = (process.pid(), process.exit());
        if let Some(refusal) = process.refusal(&self.id) {
            self.could_not_join(refusal, Some(pid));
        }
        let Some(&Started { joined_as, is_refused, .. }) = self.started.as_ref() else { return };
        let Some(exit) = exit else { return };
        if let Standing::Gone(gone) = &mut self.standing {
            gone.learn(joined_as, pid, exit);
        }
        for news in &mut self.news {
            match news {
                News::Gone(gone) => gone.learn(joined_as, pid, exit),
                News::JoinFailed(failure) if failure.child == Some(pid) => failure.exit = Some(exit),
                News::JoinFailed(_) | News::Rejoined { .. } => {}
            }
        }
        match &mut self.failed {
            Some(failure) if failure.child == Some(pid) => failure.exit = Some(exit),
            None if joined_as.is_none() && !is_refused => self.fail(Failure::of_child(pid, exit)),
            _ => {}
        }
    }

    /// Whether it may still become known how it ended.
    fn is_unsettled(&self, gone: &Gone) -> bool {
        let is_ours = self.started.as_ref().is_some_and(|started| started.joined_as == Some(gone.process));
        let patience = match gone.how {
            Some(Ending::Dropped | Ending::Panicked) => UNWINDING_PATIENCE,
            _ => STATUS_PATIENCE,
        };
        // A process that has come back has not ended.
        let is_back =
            self.news.iter().any(|news| matches!(news, News::Rejoined { process, .. } if *process == gone.process));
        is_ours && !is_back && gone.exit.is_none() && gone.since.elapsed() < patience
    }

    /// Messages of it that were not looked at: in its ring, and set aside.
    pub(super) fn unseen(&self) -> u64 {
        let lag = |ring: &TransportConsumer<F>| ring.producer_sequence().saturating_sub(ring.current_sequence());
        self.responses.as_ref().map_or(0, |ring| lag(ring).max(0).cast_unsigned()) + self.aside.len() as u64
    }

    /// Takes everything out of the ring of a process that has gone, if that keeps its successor from being heard.
    pub(super) fn set_aside(&mut self) {
        while self.is_present() && !self.is_ready() && self.has_message() {
            let next = self.responses.as_mut().map(|ring| ring.next(Patience::Now)).transpose();
            let next = next.map(|message| message.flatten().map(|message| Reply::of_message(&message, self.version)));
            self.aside.extend(next.transpose());
        }
    }

    /// The next message, from what was set aside or out of the ring. `None`: there is none after all.
    pub(super) fn next_reply(&mut self) -> TransportResult<Option<Reply>> {
        if let Some(reply) = self.aside.pop_front() {
            return reply.map(Some);
        }
        let Some(ring) = &mut self.responses else { return Ok(None) };
        Ok(ring.next(Patience::Now)?.map(|message| Reply::of_message(&message, self.version)))
    }

    /// Whether the next message is to be read in the ring.
    pub(super) fn is_next_in_ring(&self) -> bool {
        self.aside.is_empty() && !self.answered.has_kept(None)
    }

    /// Whether there is a message that was set aside, to be told before any news.
    pub(super) fn has_aside(&self) -> bool {
        !self.aside.is_empty()
    }

    /// From now on its answers to steps before `step` are late.
    pub(super) fn expect(&mut self, step: Sequence) {
        let before = self.answered.unwanted;
        self.answered.expect(step);
        self.count(before);
    }

    /// Takes the message that is there, for a caller who waits for its answer to `step` after the broadcast `last`, and
    /// keeps it if it is that, or one to a later step. One that cannot be received is there afterwards, too.
    pub(super) fn sort_next(&mut self, step: Sequence, last: Sequence) {
        match self.next_reply() {
            Ok(Some(reply)) => {
                self.progress.heard(reply.step, last);
                let before = self.answered.unwanted;
                self.answered.sort(reply, step, last);
                self.count(before);
            }
            // The look before said that there is one; only damage can make it vanish.
            Ok(None) => {}
            Err(error) => self.aside.push_front(Err(error)),
        }
    }

    /// Hands out what a caller waits for who waits for its answer to `step`, or for any message.
    pub(super) fn take(&mut self, step: Option<Sequence>, last: Sequence) -> Answer {
        let rank = self.rank;
        if let Some(reply) = self.answered.take_kept(step) {
            return reply.of(rank);
        }
        let outcome = match self.next_reply() {
            Ok(Some(reply)) => {
                self.progress.heard(reply.step, last);
                self.answered.handed_out(reply.step);
                return reply.of(rank);
            }
            Ok(None) => Outcome::TimedOut,
            Err(error) => self.unreadable(error),
        };
        Answer::without_message(rank, outcome)
    }

    /// That what it has sent cannot be received.
    #[cold]
    pub(super) fn unreadable(&self, source: impl Into<TransportError>) -> Outcome {
        Outcome::Unreadable(TopologyError::of(&self.id, source))
    }

    /// Why there is nothing of it after a wait of that length, as long as it lives.
    pub(super) fn silence(&mut self, waited: Duration) -> Outcome {
        match self.responses.as_mut().map(|responses| responses.wait_until_available(Patience::Now)) {
            Some(Err(limit)) if limit.is_held_limit() => self.unreadable(limit.after(waited)),
            _ => Outcome::TimedOut,
        }
    }

    /// Whether the next message is one that cannot be received.
    pub(super) fn has_unreadable(&self) -> bool {
        matches!(self.aside.front(), Some(Err(_)))
    }

    /// Counts in its ring what was dropped since `before`.
    fn count(&self, before: Unwanted) {
        let now = self.answered.unwanted;
        let Some(responses) = self.responses.as_ref().filter(|_| now != before) else { return };
        for (id, dropped) in [
            (ids::ANSWERS_LATE, now.late - before.late),
            (ids::ANSWERS_REPEATED, now.repeated - before.repeated),
            (ids::ANSWERS_WITHOUT_STEP, now.without_step - before.without_step),
        ] {
            if dropped > 0 {
                responses.counter(id).add(dropped);
            }
        }
    }

    /// Counts in its ring that a message of it was decoded, or could not be.
    pub(super) fn count_read(&self, is_readable: bool) {
        if let Some(responses) = &self.responses {
            Tally::new(responses, 0).count(is_readable);
        }
    }

    /// Whether there is a message to take. Lets go of a ring that was read to its end.
    pub(super) fn has_message(&mut self) -> bool {
        let Some(responses) = &mut self.responses else { return false };
        match responses.wait_until_available(Some(Instant::now())) {
            Ok(()) => return true,
            // The worker has left, or its successor has made another ring.
            Err(ConsumeError::Closed | ConsumeError::Replaced) => self.detach(),
            // The successor is about to. Without one the ring stays, so that it is not forgotten when it is time to
            // clean up.
            Err(ConsumeError::ProducerDied { .. }) if self.is_present() && !self.is_ready() => self.detach(),
            Err(_) => {}
        }
        false
    }

    /// As above, of a process that could not join.
    fn is_unsettled_failure(&self, failure: &Failure) -> bool {
        let is_ours = self.started.as_ref().is_some_and(|started| failure.child == Some(started.process.pid()));
        is_ours && failure.exit.is_none() && failure.since.elapsed() < STATUS_PATIENCE
    }

    /// Takes what was said by processes that are not the one that this worker is, or is to be.
    pub(super) fn take_strays(&mut self) -> Vec<JoinRefusal> {
        std::mem::take(&mut self.strays)
    }

    /// The same as changes.
    pub(super) fn strays(&mut self) -> impl Iterator<Item = Change> + use<F> {
        let failed =
            |refusal: JoinRefusal| Change::JoinFailed { pid: refusal.pid, status: None, refusal: Some(refusal) };
        self.take_strays().into_iter().map(failed)
    }

    /// Whether there is something to [tell](Self::tell).
    pub(super) fn can_tell(&self) -> bool {
        self.news.front().is_some_and(|news| self.is_settled(news))
    }

    /// Takes what has not been told yet, in its order. A return is told when the new process can be heard, which is
    /// after the last message of the old; an end when it is known how, or has not become known for a while.
    pub(super) fn tell(&mut self) -> Option<Change> {
        if !self.is_settled(self.news.front()?) {
            return None;
        }
        match self.news.pop_front()? {
            News::Gone(gone) => Some(gone.change()),
            News::Rejoined { process, .. } => Some(Change::Rejoined { pid: process.pid }),
            News::JoinFailed(failure) => Some(failure.change()),
        }
    }

    /// Whether all of that is known that is to be told.
    fn is_settled(&self, news: &News) -> bool {
        match news {
            News::Gone(gone) => !self.is_unsettled(gone),
            News::Rejoined { was_heard, .. } => *was_heard || self.is_ready(),
            News::JoinFailed(failure) => !self.is_unsettled_failure(failure),
        }
    }

    /// What is to be said of it as long as nothing changes; `None` if it is there, or may come.
    pub(super) fn word(&self) -> Option<Change> {
        match (self.standing, &self.failed) {
            (Standing::Present(_), _) => None,
            (_, Some(failure)) => Some(failure.change()),
            (Standing::Gone(gone), _) => Some(gone.change()),
            (Standing::Absent, _) => None,
        }
    }

    /// Whether what is to be told happened before the process came that publishes in the ring.
    pub(super) fn has_news_before_ring(&self) -> bool {
        let is_of_ring = |news: &News| matches!(news, News::Rejoined { owner_number, .. } if Some(*owner_number) == self.ring_number);
        self.responses.is_some() && self.news.iter().any(is_of_ring)
    }

    /// What the last that is to be told says, or what stays to be said; everything counts as told then. `None`: it may
    /// still become known how a process ended.
    pub(super) fn tell_all(&mut self) -> Option<Change> {
        if !self.news.iter().all(|news| self.is_settled(news)) {
            return None;
        }
        let mut last = self.word();
        while let Some(change) = self.tell() {
            last = Some(change);
        }
        last
    }

    /// Whether something is to be told, now or soon.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Forgets what was to be told.
    pub(super) fn forget_news(&mut self) {
        self.news.clear();
    }

    /// Whether it is on the urgent lane, if there is one. A process that is not, although it has made its ring, is
    /// refused; it joins the lane before it makes that.
    fn hears_urgent(&mut self, lane: Option<&TransportProducer<F>>) -> bool {
        let (Some(lane), Standing::Present(process)) = (lane, self.standing) else { return true };
        let is_on_lane =
            |id: &str| lane.consumers().iter().any(|info| info.alive && info.id == id && info.process == process);
        if is_on_lane(&self.id) {
            return true;
        }
        let makes_ring = || ConsumerBarrier::attach(&self.place).is_ok_and(|ring| ring.producer() == process);
        if !makes_ring() {
            return false;
        }
        // It may have joined the lane, and made its ring, since the first look.
        if is_on_lane(&self.id) {
            return true;
        }
        let text =
            "its invitation has no urgent lane, and the topology has one: make the invitation from this topology";
        self.refuse(process, RefusalCause::OtherRings.into(), text.to_owned());
        self.without_lane = self.is_refused_for_good.then_some(process.pid);
        false
    }

    fn attach(&mut self, attachment: &Attachment) {
        let mut builder = TransportBuilder::<F>::new(&self.place, attachment.depth)
            .with_consumer_id(attachment.scheduler_id.as_str())
            .with_wait_strategy(attachment.wait)
            .refused_silently();
        if let Some(limit) = attachment.message_limit_bytes {
            builder = builder.with_message_limit(limit);
        }
        if let Some(tag) = &attachment.content_tag {
            builder = builder.with_content_tag(tag.as_str()).with_older_content_tags(&attachment.older_tags);
        }
        match builder.build_consumer() {
            Ok(mut responses) => {
                // Nothing of a worker's is owed to a scheduler that does not read it any more.
                responses.leave_on_drop();
                let owner = responses.stall_report(Duration::ZERO).culprit.map(|culprit| culprit.process);
                // Dropped again unless it is the worker's: the last one out of a dead worker's ring removes it.
                let is_its_own = matches!(self.standing, Standing::Present(process) if owner == Some(process));
                self.version = Version::of(responses.content_tag(), &attachment.older_tags);
                self.responses = is_its_own.then_some(responses);
                self.ring_number = is_its_own.then_some(self.owner_number);
                self.owner = owner;
                self.refusal = None;
            }
            Err(error) => {
                if let (TransportError::Build(build), Standing::Present(process)) = (&error, self.standing)
                    && !build.is_passing()
                {
                    self.refuse(process, build.into(), error.to_string());
                }
                self.refusal = Some(error);
            }
        }
    }

    /// The ring can never be used: if it is that of `process`, which is there, tells the process so.
    fn refuse(&mut self, process: ProcessIdentity, reason: RefusalReason, text: String) {
        self.is_refused_for_good = match leave_refusal(&self.place, None, reason) {
            // Of another process it may be replaced.
            Ok(owner) => owner == process,
            // It cannot be told. Nor could the worker have made a ring of its own in place of another user's.
            Err(MultiProcessError::PermissionDenied { .. }) => true,
            Err(_) => false,
        };
        if self.is_refused_for_good {
            let ours = self.started.as_ref().filter(|started| started.joined_as == Some(process));
            let child = ours.map(|started| started.process.pid());
            self.could_not_join(JoinRefusal::of(self.id.clone(), process, reason.cause(), text), child);
        }
    }

    /// Lets go of the ring. What the worker does next decides whether there is another.
    pub(super) fn detach(&mut self) {
        self.responses = None;
    }

    /// Whether the ring could not be attached to because it is not there yet, which is how every worker begins.
    pub(super) fn refusal_worth_telling(&mut self) -> Option<TransportError> {
        self.refusal.take_if(|error| !matches!(error, TransportError::Build(MultiProcessError::NotFound { .. })))
    }

    /// Asks the operating system whether our process has ended, so that it does not stay as a zombie.
    pub(super) fn reap(&mut self) {
        if let Some(started) = &mut self.started {
            started.process.exit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Records;
    use std::process::{Command, Stdio};
    use testkit::watchdog::{PATIENCE, eventually};

    /// A worker that a child of ours is to be, which runs until its input ends.
    fn expected() -> (Peer<Records>, std::process::ChildStdin, u32) {
        let mut child = Command::new("sh").args(["-c", "read line; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
        let (input, pid) = (child.stdin.take().unwrap(), child.id());
        let mut peer = Peer::new(0, "w".to_owned(), Place::heap());
        peer.start(ChildProcess::new(child, None));
        (peer, input, pid)
    }

    /// What a process that has number `pid` in the namespace of that tag leaves in the ring.
    fn refusal(pid: u32, pid_namespace_tag: u32) -> Refusal {
        Refusal { pid, pid_namespace_tag, cause: RefusalCause::OtherContent, difference: None }
    }

    /// Another namespace than ours.
    fn elsewhere() -> u32 {
        ProcessIdentity::current().pid_namespace_tag() ^ 1
    }

    fn look(peer: &mut Peer<Records>, info: Option<&ConsumerInfo>, refused: &Refusal) -> Vec<Change> {
        let attachment = Attachment {
            depth: 4096,
            scheduler_id: "s".to_owned(),
            wait: WaitStrategy::Block,
            message_limit_bytes: None,
            content_tag: None,
            older_tags: Vec::new(),
        };
        peer.reap();
        peer.look(info, Some(refused), &attachment, None);
        let told: Vec<_> = std::iter::from_fn(|| peer.tell()).collect();
        peer.strays().chain(told).collect()
    }

    #[test]
    fn a_refused_process_that_has_the_childs_number_in_another_namespace_is_not_the_child() {
        let (mut peer, input, pid) = expected();
        let refused = refusal(pid, elsewhere());
        let [Change::JoinFailed { refusal: Some(told), .. }] = &look(&mut peer, None, &refused)[..] else { panic!() };
        assert_eq!(
            told.to_string(),
            format!("w: process {pid} of another pid namespace could not join: {}", told.cause)
        );
        assert!(peer.may_come() && peer.word().is_none(), "the child is on its way");
        drop(input);
        let mut changes = Vec::new();
        eventually("the child's end", PATIENCE, || {
            changes.append(&mut look(&mut peer, None, &refused));
            !changes.is_empty()
        })
        .unwrap();
        let [Change::JoinFailed { pid: failed, status: Some(status), refusal: None }] = &changes[..] else {
            panic!("{changes:?}")
        };
        assert_eq!((*failed, status.code()), (pid, Some(7)));
    }

    #[test]
    fn a_refused_process_that_is_not_the_child_does_not_stand_for_it() {
        let (mut peer, _input, pid) = expected();
        let here = ProcessIdentity::current().pid_namespace_tag();
        assert_eq!(look(&mut peer, None, &refusal(pid + 1, here)).len(), 1);
        assert!(peer.may_come() && peer.word().is_none(), "the child is on its way");
        look(&mut peer, None, &refusal(pid, here));
        assert!(!peer.may_come() && peer.word().is_some(), "that was the child");
    }

    #[test]
    fn equal_refusals_of_two_namespaces_are_two() {
        let (mut peer, _input, pid) = expected();
        assert_eq!(look(&mut peer, None, &refusal(pid, elsewhere())).len(), 1);
        assert_eq!(look(&mut peer, None, &refusal(pid, elsewhere())).len(), 0, "told once");
        assert_eq!(look(&mut peer, None, &refusal(pid, elsewhere() ^ 2)).len(), 1);
    }
}
