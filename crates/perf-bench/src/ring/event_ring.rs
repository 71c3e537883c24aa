//! A ring of events as the measurements see it: ours, or another library's.

use std::marker::PhantomData;

use disruptor_mp::{
    Dense, SharedConsumer, SharedProducer, SlotForm, Stamped, attach_shared_consumer, build_shared_single_producer,
};
use serde::{Deserialize, Serialize};

use super::Message;
use crate::side::{Side, Stop};
use crate::workload::payload::Seen;
use crate::workload::waiting::Waiting;

/// Which library's ring is measured, in a form that can be passed to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whose {
    Ours,
    /// Ours, in dense slots.
    Dense,
    #[cfg(feature = "peers")]
    Alpha,
    #[cfg(feature = "peers")]
    CrossbarBus,
}

impl Whose {
    /// Whether it is ours, in whichever form.
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::Dense)
    }

    /// Whether it can publish several events together.
    pub(crate) fn has_batches(self) -> bool {
        match self {
            Self::Ours | Self::Dense => true,
            #[cfg(feature = "peers")]
            Self::Alpha => true,
            #[cfg(feature = "peers")]
            Self::CrossbarBus => false,
        }
    }
}

/// A ring as it is measured: which one, how large, and what is at its ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Ring {
    pub(crate) whose: Whose,
    pub(crate) payload_bytes: usize,
    pub(crate) slots: usize,
    /// How our ends wait; those of others spin.
    pub(crate) waiting: Waiting,
    /// Consumers that each see every event.
    pub(crate) consumers: usize,
}

impl Ring {
    /// Of ends that spin, and with one consumer.
    pub(crate) fn new(whose: Whose, payload_bytes: usize, slots: usize) -> Self {
        Self { whose, payload_bytes, slots, waiting: Waiting::Spin, consumers: 1 }
    }
}

/// Evaluates an expression with `$ring` as the name of the type that a ring's [`Whose`] stands for, and `$words` as
/// that of the number of words of its events.
macro_rules! with_ring {
    ($of:expr, $ring:ident, $words:ident => $result:expr) => {
        match $of.whose {
            $crate::ring::event_ring::Whose::Ours => {
                type $ring = $crate::ring::event_ring::Ours<disruptor_mp::Stamped>;
                $crate::ring::with_words!($of.payload_bytes, $words => $result)
            }
            $crate::ring::event_ring::Whose::Dense => {
                type $ring = $crate::ring::event_ring::Ours<disruptor_mp::Dense>;
                $crate::ring::with_words!($of.payload_bytes, $words => $result)
            }
            #[cfg(feature = "peers")]
            $crate::ring::event_ring::Whose::Alpha => {
                type $ring = $crate::peers::alpha::AlphaRing;
                $crate::ring::with_words!($of.payload_bytes, $words => $result)
            }
            #[cfg(feature = "peers")]
            $crate::ring::event_ring::Whose::CrossbarBus => {
                type $ring = $crate::peers::crossbar_bus::BusRing;
                // It loads and stores whole values: the compiler crashes on long ones.
                $crate::ring::with_words!($of.payload_bytes, $words => $result, 64, 256)
            }
        }
    };
}
pub(crate) use with_ring;

/// A ring of events of `WORDS` words from one process to one other, which has one consumer or several. It is made in
/// three steps, between which the sides meet: [`create`](Self::create), [`attach`](Self::attach), [`Publishing::join`].
pub(crate) trait EventRing {
    /// Whether one call of [`Reading::read_some`] reads on as long as events come, perhaps to the end of the run: its
    /// time is then taken from the start of both sides, and not from the first event.
    const READS_ON: bool = false;

    type Producer<const WORDS: usize>: Publishing<WORDS>;
    type Consumer<const WORDS: usize>: Reading;

    /// Creates segment `index` of the measurement.
    ///
    /// # Errors
    /// See [`Stop`].
    fn create<const WORDS: usize>(side: &Side, of: &Ring, index: usize) -> Result<Self::Producer<WORDS>, Stop>;

    /// Attaches consumer `consumer` to segment `index`, which the other side has created before the last rendezvous.
    ///
    /// # Errors
    /// See [`Stop`].
    fn attach<const WORDS: usize>(
        side: &Side,
        of: &Ring,
        index: usize,
        consumer: usize,
    ) -> Result<Self::Consumer<WORDS>, Stop>;
}

/// The end that events go into. It waits while there is no room.
pub(crate) trait Publishing<const WORDS: usize> {
    /// All consumers have attached, and a producer that has to look for them does so now.
    ///
    /// # Errors
    /// When one is not found.
    fn join(&mut self, _of: &Ring) -> Result<(), Stop> {
        Ok(())
    }

    /// Publishes a copy of an event.
    ///
    /// # Errors
    /// See [`Stop`].
    fn publish(&mut self, event: &[u64; WORDS]) -> Result<(), Stop>;

    /// Publishes copies of `count` events together, where the ring can do that.
    ///
    /// # Errors
    /// See [`Stop`].
    fn publish_batch<'e>(&mut self, count: usize, event: impl Fn(usize) -> &'e [u64; WORDS]) -> Result<(), Stop>;
}

/// The end that events come out of. It reads every word.
pub(crate) trait Reading {
    /// Waits for an event.
    ///
    /// # Errors
    /// See [`Stop`].
    fn read(&mut self) -> Result<Seen, Stop>;

    /// Reads what is there, at most `max` events if the ring can limit it: returns how many those were, and the sum of
    /// their words. `None`: there was nothing.
    fn read_some(&mut self, max: usize) -> Option<(usize, u64)>;
}

/// Our own ring, in that form.
pub(crate) struct Ours<F>(PhantomData<F>);

impl EventRing for Ours<Stamped> {
    type Producer<const WORDS: usize> = SharedProducer<Message<WORDS>>;
    type Consumer<const WORDS: usize> = SharedConsumer<Message<WORDS>>;

    fn create<const WORDS: usize>(side: &Side, of: &Ring, index: usize) -> Result<Self::Producer<WORDS>, Stop> {
        let builder = build_shared_single_producer(side.segment(index), of.slots).create();
        Ok(builder.with_wait_strategy(of.waiting.strategy()).build_producer(|| [0; WORDS])?)
    }

    fn attach<const WORDS: usize>(
        side: &Side,
        of: &Ring,
        index: usize,
        _consumer: usize,
    ) -> Result<Self::Consumer<WORDS>, Stop> {
        let builder = attach_shared_consumer(side.segment(index), 0);
        Ok(builder.with_wait_strategy(of.waiting.strategy()).build_consumer()?)
    }
}

impl EventRing for Ours<Dense> {
    type Producer<const WORDS: usize> = SharedProducer<Message<WORDS>, Dense>;
    type Consumer<const WORDS: usize> = SharedConsumer<Message<WORDS>, Dense>;

    fn create<const WORDS: usize>(side: &Side, of: &Ring, index: usize) -> Result<Self::Producer<WORDS>, Stop> {
        let builder = build_shared_single_producer(side.segment(index), of.slots).create().dense();
        Ok(builder.with_wait_strategy(of.waiting.strategy()).build_producer(|| [0; WORDS])?)
    }

    fn attach<const WORDS: usize>(
        side: &Side,
        of: &Ring,
        index: usize,
        _consumer: usize,
    ) -> Result<Self::Consumer<WORDS>, Stop> {
        let builder = attach_shared_consumer(side.segment(index), 0).dense();
        Ok(builder.with_wait_strategy(of.waiting.strategy()).build_consumer()?)
    }
}

impl<F: SlotForm, const WORDS: usize> Publishing<WORDS> for SharedProducer<Message<WORDS>, F> {
    #[inline(always)]
    fn publish(&mut self, event: &[u64; WORDS]) -> Result<(), Stop> {
        SharedProducer::publish(self, |place| place.copy_from_slice(event))?;
        Ok(())
    }

    #[inline(always)]
    fn publish_batch<'e>(&mut self, count: usize, event: impl Fn(usize) -> &'e [u64; WORDS]) -> Result<(), Stop> {
        SharedProducer::publish_batch(self, count, |place, index| place.copy_from_slice(event(index)))?;
        Ok(())
    }
}

impl<F: SlotForm, const WORDS: usize> Reading for SharedConsumer<Message<WORDS>, F> {
    #[inline(always)]
    fn read(&mut self) -> Result<Seen, Stop> {
        Ok(Seen::of_words(&*self.consume_next_leased()?))
    }

    #[inline(always)]
    fn read_some(&mut self, max: usize) -> Option<(usize, u64)> {
        let lease = self.try_consume_batch_leased(max)?;
        let total = lease.iter().fold(0_u64, |total, event| total.wrapping_add(Seen::of_words(event).sum));
        Some((lease.len(), total))
    }
}
