//! loom models of what other threads ask of a loop: every schedule, within the bounds given.
//!
//! There is one file per claim; the table in [`crate::models`] shows that each named step is needed. The flags, the
//! news and the queues are those of every build. A [`Bell`] is in the place of the eventfd, and a [`Looping`] does with
//! a channel what `event_loop::turn` does with it.

pub(crate) mod channel;
pub(crate) mod sleep;

use super::{Queue, Requests, Wake};
use crate::models::explore;
use crate::primitive::{Condvar, Mutex, Ordering, Site, lock};
use loom::sync::atomic::AtomicU32;
use std::sync::{Arc, PoisonError};

/// A flag was taken again.
pub(crate) const NOT_ONCE: &str = "a flag was taken twice";
/// A flag was seen before what its thread had done.
pub(crate) const UNSEEN: &str = "a flag came before what was done before it";
/// More threads have woken the loop than it has slept.
pub(crate) const NEEDLESS: &str = "two threads ended one sleep";
/// A command was neither handled, nor given back, nor dropped with its channel.
pub(crate) const STRANDED: &str = "a command is still in a channel that is closed";
/// A channel took more than it may.
pub(crate) const OVERFULL: &str = "more commands wait than the channel may have";

pub(crate) const FIRST: u32 = 1;
const SECOND: u32 = 2;

/// An eventfd: a token that stays until the loop has polled.
#[derive(Debug)]
pub(crate) struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
    /// How often it was rung.
    rings: AtomicU32,
}

impl Bell {
    fn new() -> Self {
        Self { rung: Mutex::new(false), ringing: Condvar::new(), rings: AtomicU32::new(0) }
    }

    /// As epoll does, without a timeout, or with one of zero.
    fn poll(&self, sleeps: bool) {
        let mut rung = lock(&self.rung);
        while sleeps && !*rung {
            rung = self.ringing.wait(rung).unwrap_or_else(PoisonError::into_inner);
        }
        *rung = false;
    }
}

impl Wake for Bell {
    fn wake(&self) {
        self.rings.fetch_add(1, Ordering::Relaxed);
        *lock(&self.rung) = true;
        self.ringing.notify_one();
    }
}

/// What the loop and other threads share.
pub(crate) type Asked = Requests<Bell, usize>;

pub(crate) fn asked() -> Arc<Asked> {
    Arc::new(Requests::new(Bell::new()))
}

impl Asked {
    /// The beginning of a turn in which nothing is ready.
    pub(crate) fn look(&self) {
        self.look_with(|sleep| sleep());
    }

    /// The same, in a loop that sleeps in `rest`.
    pub(crate) fn look_with(&self, rest: impl FnOnce(&dyn Fn())) {
        if self.may_sleep() {
            rest(&|| self.waker.poll(true));
        } else {
            self.waker.poll(false);
        }
        self.awake();
    }

    /// The beginning of a turn in which something is ready.
    fn look_without_sleep(&self) {
        self.waker.poll(false);
        self.awake();
    }
}

/// A channel and the loop that it belongs to, as a sender has them.
struct Channel {
    id: usize,
    queue: Queue<u32>,
    asked: Arc<Asked>,
}

fn channel(asked: &Arc<Asked>, id: usize, capacity: usize) -> Arc<Channel> {
    Arc::new(Channel { id, queue: Queue::new(capacity), asked: Arc::clone(asked) })
}

impl Channel {
    /// As `CommandSender::send`: whether it was taken.
    fn send(&self, command: u32) -> bool {
        let Ok(must_tell) = self.queue.push(command) else { return false };
        if must_tell {
            self.asked.add_news(self.id);
        }
        true
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Ready,
    Paused,
}

/// A loop with the channels whose ids are their places.
struct Looping {
    asked: Arc<Asked>,
    channels: Vec<(Arc<Channel>, State)>,
    news: Vec<usize>,
    handled: Vec<u32>,
}

impl Looping {
    fn new(asked: &Arc<Asked>, channels: impl IntoIterator<Item = Arc<Channel>>) -> Self {
        let channels = channels.into_iter().map(|channel| (channel, State::Waiting)).collect();
        Self { asked: Arc::clone(asked), channels, news: Vec::new(), handled: Vec::new() }
    }

    /// A turn, which sleeps until there is something.
    fn turn(&mut self) {
        if self.channels.iter().any(|(_, state)| *state == State::Ready) {
            self.asked.look_without_sleep();
        } else {
            self.asked.look();
        }
        self.serve();
    }

    /// The rest of a turn, in which each channel may be called once. Returns how many were.
    fn serve(&mut self) -> usize {
        self.asked.swap_news(&mut self.news);
        for id in self.news.drain(..) {
            let (_, state) = &mut self.channels[id];
            if *state == State::Waiting {
                *state = State::Ready;
            }
        }
        let mut served = 0;
        for (channel, state) in &mut self.channels {
            if *state == State::Ready {
                self.handled.extend(channel.queue.pop());
                *state = if channel.queue.has_more(Site::MoreAfterCall) { State::Ready } else { State::Waiting };
                served += 1;
            }
        }
        served
    }

    fn pause(&mut self, id: usize) {
        self.channels[id].1 = State::Paused;
    }

    fn resume(&mut self, id: usize) {
        let (channel, state) = &mut self.channels[id];
        *state = if channel.queue.has_more(Site::MoreAfterPause) { State::Ready } else { State::Waiting };
    }
}
