//! What a thread does after a cycle without work.

mod adaptive;
mod back_off;
mod busy;
mod doorbells;

pub use adaptive::Adaptive;
pub use back_off::BackOff;
pub use busy::{NoIdle, Spin, Yield};
pub use doorbells::ParkAtDoorbells;

use super::Invoker;
use crate::sleeping::Sleep;
use std::fmt;
use std::time::{Duration, Instant};

/// Says how a thread idles, one step after each cycle without work.
///
/// | strategy | between two cycles | a wake takes | an idle group costs |
/// |---|---|---|---|
/// | [`Spin`] | a hint to the processor | nothing | a core |
/// | [`Yield`] | gives the core to another thread | nothing, on a free core | a core that others can have |
/// | [`BackOff`] | spins, yields, then sleeps longer and longer | up to the longest sleep | 1000 wake-ups a second |
/// | [`ParkAtDoorbells`] | sleeps until a wake, a descriptor or a deadline | a wake-up of a thread | nothing |
/// | [`Adaptive`] | spins while news are likely, then sleeps at doorbells | nothing for short gaps | the same |
/// | [`NoIdle`] | nothing | nothing | a core; for tests |
///
/// One of one's own:
///
/// ```
/// use myelon_runtime::agents::{Group, GroupEnd, IdleStrategy, Pause, Work, from_fn};
/// use myelon_runtime::testing::VirtualClock;
/// use std::time::Duration;
///
/// struct EveryMillisecond;
///
/// impl IdleStrategy for EveryMillisecond {
///     fn idle(&mut self, pause: &mut Pause<'_>) {
///         pause.park(Duration::from_millis(1));
///     }
/// }
///
/// let mut cycles = 0;
/// let agent = from_fn("counts", move |_| {
///     cycles += 1;
///     Ok(if cycles < 100 { Work::NONE } else { Work::Finished })
/// });
/// // On a clock that sleeps move, this takes no time.
/// let mut invoker = Group::new("example").agent(agent).clock(VirtualClock::new()).into_invoker();
/// assert_eq!(invoker.run(&mut EveryMillisecond), GroupEnd::Finished);
/// ```
pub trait IdleStrategy {
    /// One step of idling, after a cycle without work. It returns soon, or sleeps through `pause`.
    fn idle(&mut self, pause: &mut Pause<'_>);

    /// There was work in the last cycle, which has ended at `now`.
    fn worked(&mut self, now: Instant) {
        let _ = now;
    }
}

impl<S: IdleStrategy + ?Sized> IdleStrategy for Box<S> {
    fn idle(&mut self, pause: &mut Pause<'_>) {
        (**self).idle(pause);
    }

    fn worked(&mut self, now: Instant) {
        (**self).worked(now);
    }
}

/// What an [`IdleStrategy`] knows and can do. Its page has an example.
///
/// Each sleep ends at the next deadline of an agent, at a [`wake`](super::GroupHandle::wake), and at a request to
/// close. It counts as stopped for safe points. After a sleep that did not end by its time, further ones return at
/// once: a cycle is next.
///
/// ```
/// use myelon_runtime::agents::{IdleStrategy, Pause};
/// use std::time::Duration;
///
/// /// Sleeps, but looks at least once a second.
/// struct OnceASecond;
///
/// impl IdleStrategy for OnceASecond {
///     fn idle(&mut self, pause: &mut Pause<'_>) {
///         pause.park_at_doorbells(Some(Duration::from_secs(1)));
///     }
/// }
/// ```
pub struct Pause<'a> {
    pub(super) invoker: &'a mut Invoker,
    pub(super) now: Instant,
    pub(super) until: Option<Instant>,
    /// Something has ended a sleep, so no other sleep may come before the next cycle.
    pub(super) cycle_is_due: bool,
}

impl fmt::Debug for Pause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pause").field("now", &self.now).field("until", &self.until).finish_non_exhaustive()
    }
}

impl Pause<'_> {
    /// When the last cycle has ended.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The next deadline of an agent, or the end of a back-off.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Sleeps for `longest` at most. Descriptors do not end it, and agents are not asked whether they have something to
    /// do: the next cycle polls them.
    pub fn park(&mut self, longest: Duration) {
        self.sleep(Sleep::Parked, Some(longest));
    }

    /// Asks all agents to [arm](super::Agent::before_park), and sleeps until one of their
    /// [descriptors](super::Agent::doorbells) is readable; for `longest` at most, `None`: without a limit of its own.
    pub fn park_at_doorbells(&mut self, longest: Option<Duration>) {
        self.sleep(Sleep::AtDoorbells, longest);
    }

    fn sleep(&mut self, how: Sleep, longest: Option<Duration>) {
        let latest = longest.and_then(|longest| self.now.checked_add(longest));
        let until = self.until.into_iter().chain(latest).min();
        self.cycle_is_due = self.cycle_is_due || !self.invoker.sleep(how, until);
    }
}
