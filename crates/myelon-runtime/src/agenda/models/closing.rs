//! Submit and close: what was accepted runs or is found by the last worker; what was refused is not.

use super::*;
use crate::agenda::closing::{Closing, Phase};
use crate::agenda::state::{End, State};
use loom::thread::spawn;

#[test]
pub(crate) fn what_is_accepted_while_the_agenda_closes_has_an_end() {
    explore(3, || {
        let (bench, _) = bench(1);
        let (closing, state) = (Arc::new(Closing::new()), Arc::new(State::new()));
        let submitting = {
            let (bench, closing, state) = (Arc::clone(&bench), Arc::clone(&closing), Arc::clone(&state));
            spawn(move || {
                if closing.phase() != Phase::Open {
                    return false;
                }
                bench.put(7);
                !(closing.closed_meanwhile() && state.end_unstarted(End::Left).is_some())
            })
        };
        // The closer, and the last worker, which has found nothing before.
        closing.advance(Phase::Ending);
        closing.before_the_last_look();
        let spare = Board::<Mutexed, u32>::spare();
        let found = bench.board.drain(&spare).is_some() && state.end_unstarted(End::Left).is_some();
        let accepted = submitting.join().unwrap();
        assert!(accepted == found, "{FORGOTTEN}");
    });
}
