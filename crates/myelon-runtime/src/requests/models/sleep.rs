//! Sleep and ask: a loop that is not woken is a deadlock, which loom reports.

use super::*;
use loom::thread::spawn;

/// The thread that asks has done something before, and the loop sees it.
#[test]
pub(crate) fn a_flag_ends_a_sleep() {
    explore(3, || {
        let asked = asked();
        let done = Arc::new(AtomicU32::new(0));
        let asking = {
            let (asked, done) = (Arc::clone(&asked), Arc::clone(&done));
            spawn(move || {
                done.store(1, Ordering::Relaxed);
                asked.ask(FIRST);
            })
        };
        while asked.take(FIRST) == 0 {
            asked.look();
        }
        assert_eq!(done.load(Ordering::Relaxed), 1, "{UNSEEN}");
        asking.join().unwrap();
    });
}

/// The loop takes one flag in each turn and leaves the other, as it does with a dump and the end of its run.
#[test]
pub(crate) fn each_flag_is_taken_once() {
    explore(3, || {
        let asked = asked();
        let asking = [FIRST, SECOND].map(|flag| {
            let asked = Arc::clone(&asked);
            spawn(move || asked.ask(flag))
        });
        let mut taken = 0;
        while taken != FIRST | SECOND {
            asked.look();
            for flag in [FIRST, SECOND] {
                let now = asked.take(flag);
                assert_eq!(taken & now, 0, "{NOT_ONCE}");
                taken |= now;
            }
        }
        for asking in asking {
            asking.join().unwrap();
        }
        assert_eq!(asked.asked(), 0, "{NOT_ONCE}");
    });
}

#[test]
pub(crate) fn one_wake_ends_a_sleep_for_several_threads() {
    explore(3, || {
        let asked = asked();
        let asking = [FIRST, SECOND].map(|flag| {
            let asked = Arc::clone(&asked);
            spawn(move || asked.ask(flag))
        });
        let (mut taken, mut sleeps) = (0, 0);
        while taken != FIRST | SECOND {
            asked.look();
            sleeps += 1;
            taken |= asked.take(FIRST | SECOND);
        }
        for asking in asking {
            asking.join().unwrap();
        }
        assert!(asked.waker.rings.load(Ordering::Relaxed) <= sleeps, "{NEEDLESS}");
    });
}
