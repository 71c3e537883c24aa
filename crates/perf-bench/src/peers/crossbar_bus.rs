//! crossbar 1.2.0: its bus for plain values, a ring with a stamp in each slot.
//!
//! It is made `bounded`: the publisher waits for the slowest subscriber, so that nothing is lost. Values go in and come
//! out by value; there are no batches.

use crossbar::error::Error;
use crossbar::{BusSubscriber, PodBus};

use crate::ring::event_ring::{EventRing, Publishing, Reading, Ring};
use crate::side::{Side, Stop};
use crate::workload::payload::Seen;

/// The ring.
pub(crate) enum BusRing {}

/// An event as the bus wants it.
type Value<const WORDS: usize> = [u64; WORDS];

fn unavailable(error: Error) -> Stop {
    Stop::Unavailable(error.to_string())
}

/// The distance that the publisher keeps from the slowest subscriber: the smallest possible.
const WATERMARK: usize = 0;

impl EventRing for BusRing {
    type Producer<const WORDS: usize> = PodBus<Value<WORDS>>;
    type Consumer<const WORDS: usize> = BusSubscriber<Value<WORDS>>;

    fn create<const WORDS: usize>(side: &Side, of: &Ring, index: usize) -> Result<Self::Producer<WORDS>, Stop> {
        PodBus::create_bounded(&side.segment(index), of.slots, WATERMARK).map_err(unavailable)
    }

    fn attach<const WORDS: usize>(
        side: &Side,
        _: &Ring,
        index: usize,
        _: usize,
    ) -> Result<Self::Consumer<WORDS>, Stop> {
        BusSubscriber::connect(&side.segment(index)).map_err(unavailable)
    }
}

impl<const WORDS: usize> Publishing<WORDS> for PodBus<Value<WORDS>> {
    #[inline(always)]
    fn publish(&mut self, event: &[u64; WORDS]) -> Result<(), Stop> {
        PodBus::publish(self, *event);
        Ok(())
    }

    #[inline(always)]
    fn publish_batch<'e>(&mut self, count: usize, event: impl Fn(usize) -> &'e [u64; WORDS]) -> Result<(), Stop> {
        (0..count).for_each(|index| PodBus::publish(self, *event(index)));
        Ok(())
    }
}

impl<const WORDS: usize> Reading for BusSubscriber<Value<WORDS>> {
    #[inline(always)]
    fn read(&mut self) -> Result<Seen, Stop> {
        loop {
            if let Some(value) = self.try_recv() {
                return Ok(Seen::of_words(&value));
            }
        }
    }

    #[inline(always)]
    fn read_some(&mut self, max: usize) -> Option<(usize, u64)> {
        let mut sum = self.try_recv().map(|value| Seen::of_words(&value).sum)?;
        for count in 1..max {
            let Some(value) = self.try_recv() else { return Some((count, sum)) };
            sum = sum.wrapping_add(Seen::of_words(&value).sum);
        }
        Some((max, sum))
    }
}
