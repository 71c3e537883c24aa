//! A group on an agenda: it goes away without work, and comes back with a wake.

use crate::{A_MOMENT, Noted, PATIENCE, Watchdog, eventually, log};
use myelon_runtime::agenda::{Agenda, End, Priority, Tasklet};
use myelon_runtime::agents::{Agent, AgentError, Group, GroupEnd, GroupHandle, Restart, Work, from_fn};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

fn agenda(workers: usize) -> Agenda {
    Agenda::builder().workers(workers).start().unwrap()
}

#[test]
fn each_wake_is_a_cycle_and_without_one_no_tasklet_is_left() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "wakes");
    let agenda = agenda(2);
    let (asked, served) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (ask, serve) = (Arc::clone(&asked), Arc::clone(&served));
    let agent = from_fn("answers", move |_| {
        let asked = ask.load(Ordering::Acquire);
        Ok(Work::Count((asked - serve.swap(asked, Ordering::Release)) as usize))
    });
    let mut runner = Group::new("answers").agent(agent).submit(&agenda, Priority::High).unwrap();
    let handle = runner.handle();
    for round in 1..=5000 {
        asked.store(round, Ordering::Release);
        handle.wake();
        while served.load(Ordering::Acquire) != round {
            std::thread::yield_now();
        }
    }
    let waits = || agenda.statistics().submitted() - agenda.statistics().ended(End::Done);
    eventually("it goes away", PATIENCE, || waits() == 0).unwrap();
    assert_eq!(agenda.submit(Tasklet::new("another", || 1)).unwrap().wait(PATIENCE).unwrap(), 1);
    assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
}

#[test]
fn a_back_off_goes_round_until_it_is_over() {
    let _watchdog = Watchdog::new(PATIENCE, "a restart");
    let agenda = agenda(1);
    let mut calls = 0;
    let flaky = from_fn("flaky", move |_| {
        calls += 1;
        if calls < 4 { Err("no answer".into()) } else { Ok(Work::Finished) }
    });
    let restart = Restart::new(Duration::from_millis(1), Duration::from_millis(4));
    let mut runner = Group::new("flaky").agent_with(flaky, restart).submit(&agenda, Priority::Low).unwrap();
    assert_eq!(runner.wait(PATIENCE).unwrap(), GroupEnd::Finished);
    assert_eq!(runner.handle().agents()[0].restarts, 3);
}

#[test]
fn agents_are_closed_when_their_agenda_ends_or_has_ended() {
    let _watchdog = Watchdog::new(PATIENCE, "ends of agendas");
    for busy in [true, false] {
        let (log, agenda) = (log(), agenda(1));
        let work = move |_| Ok(Work::Count(usize::from(busy)));
        let group = Group::new("example").agent(Noted { name: "one", log: log.clone(), work });
        let mut runner = group.submit(&agenda, Priority::Normal).unwrap();
        let handle = runner.handle();
        eventually("it has begun", PATIENCE, || handle.agents()[0].cycles > 0).unwrap();
        std::thread::sleep(A_MOMENT);
        drop(agenda);
        // A busy one was left by the agenda; the other one has no thread any more, and is closed here.
        assert_eq!(handle.ended().is_some(), busy);
        assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
        assert_eq!(*log.lock().unwrap(), ["one starts", "one closes"]);
    }
    let (log, closed) = (log(), agenda(1));
    closed.close(Duration::ZERO).unwrap();
    let agent = Noted { name: "one", log: log.clone(), work: |_| Ok(Work::NONE) };
    Group::new("example").agent(agent).submit(&closed, Priority::Normal).unwrap_err();
    assert!(log.lock().unwrap().is_empty(), "it was not started");
}

#[test]
fn a_runner_that_is_dropped_on_a_worker_does_not_wait_and_its_agents_are_closed() {
    let _watchdog = Watchdog::new(PATIENCE, "a drop on a worker");
    let (log, agenda) = (log(), agenda(1));
    let agent = Noted { name: "one", log: log.clone(), work: |_| Ok(Work::NONE) };
    let runner = Group::new("example").agent(agent).submit(&agenda, Priority::Normal).unwrap();
    let handle = runner.handle();
    eventually("it has begun", PATIENCE, || handle.agents()[0].cycles > 0).unwrap();
    agenda.submit(Tasklet::new("drops it", move || drop(runner))).unwrap().wait(PATIENCE).unwrap();
    eventually("it ends", PATIENCE, || handle.ended() == Some(GroupEnd::Closed)).unwrap();
    assert_eq!(*log.lock().unwrap(), ["one starts", "one closes"]);
}

/// An agent that does something of its own when it is asked to arm, once.
struct AsItArms<F> {
    then: Option<F>,
    log: crate::Log<String>,
}

impl<F: FnOnce() + Send> Agent for AsItArms<F> {
    fn name(&self) -> &str {
        "arms"
    }

    fn do_work(&mut self, _: std::time::Instant) -> Result<Work, AgentError> {
        self.log.lock().unwrap().push("works".to_owned());
        Ok(Work::NONE)
    }

    fn before_park(&mut self) -> bool {
        if let Some(then) = self.then.take() {
            then();
        }
        true
    }

    fn on_close(&mut self) {
        self.log.lock().unwrap().push("closes".to_owned());
    }
}

#[test]
fn a_group_that_is_woken_by_its_own_agent_as_it_leaves_runs_again() {
    let _watchdog = Watchdog::new(PATIENCE, "a wake from before_park");
    let (log, agenda) = (log(), agenda(1));
    let handle = Arc::new(OnceLock::<GroupHandle>::new());
    let own = Arc::clone(&handle);
    let agent = AsItArms { then: Some(move || own.wait().wake()), log: log.clone() };
    let mut runner = Group::new("example").agent(agent).submit(&agenda, Priority::Normal).unwrap();
    handle.set(runner.handle()).unwrap();
    eventually("it has run again", PATIENCE, || log.lock().unwrap().len() >= 2).unwrap();
    assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
    assert_eq!(log.lock().unwrap().last().unwrap(), "closes");
}

#[test]
fn a_wake_from_before_park_that_a_closing_agenda_refuses_ends_the_group() {
    let _watchdog = Watchdog::new(PATIENCE, "a refused wake");
    let (log, agenda) = (log(), Arc::new(agenda(1)));
    let handle = Arc::new(OnceLock::<GroupHandle>::new());
    let (own, submitter, arming) = (Arc::clone(&handle), agenda.submitter(), Arc::new(AtomicU64::new(0)));
    let armed = Arc::clone(&arming);
    let then = move || {
        armed.store(1, Ordering::Release);
        while submitter.spawn(Tasklet::new("probe", || ())).is_ok() {
            std::thread::yield_now();
        }
        own.wait().wake();
    };
    let agent = AsItArms { then: Some(then), log: log.clone() };
    let mut runner = Group::new("example").agent(agent).submit(&*agenda, Priority::Normal).unwrap();
    handle.set(runner.handle()).unwrap();
    eventually("it arms", PATIENCE, || arming.load(Ordering::Acquire) == 1).unwrap();
    agenda.close(Duration::ZERO).unwrap();
    assert_eq!(runner.wait(PATIENCE).unwrap(), GroupEnd::Closed);
    assert_eq!(*log.lock().unwrap(), ["works", "closes"]);
}

#[test]
fn an_agent_that_waits_for_a_tasklet_as_it_arms_can_be_woken_by_it() {
    let _watchdog = Watchdog::new(PATIENCE, "a wait from before_park");
    let (log, agenda) = (log(), agenda(2));
    let handle = Arc::new(OnceLock::<GroupHandle>::new());
    let (own, submitter) = (Arc::clone(&handle), agenda.submitter());
    let then = move || {
        // Waiting on a worker runs other tasklets, so it may pick the one that the wake has submitted.
        own.wait().wake();
        let tasklet = submitter.submit(Tasklet::new("waited for", || 7).priority(Priority::Low));
        assert_eq!(tasklet.unwrap().wait(PATIENCE).unwrap(), 7);
    };
    let agent = AsItArms { then: Some(then), log: log.clone() };
    let mut runner = Group::new("example").agent(agent).submit(&agenda, Priority::Normal).unwrap();
    handle.set(runner.handle()).unwrap();
    eventually("it has run again", PATIENCE, || log.lock().unwrap().len() >= 2).unwrap();
    assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
}
