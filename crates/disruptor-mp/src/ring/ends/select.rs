//! Waits for several consumers of any layer at once.
//!
//! For every consumer it does what that consumer does when it parks: it announces itself at the ring's bell, passes the
//! barrier, looks again, and only then sleeps. One thread can sleep at a limited number of bells; threads of the
//! watcher sleep at the others. Source: RFC 0004, "Select".

use super::consumer_face::HasConsumer;
use super::error::ConsumeError;
use super::patience::Patience;
use super::sleeper::{OWN_MAX, Sleeper};
use crate::ring::protocol::memory::Memory;
use crate::segment::Fate;
#[cfg(target_os = "linux")]
use crate::segment::Segment;
use crate::sync::several::{Rung, announce_at};
use crate::sync::wait::{Awaited, SLICE_WITHOUT_BARRIER, WaitStrategy, Waiter, spin_first};
#[cfg(target_os = "linux")]
use crate::sync::watched::Post;
use std::fmt;
use std::time::{Duration, Instant};

/// Waits for several consumers at once, of any layers and of any number of rings, until the first of them has
/// something to read or has ended.
///
/// It belongs to one thread. Each call can be for other consumers. From call to call it keeps only whose turn it is. It
/// waits with the strategy of the first of the consumers. For up to 127 consumers the caller's thread sleeps itself;
/// for each further 127, a thread of this process sleeps for it. On Linux before 5.16, or where `futex_waitv` is
/// filtered out, it looks once a millisecond.
///
/// ```
/// use disruptor_mp::{Patience, Select, SharedDisruptorBuilder, attach_shared_consumer, build_shared_single_producer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let (steps, urgent) = (disruptor_mp::Place::heap(), disruptor_mp::Place::heap());
/// # let mut sender = build_shared_single_producer::<u64>(&steps, 8).build_producer(|| 0)?;
/// # let mut canceller = SharedDisruptorBuilder::records(&urgent, 4096).build_record_producer()?;
/// let mut steps = attach_shared_consumer::<u64>(&steps, 8).build_consumer()?;
/// let mut urgent = SharedDisruptorBuilder::records(&urgent, 0).build_record_consumer()?;
/// # sender.publish(|step| *step = 7)?;
/// # canceller.publish(b"cancel", 0, 0, Patience::Now)?;
/// # drop(sender);
/// let mut select = Select::new();
/// # let (mut step_count, mut cancelled) = (0, false);
/// 'ends: loop {
///     for ready in select.wait(&mut [&mut steps, &mut urgent], Patience::Endless) {
///         match (ready.index, ready.outcome) {
///             (_, Err(end)) if end.is_closed() => break 'ends,
///             (_, Err(error)) => return Err(error.into()),
///             // One call, or `process_available`, which takes everything. A loop of `next` would reach the end.
///             (0, Ok(())) => if let Some(step) = steps.next(Patience::Now)? {
///                 // ...
/// #               step_count += 1;
///             },
///             (_, Ok(())) => if let Some(message) = urgent.next(Patience::Now)? {
///                 // ...
/// #               cancelled = &message[..] == b"cancel";
///             },
///         }
///     }
/// }
/// # assert!(cancelled && step_count == 1);
/// # Ok(())
/// # }
/// ```
pub struct Select {
    /// What it has learned about the traffic, and the strategy with which it did.
    waiter: Option<Waiter>,
    /// The consumer with which the next look begins.
    turn: usize,
    sleeper: Sleeper,
}

/// A consumer that a [`Select`] found ready. [`Select`] has the example.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ready {
    /// Its index in the slice of consumers.
    pub index: usize,
    /// `Ok`: there is something to read, and the consumer's own call finds it with [`Patience::Now`]. Otherwise why
    /// there is nothing. If it is the end of the ring, every further call reports it again, so leave the consumer out
    /// from then on. If it is no end (see [`is_end`](ConsumeError::is_end)), it is reported once.
    pub outcome: Result<(), ConsumeError>,
}

/// What a [`Select`] can wait for: a consumer of any layer. A type of yours that wraps a consumer returns that
/// consumer's source.
///
/// ```
/// use disruptor_mp::{Patience, Select, Selectable, SharedConsumer, Source};
///
/// struct Worker {
///     steps: SharedConsumer<u64>,
/// }
///
/// impl Selectable for Worker {
///     fn source(&mut self) -> Source<'_> {
///         self.steps.source()
///     }
/// }
/// # let place = disruptor_mp::Place::heap();
/// # let mut producer = disruptor_mp::SharedProducer::create(&place, 8, || 0_u64)?;
/// # let mut worker = Worker { steps: SharedConsumer::attach(&place, 8, "w")? };
/// # producer.publish(|slot| *slot = 7)?;
/// # assert!(Select::new().wait(&mut [&mut worker], Patience::Endless)[0].outcome.is_ok());
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub trait Selectable {
    /// The consumer that it reads from.
    fn source(&mut self) -> Source<'_>;
}

impl<C: HasConsumer> Selectable for C {
    fn source(&mut self) -> Source<'_> {
        Source(self)
    }
}

/// A consumer, lent to a [`Select`].
pub struct Source<'a>(pub(super) &'a mut dyn Waitable);

impl fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").finish_non_exhaustive()
    }
}

impl fmt::Debug for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Select").field("turn", &self.turn).finish_non_exhaustive()
    }
}

/// A consumer as a wait for several sees it.
pub(super) trait Waitable {
    /// Whether there is something for the consumer to hand out, or why there is not; `None`: there is nothing yet.
    /// Makes no system call.
    fn look(&mut self) -> Option<Result<(), ConsumeError>>;

    /// Why there will be nothing, after a look has found nothing, if the ring or the kernel tells.
    fn end_of_wait(&mut self, waited: Duration) -> Option<ConsumeError>;

    /// Why nothing is handed out, if that is because of what the consumer holds.
    fn held_limit(&self, waited: Duration) -> Option<ConsumeError>;

    /// Whether the ring says that it has ended. Costs nothing.
    fn is_ended(&self) -> bool;

    /// The bell that is rung when something is published, and the word in which its ringer says how it announces.
    fn bell(&self) -> Rung<'_>;

    fn count_park(&self);

    fn strategy(&self) -> WaitStrategy;

    /// The position that is read next.
    #[cfg(target_os = "linux")]
    fn position(&self) -> i64;

    #[cfg(target_os = "linux")]
    fn segment(&self) -> &Segment;

    /// For another thread that waits for it.
    #[cfg(target_os = "linux")]
    fn post(&self) -> Box<dyn Post>;
}

impl<C: HasConsumer> Waitable for C {
    fn look(&mut self) -> Option<Result<(), ConsumeError>> {
        match self.wait_for_next(Patience::Now) {
            // At the held limit there is nothing yet, either: the bell is rung when the oldest is released.
            Err(error) if error.is_timed_out() => None,
            answer => Some(answer),
        }
    }

    fn end_of_wait(&mut self, waited: Duration) -> Option<ConsumeError> {
        let side = &mut self.base_mut().0.side;
        side.is_made_by_panic &= std::thread::panicking();
        side.end_of_ring(waited)
    }

    fn held_limit(&self, waited: Duration) -> Option<ConsumeError> {
        self.base().side.held_limit(waited)
    }

    fn is_ended(&self) -> bool {
        let side = &self.base().side;
        side.core.is_over() || side.segment().fate() != Fate::Live
    }

    fn bell(&self) -> Rung<'_> {
        let control = self.base().side.core.memory().control();
        (&control.readers.0, &control.gate.announce)
    }

    fn count_park(&self) {
        self.base().side.counters.parks.inc();
    }

    fn strategy(&self) -> WaitStrategy {
        self.base().wait_strategy()
    }

    #[cfg(target_os = "linux")]
    fn position(&self) -> i64 {
        self.base().side.core.next()
    }

    #[cfg(target_os = "linux")]
    fn segment(&self) -> &Segment {
        self.base().side.segment()
    }

    #[cfg(target_os = "linux")]
    fn post(&self) -> Box<dyn Post> {
        Box::new(std::sync::Arc::clone(&self.base().side.keeper))
    }
}

impl Select {
    /// A `Select` that has not waited yet.
    pub fn new() -> Self {
        Self { waiter: None, turn: 0, sleeper: Sleeper::new(true) }
    }

    /// Waits as long as `patience` says until at least one of `consumers` has something to read, or has come to the end
    /// of its ring, and returns which. The result is empty when the patience runs out, and at once if there are no
    /// consumers. A consumer at the held limit is waited for like one that has nothing to read. When the patience runs
    /// out, it is returned with [`HeldLimit`](ConsumeError::HeldLimit).
    ///
    /// Nothing is taken: a consumer from which not everything was read is returned again by the next call. One call of
    /// `next` or `process_available` for each ready consumer is enough. A loop of `next` must expect the end of the
    /// ring, which is an error also with [`Patience::Now`]; the next call of this returns it as well. All ready
    /// consumers are returned, each once. The first of them is the next one after the one that the last call returned
    /// first. So no consumer waits because others always have something, even if only the first is served. A death is
    /// reported within 100 ms.
    pub fn wait(&mut self, consumers: &mut [&mut dyn Selectable], patience: impl Into<Patience>) -> Vec<Ready> {
        let mut sources: Vec<_> = consumers.iter_mut().map(|consumer| consumer.source()).collect();
        let Some(first) = sources.first() else { return vec![] };
        let strategy = first.0.strategy();
        let turn = self.turn % sources.len();
        let mut wait = SelectWait {
            turn,
            sources: &mut sources,
            sleeper: &mut self.sleeper,
            since: Instant::now(),
            found: vec![],
        };
        let patience = patience.into();
        if !wait.is_ready() && patience != Patience::Now {
            let (is_ready, _) = spin_first(|| wait.is_ready());
            if !is_ready {
                let waiter = self.waiter.take().filter(|waiter| waiter.strategy() == strategy);
                let waiter = self.waiter.insert(waiter.unwrap_or_else(|| Waiter::new(strategy)));
                waiter.wait(&mut wait, patience.deadline());
            }
        }
        if wait.found.is_empty() {
            let waited = if patience == Patience::Now { Duration::ZERO } else { wait.since.elapsed() };
            wait.note(|consumer| consumer.held_limit(waited).map(Err));
        }
        let found = wait.found;
        if let Some(first) = found.first() {
            self.turn = first.index + 1;
        }
        found
    }
}

impl Default for Select {
    fn default() -> Self {
        Self::new()
    }
}

struct SelectWait<'a, 'b> {
    /// The consumer with which each look begins.
    turn: usize,
    sources: &'a mut [Source<'b>],
    sleeper: &'a mut Sleeper,
    since: Instant,
    found: Vec<Ready>,
}

impl SelectWait<'_, '_> {
    /// Notes every consumer for which `answer` returns something, in the order of their turns. Returns whether there is
    /// one.
    fn note(&mut self, mut answer: impl FnMut(&mut dyn Waitable) -> Option<Result<(), ConsumeError>>) -> bool {
        let (before, from) = self.sources.split_at_mut(self.turn);
        let from = from.iter_mut().zip(self.turn..);
        for (source, index) in from.chain(before.iter_mut().zip(0..)) {
            if let Some(outcome) = answer(&mut *source.0) {
                self.found.push(Ready { index, outcome });
            }
        }
        !self.found.is_empty()
    }
}

impl Awaited for SelectWait<'_, '_> {
    type Reason = ();

    fn is_ready(&mut self) -> bool {
        // Some ends are reported once, so what was found is kept.
        !self.found.is_empty() || self.note(|consumer| consumer.look())
    }

    fn is_ended(&mut self) -> bool {
        self.sources.iter().any(|source| source.0.is_ended())
    }

    fn examine(&mut self) -> Option<()> {
        let waited = self.since.elapsed();
        let has_end = self.note(|consumer| match consumer.end_of_wait(waited) {
            Some(damage @ ConsumeError::Damaged { .. }) => Some(Err(damage)),
            // What was published before the end comes first.
            Some(end) => consumer.look().or(Some(Err(end))),
            None => None,
        });
        has_end.then_some(())
    }

    fn park(&mut self, slice: Duration) {
        let (own, beyond) = self.sources.split_at(self.sources.len().min(OWN_MAX));
        let is_watched = self.sleeper.watch(beyond);
        let call = self.sleeper.bell.announce();
        let (tickets, barrier) = announce_at(own.iter().map(|source| source.0.bell()));
        if self.is_ready() || self.is_ended() {
            return;
        }
        let own = &self.sources[..tickets.len()];
        own.iter().for_each(|source| source.0.count_park());
        let bells = own.iter().map(|source| source.0.bell().0).zip(tickets).collect();
        let slice = if barrier && is_watched { slice } else { slice.min(SLICE_WITHOUT_BARRIER) };
        self.sleeper.sleep(call, bells, slice);
    }

    fn count_spins(&mut self, _: u64) {}
}

// Miri has no wait for several words.
#[cfg(all(test, target_os = "linux", not(miri)))]
mod tests {
    use super::*;
    use crate::{Place, SharedConsumer, SharedProducer, attach_shared_consumer, build_shared_single_producer};
    use testkit::watchdog::Watchdog;

    const LIMIT: Duration = Duration::from_secs(60);

    fn ring() -> (SharedProducer<u64>, SharedConsumer<u64>) {
        let place = Place::heap();
        let producer = build_shared_single_producer::<u64>(&place, 4).build_producer(|| 0).unwrap();
        (producer, attach_shared_consumer::<u64>(&place, 4).build_consumer().unwrap())
    }

    /// Runs rounds of one event each, in different rings; for each event the reader sleeps at most `slice` at a time.
    fn rounds(mut sleeper: Sleeper, rings: usize, rounds: u64, slice: Duration) {
        let (mut producers, mut consumers): (Vec<_>, Vec<_>) = (0..rings).map(|_| ring()).unzip();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for round in 0..rounds {
                    // Sometimes before, sometimes while and sometimes after the other side prepares to sleep.
                    (0..round * 37 % 3000).for_each(|_| std::hint::spin_loop());
                    let producer = &mut producers[round as usize * 7 % rings];
                    let sequence = producer.publish(|event| *event = round).unwrap();
                    while !producer.is_consumed(sequence) {
                        std::thread::yield_now();
                    }
                }
            });
            for round in 0..rounds {
                let mut sources: Vec<_> = consumers.iter_mut().map(Selectable::source).collect();
                let since = Instant::now();
                let mut wait =
                    SelectWait { turn: 0, sources: &mut sources, sleeper: &mut sleeper, since, found: vec![] };
                while !wait.is_ready() {
                    wait.park(slice);
                }
                let Ready { index, outcome } = wait.found.remove(0);
                outcome.unwrap();
                assert_eq!(*consumers[index].next(Patience::Now).unwrap().unwrap(), round);
            }
        });
    }

    #[test]
    fn no_ring_is_lost_however_long_it_sleeps() {
        let _watchdog = Watchdog::new(LIMIT, "a select that lost a ring");
        rounds(Sleeper::new(true), 3, 5_000, Duration::from_secs(3600));
    }

    #[test]
    fn no_ring_is_lost_of_those_for_which_another_thread_sleeps() {
        let _watchdog = Watchdog::new(LIMIT, "a select that lost a ring of another thread's");
        rounds(Sleeper::new(true), OWN_MAX + 30, 1_000, Duration::from_secs(3600));
    }

    #[test]
    fn where_the_kernel_cannot_wait_for_several_words_it_looks_often() {
        let _watchdog = Watchdog::new(LIMIT, "a select that polls");
        rounds(Sleeper::new(false), 3, 50, Duration::from_secs(3600));
    }
}
