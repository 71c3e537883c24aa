//! The queues of an agenda: one a priority for what comes from outside, and one a worker and priority for its own.
//!
//! They stand behind [`Queue`], because crossbeam-deque cannot run under loom: models use `Mutexed`.

use super::picks::{OUTSIDE_FIRST, order_of_pick};
use crate::Priority;
use crate::primitive::{AtomicU64, Ordering};
#[cfg(any(loom, test))]
use crate::primitive::{Mutex, lock};
use crossbeam_utils::CachePadded;
#[cfg(any(loom, test))]
use std::collections::VecDeque;
#[cfg(any(loom, test))]
use std::sync::Arc;

/// A kind of queue: what its owner holds, what thieves hold, and what threads from outside push into.
pub(crate) trait Queue<T>: 'static {
    /// The end of the worker. First in, first out.
    type Own;
    /// The end of the other workers.
    type Thief: Send + Sync;
    /// Where other threads push.
    type Inbox: Send + Sync;

    fn own() -> (Self::Own, Self::Thief);
    fn inbox() -> Self::Inbox;

    fn put(inbox: &Self::Inbox, item: T);
    fn inbox_is_empty(inbox: &Self::Inbox) -> bool;
    /// Takes one item, and may move some of the next to `own`.
    fn take(inbox: &Self::Inbox, own: &Self::Own) -> Option<T>;

    fn push(own: &Self::Own, item: T);
    fn pop(own: &Self::Own) -> Option<T>;
    fn own_is_empty(own: &Self::Own) -> bool;

    /// Takes one item, and may move some of the next to `own`.
    fn steal(thief: &Self::Thief, own: &Self::Own) -> Option<T>;
    fn thief_finds_none(thief: &Self::Thief) -> bool;
    /// Takes one item when there are no workers any more.
    fn drain(thief: &Self::Thief) -> Option<T>;
}

/// The queues of crossbeam-deque.
#[derive(Debug)]
pub(crate) struct Crossbeam;

/// Repeats what was in conflict with another thread: one of the two made progress.
fn until_decided<T>(mut attempt: impl FnMut() -> crossbeam_deque::Steal<T>) -> Option<T> {
    loop {
        match attempt() {
            crossbeam_deque::Steal::Success(item) => return Some(item),
            crossbeam_deque::Steal::Empty => return None,
            crossbeam_deque::Steal::Retry => std::hint::spin_loop(),
        }
    }
}

impl<T: Send + 'static> Queue<T> for Crossbeam {
    type Own = crossbeam_deque::Worker<T>;
    type Thief = crossbeam_deque::Stealer<T>;
    type Inbox = crossbeam_deque::Injector<T>;

    fn own() -> (Self::Own, Self::Thief) {
        let own = crossbeam_deque::Worker::new_fifo();
        let thief = own.stealer();
        (own, thief)
    }

    fn inbox() -> Self::Inbox {
        crossbeam_deque::Injector::new()
    }

    fn put(inbox: &Self::Inbox, item: T) {
        inbox.push(item);
    }

    fn inbox_is_empty(inbox: &Self::Inbox) -> bool {
        inbox.is_empty()
    }

    fn take(inbox: &Self::Inbox, own: &Self::Own) -> Option<T> {
        until_decided(|| inbox.steal_batch_and_pop(own))
    }

    fn push(own: &Self::Own, item: T) {
        own.push(item);
    }

    fn pop(own: &Self::Own) -> Option<T> {
        own.pop()
    }

    fn own_is_empty(own: &Self::Own) -> bool {
        own.is_empty()
    }

    fn steal(thief: &Self::Thief, own: &Self::Own) -> Option<T> {
        until_decided(|| thief.steal_batch_and_pop(own))
    }

    fn thief_finds_none(thief: &Self::Thief) -> bool {
        thief.is_empty()
    }

    fn drain(thief: &Self::Thief) -> Option<T> {
        until_decided(|| thief.steal())
    }
}

/// Queues under locks, for models. A thief takes half, in two steps, as the real one does.
#[derive(Debug)]
#[cfg(any(loom, test))]
pub(crate) struct Mutexed;

/// A queue whose length can be read without its lock: a look at it orders nothing, as with the real one.
#[cfg(any(loom, test))]
pub(crate) struct Counted<T> {
    items: Mutex<VecDeque<T>>,
    len: AtomicU64,
}

#[cfg(any(loom, test))]
impl<T> Counted<T> {
    fn new() -> Self {
        Self { items: Mutex::new(VecDeque::new()), len: AtomicU64::new(0) }
    }

    fn change<R>(&self, change: impl FnOnce(&mut VecDeque<T>) -> R) -> R {
        let mut items = lock(&self.items);
        let result = change(&mut items);
        self.len.store(items.len() as u64, Ordering::Release);
        result
    }

    fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    fn pop(&self) -> Option<T> {
        if self.is_empty() { None } else { self.change(VecDeque::pop_front) }
    }

    fn half(&self, own: &Self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let mut taken = self.change(|items| {
            let half = items.len().div_ceil(2);
            items.drain(..half).collect::<VecDeque<_>>()
        });
        let first = taken.pop_front();
        if !taken.is_empty() {
            own.change(|items| items.append(&mut taken));
        }
        first
    }
}

#[cfg(any(loom, test))]
impl<T: Send + 'static> Queue<T> for Mutexed {
    type Own = Arc<Counted<T>>;
    type Thief = Arc<Counted<T>>;
    type Inbox = Counted<T>;

    fn own() -> (Self::Own, Self::Thief) {
        let own = Arc::new(Counted::new());
        (Arc::clone(&own), own)
    }

    fn inbox() -> Self::Inbox {
        Counted::new()
    }

    fn put(inbox: &Self::Inbox, item: T) {
        inbox.change(|items| items.push_back(item));
    }

    fn inbox_is_empty(inbox: &Self::Inbox) -> bool {
        inbox.is_empty()
    }

    fn take(inbox: &Self::Inbox, own: &Self::Own) -> Option<T> {
        inbox.half(own)
    }

    fn push(own: &Self::Own, item: T) {
        own.change(|items| items.push_back(item));
    }

    fn pop(own: &Self::Own) -> Option<T> {
        own.pop()
    }

    fn own_is_empty(own: &Self::Own) -> bool {
        own.is_empty()
    }

    fn steal(thief: &Self::Thief, own: &Self::Own) -> Option<T> {
        thief.half(own)
    }

    fn thief_finds_none(thief: &Self::Thief) -> bool {
        thief.is_empty()
    }

    fn drain(thief: &Self::Thief) -> Option<T> {
        thief.pop()
    }
}

/// The three queues that a worker owns.
pub(crate) struct Own<Q: Queue<T>, T> {
    worker: usize,
    queues: [Q::Own; 3],
}

/// Where a tasklet was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// In the worker's own queue: nothing is known about others.
    Own,
    /// Among what came from outside. More of it may have been moved to the worker's own queue.
    Outside,
    /// With another worker. More of it may have been moved to the worker's own queue.
    Stolen,
}

/// All queues of an agenda, as every thread sees them.
///
/// *Marks* say which workers have something of their own, one word a priority, one bit a worker. Only that worker sets
/// and clears its bit: it sets it after a push, and clears it when it finds its own queue empty. So a thief looks only
/// where something is or was, and a queue without its bit is empty, except in the moment of a push.
pub(crate) struct Board<Q: Queue<T>, T> {
    inboxes: [CachePadded<Q::Inbox>; 3],
    marks: [CachePadded<AtomicU64>; 3],
    thieves: Box<[[Q::Thief; 3]]>,
}

impl<Q: Queue<T>, T> Board<Q, T> {
    /// The queues for `workers` workers, at most 64, and what each of them owns.
    pub(crate) fn new(workers: usize) -> (Self, Vec<Own<Q, T>>) {
        let mut owned = Vec::with_capacity(workers);
        let mut thieves = Vec::with_capacity(workers);
        for worker in 0..workers {
            let [low, normal, high] = [Q::own(), Q::own(), Q::own()];
            owned.push(Own { worker, queues: [low.0, normal.0, high.0] });
            thieves.push([low.1, normal.1, high.1]);
        }
        let board = Self {
            inboxes: [Q::inbox(), Q::inbox(), Q::inbox()].map(CachePadded::new),
            marks: [0, 0, 0].map(|word| CachePadded::new(AtomicU64::new(word))),
            thieves: thieves.into_boxed_slice(),
        };
        (board, owned)
    }

    /// Adds what comes from outside the workers. Wake a worker after it.
    pub(crate) fn put(&self, priority: Priority, item: T) {
        Q::put(&self.inboxes[priority.index()], item);
    }

    /// Adds what comes from a worker. Wake another worker after it.
    pub(crate) fn push(&self, own: &Own<Q, T>, priority: Priority, item: T) {
        Q::push(&own.queues[priority.index()], item);
        self.mark(own, priority);
    }

    /// The next item for pick `number` of this worker, not below `floor`.
    pub(crate) fn next(&self, own: &Own<Q, T>, number: u64, floor: Priority) -> Option<(T, Found)> {
        order_of_pick(number)
            .into_iter()
            .filter(|priority| *priority >= floor)
            .find_map(|priority| self.next_of(own, number, priority))
    }

    fn next_of(&self, own: &Own<Q, T>, number: u64, priority: Priority) -> Option<(T, Found)> {
        let at = priority.index();
        if number.is_multiple_of(OUTSIDE_FIRST)
            && let Some(item) = self.take(own, priority)
        {
            return Some((item, Found::Outside));
        }
        if let Some(item) = Q::pop(&own.queues[at]) {
            return Some((item, Found::Own));
        }
        self.unmark(own, priority);
        if let Some(item) = self.take(own, priority) {
            return Some((item, Found::Outside));
        }
        let me = 1 << own.worker;
        let mut others = self.marks[at].load(Ordering::Relaxed) & !me;
        // Begin after ourselves, so that thieves do not all meet at the first worker.
        let mut after = others & !(me | (me - 1));
        while others != 0 {
            let victim = if after != 0 { after } else { others }.trailing_zeros();
            if let Some(item) = Q::steal(&self.thieves[victim as usize][at], &own.queues[at]) {
                self.mark_if_any(own, priority);
                return Some((item, Found::Stolen));
            }
            others &= !(1 << victim);
            after &= others;
        }
        None
    }

    fn take(&self, own: &Own<Q, T>, priority: Priority) -> Option<T> {
        let inbox = &self.inboxes[priority.index()];
        if Q::inbox_is_empty(inbox) {
            return None;
        }
        let item = Q::take(inbox, &own.queues[priority.index()])?;
        self.mark_if_any(own, priority);
        Some(item)
    }

    fn mark_if_any(&self, own: &Own<Q, T>, priority: Priority) {
        if !Q::own_is_empty(&own.queues[priority.index()]) {
            self.mark(own, priority);
        }
    }

    fn mark(&self, own: &Own<Q, T>, priority: Priority) {
        let (marks, me) = (&self.marks[priority.index()], 1 << own.worker);
        if marks.load(Ordering::Relaxed) & me == 0 {
            // Relaxed is enough here and at the looks: the fences of parking stand between this and a second look.
            marks.fetch_or(me, Ordering::Relaxed);
        }
    }

    fn unmark(&self, own: &Own<Q, T>, priority: Priority) {
        let (marks, me) = (&self.marks[priority.index()], 1 << own.worker);
        if marks.load(Ordering::Relaxed) & me != 0 {
            marks.fetch_and(!me, Ordering::Relaxed);
        }
    }

    /// Whether there is something of that priority. It may be gone at the next look.
    pub(crate) fn has(&self, priority: Priority) -> bool {
        let at = priority.index();
        if !Q::inbox_is_empty(&self.inboxes[at]) {
            return true;
        }
        let mut marked = self.marks[at].load(Ordering::Relaxed);
        while marked != 0 {
            let worker = marked.trailing_zeros();
            if !Q::thief_finds_none(&self.thieves[worker as usize][at]) {
                return true;
            }
            marked &= !(1 << worker);
        }
        false
    }

    /// The highest priority of which there is something.
    pub(crate) fn highest(&self) -> Option<Priority> {
        Priority::ALL.into_iter().find(|priority| self.has(*priority))
    }

    /// Whether there is something of `floor` or above.
    pub(crate) fn any(&self, floor: Priority) -> bool {
        Priority::ALL.into_iter().any(|priority| priority >= floor && self.has(priority))
    }

    /// Takes one item from anywhere; for the time when no worker is left.
    pub(crate) fn drain(&self, spare: &Own<Q, T>) -> Option<T> {
        Priority::ALL.into_iter().find_map(|priority| {
            let at = priority.index();
            Q::pop(&spare.queues[at])
                .or_else(|| Q::take(&self.inboxes[at], &spare.queues[at]))
                .or_else(|| self.thieves.iter().find_map(|thieves| Q::drain(&thieves[at])))
        })
    }

    /// Queues that no thief knows, for [`drain`](Self::drain).
    pub(crate) fn spare() -> Own<Q, T> {
        Own { worker: usize::MAX, queues: [Q::own().0, Q::own().0, Q::own().0] }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use Priority::{High, Low, Normal};

    fn conforms<Q: Queue<u32>>() {
        let (board, owned) = Board::<Q, u32>::new(2);
        let [first, second] = &owned[..] else { unreachable!("two workers") };
        assert_eq!(board.highest(), None);
        board.put(Low, 1);
        board.push(first, Normal, 2);
        board.push(second, High, 3);
        assert_eq!(board.highest(), Some(High));
        assert!(board.any(High) && board.has(Normal) && board.has(Low));
        assert_eq!(board.next(first, 1, Low), Some((3, Found::Stolen)), "high first, also of another worker");
        assert_eq!(board.next(first, 2, High), None, "nothing below the floor");
        assert_eq!(board.next(first, 3, Low), Some((2, Found::Own)));
        assert_eq!(board.next(first, 4, Low), Some((1, Found::Outside)));
        assert_eq!(board.next(first, 5, Low), None);
        assert_eq!(board.highest(), None);
    }

    #[test]
    fn high_comes_before_normal_before_low_wherever_it_is() {
        conforms::<Crossbeam>();
        conforms::<Mutexed>();
    }

    fn own_order<Q: Queue<u32>>() {
        let (board, owned) = Board::<Q, u32>::new(1);
        for item in 0..100 {
            board.push(&owned[0], Normal, item);
        }
        board.put(Normal, 1000);
        let got = (1..=101).map(|pick| board.next(&owned[0], pick, Low).expect("101 items")).collect::<Vec<_>>();
        let from_own = got.iter().filter(|(_, found)| *found == Found::Own).map(|(item, _)| *item).collect::<Vec<_>>();
        assert_eq!(from_own, (0..100).collect::<Vec<_>>(), "first in, first out");
        assert_eq!(got[15], (1000, Found::Outside), "pick 16 looks outside first");
    }

    #[test]
    fn the_own_queue_keeps_its_order_and_does_not_keep_out_what_comes_from_outside() {
        own_order::<Crossbeam>();
        own_order::<Mutexed>();
    }

    fn drains<Q: Queue<u32>>() {
        let (board, owned) = Board::<Q, u32>::new(2);
        (0..10).for_each(|item| board.put(Low, item));
        (10..20).for_each(|item| board.push(&owned[1], High, item));
        let spare = Board::<Q, u32>::spare();
        let mut got = std::iter::from_fn(|| board.drain(&spare)).collect::<Vec<_>>();
        assert!(got[..10].iter().all(|item| *item >= 10), "high first");
        got.sort_unstable();
        assert_eq!(got, (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn draining_finds_everything_by_priority() {
        drains::<Crossbeam>();
        drains::<Mutexed>();
    }
}
