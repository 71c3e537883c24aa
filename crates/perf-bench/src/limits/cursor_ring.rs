//! The upper bound of every rate: a ring that does nothing but pass words on, in batches.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::side::{Measurement, Side, Stop};
use crate::stats::{Unit, sum_below};
use crate::subject::Subject;

/// A ring of words between two cursors, without stamps and without a table of consumers. Both ends spin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CursorRing {
    /// How many words the ring has: a power of two, and at least two batches.
    pub(crate) slots: usize,
}

/// Words that are published together: so the line of a cursor moves once for eight lines of words.
const BATCH: usize = 64;
/// Batches between two looks at the clock.
const BATCHES_PER_LOOK: usize = 1024;

const PUBLISHED: usize = 0;
const CONSUMED: usize = 128;
const END: usize = 256;
const SLOTS: usize = 4096;

impl Subject for CursorRing {
    fn shared_bytes(&self) -> usize {
        SLOTS + self.slots * size_of::<u64>()
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let (published, consumed, end) = (side.word(PUBLISHED), side.word(CONSUMED), side.word(END));
        let slots = side.words(SLOTS, self.slots);
        side.measured(|| {
            let (mut next, mut free_until) = (0, self.slots);
            let begin = Instant::now();
            while begin.elapsed() < side.window() {
                for _ in 0..BATCHES_PER_LOOK {
                    while next + BATCH > free_until {
                        free_until = consumed.acquire() as usize + self.slots;
                    }
                    let first = next & (self.slots - 1);
                    for (offset, slot) in slots[first..first + BATCH].iter().enumerate() {
                        slot.put((next + offset) as u64);
                    }
                    next += BATCH;
                    published.publish(next as u64);
                }
            }
            // In `end`, zero means that the producer goes on. There was at least one batch, so `next` is not zero.
            end.publish(next as u64);
            Ok(None)
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let (published, consumed, end) = (side.word(PUBLISHED), side.word(CONSUMED), side.word(END));
        let slots = side.words(SLOTS, self.slots);
        side.measured(|| {
            let (mut next, mut sum) = (0, 0_u64);
            let mut begin = None;
            let elapsed = loop {
                let available = published.acquire() as usize;
                if available == next {
                    if end.acquire() == next as u64 && next > 0 {
                        break begin.map_or_else(Default::default, |begin: Instant| begin.elapsed());
                    }
                    continue;
                }
                begin.get_or_insert_with(Instant::now);
                while next < available {
                    let first = next & (self.slots - 1);
                    sum = slots[first..first + BATCH].iter().fold(sum, |sum, slot| sum.wrapping_add(slot.peek()));
                    next += BATCH;
                    consumed.publish(next as u64);
                }
            };
            let expected = sum_below(next as u64);
            if sum != expected {
                return Err(Stop::Failed(format!("{next} words came to {sum} and not to {expected}")));
            }
            Ok(Some(Measurement::of(next as f64 / elapsed.as_secs_f64(), Unit::EventsPerSecond)))
        })
    }
}
