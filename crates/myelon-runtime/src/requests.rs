//! What other threads ask of a loop: flags, and commands in channels; and how they end its sleep.
//!
//! After each request the thread looks whether the loop [sleeps](crate::sleeping). A wake is a token that stays until
//! the loop has slept, so a wake that comes early is not lost; one that is not needed costs one look.
//!
//! A flag is a bit: any thread sets it, the loop takes it. A command is in the [`Queue`] of its channel. The sender
//! that is first to put one in there since the loop found it empty adds the channel to the *news*.
//!
//! Nothing here knows a descriptor or a handler: the models run the same code with a waker of their own.

#[cfg(all(test, loom))]
pub(crate) mod models;
mod queue;
mod refused;

pub(crate) use queue::Queue;
pub use refused::Refused;

use crate::primitive::{AtomicBool, AtomicU32, Mutex, Ordering, Site, lock, order, weakened};
use crate::sleeping::{Sleep, Sleeping};
use crossbeam_utils::CachePadded;
use std::mem;

/// Ends the sleep of a loop.
pub(crate) trait Wake {
    /// Ends the present sleep, or the next one if the loop does not sleep now.
    fn wake(&self);
}

/// The words.
#[derive(Debug, Default)]
struct Words {
    sleeping: Sleeping,
    flags: AtomicU32,
    /// Whether there are news. Written only by a thread that has locked them. So a turn without news locks nothing.
    has_news: AtomicBool,
}

/// What a loop shares with the threads that ask something of it. `Id` names a channel.
#[derive(Debug)]
pub(crate) struct Requests<W, Id> {
    words: CachePadded<Words>,
    /// Channels with commands that the loop has not seen.
    news: Mutex<Vec<Id>>,
    waker: W,
}

/// For other threads.
impl<W: Wake, Id> Requests<W, Id> {
    pub(crate) fn new(waker: W) -> Self {
        Self { words: CachePadded::default(), news: Mutex::new(Vec::new()), waker }
    }

    /// Sets flags, and wakes the loop if it sleeps.
    pub(crate) fn ask(&self, flags: u32) {
        // Release, partner in `take`: what was written before is visible to the loop that takes them.
        let release = order(Site::FlagRelease, Ordering::Release);
        if weakened(Site::FlagsMerged) {
            self.words.flags.store(self.asked() | flags, release);
        } else {
            self.words.flags.fetch_or(flags, release);
        }
        self.wake_sleeper();
    }

    /// Tells the loop that a channel has commands, and wakes it if it sleeps.
    pub(crate) fn add_news(&self, channel: Id) {
        {
            let mut news = lock(&self.news);
            news.push(channel);
            self.words.has_news.store(true, Ordering::Relaxed);
        }
        self.wake_sleeper();
    }

    /// Wakes the loop, also if it does not sleep.
    pub(crate) fn wake(&self) {
        self.waker.wake();
    }

    /// Wakes the loop if it sleeps. Of several callers, one does.
    fn wake_sleeper(&self) {
        if self.words.sleeping.take().is_some() {
            self.waker.wake();
        }
    }
}

/// For the loop.
impl<W, Id> Requests<W, Id> {
    /// The loop is about to sleep: whether it may. In either case it calls [`awake`](Self::awake) afterwards.
    pub(crate) fn may_sleep(&self) -> bool {
        self.words.sleeping.announce(Sleep::AtDoorbells, || self.asked() != 0 || self.has_news())
    }

    /// The loop is awake: no thread need wake it.
    pub(crate) fn awake(&self) {
        self.words.sleeping.awake();
    }

    /// The flags that are set.
    fn asked(&self) -> u32 {
        self.words.flags.load(Ordering::Relaxed)
    }

    /// Whether one of these flags is set. It stays set until it is taken.
    pub(crate) fn is_asked(&self, flags: u32) -> bool {
        // Acquire, partner in `ask`: a loop that sees that it is to quit sees the news that were added before.
        self.words.flags.load(order(Site::FlagSeen, Ordering::Acquire)) & flags != 0
    }

    /// Takes flags: those of `mask` that were set.
    pub(crate) fn take(&self, mask: u32) -> u32 {
        let asked = self.asked();
        if asked & mask == 0 {
            return 0;
        }
        // Acquire, partner in `ask`.
        let acquire = order(Site::FlagAcquire, Ordering::Acquire);
        let taken = if weakened(Site::FlagsTaken) {
            self.words.flags.store(asked & !mask, Ordering::Relaxed);
            asked
        } else {
            self.words.flags.fetch_and(!mask, acquire)
        };
        taken & mask
    }

    /// Whether a channel has told of commands.
    pub(crate) fn has_news(&self) -> bool {
        self.words.has_news.load(Ordering::Relaxed)
    }

    /// Exchanges the news for an empty list.
    pub(crate) fn swap_news(&self, list: &mut Vec<Id>) {
        if !self.has_news() {
            return;
        }
        let mut news = lock(&self.news);
        self.words.has_news.store(false, Ordering::Relaxed);
        mem::swap(list, &mut news);
        if weakened(Site::NewsTaken) {
            drop(news);
            lock(&self.news).clear();
        }
    }
}
