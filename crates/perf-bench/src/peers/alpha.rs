//! `disruptor-mp` 0.1.0-alpha.2, as it is published: a ring of cursors in shared memory.
//!
//! **Lives here:** [`AlphaRing`]. **Builds on:** its public interface, with its defaults. **May touch it:**
//! `ring::event_ring` lists it.

use std::time::Duration;

use alpha::{CoordinationMode, SharedConsumer, SharedProducer, attach_shared_consumer, build_shared_single_producer};

use crate::ring::event_ring::{EventRing, Publishing, Reading};
use crate::side::{Side, Stop};

/// An event as it wants them. All words are written and read, as those of ours are.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Message<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Default for Message<WORDS> {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

impl<const WORDS: usize> Message<WORDS> {
    #[inline(always)]
    fn sum(&self) -> u64 {
        self.0.iter().fold(0, |sum, word| sum.wrapping_add(*word))
    }
}

/// Its convention for the ids of consumers: a prefix that the producer knows, and a number.
const CONSUMER_PREFIX: &str = "cp";
const CONSUMER_ID: &str = "cp_0";

/// What its calls may take that wait for the other side.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

fn failed(error: alpha::MultiProcessError) -> Stop {
    Stop::Failed(error.to_string())
}

/// The ring.
pub(crate) enum AlphaRing {}

impl EventRing for AlphaRing {
    const READS_ON: bool = true;

    type Producer<const WORDS: usize> = SharedProducer<Message<WORDS>>;
    type Consumer<const WORDS: usize> = SharedConsumer<Message<WORDS>>;

    /// Sides meet by our rendezvous: its own coordination writes to standard output.
    fn create<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<Self::Producer<WORDS>, Stop> {
        build_shared_single_producer::<Message<WORDS>>(&side.segment(index), slots)
            .discover_consumer_with_prefix(1, CONSUMER_PREFIX)
            .with_coordination(CoordinationMode::Immediate)
            .build_producer(Message::default)
            .map_err(failed)
    }

    fn attach<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<Self::Consumer<WORDS>, Stop> {
        attach_shared_consumer::<Message<WORDS>>(&side.segment(index), slots)
            .with_consumer_id(CONSUMER_ID)
            .build_consumer()
            .map_err(failed)
    }
}

impl<const WORDS: usize> Publishing for SharedProducer<Message<WORDS>> {
    /// Makes the producer aware of its consumer; before that it would overwrite what has not been read.
    fn join(&mut self) -> Result<(), Stop> {
        if self.wait_for_consumer_id(CONSUMER_ID, JOIN_TIMEOUT) {
            Ok(())
        } else {
            Err(Stop::Failed(format!("alpha's producer found no consumer within {JOIN_TIMEOUT:?}")))
        }
    }

    #[inline(always)]
    fn publish(&mut self, number: u64) -> Result<(), Stop> {
        SharedProducer::publish(self, |message| message.0.fill(number));
        Ok(())
    }

    #[inline(always)]
    fn publish_batch(&mut self, count: usize, first: u64) -> Result<(), Stop> {
        // It says when there is no room, and does not wait.
        while self.batch_publish(count, |message, index| message.0.fill(first + index as u64)).is_err() {}
        Ok(())
    }
}

impl<const WORDS: usize> Reading for SharedConsumer<Message<WORDS>> {
    #[inline(always)]
    fn read(&mut self) -> Result<(u64, u64), Stop> {
        let message = self.consume_next_leased();
        Ok((message.0[0], message.sum()))
    }

    #[inline(always)]
    fn read_some(&mut self, _max: usize) -> Option<(usize, u64)> {
        let mut total = 0_u64;
        let count = self.process_available(|message, _| total = total.wrapping_add(message.sum()));
        (count > 0).then_some((count, total))
    }
}
