//! In which order a worker looks for its next tasklet.

use crate::Priority;

/// Every pick with this number begins at *low*, so low work gets at least a 61st of a worker's picks.
pub(crate) const BEGINS_AT_LOW: u64 = 61;
/// Every pick with this number begins at *normal*. No small common factor with the other, so the two rarely meet.
pub(crate) const BEGINS_AT_NORMAL: u64 = 31;
/// Every pick with this number looks at what came from outside before the worker's own queue, so tasklets that submit
/// each other do not keep out the rest of their priority.
pub(crate) const OUTSIDE_FIRST: u64 = 16;

/// In which order pick `number` of a worker looks at the priorities.
pub(crate) const fn order_of_pick(number: u64) -> [Priority; 3] {
    use Priority::{High, Low, Normal};
    if number.is_multiple_of(BEGINS_AT_LOW) {
        [Low, High, Normal]
    } else if number.is_multiple_of(BEGINS_AT_NORMAL) {
        [Normal, High, Low]
    } else {
        Priority::ALL
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_61st_pick_begins_at_low_and_every_31st_at_normal() {
        let begins = |priority| (1..=61 * 31).filter(|pick| order_of_pick(*pick)[0] == priority).count();
        assert_eq!(begins(Priority::Low), 31);
        assert_eq!(begins(Priority::Normal), 60, "one of the 61 is also a 61st pick");
        assert!((1..=61 * 31).all(|pick| Priority::ALL.iter().all(|p| order_of_pick(pick).contains(p))));
    }
}
