//! What a worker that could not join tells its scheduler.
//!
//! A child of the scheduler inherits the writing end of a pipe and writes one line into it, or ends without one. Any
//! other worker has only the refusal word of the broadcast ring, and only if it can map the ring: that word carries a
//! number.

use super::error::{WorkerJoinError, and_what};
use super::invitation::Invitation;
use crate::transport::text::{Fields, Writer};
use disruptor_mp::liveness::{ProcessIdentity, Refusal, RefusalCause, SchemaDifference, leave_refusal};
use std::fmt;
use std::os::fd::OwnedFd;

/// A refusal in a text that has named the worker.
pub(super) struct Told<'a>(&'a JoinRefusal);

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(refusal) = self;
        let elsewhere = if refusal.is_in_other_namespace() { " of another pid namespace" } else { "" };
        write!(f, "process {}{elsewhere} could not join: ", refusal.pid)?;
        match &refusal.text {
            Some(text) => write!(f, "{}", text.escape_debug()),
            None => write!(f, "{}{}", refusal.cause, and_what(&refusal.difference)),
        }
    }
}

/// The beginning of a refusal's line.
const WHAT: &str = "myelon-refusal";

/// Version of its fields.
const VERSION: u32 = 2;

/// A pipe takes this many bytes whole or not at all, even if several processes write into it.
const LINE_BYTES_MAX: usize = 4096;

/// The longest text. Each of its bytes may become three in a line.
const TEXT_BYTES_MAX: usize = 1024;

/// Why a process could not take a worker's entry. `Display` writes one line.
///
/// ```
/// use myelon::topology::{Change, SchedulerEnd};
///
/// fn look_after(scheduler: &mut SchedulerEnd) {
///     for (rank, change) in scheduler.check_workers() {
///         if let Change::JoinFailed { refusal: Some(refusal), .. } = change {
///             // `process 4711 could not join: ...`
///             eprintln!("rank {rank}: {refusal}");
///         }
///     }
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinRefusal {
    /// The user's name for the worker whose entry it was.
    pub worker: String,
    /// The pid of the process, in its own pid namespace.
    pub pid: u32,
    /// The [tag of that namespace](ProcessIdentity::pid_namespace_tag); 0 if the system did not tell the process.
    pub pid_namespace_tag: u32,
    /// Why it could not join.
    pub cause: RefusalCause,
    /// The difference between the types, if that was the cause and the process has written it into the broadcast ring.
    pub difference: Option<SchemaDifference>,
    /// The text of the process's own error, if this scheduler has started it.
    pub text: Option<String>,
}

impl fmt::Display for JoinRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.worker, self.told())
    }
}

impl JoinRefusal {
    /// The refusal of `process`, which was to be `worker`.
    pub(super) fn of(worker: String, process: ProcessIdentity, cause: RefusalCause, text: String) -> Self {
        let (pid, pid_namespace_tag) = (process.pid, process.pid_namespace_tag());
        Self { worker, pid, pid_namespace_tag, cause, difference: None, text: Some(text) }
    }

    /// The refusal that a process that was to be `worker` has left in the ring.
    pub(super) fn left(worker: String, refusal: Refusal) -> Self {
        let Refusal { pid, pid_namespace_tag, cause, difference } = refusal;
        Self { worker, pid, pid_namespace_tag, cause, difference, text: None }
    }

    /// Its text, after a text that has named the worker.
    pub(super) fn told(&self) -> Told<'_> {
        Told(self)
    }

    /// Whether the process is in another pid namespace than the caller. Then its pid means nothing here, or is that of
    /// another process.
    pub fn is_in_other_namespace(&self) -> bool {
        let here = ProcessIdentity::current().pid_namespace_tag();
        self.pid_namespace_tag != here && self.pid_namespace_tag != 0 && here != 0
    }

    /// Whether `process` is the one that could not join. Equal pids in different namespaces are different processes.
    pub(super) fn is_of(&self, process: ProcessIdentity) -> bool {
        (self.pid, self.pid_namespace_tag) == (process.pid, process.pid_namespace_tag())
    }

    /// Whether both refusals are of the same process.
    pub(super) fn is_of_same(&self, other: &Self) -> bool {
        (self.pid, self.pid_namespace_tag) == (other.pid, other.pid_namespace_tag)
    }

    /// Whether it is of the process that has the pid `pid` in this namespace.
    pub(super) fn is_of_ours(&self, pid: u32) -> bool {
        self.is_of(ProcessIdentity { pid, ..ProcessIdentity::current() })
    }

    /// The refusal that a child, which was to be `worker`, has written into its pipe, if it has.
    pub(super) fn read(worker: &str, pipe: &OwnedFd) -> Option<Self> {
        let mut line = [0; LINE_BYTES_MAX];
        let len = rustix::io::read(pipe, &mut line).ok()?;
        Self::parse(worker, str::from_utf8(&line[..len]).ok()?)
    }

    fn parse(worker: &str, line: &str) -> Option<Self> {
        let mut fields = Fields::of(line, WHAT, VERSION).ok()?;
        let pid = fields.number("pid").ok()?;
        let pid_namespace_tag = fields.number("namespace").ok()?;
        let cause = RefusalCause::from_number(fields.number("cause").ok()?);
        let text = fields.optional_text("text").ok()?;
        Some(Self { worker: worker.to_owned(), pid, pid_namespace_tag, cause, difference: None, text })
    }

    fn line(&self) -> String {
        let line = Writer::new(WHAT, VERSION)
            .number("pid", self.pid)
            .number("namespace", self.pid_namespace_tag)
            .number("cause", self.cause.number());
        match &self.text {
            Some(text) => line.field("text", shortened(text)).finish(),
            None => line.finish(),
        }
    }
}

/// Tells the scheduler that this process could not join. If that fails, the scheduler still learns that the process has
/// ended.
pub(super) fn tell(invitation: &Invitation, pipe: Option<OwnedFd>, error: &WorkerJoinError) {
    let Some(reason) = error.refusal_reason() else { return };
    // The scheduler knows the worker's name, so the text leaves it out.
    let (text, worker) = (error.to_string(), format!("{}: ", invitation.consumer_id()));
    let text = text.strip_prefix(&worker).unwrap_or(&text).to_owned();
    let refusal = JoinRefusal::of(invitation.consumer_id(), ProcessIdentity::current(), reason.cause(), text);
    let is_told = pipe.is_some_and(|pipe| rustix::io::write(&pipe, refusal.line().as_bytes()).is_ok());
    if !is_told {
        let _ = leave_refusal(invitation.broadcast_place(), Some(invitation.rank() as u32), reason);
    }
}

/// The text, cut to what a line has room for.
fn shortened(text: &str) -> &str {
    let fits = |&end: &usize| end <= TEXT_BYTES_MAX;
    let end = text.char_indices().map(|(start, char)| start + char.len_utf8()).take_while(fits).last();
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WORKER: &str = "tp-engine, rank 1";

    proptest! {
        #[test]
        fn a_refusal_is_what_its_line_says_and_a_pipe_takes_it_whole(pid: u32, pid_namespace_tag: u32, text: Option<String>) {
            let (worker, cause) = (WORKER.to_owned(), RefusalCause::TableFull);
            let refusal = JoinRefusal { worker, pid, pid_namespace_tag, cause, difference: None, text };
            prop_assert!(refusal.line().len() <= LINE_BYTES_MAX);
            prop_assert_eq!(JoinRefusal::parse(WORKER, &refusal.line()), Some(refusal));
        }

        #[test]
        fn no_bytes_of_a_child_make_the_scheduler_panic(line in "(myelon-refusal:2)?\\PC*") {
            let _ = JoinRefusal::parse(WORKER, &line);
        }
    }

    #[test]
    fn a_text_that_is_too_long_for_a_pipe_is_cut_between_characters() {
        let text = "\u{20ac}".repeat(LINE_BYTES_MAX);
        let refusal = JoinRefusal::of(WORKER.to_owned(), ProcessIdentity::current(), RefusalCause::Other, text.clone());
        assert!(refusal.line().len() <= LINE_BYTES_MAX);
        let read = JoinRefusal::parse(WORKER, &refusal.line()).unwrap();
        assert!(read.text.is_some_and(|cut| text.starts_with(&cut) && !cut.is_empty()));
    }

    #[test]
    fn what_a_child_says_cannot_disguise_a_terminal_line() {
        let process = ProcessIdentity { pid: 7, ..ProcessIdentity::current() };
        let refusal = JoinRefusal::of(WORKER.to_owned(), process, RefusalCause::Other, "a\n\u{1b}[2J".to_owned());
        assert_eq!(refusal.to_string(), "tp-engine, rank 1: process 7 could not join: a\\n\\u{1b}[2J");
    }
}
