//! `disruptor-mp` 0.1.0-alpha.2, as it is published: a ring of cursors in shared memory.

use std::time::Duration;

use alpha::{CoordinationMode, SharedConsumer, SharedProducer, attach_shared_consumer, build_shared_single_producer};

use crate::ring::event_ring::{EventRing, Publishing, Reading, Ring};
use crate::side::{Side, Stop};
use crate::workload::payload::Seen;

/// An event as it wants them.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct Message<const WORDS: usize>([u64; WORDS]);

impl<const WORDS: usize> Default for Message<WORDS> {
    fn default() -> Self {
        Self([0; WORDS])
    }
}

/// Its convention for the ids of consumers: a prefix that the producer knows, and a number.
const CONSUMER_PREFIX: &str = "cp";

fn consumer_id(consumer: usize) -> String {
    format!("{CONSUMER_PREFIX}_{consumer}")
}

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
    fn create<const WORDS: usize>(side: &Side, of: &Ring, index: usize) -> Result<Self::Producer<WORDS>, Stop> {
        build_shared_single_producer::<Message<WORDS>>(&side.segment(index), of.slots)
            .discover_consumer_with_prefix(of.consumers, CONSUMER_PREFIX)
            .with_coordination(CoordinationMode::Immediate)
            .build_producer(Message::default)
            .map_err(failed)
    }

    fn attach<const WORDS: usize>(
        side: &Side,
        of: &Ring,
        index: usize,
        consumer: usize,
    ) -> Result<Self::Consumer<WORDS>, Stop> {
        attach_shared_consumer::<Message<WORDS>>(&side.segment(index), of.slots)
            .with_consumer_id(&consumer_id(consumer))
            .build_consumer()
            .map_err(failed)
    }
}

impl<const WORDS: usize> Publishing<WORDS> for SharedProducer<Message<WORDS>> {
    /// Makes the producer aware of its consumers; before that it would overwrite unread events.
    fn join(&mut self, of: &Ring) -> Result<(), Stop> {
        for consumer in 0..of.consumers {
            if !self.wait_for_consumer_id(&consumer_id(consumer), JOIN_TIMEOUT) {
                let reason = format!("alpha's producer did not find consumer {consumer} within {JOIN_TIMEOUT:?}");
                return Err(Stop::Failed(reason));
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn publish(&mut self, event: &[u64; WORDS]) -> Result<(), Stop> {
        SharedProducer::publish(self, |place| place.0.copy_from_slice(event));
        Ok(())
    }

    #[inline(always)]
    fn publish_batch<'e>(&mut self, count: usize, event: impl Fn(usize) -> &'e [u64; WORDS]) -> Result<(), Stop> {
        // It returns when there is no room, and does not wait.
        while self.batch_publish(count, |place, index| place.0.copy_from_slice(event(index))).is_err() {}
        Ok(())
    }
}

impl<const WORDS: usize> Reading for SharedConsumer<Message<WORDS>> {
    #[inline(always)]
    fn read(&mut self) -> Result<Seen, Stop> {
        Ok(Seen::of_words(&self.consume_next_leased().0))
    }

    #[inline(always)]
    fn read_some(&mut self, _max: usize) -> Option<(usize, u64)> {
        let mut total = 0_u64;
        let count = self.process_available(|event, _| total = total.wrapping_add(Seen::of_words(&event.0).sum));
        (count > 0).then_some((count, total))
    }
}
