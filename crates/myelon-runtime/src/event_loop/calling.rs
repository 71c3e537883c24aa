//! One call of a handler, and what follows from its answer.
//!
//! - **Invariant:** a source is waiting only if the kernel tells an edge for what is there, or its handler said that it
//!   is drained.
//! - **Invariant:** while a handler runs, its entry is consistent: the handler may do anything to any source.

use super::entry::Waits;
use super::handler::News;
use super::turn::contained;
use super::{Cause, Deadline, EventLoop, Failure, Next, OnFailure, Ready, SourceId, SourceState};
use crate::primitive::Site;
use mio::unix::SourceFd;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Instant;

impl EventLoop {
    /// Calls the handler of a source that is ready.
    pub(super) fn call_ready(&mut self, id: SourceId) {
        let (turns, now) = (self.turns, self.now);
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.turn != turns {
            (entry.turn, entry.calls) = (turns, 0);
        }
        entry.calls += 1;
        if let Some(rate) = &mut entry.rate {
            if rate.calls == 0 || now.saturating_duration_since(rate.began) >= rate.interval {
                (rate.began, rate.calls) = (now, 0);
            }
            rate.calls += 1;
        }
        let news = match entry.waits {
            Waits::Descriptor { interest, .. } => {
                let mut ready = entry.ready;
                if let Some(handler) = &entry.handler {
                    // These ask the descriptor, and so the `as_fd` of the source.
                    let asked = |question: &dyn Fn() -> bool| contained(question).unwrap_or(false);
                    ready.hang_up |= ready.closed_by_error && !asked(&|| handler.is_socket());
                    if ready.ends(interest) && asked(&|| handler.nothing_to_read(ready)) {
                        ready.readable = false;
                    }
                }
                News::Ready(ready)
            }
            Waits::Timer { .. } | Waits::Channel | Waits::Idle | Waits::SafePoint { .. } => News::Command,
        };
        self.call(id, news);
    }

    /// Calls a handler, and does what it answers. The only place where handlers are called.
    pub(super) fn call(&mut self, id: SourceId, news: News) {
        if let Some(party) = &self.party {
            party.stop_if_asked();
            self.recent = None;
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(mut handler) = entry.handler.take() else { return };
        entry.set_state(SourceState::Running);
        let began = self.recent.take().unwrap_or_else(|| self.clock.now());
        entry.record.begin(began.saturating_duration_since(self.handle.shared.start));
        self.current = Some(id);
        let answer = contained(|| handler.call(self, news));
        self.current = None;
        let ended = self.clock.now();
        let removed = self.removed_itself.take();
        if let Some(record) = removed.as_ref().or_else(|| self.entries.get(id).map(|entry| &entry.record)) {
            record.end(ended.saturating_duration_since(began));
        }
        self.recent = Some(ended);
        let failed = match answer {
            Ok(Ok(next)) => Ok(next),
            Ok(Err(error)) => Err(Cause::Error(error)),
            Err(payload) => Err(Cause::of_panic(&*payload)),
        };
        let (next, failure) = match failed {
            Ok(next) => (next, None),
            Err(cause) => {
                let policy = self.entries.get(id).map_or(OnFailure::Remove, |entry| entry.on_failure);
                let next = match policy {
                    OnFailure::Keep => Next::Again,
                    OnFailure::Pause => Next::Pause,
                    OnFailure::Remove => Next::Remove,
                };
                let record = removed.as_ref().or_else(|| self.entries.get(id).map(|entry| &entry.record));
                let record = Arc::clone(record.expect("a source that is out has left its record"));
                record.fail(cause.text());
                (next, Some((record, cause, policy)))
            }
        };
        match self.entries.get_mut(id) {
            Some(entry) => {
                // A handler that is removed may have given its descriptor away.
                let number = if next == Next::Remove { Ok(None) } else { contained(|| handler.descriptor()) };
                entry.handler = Some(handler);
                match number {
                    Ok(number) => {
                        self.follow_descriptor(id, number);
                        self.follow(id, next, news);
                    }
                    Err(payload) => {
                        self.fail(id, &Cause::of_panic(&*payload), OnFailure::Remove);
                        self.remove_contained(id);
                    }
                }
            }
            // It has removed itself.
            None => {
                self.recent = None;
                self.shared().forget(id);
                if let (Err(payload), Some(record)) = (contained(|| drop(handler)), removed) {
                    record.fail(Cause::of_panic(&*payload).to_string());
                }
            }
        }
        if let Some((record, cause, policy)) = failure {
            self.tell(id, record.description(), &cause, policy);
            // The destructor of the error is the program's. The failure is told already.
            let _ = contained(|| drop(cause));
        }
    }

    /// Does what a handler has answered.
    fn follow(&mut self, id: SourceId, next: Next, news: News) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.more = next == Next::More;
        // A handler that has paused its own source, or has resumed it since, has decided already. Its answer, or the
        // policy for its failure, comes later still.
        let decided = entry.state != SourceState::Running;
        match next {
            Next::Remove => self.remove_contained(id),
            Next::Pause => drop(self.pause(id)),
            _ if decided => self.follow_own_resume(id),
            Next::Again | Next::Drained | Next::More => match entry.waits {
                Waits::Timer { timer, period: None, .. } if self.timers.get(timer).is_none() => {
                    self.remove_contained(id)
                }
                Waits::Timer { .. } => entry.set_state(SourceState::Waiting),
                Waits::Idle => {
                    entry.set_state(SourceState::Waiting);
                    if next == Next::More { self.idle.push_back(id) } else { self.idle_later.push(id) }
                }
                Waits::SafePoint { .. } => entry.set_state(SourceState::Waiting),
                Waits::Channel => self.follow_channel(id),
                Waits::Descriptor { .. } => {
                    let News::Ready(ready) = news else { return };
                    self.follow_ready(id, next, ready);
                }
            },
        }
    }

    /// A handler that has paused and resumed its own source could not be asked then whether it has more, and does not
    /// get around its rate limit.
    fn follow_own_resume(&mut self, id: SourceId) {
        let Some(entry) = self.entries.get(id) else { return };
        let (state, more) = (entry.state, entry.more);
        match entry.waits {
            Waits::Channel if state == SourceState::Waiting => self.follow_channel(id),
            Waits::Descriptor { .. } if matches!(state, SourceState::Waiting | SourceState::Ready) => {
                let limited = self.limit(id);
                if more && !limited && state == SourceState::Waiting {
                    self.make_ready(id);
                }
            }
            _ => {}
        }
    }

    fn follow_channel(&mut self, id: SourceId) {
        if self.limit(id) {
            return;
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        if entry.handler.as_ref().is_some_and(|handler| handler.has_more(Site::MoreAfterCall)) {
            self.make_ready(id);
        } else {
            entry.set_state(SourceState::Waiting);
        }
    }

    fn follow_ready(&mut self, id: SourceId, next: Next, told: Ready) {
        let Some(Waits::Descriptor { number, interest }) = self.entries.get(id).map(|entry| entry.waits) else {
            return;
        };
        if told.ends(interest) && !told.readable {
            self.pause(id);
            return;
        }
        if self.limit(id) {
            return;
        }
        let Some(entry) = self.entries.get_mut(id) else { return };
        let owns = entry.handler.as_ref().is_some_and(|handler| handler.owns());
        // Only the kernel knows whether there is still something in a raw pipe whose other end is closed.
        if next == Next::More && (owns || !told.ends(interest)) {
            self.make_ready(id);
            return;
        }
        entry.ready = Ready::default();
        entry.set_state(SourceState::Waiting);
        if entry.handler.as_ref().is_some_and(|handler| handler.tells_each_event_once()) {
            return;
        }
        // An end that is not told yet comes again, also if everything was read: the handler may not have read it.
        if next == Next::Again || told.ends(interest) {
            self.recent = None;
            let registry = self.poll.registry();
            let mut again = registry.reregister(&mut SourceFd(&number), id.token(), interest.to_mio());
            if owns && again.as_ref().is_err_and(|error| Errno::from_io_error(error) == Some(Errno::NOENT)) {
                // Its handler has replaced the descriptor by one with the same number.
                again = registry.register(&mut SourceFd(&number), id.token(), interest.to_mio());
            }
            if let Err(error) = again {
                self.lose(id, error);
            }
        }
    }

    /// Whether the rate limit of a source is reached. Then it does not wait until the interval ends.
    fn limit(&mut self, id: SourceId) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let Some(rate) = &mut entry.rate else { return false };
        if rate.calls < rate.limit {
            return false;
        }
        let over = rate.began + rate.interval;
        if let Waits::Descriptor { number, .. } = entry.waits {
            let _ = self.poll.registry().deregister(&mut SourceFd(&number));
        }
        self.wait_for_the_limit(id, over);
        true
    }

    /// It is in no epoll until then.
    pub(super) fn wait_for_the_limit(&mut self, id: SourceId, over: Instant) {
        self.recent = None;
        let Some(entry) = self.entries.get_mut(id) else { return };
        entry.set_state(SourceState::Limited);
        if let Some(rate) = &mut entry.rate {
            rate.over = Some(self.timers.insert(over, Deadline::LimitOver(id)));
        }
    }

    pub(super) fn wait_again_or_lose(&mut self, id: SourceId) {
        if let Err(error) = self.wait_again(id) {
            self.lose(id, error);
        }
    }

    /// If a handler has replaced its descriptor, the loop waits for the new one.
    fn follow_descriptor(&mut self, id: SourceId, now: Option<i32>) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let (Waits::Descriptor { number, interest }, Some(now)) = (&mut entry.waits, now) else { return };
        if *number == now {
            return;
        }
        self.recent = None;
        let before = std::mem::replace(number, now);
        let interest = *interest;
        let in_epoll = !matches!(entry.state, SourceState::Paused | SourceState::Limited);
        if self.by_number.get(&before) == Some(&id) {
            self.by_number.remove(&before);
            // If it was closed, the kernel has forgotten it already.
            let _ = self.poll.registry().deregister(&mut SourceFd(&before));
        }
        let registered = if self.owns_paused(now) {
            Err(Errno::EXIST.into())
        } else if in_epoll {
            self.poll.registry().register(&mut SourceFd(&now), id.token(), interest.to_mio())
        } else {
            Ok(())
        };
        match registered {
            Ok(()) => self.own_number(now, id),
            Err(error) => self.lose(id, error),
        }
    }

    /// Notes that a descriptor is of this source. One that had it before has closed it.
    pub(super) fn own_number(&mut self, number: i32, id: SourceId) {
        if let Some(closed) = self.by_number.insert(number, id).filter(|closed| *closed != id) {
            self.fail(closed, &Cause::Reused(number), OnFailure::Remove);
            self.remove_contained(closed);
        }
    }

    /// Removes a source whose descriptor the kernel refuses.
    fn lose(&mut self, id: SourceId, error: std::io::Error) {
        self.fail(id, &Cause::Lost(error), OnFailure::Remove);
        self.remove_contained(id);
    }

    pub(super) fn remove_contained(&mut self, id: SourceId) {
        let Some(record) = self.entries.get(id).map(|entry| Arc::clone(&entry.record)) else { return };
        if let Err(payload) = contained(|| self.remove(id)) {
            let cause = Cause::of_panic(&*payload);
            record.fail(cause.text());
            self.tell(id, record.description(), &cause, OnFailure::Remove);
        }
    }

    /// Counts and tells a failure that is not one of the handler.
    pub(super) fn fail(&mut self, id: SourceId, cause: &Cause, then: OnFailure) {
        let Some(record) = self.entries.get(id).map(|entry| Arc::clone(&entry.record)) else { return };
        record.fail(cause.text());
        self.tell(id, record.description(), cause, then);
    }

    fn tell(&mut self, source: SourceId, description: &str, cause: &Cause, then: OnFailure) {
        let Some(hook) = &mut self.on_failure else { return };
        self.recent = None;
        if let Err(payload) = contained(|| hook(&Failure { source, description, cause, then })) {
            self.hook_panicked = Some(Cause::of_panic(&*payload).to_string());
        }
    }
}
