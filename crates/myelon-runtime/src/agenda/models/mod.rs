//! loom models of the agenda: every schedule, within the bounds given.
//!
//! There is one file per claim; the table in [`crate::models`] shows that each fence and each second look is needed.
//! The queues are [`Mutexed`]: crossbeam-deque has no loom support. What runs beside it is the code of every build.

pub(crate) mod closing;
pub(crate) mod park;
pub(crate) mod quiesce;
pub(crate) mod state;

use super::parked::Parked;
use super::queue::{Board, Found, Mutexed, Own};
use crate::Priority;
use crate::models::explore;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A tasklet was started and cancelled.
pub(crate) const TWICE: &str = "it ended twice or not at all";
/// A tasklet was accepted and has no end.
pub(crate) const FORGOTTEN: &str = "it was accepted and forgotten";
/// Something ran beside a closure at a safe point.
pub(crate) const BESIDE: &str = "a tasklet ran beside the closure";

/// Queues and sleepers.
struct Bench {
    board: Board<Mutexed, u32>,
    parked: Parked,
}

fn bench(workers: usize) -> (Arc<Bench>, Vec<Own<Mutexed, u32>>) {
    let (board, owned) = Board::new(workers);
    (Arc::new(Bench { board, parked: Parked::new(workers) }), owned)
}

impl Bench {
    /// Submits from outside.
    fn put(&self, item: u32) {
        self.board.put(Priority::Normal, item);
        self.parked.wake_one(Priority::Normal);
    }

    /// Takes as a worker does.
    fn take(&self, own: &Own<Mutexed, u32>) -> Option<u32> {
        let (item, found) = self.board.next(own, 1, Priority::Low)?;
        if found != Found::Own {
            self.parked.pass_on(|| self.board.highest());
        }
        Some(item)
    }

    /// Takes one, and sleeps until there is one.
    fn wait(&self, me: usize, own: &Own<Mutexed, u32>) -> u32 {
        loop {
            if let Some(item) = self.take(own) {
                return item;
            }
            self.parked.sleep(me, Priority::Low, None, || self.board.any(Priority::Low));
        }
    }
}
