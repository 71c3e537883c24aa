//! The first page of the memory that the roles of one measurement share: they meet, probe and agree through it. Only
//! `side` uses it; workloads have the bytes after it.
//!
//! ```text
//! 0        128         256     384     512                4096
//! | arrived | generation | ping  | pong  | verdict | ........ | the workload's bytes
//! ```
//! Each word is alone on a pair of cache lines, because the hardware fetches lines in pairs. All are zero at the
//! start.

use std::io;
use std::time::{Duration, Instant};

use crate::probe::Line;
use crate::raw::SharedMemory;

const ARRIVED: usize = 0;
const GENERATION: usize = 128;
const PING: usize = 256;
const PONG: usize = 384;
const VERDICT: usize = 512;

/// What the page takes; the workload's bytes begin here.
pub(crate) const CONTROL_BYTES: usize = 4096;

/// How long an early party spins for the others. They usually come within microseconds; a role that measures alone
/// takes far longer, and then its idle peer must not use a core that may share its caches.
const SPIN: Duration = Duration::from_micros(50);

/// Verdicts of role 0 on its probe; zero means that there is none yet.
const GO: u64 = 1;
const SKIP: u64 = 2;

/// A view of the control page for one of `parties` roles.
pub(crate) struct Control<'m> {
    memory: &'m SharedMemory,
    parties: u64,
}

impl<'m> Control<'m> {
    /// The page at the beginning of `memory`, used by `parties` roles.
    pub(crate) fn new(memory: &'m SharedMemory, parties: usize) -> Self {
        Self { memory, parties: parties as u64 }
    }

    /// Waits until all parties are here. If a party never comes, the parent ends them all.
    ///
    /// # Errors
    /// When the kernel refuses to wait or to wake.
    pub(crate) fn meet(&self) -> io::Result<()> {
        let (arrived, generation) = (self.memory.word(ARRIVED), self.memory.futex(GENERATION));
        let current = generation.acquire();
        if arrived.arrive() == self.parties {
            // No party arrives for the next meeting before the generation moves, so the count is ours to reset.
            arrived.put(0);
            generation.advance();
            generation.wake(u32::MAX >> 1)?;
            return Ok(());
        }
        let begin = Instant::now();
        while begin.elapsed() < SPIN {
            if generation.acquire() != current {
                return Ok(());
            }
        }
        while generation.acquire() == current {
            generation.sleep_while(current)?;
        }
        Ok(())
    }

    /// The words for probing between role 0 and role 1.
    pub(crate) fn probe_line(&self) -> Line<'m> {
        Line { ping: self.memory.word(PING), pong: self.memory.word(PONG) }
    }

    /// Role 0 says whether the measurement is worth making. The others read it after the next meeting.
    pub(crate) fn decide(&self, go: bool) {
        self.memory.word(VERDICT).publish(if go { GO } else { SKIP });
    }

    /// What role 0 said before the last meeting.
    pub(crate) fn decided(&self) -> bool {
        self.memory.word(VERDICT).acquire() == GO
    }
}
