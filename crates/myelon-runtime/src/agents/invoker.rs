//! Runs a group on the thread that calls it: the cycle, the life of each agent, the sleep.
//!
//! - **Invariant:** an agent's state is changed before its `on_close` is called, so no second call can follow.

use super::doorbells::Doorbells;
use super::failure::{Cause, Failure, Then, contained};
use super::group::{EndHook, Group, Hook};
use super::idle::{IdleStrategy, Pause};
use super::record::{AgentState, Record};
use super::shared::{GroupHandle, Shared};
use super::{Activity, Agent, AgentError, GroupEnd, Policy, Restarts, Work};
use crate::agenda::{Attended, Party};
use crate::sleeping::Sleep;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

struct Cell {
    /// Dropped at the end of the group.
    agent: Box<dyn Agent + Send>,
    policy: Policy,
    step: Step,
    /// `None`: its policy restarts nothing.
    restarts: Option<Restarts>,
    running_since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    New,
    Runs,
    Waits(Instant),
    Ended,
}

/// Runs the agents of a group on the thread that calls it, one cycle a call.
///
/// Dropping it closes the agents.
///
/// ```
/// use myelon_runtime::agents::{Group, GroupEnd, NoIdle, Work, from_fn};
///
/// // In a loop of one's own: one call a turn.
/// let mut invoker = Group::new("example").agent(from_fn("one", |_| Ok(Work::Count(1)))).into_invoker();
/// assert_eq!(invoker.invoke(), 1);
/// assert_eq!(invoker.close(), GroupEnd::Closed);
///
/// // Until the group ends.
/// let mut invoker = Group::new("example").agent(from_fn("two", |_| Ok(Work::Finished))).into_invoker();
/// assert_eq!(invoker.run(&mut NoIdle), GroupEnd::Finished);
/// ```
pub struct Invoker {
    cells: Vec<Cell>,
    pub(super) shared: Arc<Shared>,
    hook: Option<Hook>,
    end_hook: Option<EndHook>,
    attended: Option<Attended>,
    end: Option<GroupEnd>,
    /// The first agent that has ended by a failure, and its error.
    failed: Option<(String, String)>,
    /// The last reading of the clock.
    last: Instant,
    changes: u64,
}

impl fmt::Debug for Invoker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invoker").field("shared", &self.shared).field("end", &self.end).finish_non_exhaustive()
    }
}

impl Invoker {
    pub(super) fn new(group: Group) -> Self {
        let Group { name, agents, clock, hook, end_hook, attended } = group;
        let names = agents.iter().map(|(agent, _)| agent.name().to_owned()).collect();
        let shared = Arc::new(Shared::new(name, names, clock));
        let last = shared.clock.now();
        let cell = |(agent, policy)| {
            let restarts = if let Policy::Restart(restart) = policy { Some(restart.row()) } else { None };
            Cell { agent, policy, step: Step::New, restarts, running_since: last }
        };
        let cells = agents.into_iter().map(cell).collect();
        Self { cells, shared, hook, end_hook, attended, end: None, failed: None, last, changes: 0 }
    }

    /// Reaches the group from any thread.
    pub fn handle(&self) -> GroupHandle {
        GroupHandle { shared: Arc::clone(&self.shared) }
    }

    /// One cycle: each agent is started if it is to be started, or else does its work. So the first cycle starts all of
    /// them. Returns how much they have done, where a start counts as one; 0 also if the group has ended.
    pub fn invoke(&mut self) -> usize {
        let now = self.shared.clock.now();
        self.shared.waker.clear();
        self.cycle(now)
    }

    /// How the group has ended; `None` as long as it runs.
    pub fn end(&self) -> Option<&GroupEnd> {
        self.end.as_ref()
    }

    /// Runs cycles, and idles after each one without work, until the group ends. [`GroupHandle::request_close`] ends it
    /// from another thread, or from an agent.
    pub fn run(&mut self, idle: &mut (impl IdleStrategy + ?Sized)) -> GroupEnd {
        let _party = self.join();
        let mut now = None;
        loop {
            if self.attended.as_ref().is_some_and(Attended::look) {
                now = None;
            }
            let begins = now.take().unwrap_or_else(|| self.shared.clock.now());
            let work = self.cycle(begins);
            if let Some(end) = &self.end {
                return end.clone();
            }
            if work > 0 {
                now = Some(self.last);
                self.call_strategy(|invoker| idle.worked(invoker.last));
            } else {
                self.idle(idle);
            }
        }
    }

    /// Idles once, after a cycle without work. For a loop of one's own that has nothing else to wait for.
    pub fn idle(&mut self, idle: &mut (impl IdleStrategy + ?Sized)) {
        let Some(until) = self.deadline() else { return };
        self.call_strategy(|invoker| {
            idle.idle(&mut Pause { until: until.0, now: invoker.last, cycle_is_due: false, invoker })
        });
    }

    /// When the next cycle is needed although nothing happens: the next deadline of an agent, or the end of a back-off.
    /// `None`: there is none.
    pub fn wake_at(&mut self) -> Option<Instant> {
        loop {
            match self.deadline() {
                Some(deadline) => return deadline.0,
                None if self.end.is_some() => return None,
                // An agent has failed when it was asked, and backs off: it is not asked again.
                None => {}
            }
        }
    }

    /// Closes all agents, in reverse order, and says how the group has ended.
    pub fn close(mut self) -> GroupEnd {
        self.finish(GroupEnd::Closed);
        self.end.clone().unwrap_or(GroupEnd::Closed)
    }

    /// One cycle that begins at `now`.
    pub(super) fn cycle(&mut self, now: Instant) -> usize {
        if self.end.is_some() {
            return 0;
        }
        let _party = self.join();
        let shared = Arc::clone(&self.shared);
        let _calling = shared.calling();
        self.last = now;
        let (mut work, mut ended) = (0_usize, 0);
        for index in 0..self.cells.len() {
            if shared.is_closing() {
                self.finish(GroupEnd::Closed);
                return work;
            }
            if self.attended.as_ref().is_some_and(Attended::look) {
                self.last = self.shared.clock.now();
            }
            work = work.saturating_add(match self.cells[index].step {
                Step::Runs => self.do_work(index, now),
                Step::New => self.start(index),
                Step::Waits(until) if until <= now => {
                    self.record(index).restarting();
                    self.start(index)
                }
                Step::Waits(_) | Step::Ended => 0,
            });
            if self.end.is_some() {
                return work;
            }
            ended += usize::from(self.cells[index].step == Step::Ended);
        }
        if shared.is_closing() {
            self.finish(GroupEnd::Closed);
        } else if ended == self.cells.len() {
            let failed = self.failed.take();
            self.finish(failed.map_or(GroupEnd::Finished, |(agent, error)| GroupEnd::Failed { agent, error }));
        }
        work
    }

    fn record(&self, index: usize) -> &Record {
        &self.shared.records[index]
    }

    /// Calls an agent: notes what it does, contains a panic, and reads the clock afterwards.
    fn call<T>(
        &mut self,
        index: usize,
        activity: Activity,
        call: impl FnOnce(&mut dyn Agent) -> T,
    ) -> Result<T, Cause> {
        let record = &self.shared.records[index];
        record.begin(activity, self.shared.since_start(self.last));
        let answer = contained(|| call(&mut *self.cells[index].agent));
        self.last = self.shared.clock.now();
        record.end();
        answer.map_err(Cause::Panic)
    }

    fn start(&mut self, index: usize) -> usize {
        match flat(self.call(index, Activity::Start, |agent| agent.on_start())) {
            Ok(()) => {
                self.set(index, Step::Runs);
                self.cells[index].running_since = self.last;
                self.record(index).started();
                1
            }
            Err(cause) => {
                self.fail(index, Activity::Start, &cause);
                discard(cause);
                0
            }
        }
    }

    fn do_work(&mut self, index: usize, now: Instant) -> usize {
        let began = self.last;
        match flat(self.call(index, Activity::Work, |agent| agent.do_work(now))) {
            Ok(answer) => {
                let count = if let Work::Count(count) = answer { count } else { 1 };
                self.record(index).worked(count, self.last.saturating_duration_since(began));
                let (last, cell) = (self.last, &mut self.cells[index]);
                if let Some(restarts) = &mut cell.restarts
                    && restarts.is_in_a_row()
                {
                    restarts.has_run(last.saturating_duration_since(cell.running_since));
                }
                if answer == Work::Finished {
                    self.set(index, Step::Ended);
                    self.on_close(index, Then::Ends);
                }
                count
            }
            Err(cause) => {
                self.fail(index, Activity::Work, &cause);
                discard(cause);
                0
            }
        }
    }

    fn set(&mut self, index: usize, step: Step) {
        self.cells[index].step = step;
        self.changes += 1;
        self.record(index).set_state(match step {
            Step::New => AgentState::New,
            Step::Runs => AgentState::Runs,
            Step::Waits(_) => AgentState::BacksOff,
            Step::Ended => AgentState::Ended,
        });
    }

    /// An agent has failed: reports it, closes it if it was started, and does what its policy says.
    pub(super) fn fail(&mut self, index: usize, during: Activity, cause: &Cause) {
        let last = self.last;
        let cell = &mut self.cells[index];
        let was_started = cell.step == Step::Runs;
        let (step, then) = match (cell.restarts.as_mut().and_then(Restarts::next_delay), cell.policy) {
            (Some(delay), _) => {
                // A back-off beyond what the clock can express is one of a hundred years.
                let until = last.checked_add(delay).unwrap_or(last + Duration::from_secs(100 * 365 * 86_400));
                (Step::Waits(until), Then::RestartsIn(delay))
            }
            (None, Policy::Restart(restart)) if restart.then_group => (Step::Ended, Then::GroupEnds),
            (None, Policy::Restart(_) | Policy::End) => (Step::Ended, Then::Ends),
            (None, Policy::EndGroup) => (Step::Ended, Then::GroupEnds),
        };
        self.set(index, step);
        let hook = self.tell(index, during, cause, then);
        if was_started {
            self.on_close(index, then);
        }
        if step == Step::Ended && self.failed.is_none() {
            self.failed = Some((self.record(index).name.clone(), cause.text()));
        }
        if let Some(text) = hook {
            self.finish(GroupEnd::Panicked { what: "the hook for failures", text });
        } else if then == Then::GroupEnds {
            let (agent, error) = (self.record(index).name.clone(), cause.text());
            self.finish(GroupEnd::Failed { agent, error });
        }
    }

    /// Closes an agent whose state says already that it does not run.
    fn on_close(&mut self, index: usize, then: Then) {
        if let Err(cause) = self.call(index, Activity::Close, |agent| agent.on_close())
            && let Some(text) = self.tell(index, Activity::Close, &cause, then)
        {
            self.finish(GroupEnd::Panicked { what: "the hook for failures", text });
        }
    }

    /// Counts a failure and gives it to the hook; returns what a panic of the hook has said.
    fn tell(&mut self, index: usize, during: Activity, cause: &Cause, then: Then) -> Option<String> {
        let record = &self.shared.records[index];
        record.fail(cause.text());
        let hook = self.hook.as_mut()?;
        let failure = Failure { group: &self.shared.name, agent: &record.name, during, cause, then };
        let told = contained(|| hook(&failure)).err();
        // The time of the hook is not that of the next agent.
        self.last = self.shared.clock.now();
        told
    }

    /// Ends the group: closes the agents that run, in reverse order, drops all, and says so.
    fn finish(&mut self, end: GroupEnd) {
        if self.end.is_some() {
            return;
        }
        // From here on a failure changes nothing but the report.
        self.end = Some(end);
        let shared = Arc::clone(&self.shared);
        let _calling = shared.calling();
        self.last = shared.clock.now();
        for index in (0..self.cells.len()).rev() {
            let runs = self.cells[index].step == Step::Runs;
            self.set(index, Step::Ended);
            if runs {
                self.on_close(index, Then::Ends);
            }
        }
        while let Some(Cell { agent, .. }) = self.cells.pop() {
            let index = self.cells.len();
            self.record(index).begin(Activity::Drop, shared.since_start(self.last));
            let dropped = contained(|| drop(agent));
            self.last = shared.clock.now();
            self.record(index).end();
            if let Err(text) = dropped {
                self.tell(index, Activity::Drop, &Cause::Panic(text), Then::Ends);
            }
        }
        let end = self.end.clone().unwrap_or(GroupEnd::Closed);
        shared.set_end(end.clone());
        if let Some(hook) = self.end_hook.take() {
            // The group has ended, so there is nothing that a panic could change.
            let _ = contained(|| hook(&end));
        }
    }

    fn call_strategy(&mut self, call: impl FnOnce(&mut Self)) {
        let shared = Arc::clone(&self.shared);
        let _calling = shared.calling();
        if let Err(text) = contained(|| call(self)) {
            self.finish(GroupEnd::Panicked { what: "the idle strategy", text });
        }
    }

    /// Makes this thread a party of the safe points, unless it is one.
    pub(super) fn join(&self) -> Option<Party> {
        let attended = self.attended.as_ref().filter(|attended| attended.must_join())?;
        let shared = Arc::downgrade(&self.shared);
        let doing = move || shared.upgrade()?.runs();
        Some(attended.join(format!("group {}", self.shared.name), Box::new(doing)))
    }

    /// The next deadline of all agents. `None`: do not sleep, because an agent has failed just now.
    pub(super) fn deadline(&mut self) -> Option<Deadline> {
        if self.end.is_some() {
            return None;
        }
        let mut next: Option<Instant> = None;
        for index in 0..self.cells.len() {
            let at = match self.cells[index].step {
                Step::Runs => match contained(|| self.cells[index].agent.wake_at()) {
                    Ok(at) => at,
                    Err(text) => {
                        self.fail(index, Activity::Park, &Cause::Panic(text));
                        return None;
                    }
                },
                Step::Waits(until) => Some(until),
                Step::New | Step::Ended => None,
            };
            next = next.into_iter().chain(at).min();
        }
        Some(Deadline(next))
    }

    /// Asks all agents whether the thread may sleep until something wakes it.
    pub(super) fn arm(&mut self) -> bool {
        let shared = Arc::clone(&self.shared);
        let _calling = shared.calling();
        for index in 0..self.cells.len() {
            if self.cells[index].step != Step::Runs {
                continue;
            }
            match self.call(index, Activity::Park, |agent| agent.before_park()) {
                Ok(true) => {}
                Ok(false) => return false,
                Err(cause) => {
                    self.fail(index, Activity::Park, &cause);
                    discard(cause);
                    return false;
                }
            }
        }
        true
    }

    /// Gives the descriptors of all agents that run to `take`, with the agent of each. `None`: an agent has failed.
    pub(super) fn with_doorbells<R>(&mut self, take: impl FnOnce(&[usize], &Doorbells<'_>) -> R) -> Option<R> {
        let mut doorbells = Doorbells::default();
        let mut owners = Vec::new();
        let failed =
            self.cells.iter().enumerate().filter(|(_, cell)| cell.step == Step::Runs).find_map(|(index, cell)| {
                let listed = contained(|| cell.agent.doorbells(&mut doorbells));
                owners.resize(doorbells.list.len(), index);
                listed.err().map(|text| (index, text))
            });
        match failed {
            None => Some(take(&owners, &doorbells)),
            Some((index, text)) => {
                drop(doorbells);
                self.fail(index, Activity::Park, &Cause::Panic(text));
                None
            }
        }
    }

    /// The group has no work, and leaves its thread until it is called, if `ready` says so after all agents have armed.
    /// `false`: it goes on. `true` may also mean that a caller has seen that it was away, and brings it back.
    pub(super) fn go_away(&mut self, ready: impl FnOnce(&mut Self) -> bool) -> bool {
        let shared = Arc::clone(&self.shared);
        if !shared.waker.announce_away() {
            return false;
        }
        let may_stay = !shared.is_closing() && self.arm() && ready(self);
        may_stay || !shared.waker.stay()
    }

    /// How often an agent has begun or ended to run. If it changes, there may be other descriptors.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Sleeps until a wake, until `until`, or, at doorbells, until a descriptor is readable. Returns whether it has
    /// slept and nothing has called: otherwise a cycle must follow before the next sleep.
    pub(super) fn sleep(&mut self, how: Sleep, until: Option<Instant>) -> bool {
        let shared = Arc::clone(&self.shared);
        let slept = shared.waker.announce_parked() && !shared.is_closing() && self.sleep_announced(how, until);
        let called = shared.waker.clear();
        let is_over = slept && !called;
        if let Some(until) = until
            && is_over
        {
            shared.clock.slept_until(until);
        }
        is_over
    }

    /// Returns whether the time was over.
    fn sleep_announced(&mut self, how: Sleep, until: Option<Instant>) -> bool {
        let shared = Arc::clone(&self.shared);
        let attended = self.attended.clone();
        let longest = || shared.clock.real_sleep(until);
        if how == Sleep::AtDoorbells {
            if !self.arm() {
                return false;
            }
            let polled = self.with_doorbells(|_, doorbells| {
                if doorbells.list.is_empty() {
                    return None;
                }
                let poll = |bell: Option<&_>| {
                    resting(attended.as_ref(), || super::poll::poll(bell, &doorbells.list, longest()))
                };
                Some(shared.waker.at_doorbells(poll).unwrap_or(false))
            });
            match polled {
                None => return false,
                Some(Some(nothing)) => return nothing,
                // No descriptors, so the thread is parked.
                Some(None) => {}
            }
        }
        let longest = longest();
        // The last look comes after all that may block: an agent, the clock, the rest of a party.
        resting(attended.as_ref(), || {
            let may_be_parked = longest != Some(Duration::ZERO) && shared.waker.may_be_parked();
            match longest.filter(|_| may_be_parked) {
                Some(longest) => std::thread::park_timeout(longest),
                None if may_be_parked => std::thread::park(),
                None => {}
            }
        });
        true
    }
}

/// A moment, or none.
pub(super) struct Deadline(pub(super) Option<Instant>);

fn resting<R>(attended: Option<&Attended>, sleep: impl FnOnce() -> R) -> R {
    match attended {
        Some(attended) => attended.rest(sleep),
        None => sleep(),
    }
}

fn flat<T>(answer: Result<Result<T, AgentError>, Cause>) -> Result<T, Cause> {
    answer?.map_err(Cause::Error)
}

/// Drops a cause that was told. The destructor of an error is the program's, and may panic.
fn discard(cause: Cause) {
    let _ = contained(|| drop(cause));
}

impl Drop for Invoker {
    fn drop(&mut self) {
        self.finish(GroupEnd::Closed);
    }
}
