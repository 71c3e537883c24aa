//! A ring of events as the measurements see it: ours, or another's.
//!
//! **Lives here:** [`EventRing`] with its two ends, [`Publishing`] and [`Reading`]; [`Whose`], the list of rings.
//! **Builds on:** `side`. **May touch it:** a ring implements the three traits, `ping_pong` and `throughput` call them.

use std::marker::PhantomData;

use disruptor_mp::{
    Dense, SharedConsumer, SharedProducer, SlotForm, Stamped, WaitStrategy, attach_shared_consumer,
    build_shared_single_producer,
};
use serde::{Deserialize, Serialize};

use super::{Message, attach, create, fill, sum};
use crate::side::{Side, Stop};

/// Whose ring is measured, in a form that can be handed to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Whose {
    Ours,
    /// Ours, in dense slots.
    Dense,
    #[cfg(feature = "peers")]
    Alpha,
}

/// Evaluates an expression with `$ring` as the name of the type that a [`Whose`] stands for.
macro_rules! with_ring {
    ($whose:expr, $ring:ident => $result:expr) => {
        match $whose {
            $crate::ring::event_ring::Whose::Ours => {
                type $ring = $crate::ring::event_ring::Ours<disruptor_mp::Stamped>;
                $result
            }
            $crate::ring::event_ring::Whose::Dense => {
                type $ring = $crate::ring::event_ring::Ours<disruptor_mp::Dense>;
                $result
            }
            #[cfg(feature = "peers")]
            $crate::ring::event_ring::Whose::Alpha => {
                type $ring = $crate::peers::alpha::AlphaRing;
                $result
            }
        }
    };
}
pub(crate) use with_ring;

/// A ring of events of `WORDS` words between one process and one other. It is made in three steps, between which the
/// sides meet: [`create`](Self::create), [`attach`](Self::attach), [`Publishing::join`].
pub(crate) trait EventRing {
    /// Whether one call of [`Reading::read_some`] reads on as long as events come, perhaps to the end of the run: its
    /// time is then taken from the start of both sides, and not from the first event.
    const READS_ON: bool = false;

    type Producer<const WORDS: usize>: Publishing;
    type Consumer<const WORDS: usize>: Reading;

    /// Creates segment `index` of the measurement, with `slots` slots.
    ///
    /// # Errors
    /// See [`Stop`].
    fn create<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<Self::Producer<WORDS>, Stop>;

    /// Attaches to segment `index`, which the other side has created before the last rendezvous.
    ///
    /// # Errors
    /// See [`Stop`].
    fn attach<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<Self::Consumer<WORDS>, Stop>;
}

/// The end that events go into. It spins while there is no room.
pub(crate) trait Publishing {
    /// The consumer has attached, and a producer that has to look for it does so now.
    ///
    /// # Errors
    /// When it is not found.
    fn join(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// Publishes an event, every word of which is `number`.
    ///
    /// # Errors
    /// See [`Stop`].
    fn publish(&mut self, number: u64) -> Result<(), Stop>;

    /// Publishes `count` events together, with the numbers from `first` on.
    ///
    /// # Errors
    /// See [`Stop`].
    fn publish_batch(&mut self, count: usize, first: u64) -> Result<(), Stop>;
}

/// The end that events come out of. It spins, and reads every word.
pub(crate) trait Reading {
    /// Waits for an event, and returns its first word and the sum of all.
    ///
    /// # Errors
    /// See [`Stop`].
    fn read(&mut self) -> Result<(u64, u64), Stop>;

    /// Reads what is there, `max` events at the most for one that can be told so: how many those were, and the sum of
    /// their words. `None`: there was nothing.
    fn read_some(&mut self, max: usize) -> Option<(usize, u64)>;
}

/// Our own ring, in that form.
pub(crate) struct Ours<F>(PhantomData<F>);

impl EventRing for Ours<Stamped> {
    type Producer<const WORDS: usize> = SharedProducer<Message<WORDS>>;
    type Consumer<const WORDS: usize> = SharedConsumer<Message<WORDS>>;

    fn create<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<Self::Producer<WORDS>, Stop> {
        create(side, index, slots)
    }

    fn attach<const WORDS: usize>(side: &Side, index: usize, _slots: usize) -> Result<Self::Consumer<WORDS>, Stop> {
        attach(side, index, WaitStrategy::BusySpin)
    }
}

impl EventRing for Ours<Dense> {
    type Producer<const WORDS: usize> = SharedProducer<Message<WORDS>, Dense>;
    type Consumer<const WORDS: usize> = SharedConsumer<Message<WORDS>, Dense>;

    fn create<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<Self::Producer<WORDS>, Stop> {
        let builder = build_shared_single_producer(side.segment(index), slots).create().dense();
        Ok(builder.with_wait_strategy(WaitStrategy::BusySpin).build_producer(|| [0; WORDS])?)
    }

    fn attach<const WORDS: usize>(side: &Side, index: usize, _slots: usize) -> Result<Self::Consumer<WORDS>, Stop> {
        let builder = attach_shared_consumer(side.segment(index), 0).dense();
        Ok(builder.with_wait_strategy(WaitStrategy::BusySpin).build_consumer()?)
    }
}

impl<F: SlotForm, const WORDS: usize> Publishing for SharedProducer<Message<WORDS>, F> {
    #[inline(always)]
    fn publish(&mut self, number: u64) -> Result<(), Stop> {
        SharedProducer::publish(self, |message| fill(message, number))?;
        Ok(())
    }

    #[inline(always)]
    fn publish_batch(&mut self, count: usize, first: u64) -> Result<(), Stop> {
        SharedProducer::publish_batch(self, count, |message, index| fill(message, first + index as u64))?;
        Ok(())
    }
}

impl<F: SlotForm, const WORDS: usize> Reading for SharedConsumer<Message<WORDS>, F> {
    #[inline(always)]
    fn read(&mut self) -> Result<(u64, u64), Stop> {
        let message = self.consume_next_leased()?;
        Ok((message[0], sum(&message)))
    }

    #[inline(always)]
    fn read_some(&mut self, max: usize) -> Option<(usize, u64)> {
        let lease = self.try_consume_batch_leased(max)?;
        let total = lease.iter().fold(0_u64, |total, message| total.wrapping_add(sum(message)));
        Some((lease.len(), total))
    }
}
