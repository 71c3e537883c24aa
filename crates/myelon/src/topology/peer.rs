//! One worker as its scheduler sees it: whether it is there, and the ring on which it answers.
//!
//! **Lives here:** [`Peer`], [`Standing`]. **Builds on:** the broadcast ring's table of consumers, which says who lives, and the response
//! ring. **May touch it:** the scheduler's end.
//!
//! The table decides. A response ring alone proves nothing: it may have been left by a dead session or belong to a worker that is about to
//! leave one. So a ring counts as this worker's only if the process that publishes in it is the one that the table has under this worker's
//! id. A worker joins the table first and makes its ring afterwards, so such a moment comes for every worker that does not die on the way.

use super::answer::Change;
use super::child::{ChildProcess, Exit};
use super::report::Progress;
use crate::transport::{Format, FramedTransportConsumer, MyelonWaitStrategy, TransportBuilder, TransportError};
use disruptor_mp::liveness::ProcessIdentity;
use disruptor_mp::{ConsumeError, ConsumerInfo, Doorbell, MultiProcessError, Place};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long a death is not told while it is not known how the process ended. The kernel lets go of a process's locks before it lets the
/// parent know, and a process that has dropped its end may still run.
const STATUS_PATIENCE: Duration = Duration::from_millis(50);

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
    /// Whether it has given its place back; otherwise the place is kept for its successor.
    has_left: bool,
    since: Instant,
    /// How its process ended, if that was ours and the kernel has said so.
    exit: Option<Exit>,
}

impl Gone {
    /// What it is called: a process of ours that has ended by itself without an error has left, whatever became of its end.
    fn change(&self) -> Change {
        let status = self.exit.and_then(Exit::ok);
        match status {
            Some(status) if status.success() => Change::Left,
            None if self.has_left => Change::Left,
            status => Change::Died { pid: self.process.pid, status },
        }
    }
}

/// What nobody has been told yet.
#[derive(Debug)]
enum News {
    Gone(Gone),
    /// To be told once the process can be heard.
    Rejoined(ProcessIdentity),
    JoinFailed {
        pid: u32,
        exit: Exit,
    },
}

/// A process that we have started as this worker.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) process: ChildProcess,
    /// The worker that it became, as the table says; behind a shell it has another number than the process.
    joined_as: Option<ProcessIdentity>,
    /// How it ended without having joined; said once, and the answer until another one comes.
    failed: Option<Exit>,
}

/// How response rings are attached to: the same for all workers.
#[derive(Clone, Debug)]
pub(super) struct Attachment {
    pub(super) depth: usize,
    pub(super) scheduler_id: String,
    pub(super) wait: MyelonWaitStrategy,
    pub(super) message_limit_bytes: Option<usize>,
    pub(super) content_tag: Option<String>,
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
    pub(super) responses: Option<FramedTransportConsumer<F>>,
    /// The process that publishes in `responses`.
    owner: Option<ProcessIdentity>,
    /// Rung when there may be an answer; made when first needed, and lost with the ring.
    pub(super) doorbell: Option<Doorbell>,
    /// Why the ring could not be attached to, the last time.
    pub(super) refusal: Option<TransportError>,
    /// The last process that we have started for it.
    pub(super) started: Option<Started>,
    /// How it gets on.
    pub(super) progress: Progress,
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
            owner: None,
            doorbell: None,
            refusal: None,
            started: None,
            progress: Progress::default(),
        }
    }

    /// Whether it lives, and the ring that we read is its own.
    pub(super) fn is_ready(&self) -> bool {
        matches!(self.standing, Standing::Present(process) if self.responses.is_some() && self.owner == Some(process))
    }

    /// Whether it is there, or about to be.
    pub(super) fn is_present(&self) -> bool {
        matches!(self.standing, Standing::Present(_))
    }

    /// Whether a process that we have started to take its place is on its way.
    pub(super) fn may_come(&self) -> bool {
        self.started.as_ref().is_some_and(|started| started.joined_as.is_none() && started.failed.is_none())
    }

    /// A process was started to take its place. The table was looked at after the last one had ended.
    pub(super) fn start(&mut self, process: ChildProcess) {
        self.started = Some(Started { process, joined_as: None, failed: None });
    }

    /// Takes note of what the table says now, and attaches to its ring if it has none. Its process was [reaped](Self::reap) before the table
    /// was read: so a process that has ended and is not in the table was never there.
    pub(super) fn look(&mut self, info: Option<&ConsumerInfo>, attachment: &Attachment) {
        match (info, self.standing) {
            // The lock of the dead one's entry was taken, and the new owner has not signed yet. The next look tells.
            (Some(info), Standing::Gone(gone)) if info.alive && info.process == gone.process && !gone.has_left => {}
            (Some(info), standing) if info.alive => {
                if standing != Standing::Present(info.process) {
                    if !matches!(standing, Standing::Present(_) | Standing::Gone(Gone { has_left: false, .. })) {
                        self.progress.begin(info.position);
                    }
                    self.came(info.process);
                    self.standing = Standing::Present(info.process);
                    // The first process under this id succeeds nobody.
                    if standing != Standing::Absent {
                        self.news.push_back(News::Rejoined(info.process));
                    }
                }
            }
            (Some(info), Standing::Gone(gone)) if info.process == gone.process => {}
            (Some(info), Standing::Absent | Standing::Gone(_)) => {
                self.came(info.process);
                self.went(info.process, false);
            }
            (Some(info), Standing::Present(_)) => self.went(info.process, false),
            (None, Standing::Present(process)) => self.went(process, true),
            // The place of a dead one was given away; it is dead all the same.
            (None, Standing::Absent | Standing::Gone(_)) => {}
        }
        self.settle();
        if self.is_present() && !self.is_ready() && !self.has_message() && self.responses.is_none() {
            self.attach(attachment);
        }
    }

    fn came(&mut self, process: ProcessIdentity) {
        // Until the new process's ring is there, the old one's is read to its end.
        self.owner = None;
        if let Some(started) = &mut self.started {
            started.joined_as = Some(process);
            started.failed = None;
        }
    }

    fn went(&mut self, process: ProcessIdentity, has_left: bool) {
        let gone = Gone { process, has_left, since: Instant::now(), exit: None };
        self.standing = Standing::Gone(gone);
        self.news.push_back(News::Gone(gone));
    }

    /// Connects how our process ended with what the table has said of it.
    fn settle(&mut self) {
        let Some(Started { process, joined_as, failed }) = &mut self.started else { return };
        let Some(exit) = process.exit() else { return };
        let standing = match &mut self.standing {
            Standing::Gone(gone) => Some(gone),
            Standing::Absent | Standing::Present(_) => None,
        };
        let untold =
            self.news.iter_mut().filter_map(|news| if let News::Gone(gone) = news { Some(gone) } else { None });
        for gone in standing.into_iter().chain(untold) {
            if Some(gone.process) == *joined_as {
                gone.exit = Some(exit);
            }
        }
        if joined_as.is_none() && failed.is_none() {
            *failed = Some(exit);
            self.news.push_back(News::JoinFailed { pid: process.pid(), exit });
        }
    }

    /// Whether it may still become known how it ended.
    fn is_unsettled(&self, gone: &Gone) -> bool {
        let is_ours = self.started.as_ref().is_some_and(|started| started.joined_as == Some(gone.process));
        is_ours && gone.exit.is_none() && gone.since.elapsed() < STATUS_PATIENCE
    }

    /// Whether there is a message to take. Lets go of a ring that was read to its end.
    pub(super) fn has_message(&mut self) -> bool {
        let Some(responses) = &mut self.responses else { return false };
        match responses.wait_until_available(Some(Instant::now())) {
            Ok(()) => return true,
            // The worker has left, or its successor has made another ring.
            Err(ConsumeError::Closed | ConsumeError::Replaced) => self.detach(),
            // The successor is about to. Without one the ring stays, so that it is not forgotten when it is time to clean up.
            Err(ConsumeError::ProducerDied { .. }) if self.is_present() && !self.is_ready() => self.detach(),
            Err(_) => {}
        }
        false
    }

    /// Takes what nobody has been told yet, in its order. A return is told when the new process can be heard, which is after the last message
    /// of the old; an end when it is known how, or has not become known for a while.
    pub(super) fn tell(&mut self) -> Option<Change> {
        let is_told = match self.news.front()? {
            News::Gone(gone) => !self.is_unsettled(gone),
            News::Rejoined(_) => self.is_ready(),
            News::JoinFailed { .. } => true,
        };
        if !is_told {
            return None;
        }
        match self.news.pop_front()? {
            News::Gone(gone) => Some(gone.change()),
            News::Rejoined(process) => Some(Change::Rejoined { pid: process.pid }),
            News::JoinFailed { pid, exit } => Some(Change::JoinFailed { pid, status: exit.ok() }),
        }
    }

    /// What is to be said of it as long as nothing changes; `None` if it is there, or may come.
    pub(super) fn word(&self) -> Option<Change> {
        match (self.standing, &self.started) {
            (Standing::Present(_), _) => None,
            (_, Some(Started { process, failed: Some(exit), .. })) => {
                Some(Change::JoinFailed { pid: process.pid(), status: exit.ok() })
            }
            (Standing::Gone(gone), _) => Some(gone.change()),
            (Standing::Absent, _) => None,
        }
    }

    /// Whether something is to be told, now or soon.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// Forgets what was to be told.
    pub(super) fn forget_news(&mut self) {
        self.news.clear();
    }

    fn attach(&mut self, attachment: &Attachment) {
        let mut builder = TransportBuilder::<F>::new(&self.place, attachment.depth)
            .with_consumer_id(attachment.scheduler_id.as_str())
            .with_wait_strategy(attachment.wait);
        if let Some(limit) = attachment.message_limit_bytes {
            builder = builder.with_message_limit(limit);
        }
        if let Some(tag) = &attachment.content_tag {
            builder = builder.with_content_tag(tag.as_str());
        }
        match builder.build_consumer() {
            Ok(responses) => {
                let owner = responses.stall_report(Duration::ZERO).culprit.map(|culprit| culprit.process);
                // Dropped again unless it is the worker's: the last one out of a dead worker's ring removes it.
                let is_its_own = matches!(self.standing, Standing::Present(process) if owner == Some(process));
                self.responses = is_its_own.then_some(responses);
                self.owner = owner;
                self.refusal = None;
            }
            Err(error) => self.refusal = Some(error),
        }
    }

    /// Lets go of the ring. What the worker does next decides whether there is another.
    pub(super) fn detach(&mut self) {
        self.doorbell = None;
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
