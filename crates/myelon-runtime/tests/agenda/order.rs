//! High before normal before low, and no starvation.

use crate::{Blocker, PATIENCE, Watchdog, agenda};
use myelon_runtime::agenda::{Priority, Step, Submitter, Tasklet};
use std::sync::{Arc, Mutex};

type Log = Arc<Mutex<Vec<Priority>>>;

fn log(submitter: &Submitter, log: &Log, priority: Priority) {
    let log = Arc::clone(log);
    submitter.spawn(Tasklet::new("log", move || log.lock().unwrap().push(priority)).priority(priority)).unwrap();
}

#[test]
fn high_runs_before_normal_before_low() {
    let _watchdog = Watchdog::new(PATIENCE, "nine tasklets");
    let agenda = agenda(1);
    let submitter = agenda.submitter();
    // From outside, and from a tasklet into the worker's own queues.
    for from_a_tasklet in [false, true] {
        let got = Log::default();
        let all = {
            let (submitter, got) = (submitter.clone(), Arc::clone(&got));
            move || {
                for _ in 0..3 {
                    Priority::ALL.iter().rev().for_each(|priority| log(&submitter, &got, *priority));
                }
            }
        };
        if from_a_tasklet {
            agenda.submit(Tasklet::new("submit nine", all)).unwrap().wait(PATIENCE).unwrap();
        } else {
            let blocker = Blocker::start(&submitter);
            all();
            blocker.release();
        }
        let last = Tasklet::new("the last", || ()).priority(Priority::Low);
        agenda.submit(last).unwrap().wait(PATIENCE).unwrap();
        let want = Priority::ALL.iter().flat_map(|priority| [*priority; 3]).collect::<Vec<_>>();
        assert_eq!(*got.lock().unwrap(), want, "from a tasklet: {from_a_tasklet}");
    }
}

#[test]
fn a_flood_of_high_does_not_keep_out_normal_and_low() {
    let _watchdog = Watchdog::new(PATIENCE, "a flood");
    let agenda = agenda(1);
    let blocker = Blocker::start(&agenda.submitter());
    let got = Log::default();
    // Two that run again and again at high, so high is never empty.
    let floods = [(); 2].map(|()| {
        let got = Arc::clone(&got);
        let flood = Tasklet::<(), ()>::repeating("flood", move |_| {
            got.lock().unwrap().push(Priority::High);
            Ok(Step::Again)
        });
        agenda.submit(flood.priority(Priority::High)).unwrap()
    });
    let waiting = [Priority::Normal, Priority::Low].map(|priority| {
        let got = Arc::clone(&got);
        let tasklet = Tasklet::new("get in", move || got.lock().unwrap().push(priority));
        agenda.submit(tasklet.priority(priority)).unwrap()
    });
    blocker.release();
    for mut handle in waiting {
        handle.wait(PATIENCE).unwrap();
    }
    let got = got.lock().unwrap().clone();
    let place = |wanted| got.iter().position(|priority| *priority == wanted).unwrap();
    assert!(place(Priority::Normal) <= 31, "{}", place(Priority::Normal));
    assert!(place(Priority::Low) <= 62, "{}", place(Priority::Low));
    drop(floods);
}

#[test]
fn tasklets_that_submit_each_other_do_not_keep_out_what_comes_from_outside() {
    let _watchdog = Watchdog::new(PATIENCE, "a chain");
    let agenda = agenda(1);
    fn chain(submitter: &Submitter) {
        let next = submitter.clone();
        // An error says that the agenda is closed; then the chain ends.
        let _ = submitter.spawn(Tasklet::new("a link", move || chain(&next)));
    }
    chain(&agenda.submitter());
    for value in 0..100 {
        assert_eq!(agenda.submit(Tasklet::new("outside", move || value)).unwrap().wait(PATIENCE).unwrap(), value);
    }
}
