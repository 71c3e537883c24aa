//! A closure runs alone, or not at all and then what held it up is named.

use crate::{A_MOMENT, Blocker, PATIENCE, Watchdog, agenda, eventually};
use myelon_runtime::agenda::{Agenda, HoldUp, QuiesceError, Step, Tasklet};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

/// Tasklets that run again and again, and count how many are inside.
fn busy(agenda: &Agenda, inside: &Arc<AtomicU32>, count: usize) {
    for _ in 0..count {
        let inside = Arc::clone(inside);
        agenda
            .spawn(Tasklet::<(), ()>::repeating("busy", move |_| {
                inside.fetch_add(1, Ordering::Relaxed);
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::Relaxed);
                Ok(Step::Again)
            }))
            .unwrap();
    }
}

#[test]
fn nothing_runs_beside_a_closure_at_a_safe_point() {
    let _watchdog = Watchdog::new(PATIENCE, "closures at safe points");
    let agenda = agenda(3);
    let inside = Arc::new(AtomicU32::new(0));
    busy(&agenda, &inside, 5);
    for _ in 0..200 {
        agenda
            .quiesce("look", PATIENCE, || {
                for _ in 0..10 {
                    assert_eq!(inside.load(Ordering::Relaxed), 0);
                    std::thread::yield_now();
                }
            })
            .unwrap();
    }
    let runs = |agenda: &Agenda| (0..3).map(|w| agenda.statistics().worker(w, Default::default()).runs).sum::<u64>();
    let before = runs(&agenda);
    eventually("everything goes on", PATIENCE, || runs(&agenda) > before).unwrap();
}

#[test]
fn an_agenda_without_work_is_at_a_safe_point() {
    let _watchdog = Watchdog::new(PATIENCE, "a safe point");
    let agenda = agenda(4);
    assert_eq!(agenda.quiesce("answer", PATIENCE, || 42), Ok(42));
}

#[test]
fn a_deadline_names_the_tasklet_that_holds_it_up_and_everything_goes_on() {
    let _watchdog = Watchdog::new(PATIENCE, "a safe point");
    let agenda = Agenda::builder().workers(2).name("work").start().unwrap();
    let blocker = Blocker::start(&agenda.submitter());
    let error = agenda.quiesce("reload", A_MOMENT, || panic!("must not run")).unwrap_err();
    let QuiesceError::HeldUp { description, waited, by } = &error else { panic!("{error}") };
    let [HoldUp { party, runs, since }] = &by[..] else { panic!("{error}") };
    assert!(description == "reload" && *waited >= A_MOMENT);
    assert!(party.starts_with("worker ") && party.ends_with(" of work"), "{party}");
    assert_eq!(runs.as_deref(), Some("block a worker"));
    assert!(since.unwrap() >= A_MOMENT);
    assert!(error.to_string().contains("has run `block a worker` for"), "{error}");
    assert_eq!(agenda.submit(Tasklet::new("go on", || 3)).unwrap().wait(PATIENCE).unwrap(), 3);
    blocker.release();
    assert_eq!(agenda.quiesce("reload", PATIENCE, || 1), Ok(1));
}

#[test]
fn a_tasklet_that_asks_counts_as_stopped() {
    let _watchdog = Watchdog::new(PATIENCE, "a safe point");
    for workers in [1, 3] {
        let agenda = agenda(workers);
        let inside = Arc::new(AtomicU32::new(0));
        busy(&agenda, &inside, 2);
        let submitter = agenda.submitter();
        let seen = Arc::clone(&inside);
        let asks = Tasklet::fallible("asks", move || {
            submitter.quiesce("from a tasklet", PATIENCE, || seen.load(Ordering::Relaxed))
        });
        assert_eq!(agenda.submit(asks).unwrap().wait(PATIENCE).unwrap(), 0);
    }
}

#[test]
fn two_tasklets_that_ask_at_once_both_get_their_turn() {
    let _watchdog = Watchdog::new(PATIENCE, "safe points");
    let agenda = agenda(3);
    let alone = Arc::new(AtomicBool::new(true));
    let handles = (0..60)
        .map(|_| {
            let (submitter, alone) = (agenda.submitter(), Arc::clone(&alone));
            let asks = Tasklet::fallible("asks", move || {
                submitter.quiesce("one of many", PATIENCE, || {
                    assert!(alone.swap(false, Ordering::Relaxed), "another closure runs");
                    std::thread::yield_now();
                    alone.store(true, Ordering::Relaxed);
                })
            });
            agenda.submit(asks).unwrap()
        })
        .collect::<Vec<_>>();
    for mut handle in handles {
        handle.wait(PATIENCE).unwrap();
    }
}

#[test]
fn a_second_asker_queues_and_its_deadline_names_the_first() {
    let _watchdog = Watchdog::new(PATIENCE, "safe points");
    let agenda = agenda(1);
    let (inside, is_inside) = channel();
    let (go, gone) = channel::<()>();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| {
            agenda.quiesce("the first", PATIENCE, move || {
                inside.send(()).unwrap();
                gone.recv_timeout(PATIENCE).unwrap();
            })
        });
        is_inside.recv_timeout(PATIENCE).unwrap();
        let error = agenda.quiesce("the second", A_MOMENT, || ()).unwrap_err();
        assert!(matches!(&error, QuiesceError::Busy { first, .. } if first == "the first"), "{error}");
        let third = scope.spawn(|| agenda.quiesce("the third", PATIENCE, || 3));
        go.send(()).unwrap();
        first.join().unwrap().unwrap();
        assert_eq!(third.join().unwrap(), Ok(3));
    });
}

#[test]
fn inside_the_closure_a_second_one_is_an_error() {
    let _watchdog = Watchdog::new(PATIENCE, "a safe point");
    let agenda = agenda(1);
    let inner = agenda.quiesce("outer", PATIENCE, || agenda.quiesce("inner", PATIENCE, || ())).unwrap();
    assert_eq!(inner, Err(QuiesceError::Inside { description: "inner".into() }));
    let other = crate::agenda(1);
    let inner = agenda.quiesce("outer", PATIENCE, || other.quiesce("of another agenda", PATIENCE, || 1)).unwrap();
    assert_eq!(inner, Ok(1));
}

#[test]
fn inside_the_closures_of_two_agendas_a_second_one_of_either_is_an_error() {
    let _watchdog = Watchdog::new(PATIENCE, "a safe point");
    let (first, second) = (agenda(1), agenda(1));
    let inner = || (first.quiesce("a", A_MOMENT, || ()), second.quiesce("b", A_MOMENT, || ()));
    let outer = first.quiesce("outer", PATIENCE, || {
        let in_both = second.quiesce("of the other", PATIENCE, inner).unwrap();
        (in_both, inner())
    });
    let (in_both, after) = outer.unwrap();
    let inside = |description: &'static str| Err(QuiesceError::Inside { description: description.into() });
    assert_eq!(in_both, (inside("a"), inside("b")));
    assert_eq!(after, (inside("a"), Ok(())));
}

#[test]
fn a_closure_that_panics_lets_everything_go_on() {
    let _watchdog = Watchdog::new(PATIENCE, "a safe point");
    let agenda = agenda(2);
    let panicked = catch_unwind(AssertUnwindSafe(|| agenda.quiesce("break", PATIENCE, || resume_unwind(Box::new(())))));
    panicked.map(|_: Result<(), _>| ()).unwrap_err();
    assert_eq!(agenda.submit(Tasklet::new("go on", || 3)).unwrap().wait(PATIENCE).unwrap(), 3);
    assert_eq!(agenda.quiesce("again", PATIENCE, || 1), Ok(1));
}

#[test]
fn a_party_holds_up_a_closure_until_it_looks_rests_or_leaves() {
    let _watchdog = Watchdog::new(PATIENCE, "a party");
    let agenda = agenda(1);
    let (step, steps) = channel::<u8>();
    let (did, done) = channel();
    std::thread::scope(|scope| {
        let registering = &agenda;
        scope.spawn(move || {
            let party = registering.register("the loop");
            party.look("a handler");
            did.send(()).unwrap();
            for step in steps {
                match step {
                    0 => party.look("a handler"),
                    1 => party.rest(|| std::thread::sleep(A_MOMENT * 3)),
                    2 => assert_eq!(party.quiesce("from a handler", PATIENCE, || 5), Ok(5)),
                    _ => break,
                }
                did.send(()).unwrap();
            }
        });
        done.recv_timeout(PATIENCE).unwrap();
        let error = agenda.quiesce("reload", A_MOMENT, || ()).unwrap_err();
        assert!(error.to_string().contains("the loop has run `a handler` for"), "{error}");
        for kind in [0, 1, 2] {
            let asking = scope.spawn(|| agenda.quiesce("reload", PATIENCE, || ()));
            if kind == 0 {
                // It must look while it is asked. An earlier look would be followed by none.
                while !asking.is_finished() {
                    step.send(kind).unwrap();
                    done.recv_timeout(PATIENCE).unwrap();
                }
            } else {
                step.send(kind).unwrap();
            }
            let _ = step.send(0);
            while !asking.is_finished() {
                step.send(0).unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
            asking.join().unwrap().unwrap();
        }
        step.send(9).unwrap();
    });
    assert_eq!(agenda.quiesce("without the loop", PATIENCE, || 1), Ok(1));
}

#[test]
fn a_worker_and_a_party_that_wait_for_a_handle_are_at_a_safe_point() {
    let _watchdog = Watchdog::new(PATIENCE, "a safe point");
    let agenda = agenda(2);
    let (ask, asked) = channel::<()>();
    let submitter = agenda.submitter();
    let asks = agenda
        .submit(Tasklet::new("asks", move || {
            asked.recv_timeout(PATIENCE).unwrap();
            submitter.quiesce("while two wait", PATIENCE, || 5)
        }))
        .unwrap();
    let (send, handles) = channel();
    let mut waits = agenda
        .submit(Tasklet::new("waits", move || {
            let mut handle: myelon_runtime::agenda::Handle<_> = handles.recv_timeout(PATIENCE).unwrap();
            handle.wait(PATIENCE).unwrap()
        }))
        .unwrap();
    // Only then does the party ask: a worker that stopped before it took its tasklet would not be one that waits.
    eventually("both run", PATIENCE, || agenda.running().len() == 2).unwrap();
    std::thread::scope(|scope| {
        let registering = &agenda;
        let party = scope.spawn(move || {
            let _party = registering.register("the loop");
            ask.send(()).unwrap();
            waits.wait(PATIENCE).unwrap()
        });
        send.send(asks).unwrap();
        assert_eq!(party.join().unwrap(), Ok(5));
    });
}
