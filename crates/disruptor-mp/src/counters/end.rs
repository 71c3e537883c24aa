//! Where an end of a ring counts: in its block in the ring, or in a counters file that was attached.

use super::block;
use super::file::CountersFile;
use super::handle::CounterHandle;
use super::snapshot::{COUNTER_FLAG_CONSUMER, COUNTER_FLAG_PRODUCER};
use crate::segment::Segment;
use std::sync::Arc;

/// The label of a producer's counters.
const PRODUCER: &str = "producer";

/// Where an end counts. One per end; every counter of the end comes from it.
#[derive(Clone)]
pub(crate) struct EndCounters {
    file: CountersFile,
    place: Place,
}

#[derive(Clone)]
enum Place {
    /// The block of this index. Only this end writes it, because it holds the lock.
    Block(usize),
    /// Records of a file that other ends may use as well.
    Attached { flags: u32, label: String, ring: String, number: u32 },
}

impl EndCounters {
    /// The counters of the producer of the ring in `segment`. The caller holds the producer's lock.
    pub(crate) fn of_producer(segment: &Arc<Segment>, reign: u64) -> Self {
        Self::of_place(segment, block::PRODUCER, reign, PRODUCER)
    }

    /// The counters of the consumer `id` in entry `index`. The caller holds the lock of that entry.
    pub(crate) fn of_consumer(segment: &Arc<Segment>, index: usize, epoch: u64, id: &str) -> Self {
        Self::of_place(segment, block::FIRST_CONSUMER + index, epoch, id)
    }

    fn of_place(segment: &Arc<Segment>, index: usize, epoch: u64, label: &str) -> Self {
        let file = CountersFile::of_ring(segment);
        file.begin_block(index, epoch, label);
        Self { file, place: Place::Block(index) }
    }

    /// The counters of the producer of `ring` in a file of the user.
    pub(crate) fn of_attached_producer(file: &CountersFile, ring: String) -> Self {
        Self::attached(file, COUNTER_FLAG_PRODUCER, PRODUCER, ring)
    }

    /// The counters of a consumer or a tap of `ring` in a file of the user.
    pub(crate) fn of_attached_consumer(file: &CountersFile, label: &str, ring: String) -> Self {
        Self::attached(file, COUNTER_FLAG_CONSUMER, label, ring)
    }

    fn attached(file: &CountersFile, flags: u32, label: &str, ring: String) -> Self {
        let number = file.begin_attachment();
        Self { file: file.clone(), place: Place::Attached { flags, label: label.to_owned(), ring, number } }
    }

    /// The end's counter `id`. If there is no room for it, it counts in a word that no reader sees.
    ///
    /// A handle into a block must not be used after the end is gone: the block may then belong to another end.
    pub(crate) fn counter(&self, id: u32) -> CounterHandle {
        let counter = match &self.place {
            Place::Block(index) => self.file.count_in_block(*index, id),
            Place::Attached { flags, label, ring, number } => {
                self.file.count_for_attached(id, *flags, label, ring, *number)
            }
        };
        counter.unwrap_or_else(CounterHandle::detached)
    }

    /// Marks the end as gone. Called while the end still holds its lock byte.
    pub(crate) fn end(&self) {
        // Records of a file are released with their last handle.
        if let Place::Block(index) = self.place {
            self.file.end_block(index);
        }
    }
}
