//! The commands of one channel, in a queue with a limit.
//!
//! *Told* says whether the loop knows that there are commands. The sender that finds it not set tells the loop; the
//! loop resets it in the step in which it finds the queue empty. So it is told once of several commands, and misses
//! none.

use super::Refused;
use crate::primitive::{Mutex, MutexGuard, Site, lock, weakened};
use std::collections::VecDeque;
use std::mem;

#[derive(Debug)]
struct Inner<C> {
    commands: VecDeque<C>,
    closed: bool,
    told: bool,
    refused: u64,
}

/// What the senders of a channel and its loop share.
#[derive(Debug)]
pub(crate) struct Queue<C> {
    inner: Mutex<Inner<C>>,
    capacity: usize,
}

impl<C> Queue<C> {
    pub(crate) fn new(capacity: usize) -> Self {
        let inner = Inner { commands: VecDeque::new(), closed: false, told: false, refused: 0 };
        Self { inner: Mutex::new(inner), capacity }
    }

    /// Puts a command at the end. Returns whether the caller must tell the loop.
    pub(crate) fn push(&self, command: C) -> Result<bool, Refused<C>> {
        let inner = lock(&self.inner);
        let (closed, full) = (inner.closed, inner.commands.len() >= self.capacity);
        let mut inner = self.hold(Site::AcceptedAtOnce, inner);
        if closed {
            return Err(Refused::Closed(command));
        }
        if full {
            inner.refused += 1;
            return Err(Refused::Full(command));
        }
        inner.commands.push_back(command);
        Ok(!mem::replace(&mut inner.told, true))
    }

    /// Takes the oldest command.
    pub(crate) fn pop(&self) -> Option<C> {
        lock(&self.inner).commands.pop_front()
    }

    /// The loop's look after a call or a pause, which `look` names: whether there are commands. If not, the next sender
    /// tells the loop.
    pub(crate) fn has_more(&self, look: Site) -> bool {
        if weakened(look) {
            return false;
        }
        let inner = lock(&self.inner);
        let more = !inner.commands.is_empty();
        self.hold(Site::UntoldAtOnce, inner).told = more;
        more
    }

    /// Refuses every further command, and returns those that wait.
    pub(crate) fn close(&self) -> VecDeque<C> {
        let mut inner = lock(&self.inner);
        let left = mem::take(&mut inner.commands);
        self.hold(Site::ClosedAtOnce, inner).closed = true;
        left
    }

    /// How many commands wait.
    pub(crate) fn waiting(&self) -> usize {
        lock(&self.inner).commands.len()
    }

    /// How many commands came back because the queue was full.
    pub(crate) fn refused(&self) -> u64 {
        lock(&self.inner).refused
    }

    /// The lock, held between two parts of one step. In the model of the mutant that lacks `site` they are two steps.
    fn hold<'a>(&'a self, site: Site, inner: MutexGuard<'a, Inner<C>>) -> MutexGuard<'a, Inner<C>> {
        if !weakened(site) {
            return inner;
        }
        drop(inner);
        lock(&self.inner)
    }
}
