//! The price of a promise: reserving memory for a ring before any process touches it.

use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::repeated;

/// `fallocate` of a file without a name on `/dev/shm`, again and again; the value is the median. Nothing is left,
/// because the file never gets a name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reserve {
    pub(crate) bytes: u64,
}

/// Where shared-memory objects are on Linux.
pub(crate) const SHARED_MEMORY_DIR: &str = "/dev/shm";

impl Reserve {
    /// Reserves once, measures that, and gives everything back.
    fn once(&self) -> Result<Duration, Stop> {
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        let file = rustix::fs::open(SHARED_MEMORY_DIR, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| Stop::Unavailable(format!("no file on {SHARED_MEMORY_DIR}: {error}")))?;
        let begin = Instant::now();
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, self.bytes) {
            Ok(()) => Ok(begin.elapsed()),
            Err(Errno::NOSPC | Errno::OPNOTSUPP) => {
                let reason = format!("{SHARED_MEMORY_DIR} cannot reserve {} MiB", self.bytes >> 20);
                Err(Stop::Unavailable(reason))
            }
            Err(error) => Err(Stop::Failed(format!("fallocate on {SHARED_MEMORY_DIR}: {error}"))),
        }
    }
}

impl Subject for Reserve {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        repeated::median(side, || self.once())
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        side.measured(|| Ok(None))
    }
}
