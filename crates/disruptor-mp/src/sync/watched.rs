//! One watch: what it waits for, and how the thread that sleeps for it notices and reports it.
//!
//! It knows no rings.
//!
//! The thread does for each armed post what a parking consumer does for its ring: it announces itself at the bell,
//! passes the barrier, looks a second time, and only then sleeps. Source: RFC 0004, "Doorbells".

use super::announce::{Announce, before_second_look};
use super::bell::{Bell, Ticket};
use super::primitive::{AtomicI64, AtomicU32, Ordering, Site, weakened};
use std::sync::Arc;

/// The value of a watch that waits for nothing. Every other value, mostly a position, is not negative.
const DISARMED: i64 = -1;

/// What a watch waits for.
pub(crate) trait Post: Send + Sync {
    /// The bell that is rung when there is news for `position`.
    fn bell(&self, position: i64) -> &Bell;

    /// The word in which the waker says how it announces.
    fn announce(&self, position: i64) -> &AtomicU32;

    /// Whether what is waited for at `position` is there, or will never come. No system call.
    fn has_news(&self, position: i64) -> bool;

    /// Whether the waker is dead. Costs a system call.
    fn is_deserted(&self, position: i64) -> bool;
}

/// The function that is called when there is news. It is quick, and does not wait.
type Call = Arc<dyn Fn() + Send + Sync>;

pub(crate) struct Watched {
    post: Box<dyn Post>,
    /// What is waited for, or [`DISARMED`]. The owner of the watch arms it. The thread disarms it when it calls; the
    /// owner may, too.
    position: AtomicI64,
    call: Call,
}

impl Watched {
    /// Waits for `post`, and is not armed.
    pub(crate) fn new(post: Box<dyn Post>, call: Call) -> Arc<Self> {
        Arc::new(Self { post, position: AtomicI64::new(DISARMED), call })
    }

    /// A new watch with the same call, for another post.
    pub(crate) fn turned_to(&self, post: Box<dyn Post>) -> Arc<Self> {
        Self::new(post, Arc::clone(&self.call))
    }

    pub(crate) fn post(&self) -> &dyn Post {
        &*self.post
    }

    /// Asks the thread that is called at `desk` for one call when there is news for `position`.
    pub(crate) fn arm(&self, position: i64, desk: &Desk) {
        // Release pairs with Acquire in `park`. The barrier in the call that follows pairs with the thread's own
        // barrier between its announcement and its look at the positions: either it sees this position, or we see that
        // it sleeps and call it.
        self.position.store(position, Ordering::Release);
        desk.call();
    }

    pub(crate) fn is_armed_for(&self, position: i64) -> bool {
        self.position.load(Ordering::Relaxed) == position
    }

    pub(crate) fn disarm(&self) {
        self.position.store(DISARMED, Ordering::Release);
    }

    /// Calls, unless the watch waits for something else than `position` by now.
    fn call(&self, position: i64) {
        // An owner that armed the watch again meanwhile has looked itself; the next round handles its new request.
        let disarmed = self.position.compare_exchange(position, DISARMED, Ordering::AcqRel, Ordering::Relaxed);
        if disarmed.is_ok() {
            (self.call)();
        }
    }
}

/// A bell at which a thread that serves watches sleeps, besides the bells of their posts.
pub(crate) struct Desk {
    bell: Bell,
    /// How the bell is rung: the caller always issues a fence.
    announce: AtomicU32,
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self { bell: Bell::new(), announce: AtomicU32::new(Announce::Fenced as u32) }
    }

    /// Makes the thread look at everything once more.
    pub(crate) fn call(&self) {
        Announce::Fenced.before_look();
        self.bell.ring_if_awaited();
    }

    /// The thread announces itself. It must then look at everything once more.
    pub(crate) fn announce(&self) -> Ticket {
        let ticket = self.bell.announce();
        before_second_look(&self.announce);
        ticket
    }

    pub(crate) fn bell(&self) -> &Bell {
        &self.bell
    }
}

/// The thread's side of one watch.
pub(crate) struct Round {
    watched: Arc<Watched>,
    parked: Option<Parked>,
}

/// An announcement at a bell that has not been rung since.
#[derive(Clone, Copy)]
pub(crate) struct Parked {
    position: i64,
    pub(crate) ticket: Ticket,
    /// Whether the waker is sure to see it.
    pub(crate) barrier: bool,
}

impl Round {
    pub(crate) fn new(watched: &Arc<Watched>) -> Self {
        Self { watched: Arc::clone(watched), parked: None }
    }

    pub(crate) fn is_of(&self, watched: &Arc<Watched>) -> bool {
        Arc::ptr_eq(&self.watched, watched)
    }

    /// Where it sleeps.
    pub(crate) fn bell(&self, parked: Parked) -> &Bell {
        self.watched.post.bell(parked.position)
    }

    /// Prepares to sleep for this watch, or calls if there is news. `None`: there is nothing to wait for.
    pub(crate) fn park(&mut self, is_due: bool) -> Option<Parked> {
        let Watched { post, position, .. } = &*self.watched;
        // Acquire pairs with the Release in `arm`.
        let position = position.load(Ordering::Acquire);
        if position == DISARMED {
            self.parked = None;
            return None;
        }
        let still = self.parked.filter(|it| it.position == position && post.bell(position).is_silent_since(it.ticket));
        // If the thread has announced itself and passed the barrier for this position before, a producer that publishes
        // sees it. Otherwise the thread does it (again).
        let parked = still.unwrap_or_else(|| {
            let ticket = post.bell(position).announce();
            Parked { position, ticket, barrier: before_second_look(post.announce(position)) }
        });
        let has_news = !weakened(Site::ParkSecondLook) && post.has_news(position);
        if has_news || (is_due && post.is_deserted(position)) {
            self.watched.call(position);
            self.parked = None;
            return None;
        }
        self.parked = Some(parked);
        self.parked
    }
}
