//! Refusals: a reader gets words of one refusal, or sees that the two words do not belong together.

use super::*;
use crate::ring::protocol::refused::RefusalWords;
use loom::thread::spawn;

/// A refusal and its row carry the same number.
fn refuse(ring: &Ring, number: u64) {
    words(ring).store(number, number);
}

fn words(ring: &Ring) -> RefusalWords<'_> {
    let gate = &ring.control().gate;
    RefusalWords { refusal: &gate.refusal, row: &gate.refusal_row }
}

#[test]
pub(super) fn a_refusal_is_found_with_its_row() {
    explore(None, 1, || {
        let ring = ring(1);
        let refused = {
            let ring = Arc::clone(&ring);
            spawn(move || refuse(&ring, 1))
        };
        let (refusal, row) = words(&ring).load();
        assert!(refusal == 0 || row == refusal, "{ROWLESS}");
        refused.join().unwrap();
        refusal as i64
    });
}

/// Whatever is found last, nothing is left of a refusal that looks like another's.
#[test]
pub(super) fn refusals_at_once_leave_one_with_its_row_or_without() {
    explore(None, 2, || {
        let ring = ring(1);
        let refused = [1, 2].map(|number| {
            let ring = Arc::clone(&ring);
            spawn(move || refuse(&ring, number))
        });
        let found = words(&ring).load();
        refused.into_iter().for_each(|process| process.join().unwrap());
        let (refusal, row) = words(&ring).load();
        for (refusal, row) in [found, (refusal, row)] {
            // A refusal that is found has its row.
            assert!(refusal == 0 || row != 0, "{ROWLESS}");
        }
        assert!(refusal != 0 && row != 0);
        refusal as i64
    });
}
