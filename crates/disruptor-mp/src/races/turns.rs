//! Runs the work of several processes in threads of one process, one turn at a time. A schedule says which of them goes
//! on next, and where one is ended.
//!
//! Locks belong to descriptors, so threads exclude each other as processes do. A process is ended by unwinding it: what
//! it holds is dropped as the kernel would drop it, and its drops report no more points.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Condvar, Mutex};

/// What one process does.
pub(super) type Act<'a> = Box<dyn FnOnce() + Send + 'a>;

/// A process goes on until it has passed this many points.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) act: usize,
    pub(super) points: usize,
    /// Whether it is ended at the next point.
    pub(super) dies: bool,
}

/// How a leg went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Went {
    /// To its end.
    Whole,
    /// The process ended before, or had to wait for another.
    Short,
}

thread_local! {
    static SEAT: RefCell<Option<(Arc<Table>, usize)>> = const { RefCell::new(None) };
    /// It was ended, or has ended.
    static IS_OVER: Cell<bool> = const { Cell::new(false) };
}

struct Table {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    legs: VecDeque<Leg>,
    /// Which process has the turn, how many points it still passes, and whether it dies then.
    now: Leg,
    is_over: Vec<bool>,
    went: Vec<Went>,
}

impl State {
    /// The next leg. Once all are over: the next process that is not over, after the one that had the turn.
    fn go_on(&mut self, went: Went) {
        self.went.push(went);
        while let Some(leg) = self.legs.pop_front() {
            if !self.is_over[leg.act] {
                self.now = leg;
                return;
            }
            self.went.push(Went::Short);
        }
        let count = self.is_over.len();
        let next = (1..=count).map(|step| (self.now.act + step) % count).find(|&act| !self.is_over[act]);
        if let Some(act) = next {
            self.now = Leg { act, points: usize::MAX, dies: false };
        }
    }
}

/// The end of a process.
struct Death;

/// A point of this thread's process, if the thread belongs to a play.
#[track_caller]
pub(crate) fn turn() {
    pass(At::Point);
}

/// A point of this thread's process at which it releases a lock. A process that dies there has released the lock, so it
/// goes on to its next point. (If a drop unwinds while a function returns, what the function returns is leaked, and
/// with it a lock that a dead process cannot have.)
#[track_caller]
pub(crate) fn turn_of_unlocking() {
    pass(At::Unlocking);
}

/// Lets another process go on. `false`: this thread belongs to no play.
#[track_caller]
pub(crate) fn yield_turn() -> bool {
    pass(At::Waiting)
}

/// Where a process is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Point,
    Unlocking,
    /// It can do nothing before another process has gone on.
    Waiting,
}

#[track_caller]
fn pass(at: At) -> bool {
    let Some((table, me)) = SEAT.with_borrow(Clone::clone) else { return false };
    if IS_OVER.get() {
        return false;
    }
    let mut state = table.state.lock().expect("no process panics in here");
    if is_traced() {
        eprintln!("{me} at {} with {:?}", std::panic::Location::caller(), state.now);
    }
    match at {
        At::Waiting => state.go_on(Went::Short),
        _ if state.now.points > 0 => {
            state.now.points -= 1;
            return true;
        }
        At::Unlocking if state.now.dies => return true,
        _ if state.now.dies => {
            IS_OVER.set(true);
            drop(state);
            resume_unwind(Box::new(Death));
        }
        _ => state.go_on(Went::Whole),
    }
    table.changed.notify_all();
    drop(table.changed.wait_while(state, |state| state.now.act != me).expect("no process panics in here"));
    true
}

/// Whether every point must be printed.
fn is_traced() -> bool {
    static IS_TRACED: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
    *IS_TRACED.get_or_init(|| std::env::var_os("RACES_TRACE").is_some())
}

/// Plays `acts` as `legs` say, then each process that is left to its end. Returns how each leg went.
///
/// # Panics
/// If one of them panics.
pub(super) fn play(acts: Vec<Act<'_>>, legs: &[Leg]) -> Vec<Went> {
    let none = Leg { act: acts.len() - 1, points: 0, dies: false };
    let mut state =
        State { legs: legs.iter().copied().collect(), now: none, is_over: vec![false; acts.len()], went: Vec::new() };
    state.go_on(Went::Whole);
    state.went.clear();
    let table = Arc::new(Table { state: Mutex::new(state), changed: Condvar::new() });
    let lifted = super::LIFTED.get();
    std::thread::scope(|scope| {
        for (me, act) in acts.into_iter().enumerate() {
            let table = Arc::clone(&table);
            scope.spawn(move || super::without(lifted, || sit_down(&table, me, act)));
        }
    });
    let mut went = std::mem::take(&mut table.state.lock().expect("no process panics in here").went);
    went.truncate(legs.len());
    went
}

/// What the thread of process `me` does.
fn sit_down(table: &Arc<Table>, me: usize, act: Act<'_>) {
    let has_turn = |state: &mut State| state.now.act != me;
    drop(table.changed.wait_while(table.state.lock().expect("no process panics in here"), has_turn));
    SEAT.set(Some((Arc::clone(table), me)));
    let ended = catch_unwind(AssertUnwindSafe(act));
    let was_killed = IS_OVER.replace(true);
    let mut state = table.state.lock().expect("no process panics in here");
    state.is_over[me] = true;
    state.go_on(if was_killed { Went::Whole } else { Went::Short });
    table.changed.notify_all();
    drop(state);
    match ended {
        Err(payload) if !payload.is::<Death>() => resume_unwind(payload),
        _ => {}
    }
}
