//! What a worker that could not join tells its scheduler.
//!
//! **Lives here:** [`JoinRefusal`], and the two ways by which it travels. **Builds on:** a pipe that a child inherits, or the refusal word of the
//! broadcast ring. **May touch it:** `join` in the worker's process tells, the scheduler's end hears.
//!
//! A child of the scheduler writes one line into the pipe whose writing end it was started with, or ends without. Any other worker has only
//! the ring, if it can map it: there a number has to do.

use super::error::WorkerJoinError;
use super::invitation::Invitation;
use crate::transport::text::{Fields, Writer};
use disruptor_mp::liveness::{Refusal, RefusalCause, leave_refusal};
use disruptor_mp::{JoinError, MultiProcessError};
use std::fmt;
use std::os::fd::OwnedFd;

/// What a refusal's line begins with.
const WHAT: &str = "myelon-refusal";

/// Version of its fields.
const VERSION: u32 = 1;

/// What a pipe takes whole or not at all, whoever else writes into it.
const LINE_BYTES_MAX: usize = 4096;

/// The longest text. In a line each of its bytes may become three.
const TEXT_BYTES_MAX: usize = 1024;

/// Why a process could not take a worker's place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JoinRefusal {
    /// The process, as seen in its own pid namespace.
    pub pid: u32,
    /// Why.
    pub cause: RefusalCause,
    /// The same in the words of its own error, if this scheduler has started it.
    pub text: Option<String>,
}

impl fmt::Display for JoinRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} could not join: ", self.pid)?;
        match &self.text {
            Some(text) => write!(f, "{}", text.escape_debug()),
            None => write!(f, "{}", self.cause),
        }
    }
}

impl From<Refusal> for JoinRefusal {
    fn from(Refusal { pid, cause }: Refusal) -> Self {
        Self { pid, cause, text: None }
    }
}

impl JoinRefusal {
    /// The refusal that a child has written into its pipe, if it has.
    pub(super) fn read(pipe: &OwnedFd) -> Option<Self> {
        let mut line = [0; LINE_BYTES_MAX];
        let len = rustix::io::read(pipe, &mut line).ok()?;
        Self::parse(str::from_utf8(&line[..len]).ok()?)
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = Fields::of(line, WHAT, VERSION).ok()?;
        let pid = fields.number("pid").ok()?;
        let cause = RefusalCause::from_number(fields.number("cause").ok()?);
        Some(Self { pid, cause, text: fields.optional_text("text").ok()? })
    }

    fn line(&self) -> String {
        let line = Writer::new(WHAT, VERSION).number("pid", self.pid).number("cause", self.cause.number());
        match &self.text {
            Some(text) => line.field("text", shortened(text)).finish(),
            None => line.finish(),
        }
    }
}

/// Tells the scheduler that this process could not join. Nothing can be done if it cannot be told: it learns that the process has ended.
pub(super) fn tell(invitation: &Invitation, pipe: Option<OwnedFd>, error: &WorkerJoinError) {
    let Some(cause) = error.refusal_cause() else { return };
    let refusal = JoinRefusal { pid: std::process::id(), cause, text: Some(error.to_string()) };
    let is_told = pipe.is_some_and(|pipe| rustix::io::write(&pipe, refusal.line().as_bytes()).is_ok());
    if !is_told {
        let _ = leave_refusal(invitation.broadcast_place(), Some(invitation.rank() as u32), cause);
    }
}

/// Whether a ring may be there, and may be attached to, at the next look.
pub(super) fn is_passing(error: &MultiProcessError) -> bool {
    matches!(
        error,
        MultiProcessError::NotFound { .. }
            | MultiProcessError::Replaced { .. }
            | MultiProcessError::Join { source: JoinError::JoinInProgress, .. }
    )
}

/// As much of the text as a line has room for.
fn shortened(text: &str) -> &str {
    let fits = |&end: &usize| end <= TEXT_BYTES_MAX;
    let end = text.char_indices().map(|(start, char)| start + char.len_utf8()).take_while(fits).last();
    &text[..end.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_refusal_is_what_its_line_says_and_a_pipe_takes_it_whole(pid: u32, text: Option<String>) {
            let refusal = JoinRefusal { pid, cause: RefusalCause::TableFull, text };
            prop_assert!(refusal.line().len() <= LINE_BYTES_MAX);
            prop_assert_eq!(JoinRefusal::parse(&refusal.line()), Some(refusal));
        }

        #[test]
        fn no_bytes_of_a_child_make_the_scheduler_panic(line in "(myelon-refusal:1)?\\PC*") {
            let _ = JoinRefusal::parse(&line);
        }
    }

    #[test]
    fn a_text_that_is_too_long_for_a_pipe_is_cut_between_characters() {
        let text = "\u{20ac}".repeat(LINE_BYTES_MAX);
        let refusal = JoinRefusal { pid: 1, cause: RefusalCause::Other, text: Some(text.clone()) };
        assert!(refusal.line().len() <= LINE_BYTES_MAX);
        let read = JoinRefusal::parse(&refusal.line()).unwrap();
        assert!(read.text.is_some_and(|cut| text.starts_with(&cut) && !cut.is_empty()));
    }

    #[test]
    fn what_a_child_says_cannot_disguise_a_terminal_line() {
        let refusal = JoinRefusal { pid: 7, cause: RefusalCause::Other, text: Some("a\n\u{1b}[2J".to_owned()) };
        assert_eq!(refusal.to_string(), "process 7 could not join: a\\n\\u{1b}[2J");
    }
}
