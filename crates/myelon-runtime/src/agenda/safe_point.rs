//! Safe points: places at which every party has stopped, so that one closure runs alone.
//!
//! A *party* is a thread that runs other people's code piece by piece: a worker, a loop, an agent's runner. It looks at
//! the *epoch* before each piece. An odd epoch asks it to stop. While it sleeps it *rests*, which counts as stopped.
//!
//! ```text
//! asker                                    party that comes out of its rest
//! epoch = odd                              state = running
//! SeqCst fence                             SeqCst fence
//! look at each state; wait for the running look at the epoch; if it is odd: stop
//! closure
//! epoch = even
//! ```
//!
//! One of the two sees the other. A party that runs stops under the lock, and goes on under it; only the rest is
//! without a lock, because workers rest often.

use crate::primitive::{AtomicU32, Condvar, Mutex, MutexGuard, Ordering, Site, fence_at, lock, order, weakened};
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

const RUNNING: u32 = 0;
const STOPPED: u32 = 1;
const RESTING: u32 = 2;

/// What a party runs, for the report of a hold-up.
pub(crate) type Doing = Box<dyn Fn() -> Option<(Cow<'static, str>, Duration)> + Send + Sync>;

/// One thread that stops at safe points.
pub(crate) struct Member {
    name: Cow<'static, str>,
    state: AtomicU32,
    doing: Doing,
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("name", &self.name).finish_non_exhaustive()
    }
}

/// A thread that has run one thing for too long: a party that did not stop for a closure, or what a
/// [`Watch`](crate::watchdog::Watch) has found.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, HoldUp, QuiesceError};
/// use std::time::Duration;
///
/// let agenda = Agenda::builder().workers(1).start()?;
/// if let Err(QuiesceError::HeldUp { by, .. }) = agenda.quiesce("reload", Duration::from_millis(1), || ()) {
///     for HoldUp { party, runs, since } in by {
///         eprintln!("{party} has run {runs:?} for {since:?}");
///     }
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HoldUp {
    /// The party: a worker, a loop, an agent's runner.
    pub party: Cow<'static, str>,
    /// The description of what it runs, if it has said so.
    pub runs: Option<Cow<'static, str>>,
    /// How long it has run that.
    pub since: Option<Duration>,
}

impl fmt::Display for HoldUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.runs, self.since) {
            (Some(runs), Some(since)) => write!(f, "{} has run `{runs}` for {since:.1?}", self.party),
            (Some(runs), None) => write!(f, "{} runs `{runs}`", self.party),
            _ => write!(f, "{} runs something that has no description", self.party),
        }
    }
}

fn listed(by: &[HoldUp]) -> String {
    by.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Why a closure did not run at a safe point. In each case it has not run at all, and everything goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QuiesceError {
    /// Some parties did not stop in time. Wait longer, or make what they run shorter.
    #[error("no safe point for `{description}` within {waited:.1?}: {}", listed(.by))]
    HeldUp {
        /// What was to run.
        description: Cow<'static, str>,
        /// How long the asker has waited.
        waited: Duration,
        /// Each party that did not stop.
        by: Vec<HoldUp>,
    },
    /// Others that asked earlier did not finish in time. Wait longer.
    #[error("`{description}` waited {waited:.1?} for its turn; `{first}` has the safe point")]
    Busy {
        /// What was to run.
        description: Cow<'static, str>,
        /// How long the asker has waited.
        waited: Duration,
        /// What runs, or waits, at the safe point.
        first: Cow<'static, str>,
    },
    /// The caller is a closure that already runs at a safe point. Call it from there directly.
    #[error("`{description}` was asked for by a closure that runs at a safe point; call it directly")]
    Inside {
        /// What was to run.
        description: Cow<'static, str>,
    },
}

struct Inner {
    members: Vec<Arc<Member>>,
    /// The askers, in the order in which they asked. The first has the safe point.
    queue: VecDeque<(u64, Cow<'static, str>)>,
    next_ticket: u64,
}

/// The parties of one agenda, and the word that asks them to stop.
pub(crate) struct SafePoints {
    /// Odd: stop.
    epoch: AtomicU32,
    inner: Mutex<Inner>,
    /// A party has stopped, rests, or is gone.
    stopped: Condvar,
    /// The epoch is even again, or the queue of askers has moved.
    going: Condvar,
}

impl fmt::Debug for SafePoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SafePoints").finish_non_exhaustive()
    }
}

#[cfg(not(loom))]
thread_local! {
    /// What this thread is a member of: the address of the safe points, and the member.
    static MEMBERSHIPS: RefCell<Vec<(usize, Arc<Member>)>> = const { RefCell::new(Vec::new()) };
    /// The safe points, by address, at which this thread runs a closure now. A closure may ask for one of another
    /// agenda.
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}
#[cfg(loom)]
loom::thread_local! {
    static MEMBERSHIPS: RefCell<Vec<(usize, Arc<Member>)>> = RefCell::new(Vec::new());
    static INSIDE: RefCell<Vec<usize>> = RefCell::new(Vec::new());
}

impl SafePoints {
    pub(crate) fn new() -> Self {
        let inner = Inner { members: Vec::new(), queue: VecDeque::new(), next_ticket: 0 };
        Self { epoch: AtomicU32::new(0), inner: Mutex::new(inner), stopped: Condvar::new(), going: Condvar::new() }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Whether a closure at one of these safe points called us.
    pub(crate) fn is_inside(&self) -> bool {
        // In a destructor of a thread that ends the list may be gone: then a second question waits for its patience.
        INSIDE.try_with(|inside| inside.borrow().contains(&self.address())).unwrap_or(false)
    }

    /// Makes the calling thread a party, from now on. It must [`leave`](Self::leave) on the same thread.
    pub(crate) fn join(&self, name: Cow<'static, str>, doing: Doing) -> Arc<Member> {
        let member = Arc::new(Member { name, state: AtomicU32::new(RUNNING), doing });
        self.enter(&member);
        member
    }

    fn enter(&self, member: &Arc<Member>) {
        let mut inner = lock(&self.inner);
        while self.asks_to_stop() && !self.is_inside() {
            inner = wait(&self.going, inner);
        }
        inner.members.push(Arc::clone(member));
        drop(inner);
        MEMBERSHIPS.with(|all| all.borrow_mut().push((self.address(), Arc::clone(member))));
    }

    /// A party that leaves its thread to others for a while, until the result is dropped on the same thread. Meanwhile
    /// it is no party, so what they do on this thread is not seen as the party's work.
    #[cfg(all(feature = "tokio", target_os = "linux", not(loom)))]
    pub(crate) fn away<'a>(&'a self, member: &'a Arc<Member>) -> Away<'a> {
        self.leave(member);
        Away(self, member)
    }

    pub(crate) fn leave(&self, member: &Arc<Member>) {
        // A loop in a variable of the thread can be dropped after this list.
        let _ = MEMBERSHIPS.try_with(|all| all.borrow_mut().retain(|(_, other)| !Arc::ptr_eq(other, member)));
        lock(&self.inner).members.retain(|other| !Arc::ptr_eq(other, member));
        self.stopped.notify_all();
    }

    /// The calling thread, if it is a party.
    fn caller(&self) -> Option<Arc<Member>> {
        let address = self.address();
        let of_this = |all: &RefCell<Vec<(usize, Arc<Member>)>>| {
            all.borrow().iter().find(|(of, _)| *of == address).map(|(_, member)| Arc::clone(member))
        };
        // A destructor of a thread that ends comes here after the list is gone. The thread is no party then.
        MEMBERSHIPS.try_with(of_this).ok().flatten()
    }

    /// Whether the calling thread is a party.
    pub(crate) fn is_party(&self) -> bool {
        self.caller().is_some()
    }

    /// As [`look`](Self::look), on a thread that may be a party; returns whether it has stopped.
    #[inline]
    pub(crate) fn look_if_party(&self) -> bool {
        // A closure at a safe point would wait for itself.
        if !self.asks_to_stop() || self.is_inside() {
            return false;
        }
        let Some(member) = self.caller() else { return false };
        self.stop(&member);
        true
    }

    /// Runs `sleep` on a thread that may be a party; then it counts as stopped.
    pub(crate) fn rest_if_party<R>(&self, sleep: impl FnOnce() -> R) -> R {
        match self.caller() {
            Some(member) => self.rest(&member, sleep),
            None => sleep(),
        }
    }

    fn asks_to_stop(&self) -> bool {
        !self.epoch.load(Ordering::Relaxed).is_multiple_of(2)
    }

    /// A party's look before each piece of work. It stops here while a closure runs alone.
    ///
    /// Relaxed is enough: a party that misses the question runs one more piece, and the asker waits for it.
    #[inline]
    pub(crate) fn look(&self, member: &Member) {
        if !weakened(Site::LookBeforeEach) && self.asks_to_stop() {
            self.stop(member);
        }
    }

    #[cold]
    fn stop(&self, member: &Member) {
        if self.is_inside() {
            // The closure itself has called something that looks or rests. It is alone already.
            return;
        }
        let mut inner = lock(&self.inner);
        if !self.asks_to_stop() {
            return;
        }
        member.state.store(STOPPED, Ordering::Release);
        self.stopped.notify_all();
        while self.asks_to_stop() {
            inner = wait(&self.going, inner);
        }
        member.state.store(RUNNING, Ordering::Relaxed);
    }

    /// Runs `sleep`, which does none of the work that a closure may want to be alone with. It counts as stopped.
    pub(crate) fn rest<R>(&self, member: &Member, sleep: impl FnOnce() -> R) -> R {
        struct Resting<'a>(&'a SafePoints, &'a Member);
        impl Drop for Resting<'_> {
            fn drop(&mut self) {
                let Self(points, member) = self;
                member.state.store(RUNNING, Ordering::Relaxed);
                // Partner: the asker. Either it sees that we run, or we see that it asks.
                fence_at(Site::ResumeFence);
                // Acquire: if a closure has run during the rest, what it did is visible now.
                let epoch = points.epoch.load(order(Site::GoAcquire, Ordering::Acquire));
                if !epoch.is_multiple_of(2) && !weakened(Site::ResumeSecondLook) {
                    points.stop(member);
                }
            }
        }
        // Release: an asker that sees the rest sees everything that was done before it.
        member.state.store(RESTING, order(Site::RestRelease, Ordering::Release));
        // Partner: the asker, which may have seen us run just before. Then we see that it waits.
        fence_at(Site::RestFence);
        if self.asks_to_stop() {
            drop(lock(&self.inner));
            self.stopped.notify_all();
        }
        let _resting = Resting(self, member);
        sleep()
    }

    /// Runs `closure` alone, with every party at a safe point. The caller counts as stopped if it is a party.
    pub(crate) fn quiesce<R>(
        &self,
        description: Cow<'static, str>,
        patience: Duration,
        closure: impl FnOnce() -> R,
    ) -> Result<R, QuiesceError> {
        if self.is_inside() {
            return Err(QuiesceError::Inside { description });
        }
        let began = Instant::now();
        // A patience beyond what the clock can express waits without a limit.
        let until = began.checked_add(patience);
        let caller = self.caller();
        let mut inner = lock(&self.inner);
        if let Some(caller) = &caller {
            caller.state.store(STOPPED, Ordering::Release);
            self.stopped.notify_all();
        }
        let ticket = inner.next_ticket;
        inner.next_ticket += 1;
        inner.queue.push_back((ticket, description.clone()));
        while inner.queue[0].0 != ticket && !weakened(Site::OneAsker) {
            let (guard, in_time) = wait_until(&self.going, inner, until);
            inner = guard;
            if !in_time && inner.queue[0].0 != ticket {
                let first = inner.queue[0].1.clone();
                self.give_up(inner, ticket, caller.as_deref());
                return Err(QuiesceError::Busy { description, waited: began.elapsed(), first });
            }
        }
        self.epoch.fetch_add(1, Ordering::Relaxed);
        // Partner: `rest`, both of its fences.
        fence_at(Site::StopFence);
        while inner.members.iter().any(|member| runs(member)) {
            let (guard, in_time) = wait_until(&self.stopped, inner, until);
            inner = guard;
            if !in_time && inner.members.iter().any(|member| runs(member)) {
                let late = inner.members.iter().filter(|member| runs(member)).cloned().collect::<Vec<_>>();
                self.epoch.fetch_add(1, Ordering::Release);
                self.give_up(inner, ticket, caller.as_deref());
                let by = late.iter().map(|member| held_up(member)).collect();
                return Err(QuiesceError::HeldUp { description, waited: began.elapsed(), by });
            }
        }
        drop(inner);
        let _going = Alone::begin(self, ticket, caller);
        Ok(closure())
    }

    /// Takes a ticket back. A caller that is a party goes on when it may.
    fn give_up<'a>(&'a self, mut inner: MutexGuard<'a, Inner>, ticket: u64, caller: Option<&Member>) {
        inner.queue.retain(|(other, _)| *other != ticket);
        self.going.notify_all();
        self.go_on(inner, caller);
    }

    /// Waits until the epoch is even: not longer than the closure of another asker runs, or waits for its parties.
    fn go_on<'a>(&'a self, mut inner: MutexGuard<'a, Inner>, caller: Option<&Member>) {
        let Some(caller) = caller else { return };
        while self.asks_to_stop() {
            inner = wait(&self.going, inner);
        }
        caller.state.store(RUNNING, Ordering::Relaxed);
        drop(inner);
    }
}

/// Makes a party one again when it is dropped. If a closure runs then, it waits until that has finished.
#[cfg(all(feature = "tokio", target_os = "linux", not(loom)))]
pub(crate) struct Away<'a>(&'a SafePoints, &'a Arc<Member>);

#[cfg(all(feature = "tokio", target_os = "linux", not(loom)))]
impl Drop for Away<'_> {
    fn drop(&mut self) {
        self.0.enter(self.1);
    }
}

/// The time in which a closure runs alone; its end, also by a panic, lets everything go on.
struct Alone<'a> {
    points: &'a SafePoints,
    ticket: u64,
    caller: Option<Arc<Member>>,
}

impl<'a> Alone<'a> {
    fn begin(points: &'a SafePoints, ticket: u64, caller: Option<Arc<Member>>) -> Self {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().push(points.address()));
        Self { points, ticket, caller }
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
        let mut inner = lock(&self.points.inner);
        // Partner: the look of a party that rested all the time, and so does not pass our lock.
        self.points.epoch.fetch_add(1, order(Site::GoRelease, Ordering::Release));
        inner.queue.retain(|(other, _)| *other != self.ticket);
        self.points.going.notify_all();
        // The caller goes on while it holds the lock, before the next asker can look.
        if let Some(caller) = &self.caller {
            caller.state.store(RUNNING, Ordering::Relaxed);
        }
        drop(inner);
    }
}

fn runs(member: &Member) -> bool {
    // Acquire: what the party did before it stopped or rested is visible to the closure.
    member.state.load(order(Site::RestAcquire, Ordering::Acquire)) == RUNNING
}

fn held_up(member: &Member) -> HoldUp {
    let (runs, since) = (member.doing)().unzip();
    HoldUp { party: member.name.clone(), runs, since }
}

fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Waits for a call, and says whether the time is not over.
fn wait_until<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, until: Option<Instant>) -> (MutexGuard<'a, T>, bool) {
    let Some(until) = until else { return (wait(condvar, guard), true) };
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return (guard, false);
    }
    (condvar.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0, true)
}
