//! The price of a ring: from nothing to a producer that could publish.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::{Message, create};
use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::repeated;

/// Creates a ring in shared memory, reserved but not prefaulted, again and again; the value is the median. Removing it
/// and giving its memory back is not measured, as for the bare reservation.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Creation {
    pub(crate) slots: usize,
}

/// Words of an event: 64 bytes.
const WORDS: usize = 8;

impl Creation {
    /// How many bytes the ring's segment has; `None` if there can be no such ring.
    pub(crate) fn segment_bytes(&self) -> Option<u64> {
        disruptor_mp::plan::<Message<WORDS>>(self.slots, disruptor_mp::DEFAULT_MAX_CONSUMERS)
            .ok()
            .map(|plan| plan.total_len)
    }

    fn once(&self, side: &Side) -> Result<Duration, Stop> {
        let begin = Instant::now();
        let producer = create::<WORDS>(side, 0, self.slots)?;
        let elapsed = begin.elapsed();
        drop(producer);
        Ok(elapsed)
    }
}

impl Subject for Creation {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        repeated::median(side, || self.once(side))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        side.measured(|| Ok(None))
    }
}
