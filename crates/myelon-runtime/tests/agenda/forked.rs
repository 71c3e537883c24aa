//! After a fork the child has no workers, and every call says so instead of waiting for them.

use crate::{PATIENCE, Watchdog, agenda};
use myelon_runtime::agenda::{CloseError, SubmitError, Tasklet, WaitError};
use testkit::fork::fork_then;

#[test]
fn a_forked_child_is_told_that_it_has_no_workers() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a forked child");
    let agenda = agenda(2);
    let blocker = crate::Blocker::start(&agenda.submitter());
    let mut handle = Some(agenda.submit(Tasklet::new("of the parent", || 1)).unwrap());
    let mut child = fork_then(|| {
        let mut handle = handle.take().unwrap();
        // If no worker slept at the fork, this is noticed at the 16th at the latest. What was accepted before says so
        // too.
        let refused = (0..16).find_map(|_| match agenda.submit(Tasklet::new("of the child", || 1)) {
            Ok(mut accepted) => {
                assert!(matches!(accepted.wait(PATIENCE), Err(WaitError::Forked { .. })));
                None
            }
            Err(error) => Some(error),
        });
        match (refused, agenda.close(PATIENCE)) {
            (Some(SubmitError::Forked { .. }), Err(CloseError::Forked)) => (),
            _ => return 1,
        }
        // It may have ended before the fork.
        match handle.wait(PATIENCE) {
            Ok(1) | Err(WaitError::Forked { .. }) => 0,
            _ => 2,
        }
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    assert_eq!(handle.unwrap().wait(PATIENCE).unwrap(), 1, "the parent goes on");
    blocker.release();
}
