//! The loop that every waiting call runs: spin, yield or sleep until there is data, a reason to stop, or the deadline.
//!
//! The gap between two looks of a spinning waiter does not grow during the wait: at first it is that of
//! [`spin_gap`](super::spin_gap), later that of its strategy. crossbeam's `Backoff` would double it up to 64 spin
//! hints. It is made for threads that fail because of each other's stores; a waiter that only loads would find its
//! event late by the rest of the gap.

use super::futex::lower_timer_slack;
use super::rhythm::{Plan, Rhythm, Seen, Step};
use super::spin_gap::SpinGap;
use std::time::{Duration, Instant};

/// How an endpoint waits. Every strategy ends its wait with a reason: data, the deadline, the end of the ring, or a
/// peer's death.
///
/// `MYELON_WAIT` overrides the choice of every endpoint of a process: `busy-spin`, `spin-hint`, `yield:SPINS`,
/// `sleep:MICROSECONDS`, `block` or `adaptive`. Source: RFC 0004.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum WaitStrategy {
    /// Looks again a few nanoseconds later, without end. The lowest latency, one whole core.
    BusySpin,
    /// Like `BusySpin`, but after three microseconds with the processor's spin hint between two looks: kinder to the
    /// other thread of the same core.
    BusySpinWithSpinLoopHint,
    /// Spins `spins` times, then gives the core away between two looks.
    SpinThenYield {
        /// Looks before the first yield.
        spins: u32,
    },
    /// Sleeps this long between two looks.
    Sleep(Duration),
    /// Sleeps in the kernel until woken. Spins for ten microseconds before it, if one of the last events came within
    /// about that time. An event is seen 20 to 50 µs late (a wake of a core that is idle), for about 10 µs of cpu time
    /// each.
    Block,
    /// Learns when events come: spins near the times at which one of the last eight came, and sleeps at other times.
    ///
    /// | from event to event | seen | costs |
    /// |---|---|---|
    /// | below 150 µs | as by spinning | a whole core while events come |
    /// | longer, regular to 20 % | as by spinning | at most a quarter of a core, or 50 µs an event |
    /// | irregular | as by `Block` | as `Block` |
    ///
    /// A new rhythm is learned within ten events. An event at an unexpected time wakes it, as it wakes `Block`. While
    /// nothing comes it sleeps.
    #[default]
    Adaptive,
}

/// An alias of `WaitStrategy`.
pub type AutoWaitStrategy = WaitStrategy;

/// A text that names no wait strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{value}` is not a wait strategy: use busy-spin, spin-hint, yield:SPINS, sleep:MICROSECONDS, block or adaptive"
)]
pub struct InvalidWaitStrategy {
    /// The text that was given, in the program or as the value of the variable.
    pub value: String,
}

/// The variable that overrides the wait strategy of every endpoint of a process.
const VARIABLE: &str = "MYELON_WAIT";

/// `MYELON_WAIT` names no wait strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{VARIABLE}: {0}")]
pub struct InvalidWaitSetting(
    /// What it is set to.
    pub InvalidWaitStrategy,
);

impl std::str::FromStr for WaitStrategy {
    type Err = InvalidWaitStrategy;

    fn from_str(value: &str) -> Result<Self, InvalidWaitStrategy> {
        let invalid = || InvalidWaitStrategy { value: value.to_owned() };
        let (word, number) = match value.split_once(':') {
            Some((word, number)) => (word, Some(number.parse::<u32>().map_err(|_| invalid())?)),
            None => (value, None),
        };
        match (word, number) {
            ("busy-spin", None) => Ok(Self::BusySpin),
            ("spin-hint", None) => Ok(Self::BusySpinWithSpinLoopHint),
            ("yield", Some(spins)) => Ok(Self::SpinThenYield { spins }),
            ("sleep", Some(micros)) => Ok(Self::Sleep(Duration::from_micros(micros.into()))),
            ("block", None) => Ok(Self::Block),
            ("adaptive", None) => Ok(Self::Adaptive),
            _ => Err(invalid()),
        }
    }
}

impl WaitStrategy {
    /// The strategy to use where the program chose `self`: that of `MYELON_WAIT`, if it is set.
    ///
    /// # Errors
    /// `InvalidWaitSetting` if the variable is set to something else; nothing falls back silently.
    pub fn overridden(self) -> Result<Self, InvalidWaitSetting> {
        match std::env::var_os(VARIABLE) {
            // In a value that is not Unicode, a replacement character makes the parse fail.
            Some(value) => value.to_string_lossy().parse().map_err(InvalidWaitSetting),
            None => Ok(self),
        }
    }
}

/// In the form that `FromStr` reads: `busy-spin`, `yield:50`. A sleep is in whole microseconds.
impl std::fmt::Display for WaitStrategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::BusySpin => f.write_str("busy-spin"),
            Self::BusySpinWithSpinLoopHint => f.write_str("spin-hint"),
            Self::SpinThenYield { spins } => write!(f, "yield:{spins}"),
            Self::Sleep(nap) => write!(f, "sleep:{}", nap.as_micros().min(u32::MAX.into())),
            Self::Block => f.write_str("block"),
            Self::Adaptive => f.write_str("adaptive"),
        }
    }
}

/// The longest sleep of a waiter without a look at the ring and at its peers. A process can be killed between its store
/// and its wake, so no sleep may depend on being woken; and a waiter must learn of a death within 100 ms.
pub(crate) const SLICE: Duration = Duration::from_millis(50);

/// The longest sleep of a waiter that cannot issue the barrier that its waker relies on.
pub(crate) const SLICE_WITHOUT_BARRIER: Duration = Duration::from_millis(1);

/// How often a spinning waiter looks at its peers, which costs it a system call.
const EXAMINE_INTERVAL: Duration = Duration::from_millis(10);

/// Looks between two readings of the clock while spinning.
const SPINS_PER_CLOCK: u32 = 64;

/// Looks before the clock is read: an event that is about to arrive is not worth a clock reading. About three
/// microseconds.
const FIRST_SPINS: u32 = 512;

/// The end of a wait for at most `timeout` that begins now; `None` if it has none, as for [`Duration::MAX`].
pub(crate) fn deadline_in(timeout: Duration) -> Option<Instant> {
    Instant::now().checked_add(timeout)
}

/// What a wait is for.
pub(crate) trait Awaited {
    /// Why the wait ended without success.
    type Reason;

    /// Whether the wait is over. Called many million times a second.
    fn is_ready(&mut self) -> bool;

    /// Whether a peer says that waiting is pointless: reads flags in shared memory, no system call.
    fn is_ended(&mut self) -> bool;

    /// Looks at the peers, with system calls. `Some` ends the wait.
    fn examine(&mut self) -> Option<Self::Reason>;

    /// Sleeps for at most `slice`, or until woken.
    fn park(&mut self, slice: Duration);

    /// Counts looks at the ring without success, for the counters.
    fn count_spins(&mut self, spins: u64);
}

/// The first looks of a wait, without a clock: whether `is_ready` returned `true`, and how many looks came before.
#[inline(always)]
pub(crate) fn spin_first(mut is_ready: impl FnMut() -> bool) -> (bool, u32) {
    let (gap, mut spins) = (SpinGap::new(), 0);
    while spins < FIRST_SPINS {
        if is_ready() {
            return (true, spins);
        }
        gap.pass();
        spins += 1;
    }
    (false, spins)
}

/// How a wait ended.
pub(crate) enum WaitEnd<R> {
    Ready,
    TimedOut,
    Reason(R),
}

/// One endpoint's waiting, with what it has learned about its traffic.
pub(crate) struct Waiter {
    strategy: WaitStrategy,
    rhythm: Rhythm,
}

impl Waiter {
    pub(crate) fn new(strategy: WaitStrategy) -> Self {
        Self { strategy, rhythm: Rhythm::new() }
    }

    pub(crate) fn strategy(&self) -> WaitStrategy {
        self.strategy
    }

    /// Waits until `awaited` is ready, has a reason to stop, or `deadline` passes (`None`: no deadline). The caller has
    /// spun before, with [`spin_first`], which needs no waiter.
    #[cold]
    pub(crate) fn wait<A: Awaited>(&mut self, awaited: &mut A, deadline: Option<Instant>) -> WaitEnd<A::Reason> {
        let begin = Instant::now();
        let mut examine_at = begin + EXAMINE_INTERVAL;
        let mut now = begin;
        let (plan, gap) = (self.plan(begin), SpinGap::new());
        let mut seen = Seen::Spinning;
        loop {
            if awaited.is_ready() {
                if plan.is_some() {
                    self.rhythm.arrived(begin, seen, now);
                }
                return WaitEnd::Ready;
            }
            if now >= examine_at || awaited.is_ended() {
                if let Some(reason) = awaited.examine() {
                    // What was published before the end is delivered first.
                    return if awaited.is_ready() { WaitEnd::Ready } else { WaitEnd::Reason(reason) };
                }
                examine_at = now + EXAMINE_INTERVAL;
            }
            if let Some(deadline) = deadline
                && now >= deadline
            {
                return WaitEnd::TimedOut;
            }
            let left = deadline.map_or(SLICE, |deadline| deadline - now);
            let slept = match self.strategy {
                WaitStrategy::BusySpin => self.spin(awaited, || gap.pass()),
                WaitStrategy::BusySpinWithSpinLoopHint => self.spin(awaited, std::hint::spin_loop),
                WaitStrategy::SpinThenYield { spins } if spins > SPINS_PER_CLOCK && now - begin < EXAMINE_INTERVAL => {
                    // The first `spins` looks, at about ten nanoseconds each, are a time and not a count.
                    let budget = Duration::from_nanos(u64::from(spins) * 10);
                    if now - begin < budget {
                        self.spin(awaited, std::hint::spin_loop)
                    } else {
                        self.spin(awaited, std::thread::yield_now)
                    }
                }
                WaitStrategy::SpinThenYield { .. } => self.spin(awaited, std::thread::yield_now),
                WaitStrategy::Sleep(nap) => {
                    std::thread::sleep(nap.min(left).min(SLICE));
                    None
                }
                WaitStrategy::Block | WaitStrategy::Adaptive => match plan.as_ref().map(|plan| plan.at(now)) {
                    Some(Step::Spin) => self.spin(awaited, std::hint::spin_loop),
                    Some(Step::Sleep { until: Some(due) }) => {
                        lower_timer_slack();
                        awaited.park(SLICE.min(left).min(due - now));
                        Some(Sleep { due: Some(due) })
                    }
                    Some(Step::Sleep { until: None }) | None => {
                        awaited.park(SLICE.min(left));
                        Some(Sleep { due: None })
                    }
                },
            };
            let before = now;
            now = Instant::now();
            seen = match slept {
                None => Seen::Spinning,
                Some(Sleep { due: Some(due) }) if due <= now => {
                    self.rhythm.overslept(now - due);
                    Seen::TimedOut { due }
                }
                Some(_) => Seen::Rung { asleep_since: before },
            };
            if slept.is_some() && now - before >= SLICE / 2 {
                examine_at = now; // After a slice without a wake, look at the peers.
            }
        }
    }

    /// Where to spin in a wait that begins now, for the strategies that sleep at the bell.
    fn plan(&self, begin: Instant) -> Option<Plan> {
        match self.strategy {
            WaitStrategy::Adaptive => Some(self.rhythm.plan(begin)),
            WaitStrategy::Block => Some(self.rhythm.plan_to_sleep(begin)),
            _ => None,
        }
    }

    /// One clock period of looks. `None`: it did not sleep.
    #[inline]
    fn spin<A: Awaited>(&self, awaited: &mut A, pause: impl Fn()) -> Option<Sleep> {
        let mut spins = 0;
        while spins < SPINS_PER_CLOCK && !awaited.is_ready() {
            pause();
            spins += 1;
        }
        awaited.count_spins(spins.into());
        None
    }
}

/// A sleep at the bell, and when its timer was to end it.
#[derive(Clone, Copy)]
struct Sleep {
    due: Option<Instant>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strategies_are_parsed_and_anything_else_is_an_error() {
        assert_eq!("block".parse(), Ok(WaitStrategy::Block));
        assert_eq!("yield:50".parse(), Ok(WaitStrategy::SpinThenYield { spins: 50 }));
        assert_eq!("sleep:250".parse(), Ok(WaitStrategy::Sleep(Duration::from_micros(250))));
        for text in ["busy-spin", "spin-hint", "yield:50", "sleep:250", "block", "adaptive"] {
            assert_eq!(text.parse::<WaitStrategy>().unwrap().to_string(), text);
        }
        for wrong in ["", "blocks", "yield", "yield:", "sleep:-1", "adaptive:3", "BLOCK"] {
            assert!(wrong.parse::<WaitStrategy>().is_err(), "{wrong:?} was accepted");
        }
    }

    /// Never ready; ends when `examined` has happened.
    struct Silence {
        examined: u32,
        parked: u32,
    }

    impl Awaited for Silence {
        type Reason = ();
        fn is_ready(&mut self) -> bool {
            false
        }
        fn is_ended(&mut self) -> bool {
            false
        }
        fn examine(&mut self) -> Option<()> {
            self.examined += 1;
            (self.examined == 2).then_some(())
        }
        fn park(&mut self, slice: Duration) {
            self.parked += 1;
            std::thread::sleep(slice);
        }
        fn count_spins(&mut self, _: u64) {}
    }

    #[test]
    fn every_strategy_looks_at_its_peers_and_ends_with_their_reason() {
        for strategy in [
            WaitStrategy::BusySpin,
            WaitStrategy::BusySpinWithSpinLoopHint,
            WaitStrategy::SpinThenYield { spins: 100 },
            WaitStrategy::Sleep(Duration::from_millis(1)),
            WaitStrategy::Block,
            WaitStrategy::Adaptive,
        ] {
            let mut silence = Silence { examined: 0, parked: 0 };
            let end = Waiter::new(strategy).wait(&mut silence, None);
            assert!(matches!(end, WaitEnd::Reason(())), "{strategy:?}");
            assert_eq!(silence.examined, 2, "{strategy:?}");
            let parks = matches!(strategy, WaitStrategy::Block | WaitStrategy::Adaptive);
            assert_eq!(silence.parked > 0, parks, "{strategy:?}");
        }
    }

    #[test]
    fn every_strategy_ends_at_the_deadline() {
        for strategy in [WaitStrategy::BusySpin, WaitStrategy::Sleep(Duration::from_secs(5)), WaitStrategy::Adaptive] {
            let deadline = Instant::now() + Duration::from_millis(3);
            let end = Waiter::new(strategy).wait(&mut Silence { examined: 0, parked: 0 }, Some(deadline));
            assert!(matches!(end, WaitEnd::TimedOut), "{strategy:?}");
        }
    }
}
