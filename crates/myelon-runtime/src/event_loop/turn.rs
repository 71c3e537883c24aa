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
//! `calling` has what happens at each arrow from *running*.

use super::entry::{Entry, Step};
use super::handle::{DUMP, EXIT, QUIESCE, QUIT};
use super::handler::News;
use super::record::add;
use super::{Cause, Deadline, EventLoop, LATEST, Ready, RunEnd, SourceId, SourceState, Tick, TurnError, WAKE};
use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
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
        self.shared().requests.is_asked(flags)
    }

    /// Whether a turn would find something without looking at descriptors.
    pub(super) fn has_work(&self) -> bool {
        self.ready.iter().any(|list| !list.is_empty())
            || self.shared().requests.has_news()
            || self.asked(DUMP | QUIESCE)
            || !self.left_at_safe_point.is_empty()
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
        let nothing = longest > Duration::ZERO
            && self.idle.is_empty()
            && self.left_at_safe_point.is_empty()
            && self.ready.iter().all(VecDeque::is_empty);
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

    #[inline]
    fn serve_if_any(&mut self, step: Step) -> usize {
        if self.ready[step as usize].is_empty() { 0 } else { self.serve(step) }
    }

    /// Serves the sources of a step that are ready now, and those that have more, within their budgets.
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
}

/// Puts an entry at the end of its list.
fn list(entry: &mut Entry, id: SourceId, ready: &mut [super::ReadyList; 5], tickets: &mut u64) {
    *tickets += 1;
    entry.ticket = *tickets;
    entry.set_state(SourceState::Ready);
    ready[entry.step as usize].push_back((id, entry.ticket));
}
