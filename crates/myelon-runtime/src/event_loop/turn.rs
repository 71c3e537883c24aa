//! One turn: the sleep, and then results, timers, signals, descriptors and idle sources.
//!
//! A source of a descriptor is *waiting*, *ready* or *running*, or it is not in epoll: *paused* or *limited*.
//!
//! ```text
//!             an edge                 its turn
//! waiting ──────────────> ready ──────────────────> running
//!    ^                      ^                          │ More: again ready, within the budget also in this turn
//!    └──────────────────────┴──────────────────────────┤ Drained: waiting
//!                                                      │ Again, an error, a panic: waiting, and a new edge if there
//!                                                      └ is something
//! ```
//! - **Invariant:** a source is waiting only if the kernel tells an edge for what is there, or its handler said that it
//!   is drained.
//! - **Invariant:** while a handler runs, its entry is consistent: the handler may do anything to any source.

use super::entry::{Entry, Step, Waits};
use super::handle::{DUMP, EXIT, QUIESCE, QUIT};
use super::handler::News;
use super::record::add;
use super::{
    Cause, Deadline, EventLoop, Failure, LATEST, Next, OnFailure, Ready, RunEnd, SourceId, SourceState, Tick,
    TurnError, WAKE,
};
use crate::primitive::Site;
use mio::unix::SourceFd;
use rustix::io::Errno;
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How many timers one turn serves. If more are due, the next turn, which does not sleep, serves them.
const TIMERS: usize = 1024;

/// Runs `work` without letting a panic pass.
pub(super) fn contained<T>(work: impl FnOnce() -> T) -> Result<T, Box<dyn Any + Send>> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| {
        // A payload's destructor may panic as well. What is a text has none.
        let text = payload.downcast_ref::<&str>().is_some() || payload.downcast_ref::<String>().is_some();
        if text {
            return payload;
        }
        std::mem::forget(payload);
        Box::new("a value that is no text")
    })
}

/// How long a turn may sleep.
pub(super) struct Nap {
    /// Until when on the loop's clock; `None`: until something happens, or it may not sleep.
    until: Option<Instant>,
    /// How long that really is.
    pub(super) timeout: Option<Duration>,
}

/// How a run ends. The flag *quit* stays set until the end, so a run that is given up meanwhile leaves the request.
#[derive(Default)]
pub(super) struct Ending {
    drain_until: Option<Instant>,
}

impl Ending {
    pub(super) fn drains(&self) -> bool {
        self.drain_until.is_some()
    }

    pub(super) fn longest_sleep(&self) -> Duration {
        if self.drains() { Duration::ZERO } else { Duration::MAX }
    }

    /// Whether the run is over after a turn that has called `served` handlers.
    pub(super) fn after_turn(&mut self, event_loop: &EventLoop, served: usize) -> Option<RunEnd> {
        let end = if event_loop.asked(EXIT) {
            RunEnd::Exit
        } else if let Some(until) = self.drain_until {
            let drained = served == 0 && !event_loop.has_work();
            if !drained && Instant::now() < until {
                return None;
            }
            RunEnd::Quit { drained }
        } else {
            // A second request does not prolong it.
            self.drain_until = event_loop.asked(QUIT).then(|| Instant::now() + event_loop.drain.min(LATEST));
            return None;
        };
        event_loop.shared().requests.take(EXIT | QUIT);
        Some(end)
    }
}

impl EventLoop {
    /// Runs until [`LoopHandle::quit`](super::LoopHandle::quit) or [`LoopHandle::exit`](super::LoopHandle::exit) is
    /// called, before or meanwhile.
    ///
    /// # Errors
    /// See [`TurnError`]. The loop can be run again.
    pub fn run(&mut self) -> Result<RunEnd, TurnError> {
        if self.in_turn {
            return Err(TurnError::Nested);
        }
        let mut ending = Ending::default();
        loop {
            self.draining = ending.drains();
            let served = self.turn(ending.longest_sleep());
            self.draining = false;
            if let Some(end) = ending.after_turn(self, served?) {
                return Ok(end);
            }
        }
    }

    /// One turn, which sleeps for `longest_sleep` at most. It sleeps only if nothing is ready, and until the next
    /// timer. Returns how many handlers were called. Zero: it does not sleep; [`Duration::MAX`]: without end.
    ///
    /// For a program that has a loop of its own. [`LoopHandle::quit`](super::LoopHandle::quit) and
    /// [`LoopHandle::exit`](super::LoopHandle::exit) end the sleep, and are for [`run`](Self::run): a turn leaves them
    /// set, and with `exit` calls no further handler.
    ///
    /// # Errors
    /// See [`TurnError`]. The loop can be used again.
    pub fn turn(&mut self, longest_sleep: Duration) -> Result<usize, TurnError> {
        if self.in_turn {
            return Err(TurnError::Nested);
        }
        let looked = self.look(longest_sleep);
        self.serve_what_was_seen(looked)
    }

    /// The part of a turn after its sleep.
    pub(super) fn serve_what_was_seen(&mut self, looked: std::io::Result<()>) -> Result<usize, TurnError> {
        self.in_turn = true;
        let served = looked.map(|()| self.serve_all());
        self.in_turn = false;
        let served = served.map_err(TurnError::Os)?;
        match self.hook_panicked.take() {
            Some(text) => Err(TurnError::HookPanicked(text)),
            None => Ok(served),
        }
    }

    pub(super) fn asked(&self, flags: u32) -> bool {
        self.shared().requests.asked() & flags != 0
    }

    /// Whether a turn would find something without looking at descriptors.
    pub(super) fn has_work(&self) -> bool {
        self.ready.iter().any(|list| !list.is_empty())
            || self.shared().requests.has_news()
            || self.asked(DUMP | QUIESCE)
            || self.timers.next_wake().is_some_and(|wake| wake <= self.clock.now())
    }

    /// Sleeps if there is nothing to do, and takes what has happened.
    fn look(&mut self, longest: Duration) -> std::io::Result<()> {
        let nap = self.begin_look(longest);
        self.sleep(nap.timeout)?;
        self.end_look(nap);
        Ok(())
    }

    /// Begins a turn: says how long it may sleep. If it may, the word says that the loop sleeps.
    pub(super) fn begin_look(&mut self, longest: Duration) -> Nap {
        self.turns += 1;
        add(&self.shared().numbers.turns, 1);
        let mut nap = Nap { until: None, timeout: Some(Duration::ZERO) };
        let nothing = longest > Duration::ZERO && self.idle.is_empty() && self.ready.iter().all(VecDeque::is_empty);
        if nothing && self.shared().requests.may_sleep() {
            add(&self.shared().numbers.sleeps, 1);
            let longest = if longest == Duration::MAX { None } else { self.clock.now().checked_add(longest) };
            nap.until = match (self.timers.next_wake(), longest) {
                (Some(wake), Some(longest)) => Some(wake.min(longest)),
                (wake, longest) => wake.or(longest),
            };
            nap.timeout = self.clock.real_sleep(nap.until);
        }
        nap
    }

    /// The sleep is over, and the kernel was asked: takes what has happened.
    pub(super) fn end_look(&mut self, nap: Nap) {
        self.shared().requests.awake();
        if let Some(until) = nap.until
            && self.events.is_empty()
            && !self.shared().requests.has_news()
        {
            self.clock.slept_until(until);
        }
        self.take_events();
        self.now = self.clock.now();
        self.recent = Some(self.now);
    }

    /// Asks the kernel, and sleeps for `timeout` at most; `None`: without end. A sleep is a rest at a safe point.
    fn sleep(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        match self.party.take_if(|_| timeout != Some(Duration::ZERO)) {
            None => self.poll(timeout),
            Some(party) => {
                let polled = party.rest(|| self.poll(timeout));
                self.party = Some(party);
                polled
            }
        }
    }

    pub(super) fn poll(&mut self, timeout: Option<Duration>) -> std::io::Result<()> {
        #[cfg(target_os = "linux")]
        let timeout = match &mut self.fine {
            Some(fine) if self.timers.resolution() < super::COARSE => fine.arm(timeout)?,
            _ => timeout,
        };
        match self.poll.poll(&mut self.events, timeout) {
            // A signal with a handler, or a debugger. The turn goes on, with nothing.
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                self.events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn take_events(&mut self) {
        let Self { events, entries, ready, tickets, handle, .. } = self;
        for event in &*events {
            let token = event.token();
            #[cfg(target_os = "linux")]
            if token == super::FINE {
                continue;
            }
            if token == WAKE {
                continue;
            }
            let id = SourceId::of(token);
            match entries.get_mut(id) {
                Some(entry) if matches!(entry.state, SourceState::Waiting | SourceState::Ready) => {
                    entry.ready = entry.ready.and(Ready::of(event));
                    if entry.state == SourceState::Waiting {
                        list(entry, id, ready, tickets);
                    }
                }
                Some(_) => {}
                None => add(&handle.shared.numbers.stale, 1),
            }
        }
    }

    /// Puts a source at the end of the list of its step.
    pub(super) fn make_ready(&mut self, id: SourceId) {
        if let Some(entry) = self.entries.get_mut(id) {
            list(entry, id, &mut self.ready, &mut self.tickets);
        }
    }

    fn serve_all(&mut self) -> usize {
        self.take_news();
        self.serve_dump();
        let mut served = self.serve_safe_point();
        served += self.serve_if_any(Step::Results);
        served += self.serve_timers();
        for step in [Step::Signals, Step::High, Step::Normal, Step::Low] {
            served += self.serve_if_any(step);
        }
        if served > 0 {
            self.idle.extend(self.idle_later.drain(..));
        } else if !self.draining {
            served += self.serve_idle();
        }
        served
    }

    pub(super) fn stopped(&self) -> bool {
        self.hook_panicked.is_some() || self.asked(EXIT)
    }

    fn take_news(&mut self) {
        let mut news = std::mem::take(&mut self.news);
        self.shared().requests.swap_news(&mut news);
        for id in news.drain(..) {
            if self.entries.get(id).is_some_and(|entry| entry.state == SourceState::Waiting) {
                self.make_ready(id);
            }
        }
        self.news = news;
    }

    fn serve_dump(&mut self) {
        if self.shared().requests.take(DUMP) == 0 {
            return;
        }
        let Some(mut hook) = self.on_dump.take() else { return };
        self.recent = None;
        let text = self.shared().dump();
        if let Err(payload) = contained(|| hook(&text)) {
            self.hook_panicked = Some(Cause::of_panic(&*payload).to_string());
        }
        self.on_dump = Some(hook);
    }

    /// Serves the sources of a step that are ready now, and those that have more, within their budgets.
    #[inline]
    fn serve_if_any(&mut self, step: Step) -> usize {
        if self.ready[step as usize].is_empty() { 0 } else { self.serve(step) }
    }

    fn serve(&mut self, step: Step) -> usize {
        let mut served = 0;
        if self.ready[step as usize].is_empty() {
            return served;
        }
        let mut now = std::mem::take(&mut self.ready[step as usize]);
        while let Some((id, ticket)) = now.pop_front() {
            if self.stopped() {
                now.push_front((id, ticket));
                break;
            }
            let Some(entry) = self.entries.get_mut(id) else {
                // A neighbour has removed it in this turn.
                add(&self.handle.shared.numbers.stale, 1);
                continue;
            };
            if entry.state != SourceState::Ready || entry.ticket != ticket {
                continue;
            }
            self.call_ready(id);
            served += 1;
            // What has more is at the end of the next list. Within its budget it belongs to this one.
            if let Some(entry) = self.entries.get(id)
                && entry.state == SourceState::Ready
                && entry.calls < entry.budget
                && self.ready[step as usize].back() == Some(&(id, entry.ticket))
            {
                now.extend(self.ready[step as usize].pop_back());
            }
        }
        // What was not served is first in the next turn.
        now.append(&mut self.ready[step as usize]);
        self.ready[step as usize] = now;
        served
    }

    fn serve_timers(&mut self) -> usize {
        let mut served = 0;
        while served < TIMERS && !self.stopped() {
            let Some(expired) = self.timers.expire(self.now) else { break };
            match expired.value {
                Deadline::LimitOver(id) => {
                    if let Some(entry) = self.entries.get_mut(id) {
                        if let Some(rate) = &mut entry.rate {
                            rate.over = None;
                        }
                        self.wait_again_or_lose(id);
                    }
                }
                Deadline::Timer(id) => {
                    self.record_deadline(id, expired.id);
                    self.call(id, News::Tick(Tick { deadline: expired.deadline, missed: expired.missed }));
                    served += 1;
                }
            }
        }
        served
    }

    /// A periodic timer has its next deadline already.
    fn record_deadline(&self, id: SourceId, timer: crate::timers::TimerId) {
        if let (Some(entry), Some(next)) = (self.entries.get(id), self.timers.deadline(timer)) {
            entry.record.set_deadline(Some(next.saturating_duration_since(self.shared().start)));
        }
    }

    fn serve_idle(&mut self) -> usize {
        let mut served = 0;
        for _ in 0..self.idle.len() {
            if self.stopped() {
                break;
            }
            let Some(&id) = self.idle.front() else { break };
            let Some(entry) = self.entries.get_mut(id) else { break };
            if std::mem::replace(&mut entry.turn, self.turns) == self.turns {
                // It was called in this turn, so all after it were as well, or are new.
                break;
            }
            let paused = entry.state == SourceState::Paused;
            self.idle.pop_front();
            // A paused one comes back into the list when it is resumed.
            if !paused {
                self.call(id, News::Idle);
                served += 1;
            }
        }
        served
    }

    /// Calls the handler of a source that is ready.
    fn call_ready(&mut self, id: SourceId) {
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
        // A handler that has paused its own source, or has resumed it since, has decided already.
        let decided = entry.state != SourceState::Running;
        match next {
            Next::Remove => self.remove_contained(id),
            _ if decided => self.follow_own_resume(id),
            Next::Pause => drop(self.pause(id)),
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

    fn wait_again_or_lose(&mut self, id: SourceId) {
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

/// Puts an entry at the end of its list.
fn list(entry: &mut Entry, id: SourceId, ready: &mut [super::ReadyList; 5], tickets: &mut u64) {
    *tickets += 1;
    entry.ticket = *tickets;
    entry.set_state(SourceState::Ready);
    ready[entry.step as usize].push_back((id, entry.ticket));
}
