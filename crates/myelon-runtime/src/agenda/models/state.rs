//! Cancel and start: one of them, never both, never neither; and a wait for the end.

use super::*;
use crate::agenda::parked::Parker;
use crate::agenda::state::{End, State};
use loom::thread::spawn;

#[test]
pub(crate) fn a_tasklet_is_started_or_cancelled() {
    explore(3, || {
        let state = Arc::new(State::new());
        let cancelling = {
            let state = Arc::clone(&state);
            spawn(move || state.end_unstarted(End::Cancelled).is_some())
        };
        let started = state.start();
        let cancelled = cancelling.join().unwrap();
        assert!(started != cancelled, "{TWICE}");
    });
}

/// Between two runs a tasklet can be cancelled, and then does not run again.
#[test]
pub(crate) fn a_repeating_tasklet_is_cancelled_once_between_runs() {
    explore(3, || {
        let state = Arc::new(State::new());
        let cancelling = {
            let state = Arc::clone(&state);
            spawn(move || state.end_unstarted(End::Cancelled).is_some())
        };
        let mut ended = false;
        if state.start() {
            state.again();
            if state.start() {
                state.end(End::Done);
                ended = true;
            }
        }
        let cancelled = cancelling.join().unwrap();
        assert!(ended != cancelled, "{TWICE}");
    });
}

#[test]
pub(crate) fn a_thread_that_waits_for_the_end_is_called() {
    explore(3, || {
        let state = Arc::new(State::new());
        let parker = Arc::new(Parker::new());
        let running = {
            let (state, parker) = (Arc::clone(&state), Arc::clone(&parker));
            spawn(move || {
                assert!(state.start());
                if state.end(End::Done).watched {
                    parker.call();
                }
            })
        };
        let mut ended = state.watch();
        while ended.is_none() {
            parker.park(None);
            ended = state.ended();
        }
        running.join().unwrap();
    });
}
