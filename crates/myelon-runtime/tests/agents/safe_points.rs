//! A group stops between two calls of `do_work` while a closure runs alone.

use crate::{A_MOMENT, PATIENCE, Watchdog, eventually};
use myelon_runtime::agenda::{Agenda, Priority, QuiesceError};
use myelon_runtime::agents::{Adaptive, Agent, BackOff, Group, GroupEnd, ParkAtDoorbells, Spin, Work, from_fn};
use myelon_runtime::event_loop::EventLoop;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

fn agenda() -> Agenda {
    Agenda::builder().workers(2).start().unwrap()
}

/// An agent that counts how many are inside of `do_work`. It idles after every second call if `idles`.
fn busy(inside: &Arc<AtomicU32>, idles: bool) -> impl Agent + Send + use<> {
    let inside = Arc::clone(inside);
    let mut calls = 0;
    from_fn("busy", move |_| {
        inside.fetch_add(1, Ordering::Relaxed);
        std::thread::yield_now();
        inside.fetch_sub(1, Ordering::Relaxed);
        calls += 1;
        Ok(Work::Count(if idles { calls % 2 } else { 1 }))
    })
}

fn look_often(agenda: &Agenda, inside: &Arc<AtomicU32>) {
    for _ in 0..100 {
        agenda
            .quiesce("look", PATIENCE, || {
                for _ in 0..5 {
                    assert_eq!(inside.load(Ordering::Relaxed), 0);
                    std::thread::yield_now();
                }
            })
            .unwrap();
    }
}

#[test]
fn nothing_of_a_runner_runs_beside_a_closure() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "closures at safe points");
    let (agenda, inside) = (agenda(), Arc::new(AtomicU32::new(0)));
    let group = |name, idles| Group::new(name).agent(busy(&inside, idles)).agent(busy(&inside, idles)).attend(&agenda);
    let runners = [
        group("first", true).spawn(BackOff::default()).unwrap(),
        group("second", true).spawn(Spin).unwrap(),
        group("third", true).spawn(Adaptive::new()).unwrap(),
        group("fourth", false).submit(&agenda, Priority::Normal).unwrap(),
    ];
    look_often(&agenda, &inside);
    for mut runner in runners {
        let before = runner.handle().agents()[1].cycles;
        eventually("it goes on", PATIENCE, || runner.handle().agents()[1].cycles > before).unwrap();
        assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
    }
}

#[test]
fn nothing_of_a_group_in_a_loop_runs_beside_a_closure_and_the_loop_holds_none_up() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "closures at safe points");
    for attends in [false, true] {
        let (agenda, inside) = (agenda(), Arc::new(AtomicU32::new(0)));
        let mut event_loop = EventLoop::new().unwrap();
        if attends {
            event_loop.attend(&agenda, "the loop");
        }
        let group = Group::new("in the loop").agent(busy(&inside, false)).agent(busy(&inside, false)).attend(&agenda);
        let handle = group.add_to(&mut event_loop, "agents");
        let quit = event_loop.handle();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while handle.agents()[1].cycles == 0 {
                    std::thread::yield_now();
                }
                look_often(&agenda, &inside);
                quit.exit();
            });
            event_loop.run().unwrap();
        });
    }
}

#[test]
fn a_runner_that_sleeps_is_at_a_safe_point_and_one_that_hangs_is_named() {
    let _watchdog = Watchdog::new(PATIENCE, "safe points");
    let agenda = agenda();
    let (go, gone) = channel::<()>();
    let calls = Arc::new(AtomicU64::new(0));
    let called = Arc::clone(&calls);
    let agent = from_fn("decoder", move |_| {
        // It sleeps after the first call, and hangs in the second one.
        if called.fetch_add(1, Ordering::Relaxed) == 1 {
            let _ = gone.recv();
        }
        Ok(Work::NONE)
    });
    let mut runner = Group::new("decoders").agent(agent).attend(&agenda).spawn(ParkAtDoorbells).unwrap();
    eventually("the first call", PATIENCE, || runner.handle().agents()[0].idles == 1).unwrap();
    assert_eq!(agenda.quiesce("while it sleeps", PATIENCE, || 1), Ok(1));
    runner.handle().wake();
    eventually("it hangs", PATIENCE, || calls.load(Ordering::Relaxed) == 2).unwrap();
    let error = agenda.quiesce("reload", A_MOMENT, || ()).unwrap_err();
    assert!(matches!(&error, QuiesceError::HeldUp { by, .. } if by.len() == 1), "{error}");
    assert!(error.to_string().contains("group decoders has run `do_work of agent decoder` for"), "{error}");
    drop(go);
    assert_eq!(agenda.quiesce("reload", PATIENCE, || 2), Ok(2));
    assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
}

#[test]
fn an_invoker_inside_a_closure_does_not_wait_for_itself() {
    let _watchdog = Watchdog::new(PATIENCE, "a closure");
    let agenda = agenda();
    let mut invoker = Group::new("example").agent(from_fn("one", |_| Ok(Work::NONE))).attend(&agenda).into_invoker();
    invoker.invoke();
    let mut polls = BackOff::new(Duration::from_micros(1), Duration::from_micros(1)).spins(0).yields(0);
    let agents = agenda.quiesce("call the agents", PATIENCE, || {
        invoker.invoke();
        invoker.idle(&mut polls);
        invoker.handle().agents()
    });
    assert_eq!(agents.unwrap()[0].cycles, 1);
}
