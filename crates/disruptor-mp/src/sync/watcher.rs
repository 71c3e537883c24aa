//! Threads that sleep on many bells at once and pass each ring on: one for each [`WATCHES_PER_THREAD`] watches of a
//! process.
//!
//! A thread is called through a bell of its own, so arming costs a system call only if the thread sleeps. A thread
//! starts with its first watch and ends after the last. A child of a fork has no such threads, so it has a registry of
//! its own.

use super::settled::Settled;
use super::several::sleep_at;
use super::wait::{SLICE, SLICE_WITHOUT_BARRIER};
use super::watched::{Desk, Post, Round, Watched};
use crate::segment::fork_epoch;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many watches one thread serves: the kernel waits for 128 words at once, and one is the thread's own.
pub(crate) const WATCHES_PER_THREAD: usize = 127;

/// The thread looks this often if the kernel has no wait for several words (before Linux 5.16, or filtered out).
const POLL: Duration = Duration::from_millis(1);

/// How long it sleeps in that case while nothing is armed: only a call can bring work.
const REST: Duration = Duration::from_secs(60);

/// A request for one call when the post has news. Only one thread at a time arms it.
pub(crate) struct Watch {
    watched: Arc<Watched>,
    group: &'static Group,
}

impl Watch {
    /// A watch that is not armed. Starts a thread if none has room for it. `call` is quick, and does not wait.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub(crate) fn new(post: Box<dyn Post>, call: impl Fn() + Send + Sync + 'static) -> io::Result<Self> {
        Self::in_registry(Registry::of_this_process(), post, call)
    }

    fn in_registry(
        registry: &'static Registry,
        post: Box<dyn Post>,
        call: impl Fn() + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let watched = Watched::new(post, Arc::new(call));
        let group = registry.enter(&watched)?;
        Ok(Self { watched, group })
    }

    /// Waits for another post from now on. It is not armed; the function that is called stays the same.
    pub(crate) fn turn_to(&mut self, post: Box<dyn Post>) {
        let watched = self.watched.turned_to(post);
        self.group.exchange(&self.watched, &watched);
        self.watched = watched;
    }

    /// Whether this process made it, rather than one of which it is a forked copy.
    pub(crate) fn is_ours(&self) -> bool {
        self.group.fork_epoch == fork_epoch()
    }

    pub(crate) fn post(&self) -> &dyn Post {
        self.watched.post()
    }

    /// Asks for one call when there is news for `position`, instead of the earlier request.
    pub(crate) fn arm(&self, position: i64) {
        self.watched.arm(position, &self.group.desk);
    }

    /// Whether it is armed for `position`, and has not called since.
    pub(crate) fn is_armed_for(&self, position: i64) -> bool {
        self.watched.is_armed_for(position)
    }

    /// Takes the request back. A call may still be on its way.
    pub(crate) fn disarm(&self) {
        self.watched.disarm();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if self.is_ours() {
            self.group.leave(&self.watched);
        }
    }
}

/// All watches of this process.
struct Registry {
    /// The fork epoch of the process that uses it. A child of a fork has its own registry, because neither threads nor
    /// locks survive a fork.
    fork_epoch: u32,
    /// The longest sleep while something is armed.
    slice: Duration,
    /// Whether to try the wait for several words.
    waits_for_several: bool,
    spawn: Spawn,
    /// As many as the largest number of watches needed, a few hundred bytes each, never freed.
    groups: Mutex<Vec<&'static Group>>,
    /// The registry of a process that was forked from this one.
    next: Settled<Registry>,
}

/// The watches that one thread serves.
struct Group {
    fork_epoch: u32,
    slice: Duration,
    waits_for_several: bool,
    /// The thread sleeps here, too.
    desk: Desk,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: Vec<Arc<Watched>>,
    /// Steps when `watched` changes.
    version: u64,
    has_thread: bool,
}

impl Registry {
    fn new(slice: Duration, waits_for_several: bool) -> Self {
        let groups = Mutex::default();
        Self { fork_epoch: fork_epoch(), slice, waits_for_several, spawn, groups, next: Settled::new() }
    }

    fn of_this_process() -> &'static Self {
        static FIRST: Settled<Registry> = Settled::new();
        let new = || Registry::new(SLICE, true);
        let mut registry = FIRST.get_or_make(new);
        while registry.fork_epoch != fork_epoch() {
            // One for each generation of processes that has watches: a few hundred bytes, never freed.
            registry = registry.next.get_or_make(new);
        }
        registry
    }

    /// Adds `watched` to the first group that has room, and that has a thread or can start one.
    fn enter(&self, watched: &Arc<Watched>) -> io::Result<&'static Group> {
        // Nothing panics while it is held, and if it did, a list of groups is whole at any moment.
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let mut refused = None;
        for group in groups.iter() {
            match group.enter(watched, self.spawn) {
                Ok(true) => return Ok(group),
                Ok(false) => {}
                // Another group may have a thread.
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            return Err(no_thread(&error));
        }
        let group: &'static Group = Box::leak(Box::new(Group {
            fork_epoch: self.fork_epoch,
            slice: self.slice,
            waits_for_several: self.waits_for_several,
            desk: Desk::new(),
            state: Mutex::default(),
        }));
        groups.push(group);
        group.enter(watched, self.spawn).map_err(|error| no_thread(&error))?;
        Ok(group)
    }
}

/// Starts the thread of a group.
type Spawn = fn(&'static Group) -> io::Result<()>;

fn spawn(group: &'static Group) -> io::Result<()> {
    std::thread::Builder::new().name("myelon-doorbell".into()).spawn(|| group.run()).map(drop)
}

/// The error if no group with a thread has room.
fn no_thread(refused: &io::Error) -> io::Error {
    let text = format!(
        "a doorbell needs a thread, one for each {WATCHES_PER_THREAD} of a process, and the system refuses to start \
         it ({refused}): allow this process more threads, or drop a doorbell"
    );
    io::Error::new(refused.kind(), text)
}

impl Group {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, as with the groups of a registry.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false`: there is no room.
    fn enter(&'static self, watched: &Arc<Watched>, spawn: Spawn) -> io::Result<bool> {
        let mut state = self.state();
        if state.watched.len() >= WATCHES_PER_THREAD {
            return Ok(false);
        }
        if !state.has_thread {
            spawn(self)?;
            state.has_thread = true;
        }
        state.watched.push(Arc::clone(watched));
        state.version += 1;
        Ok(true)
    }

    fn exchange(&self, old: &Arc<Watched>, new: &Arc<Watched>) {
        let mut state = self.state();
        for watched in state.watched.iter_mut().filter(|watched| Arc::ptr_eq(watched, old)) {
            *watched = Arc::clone(new);
        }
        state.version += 1;
        drop(state);
        self.desk.call();
    }

    fn leave(&self, watched: &Arc<Watched>) {
        let mut state = self.state();
        state.watched.retain(|other| !Arc::ptr_eq(other, watched));
        state.version += 1;
        drop(state);
        self.desk.call();
    }

    /// The thread.
    fn run(&self) {
        let mut rounds: Vec<Round> = vec![];
        let mut version = 0;
        let mut waits_for_several = self.waits_for_several;
        let mut examine_at = Instant::now() + self.slice;
        loop {
            let ticket = self.desk.announce();
            {
                let mut state = self.state();
                if state.watched.is_empty() {
                    // The next watch that enters sees this and starts another thread.
                    state.has_thread = false;
                    return;
                }
                if state.version != version {
                    version = state.version;
                    rounds.retain(|round| state.watched.iter().any(|watched| round.is_of(watched)));
                    let is_new = |watched: &&Arc<Watched>| rounds.iter().all(|round| !round.is_of(watched));
                    let new: Vec<Round> = state.watched.iter().filter(is_new).map(Round::new).collect();
                    rounds.extend(new);
                }
            }
            let now = Instant::now();
            let is_due = now >= examine_at;
            if is_due {
                examine_at = now + self.slice;
            }
            let mut bells = Vec::with_capacity(1 + rounds.len());
            bells.push((self.desk.bell(), ticket));
            let mut sleep = None;
            for round in &mut rounds {
                let Some(parked) = round.park(is_due) else { continue };
                let slice = if parked.barrier { examine_at - now } else { SLICE_WITHOUT_BARRIER };
                sleep = Some(sleep.map_or(slice, |sleep: Duration| sleep.min(slice)));
                bells.push((round.bell(parked), parked.ticket));
            }
            if waits_for_several {
                waits_for_several = sleep_at(&bells, sleep).is_ok();
            } else {
                let nap = if sleep.is_some() { POLL } else { REST };
                self.desk.bell().sleep(ticket, nap);
            }
        }
    }
}

// Miri has no wait for several words.
#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;
    use crate::sync::announce::Announce;
    use crate::sync::bell::Bell;
    use crate::sync::primitive::{AtomicI64, AtomicU32, Ordering};
    use crate::sync::readable::Readable;
    use rustix::event::{PollFd, PollFlags, poll};
    use rustix::time::Timespec;
    use testkit::watchdog::Watchdog;

    const LIMIT: Duration = Duration::from_secs(30);

    /// A counter that another thread steps, with a bell.
    struct Counter {
        count: AtomicI64,
        bell: Bell,
        announce: AtomicU32,
    }

    impl Counter {
        fn new(announce: Announce) -> Arc<Self> {
            Arc::new(Self { count: AtomicI64::new(0), bell: Bell::new(), announce: AtomicU32::new(announce as u32) })
        }

        fn step(&self, announce: Announce) {
            self.count.fetch_add(1, Ordering::Release);
            announce.before_look();
            self.bell.ring_if_awaited();
        }
    }

    impl Post for Arc<Counter> {
        fn bell(&self, _: i64) -> &Bell {
            &self.bell
        }
        fn announce(&self, _: i64) -> &AtomicU32 {
            &self.announce
        }
        fn has_news(&self, position: i64) -> bool {
            self.count.load(Ordering::Acquire) > position
        }
        fn is_deserted(&self, _: i64) -> bool {
            false
        }
    }

    /// A watch that makes a descriptor readable.
    struct Called {
        watch: Watch,
        readable: Arc<Readable>,
    }

    impl Called {
        fn of(registry: &'static Registry, counter: &Arc<Counter>) -> Self {
            let readable = Arc::new(Readable::new().unwrap());
            let set = Arc::clone(&readable);
            let watch = Watch::in_registry(registry, Box::new(Arc::clone(counter)), move || set.set()).unwrap();
            Self { watch, readable }
        }
    }

    fn is_readable(called_by: &Called, limit: Duration) -> bool {
        let mut fds = [PollFd::new(&*called_by.readable, PollFlags::IN)];
        let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
        poll(&mut fds, Some(&limit)).unwrap() == 1
    }

    /// A registry whose thread sleeps so long that only a ring can wake it in time: a lost one hangs the test.
    fn patient() -> &'static Registry {
        Box::leak(Box::new(Registry::new(Duration::from_secs(3600), true)))
    }

    #[test]
    fn no_ring_is_lost_in_ten_thousand_rounds() {
        let _watchdog = Watchdog::new(4 * LIMIT, "a doorbell that lost a ring");
        for announce in [Announce::Fenced, Announce::best()] {
            let begin = Instant::now();
            let (there, back) = (Counter::new(announce), Counter::new(announce));
            let watch = Called::of(patient(), &there);
            let rounds = 5_000;
            std::thread::scope(|scope| {
                let (there, back) = (&there, &back);
                scope.spawn(move || {
                    for round in 0..rounds {
                        // Sometimes before, sometimes while and sometimes after the other side prepares to sleep.
                        (0..round * 37 % 1500).for_each(|_| std::hint::spin_loop());
                        there.step(announce);
                        while back.count.load(Ordering::Acquire) <= round {
                            assert!(begin.elapsed() < LIMIT, "the other side hangs in round {round}");
                            std::thread::yield_now();
                        }
                    }
                });
                for round in 0..rounds {
                    watch.readable.clear();
                    if !there.has_news(round) {
                        watch.watch.arm(round);
                        assert!(is_readable(&watch, LIMIT), "round {round}");
                    }
                    assert!(there.has_news(round));
                    back.step(announce);
                }
            });
        }
    }

    #[test]
    fn where_the_kernel_cannot_wait_for_several_words_they_are_polled() {
        let _watchdog = Watchdog::new(4 * LIMIT, "a doorbell that is polled");
        let registry = Box::leak(Box::new(Registry::new(SLICE, false)));
        let counter = Counter::new(Announce::Fenced);
        let watch = Called::of(registry, &counter);
        for round in 0..20 {
            watch.watch.arm(round);
            assert!(!is_readable(&watch, Duration::from_millis(3)));
            counter.step(Announce::Fenced);
            assert!(is_readable(&watch, LIMIT));
            watch.readable.clear();
        }
        drop(watch);
        eventually_no_threads(registry);
    }

    fn threads(registry: &Registry) -> usize {
        registry.groups.lock().unwrap().iter().filter(|group| group.state().has_thread).count()
    }

    fn eventually_no_threads(registry: &Registry) {
        testkit::watchdog::eventually("the end of the threads", LIMIT, || threads(registry) == 0).unwrap();
    }

    /// A system that starts no more threads.
    fn refuse(_: &'static Group) -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    #[test]
    fn where_no_thread_can_be_started_the_first_group_that_has_one_and_room_is_taken() {
        let _watchdog = Watchdog::new(2 * LIMIT, "watches without a new thread");
        let mut registry = Registry::new(Duration::from_secs(3600), true);
        let counters: Vec<_> = (0..=2 * WATCHES_PER_THREAD).map(|_| Counter::new(Announce::Fenced)).collect();
        let watched = || Watched::new(Box::new(Arc::clone(&counters[0])), Arc::new(|| ()));
        // What a registry that could start threads earlier has: three groups, of which the first two have no thread.
        let groups: Vec<&'static Group> = (0..3)
            .map(|_| {
                let state = Mutex::default();
                let desk = Desk::new();
                let group =
                    Group { fork_epoch: registry.fork_epoch, slice: SLICE, waits_for_several: true, desk, state };
                &*Box::leak(Box::new(group))
            })
            .collect();
        registry.spawn = refuse;
        *registry.groups.get_mut().unwrap() = groups.clone();
        let registry: &'static Registry = Box::leak(Box::new(registry));
        let refused = registry.enter(&watched()).map(drop).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        let text = "a doorbell needs a thread, one for each 127 of a process, and the system refuses to start it \
                    (operation would block): allow this process more threads, or drop a doorbell";
        assert_eq!(refused.to_string(), text);
        assert!(groups[0].enter(&watched(), refuse).is_err());
        assert!(groups[2].enter(&watched(), spawn).unwrap());
        let mut watches: Vec<_> = counters[1..WATCHES_PER_THREAD].iter().map(|it| Called::of(registry, it)).collect();
        assert!(watches.iter().all(|watch| std::ptr::eq(watch.watch.group, groups[2])), "the one with a thread");
        watches.last().unwrap().watch.arm(0);
        counters[WATCHES_PER_THREAD - 1].step(Announce::Fenced);
        assert!(is_readable(watches.last().unwrap(), LIMIT));
        // Now that group is full.
        assert_eq!(registry.enter(&watched()).map(drop).unwrap_err().to_string(), text);
        assert_eq!(registry.groups.lock().unwrap().len(), 3, "no group is made in which nothing is");
        watches.clear();
    }

    #[test]
    fn each_of_300_watches_is_called_for_its_own_news_and_once() {
        let _watchdog = Watchdog::new(2 * LIMIT, "many watches");
        let registry = patient();
        let counters: Vec<_> = (0..300).map(|_| Counter::new(Announce::Fenced)).collect();
        let mut watches: Vec<_> = counters.iter().map(|counter| Called::of(registry, counter)).collect();
        assert_eq!(threads(registry), 300_usize.div_ceil(WATCHES_PER_THREAD));
        watches.iter().for_each(|watch| watch.watch.arm(0));
        for (counter, watch) in counters.iter().zip(&watches).rev() {
            assert!(!is_readable(watch, Duration::ZERO));
            counter.step(Announce::Fenced);
            assert!(is_readable(watch, LIMIT));
            watch.readable.clear();
            counter.step(Announce::Fenced);
            assert!(!is_readable(watch, Duration::ZERO), "not armed, not rung");
        }
        watches.truncate(100);
        testkit::watchdog::eventually("the end of two threads", LIMIT, || threads(registry) == 1).unwrap();
        watches.extend(counters[100..].iter().map(|counter| Called::of(registry, counter)));
        assert_eq!(registry.groups.lock().unwrap().len(), 300_usize.div_ceil(WATCHES_PER_THREAD), "used again");
        drop(watches);
        eventually_no_threads(registry);
    }
}
