//! When a consumer lets its producer run ahead: it counts what it finds, and waits where
//! [`Linger`](crate::ring::ends::linger::Linger) says so.

use super::ConsumerSide;
use crate::ring::ends::linger::{ENOUGH_BYTES, FIRST_LOOK_NS};
use crate::ring::ends::pace::now_ns;
use crate::ring::memory::layout::Carries;
use crate::ring::protocol::memory::Memory;

impl<S: Carries> ConsumerSide<S> {
    /// Counts what was found and is not counted yet. In a saturated stream, waits for more.
    #[inline(always)]
    pub(super) fn count_found(&mut self) {
        let readable = self.core.readable();
        let found = readable - self.counted.max(self.core.next());
        self.counted = readable;
        if self.linger.is_due(found * S::STRIDE as i64) {
            self.linger();
        }
    }

    /// [`count_found`](Self::count_found), kept out of the code of consumers that read event by event.
    #[cold]
    #[inline(never)]
    pub(super) fn count_followed(&mut self) {
        self.count_found();
    }

    /// Lets the producer run ahead, if both are faster that way.
    #[cold]
    #[inline(never)]
    pub(super) fn linger(&mut self) {
        let begin = now_ns();
        let enough = (ENOUGH_BYTES / S::STRIDE as i64).min(self.core.memory().capacity() / 4);
        let (next, known) = (self.core.next(), self.core.readable());
        if !self.linger.looked(begin) || !self.is_plain() || self.core.hands_out_singly() || known - next >= enough {
            return;
        }
        self.counters.lingers.inc();
        let (mut published, mut after) = (known, 0);
        while after < self.linger.bound_ns() {
            after = (2 * after + FIRST_LOOK_NS).min(self.linger.bound_ns());
            while now_ns() - begin < after {
                (0..8).for_each(|_| std::hint::spin_loop());
            }
            let before = std::mem::replace(&mut published, self.core.memory().control().cursor.acquire());
            if published == before || published - next >= enough {
                break;
            }
        }
        self.core.look_for_all();
        self.counted = self.core.readable();
        self.linger.lingered(published != known, (self.counted - known) * S::STRIDE as i64);
    }
}
