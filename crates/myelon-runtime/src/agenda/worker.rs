//! A worker: looks at the epoch, takes the next tasklet, runs it, or sleeps.

use super::closing::Phase;
use super::job::Queued;
use super::queue::Crossbeam;
use super::queue::{Found, Own};
use super::safe_point::Member;
use super::shared::{Desk, Shared};
use super::state::End;
use super::statistics::add;
use super::tasklet::{Late, Run};
use crate::Priority;
use crate::primitive::{Ordering, lock};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// How many waits for a tasklet can be on one worker's stack.
pub(crate) const DEPTH_MAX: usize = 64;

/// How often a worker that found nothing looks again before it sleeps. Between two looks it yields its core. That is
/// some 10 µs, about what a call and a wake cost; it saves them where tasklets come one by one.
const LOOKS_BEFORE_SLEEP: u32 = 32;

/// Numbers that a worker takes at a time, so that workers do not share a counter.
const NUMBERS: u64 = 1024;

thread_local! {
    static LOCAL: RefCell<Option<Rc<Local>>> = const { RefCell::new(None) };
}

/// What only the worker's thread has.
pub(crate) struct Local {
    shared: Arc<Shared>,
    pub(crate) index: usize,
    own: Own<Crossbeam, Queued>,
    member: Arc<Member>,
    picks: Cell<u64>,
    /// The next number, and the end of those that this worker has taken.
    numbers: Cell<(u64, u64)>,
    /// The last reading of the clock.
    recent_ns: Cell<u64>,
    /// What runs, the outermost first: each but the last waits for a handle.
    stack: RefCell<Vec<u64>>,
}

/// The thread of worker `index`, from its first step to its last.
pub(crate) fn work(shared: Arc<Shared>, index: usize, own: Own<Crossbeam, Queued>) {
    let doing = {
        let shared = Arc::downgrade(&shared);
        move || {
            let shared = shared.upgrade()?;
            let running = shared.desks[index].now.read(index, shared.time.now_ns())?;
            Some((running.description, running.since))
        }
    };
    let member = shared.points.join(format!("worker {index} of {}", shared.name).into(), Box::new(doing));
    let local = Rc::new(Local {
        shared: Arc::clone(&shared),
        index,
        own,
        member: Arc::clone(&member),
        picks: Cell::new(0),
        numbers: Cell::new((0, 0)),
        recent_ns: Cell::new(shared.time.now_ns()),
        stack: RefCell::new(Vec::new()),
    });
    LOCAL.set(Some(Rc::clone(&local)));
    local.work();
    LOCAL.set(None);
    shared.points.leave(&member);
    shared.worker_ends();
}

impl Local {
    /// Calls `f` with the worker's part if the calling thread is a worker of `shared`.
    pub(crate) fn with<R>(shared: &Arc<Shared>, f: impl FnOnce(Option<&Self>) -> R) -> R {
        // A copy, because `f` may run tasklets, which come here again. A thread that ends has no part any more.
        let local = LOCAL.try_with(|local| local.borrow().clone()).ok().flatten();
        f(local.as_deref().filter(|local| Arc::ptr_eq(&local.shared, shared)))
    }

    fn work(&self) {
        let shared = &*self.shared;
        let mut looks = 0;
        loop {
            shared.points.look(&self.member);
            let phase = shared.closing.phase();
            if phase == Phase::Ending {
                return;
            }
            if self.run_one(Priority::Low) {
                looks = 0;
            } else if phase == Phase::Draining {
                return;
            } else if looks < LOOKS_BEFORE_SLEEP {
                looks += 1;
                std::thread::yield_now();
            } else {
                looks = 0;
                self.sleep(Priority::Low, None, || shared.closing.phase() != phase);
            }
        }
    }

    /// Sleeps until there may be something of `floor` or above, or `changed` says that it should not.
    fn sleep(&self, floor: Priority, until: Option<Instant>, changed: impl FnOnce() -> bool) -> bool {
        let shared = &*self.shared;
        shared.points.rest(&self.member, || {
            shared.parked.sleep(self.index, floor, until, || shared.board.any(floor) || changed())
        })
    }

    /// Picks a tasklet of `floor` or above and runs it, unless it has ended meanwhile. `false`: found none.
    fn run_one(&self, floor: Priority) -> bool {
        let pick = self.picks.get() + 1;
        self.picks.set(pick);
        let Some((job, found)) = self.shared.board.next(&self.own, pick, floor) else { return false };
        if found != Found::Own {
            self.pass_on();
        }
        if found == Found::Stolen {
            add(&self.table(job.head().priority).stolen, 1);
        }
        self.execute(&job);
        true
    }

    fn pass_on(&self) {
        self.shared.parked.pass_on(|| self.shared.board.highest());
    }

    /// Adds a tasklet to this worker's queue.
    pub(crate) fn push(&self, job: Queued) {
        let priority = job.head().priority;
        self.shared.board.push(&self.own, priority, job);
        self.shared.parked.wake_one(priority);
    }

    pub(crate) fn next_number(&self) -> u64 {
        let (mut next, mut end) = self.numbers.get();
        if next == end {
            next = self.shared.take_numbers(NUMBERS);
            end = next + NUMBERS;
        }
        self.numbers.set((next + 1, end));
        next
    }

    fn desk(&self) -> &Desk {
        &self.shared.desks[self.index]
    }

    fn table(&self, priority: Priority) -> &super::statistics::Table {
        &self.desk().tables[priority.index()]
    }

    fn read_clock(&self) -> u64 {
        let now_ns = self.shared.time.now_ns();
        self.recent_ns.set(now_ns);
        now_ns
    }

    fn execute(&self, job: &Queued) {
        let head = job.head();
        if let Some((deadline_ns, late)) = head.deadline
            && head.state.ended().is_none()
            && self.read_clock() > deadline_ns
        {
            let table = self.table(head.priority);
            match late {
                Late::Run => add(&table.late, 1),
                Late::Expire => {
                    if let Some(asked) = head.state.end_unstarted(End::Expired) {
                        add(&table.late, 1);
                        add(table.end(End::Expired), 1);
                        job.conclude_unrun(End::Expired, asked);
                    }
                    return;
                }
            }
        }
        if head.state.start() {
            self.run(job);
        }
    }

    /// Runs what this thread has started.
    fn run(&self, job: &Queued) {
        let head = job.head();
        let table = self.table(head.priority);
        let timed = self.shared.is_timed(head.number);
        let count = head.runs.load(Ordering::Relaxed) + 1;
        head.runs.store(count, Ordering::Relaxed);
        let began_ns = if timed { self.read_clock() } else { self.recent_ns.get() };
        if timed {
            head.started_ns.store(began_ns, Ordering::Relaxed);
            table.waited.record(began_ns.saturating_sub(head.queued_ns.load(Ordering::Relaxed)));
        }
        let before = self.desk().now.set(head, began_ns);
        self.stack.borrow_mut().push(head.number);

        let end = job.run(&Run { number: head.number, count });

        self.stack.borrow_mut().pop();
        self.desk().now.restore(before);
        if timed {
            let ended_ns = self.read_clock();
            head.ended_ns.store(ended_ns, Ordering::Relaxed);
            head.queued_ns.store(ended_ns, Ordering::Relaxed);
            table.ran.record(ended_ns.saturating_sub(began_ns));
        }
        add(&table.runs, 1);
        match end {
            // Counted before the asker can see it.
            Some(end) => {
                add(table.end(end), 1);
                job.conclude(end, head.state.end(end));
            }
            None => {
                add(&table.again, 1);
                let asked = head.state.again();
                self.push(Arc::clone(job));
                // The watcher may be a worker that can run it now.
                if asked.watched {
                    head.call_watcher();
                }
            }
        }
    }

    /// Whether a wait for `job` could not end here: it is on this worker's own stack, or the stack is full.
    pub(crate) fn cannot_wait_for(&self, job: &Queued) -> bool {
        let stack = self.stack.borrow();
        stack.len() >= DEPTH_MAX || stack.contains(&job.head().number)
    }

    /// Runs others until `job` has ended, or its patience is over: then `None`.
    pub(crate) fn help_until_ended(&self, job: &Queued, until: Option<Instant>) -> Option<End> {
        let (head, shared) = (job.head(), &*self.shared);
        *lock(&head.watcher) = Some(Arc::clone(shared.parked.parker(self.index)));
        loop {
            if let Some(end) = head.state.watch() {
                return Some(end);
            }
            shared.points.look(&self.member);
            let phase = shared.closing.phase();
            if phase == Phase::Ending {
                // No worker would start it any more.
                shared.leave(job);
            } else if !head.repeats && head.deadline.is_none() && head.state.start() {
                // Its place in a queue is empty now: the worker that finds it sees that it was started.
                self.run(job);
                continue;
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return head.state.ended();
            }
            if phase != Phase::Ending && self.run_one(head.priority) {
                continue;
            }
            let called =
                self.sleep(head.priority, until, || head.state.ended().is_some() || shared.closing.phase() != phase);
            if called {
                // The call may have been for work that we will not take if our wait is over.
                self.pass_on();
            }
        }
    }
}
