//! A group on its own thread: close, hang, drop, fork.

use crate::{A_MOMENT, Noted, PATIENCE, Watchdog, eventually, log};
use myelon_runtime::agenda::{Agenda, Priority};
use myelon_runtime::agents::{
    Activity, Agent, AgentError, BackOff, CloseError, Group, GroupEnd, IdleStrategy, NoIdle, ParkAtDoorbells, Pause,
    Policy, Runner, Work, from_fn,
};
use myelon_runtime::event_loop::EventLoop;
use myelon_runtime::testing::VirtualClock;
use myelon_runtime::watchdog::Watch;
use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use testkit::fork::fork_then;

#[test]
fn a_close_that_is_not_in_time_names_the_agent_and_a_later_one_succeeds() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a close");
    let (log, (go, gone)) = (log(), channel::<()>());
    let hangs = move |_| {
        let _ = gone.recv();
        Ok(Work::Count(1))
    };
    let group = Group::new("drivers")
        .agent(Noted { name: "well", log: log.clone(), work: |_| Ok(Work::Count(1)) })
        .agent(Noted { name: "hangs", log: log.clone(), work: hangs });
    let mut runner = group.spawn(BackOff::default()).unwrap();
    let handle = runner.handle();
    eventually("it hangs", PATIENCE, || {
        handle.agents()[1].doing.is_some_and(|(activity, _)| activity == Activity::Work)
    })
    .unwrap();
    // It is seen from outside.
    let hanging = &handle.agents()[1];
    assert_eq!(hanging.doing.map(|(activity, _)| activity), Some(Activity::Work));
    assert!(handle.dump().contains("in do_work for"), "{}", handle.dump());
    let error = runner.close(A_MOMENT).unwrap_err();
    let CloseError::TimedOut { by: Some((agent, Activity::Work, since)), .. } = &error else { panic!("{error}") };
    assert!(agent == "hangs" && *since >= A_MOMENT, "{error}");
    assert!(error.to_string().contains("`hangs` has been in do_work for"), "{error}");
    drop(go);
    assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
    assert_eq!(*log.lock().unwrap(), ["well starts", "hangs starts", "hangs closes", "well closes"]);
    let longest = handle.agents()[1].longest;
    assert!(longest >= A_MOMENT, "{longest:?}");
}

#[test]
fn a_drop_closes_the_agents_and_waits_for_them() {
    let _watchdog = Watchdog::new(PATIENCE, "a drop");
    let log = log();
    let agent = Noted { name: "one", log: log.clone(), work: |_| Ok(Work::NONE) };
    let runner = Group::new("example").agent(agent).spawn(ParkAtDoorbells).unwrap();
    let handle = runner.handle();
    eventually("it has begun", PATIENCE, || handle.agents()[0].idles > 0).unwrap();
    drop(runner);
    assert_eq!(*log.lock().unwrap(), ["one starts", "one closes"]);
    assert_eq!(handle.ended(), Some(GroupEnd::Closed));
}

#[test]
fn a_watchdog_names_the_agent_that_runs_too_long() {
    let _watchdog = Watchdog::new(PATIENCE, "an agent that is let go");
    let (clock, (go, gone)) = (VirtualClock::new(), channel::<()>());
    let hangs = from_fn("decoder", move |_| {
        let _ = gone.recv();
        Ok(Work::Finished)
    });
    let runner = Group::new("decoders").agent(hangs).clock(clock.clone()).spawn(ParkAtDoorbells).unwrap();
    let handle = runner.handle();
    let mut watch = Watch::new(Duration::from_secs(1)).agents(&handle);
    eventually("it hangs", PATIENCE, || {
        handle.agents()[0].doing.is_some_and(|(activity, _)| activity == Activity::Work)
    })
    .unwrap();
    assert!(watch.look().is_empty());
    clock.advance(Duration::from_secs(2));
    let overdue = watch.look();
    assert_eq!(overdue.len(), 1);
    assert_eq!(overdue[0].to_string(), "group decoders has run `do_work of agent decoder` for 2.0s");
    drop(go);
}

/// An agent that has its own runner.
struct Owner {
    runner: Receiver<Runner>,
    told: std::sync::mpsc::Sender<CloseError>,
}

impl Agent for Owner {
    fn name(&self) -> &str {
        "owner"
    }

    fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
        let mut runner = self.runner.recv()?;
        self.told.send(runner.close(PATIENCE).unwrap_err())?;
        drop(runner); // does not wait
        Ok(Work::Count(1))
    }
}

#[test]
fn an_agent_cannot_wait_for_its_own_group_and_can_end_it() {
    let _watchdog = Watchdog::new(PATIENCE, "an agent that closes its group");
    let ((give, runner), (told, telling)) = (channel(), channel());
    let runner = Group::new("own").agent(Owner { runner, told }).spawn(ParkAtDoorbells).unwrap();
    let handle = runner.handle();
    give.send(runner).unwrap();
    assert_eq!(telling.recv_timeout(PATIENCE).unwrap(), CloseError::OnItself { group: "own".into() });
    eventually("it ends", PATIENCE, || handle.ended() == Some(GroupEnd::Closed)).unwrap();
}

#[test]
fn a_strategy_that_panics_ends_the_group_and_its_agents_are_closed() {
    struct Breaks;
    impl IdleStrategy for Breaks {
        fn idle(&mut self, _: &mut Pause<'_>) {
            resume_unwind(Box::new("a bug"));
        }
    }
    let _watchdog = Watchdog::new(PATIENCE, "the end of a group");
    let log = log();
    let agent = Noted { name: "one", log: log.clone(), work: |_| Ok(Work::NONE) };
    let mut runner = Group::new("example").agent(agent).spawn(Breaks).unwrap();
    let end = runner.wait(PATIENCE).unwrap();
    assert_eq!(end, GroupEnd::Panicked { what: "the idle strategy", text: "a bug".into() });
    assert_eq!(*log.lock().unwrap(), ["one starts", "one closes"]);
}

#[test]
fn agents_are_dropped_when_the_end_is_seen() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "ends of groups");
    for _ in 0..200 {
        let held = Arc::new(Mutex::new(()));
        let kept = Arc::clone(&held);
        let agent = from_fn("holds", move |_| {
            let _ = &kept;
            Ok(Work::Finished)
        });
        let runner = Group::new("example").agent(agent).spawn(ParkAtDoorbells).unwrap();
        let handle = runner.handle();
        eventually("it ends", PATIENCE, || handle.ended().is_some()).unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn a_forked_child_is_told_that_the_agents_are_its_parents() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a forked child");
    let runner = Group::new("parent's").agent(from_fn("one", |_| Ok(Work::NONE))).spawn(ParkAtDoorbells).unwrap();
    let mut runner = Some(runner);
    let mut child = fork_then(|| {
        let mut runner = runner.take().unwrap();
        match runner.close(PATIENCE) {
            Err(CloseError::Forked { .. }) => {
                drop(runner); // waits for nothing
                0
            }
            _ => 1,
        }
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    let mut runner = runner.unwrap();
    assert_eq!(runner.handle().ended(), None, "the child has ended nothing");
    assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
}

#[test]
fn the_end_of_a_group_is_told_once_after_its_agents_are_closed_wherever_it_runs() {
    let _watchdog = Watchdog::new(PATIENCE, "the end of a group");
    let told = |places: Sender<(&'static str, GroupEnd, usize)>, place| {
        let log = log();
        let seen = log.clone();
        // It works once, and fails then.
        let mut left = 1;
        let work = move |_| {
            left -= 1;
            if left == 0 { Ok(Work::Count(1)) } else { Err("for good".into()) }
        };
        Group::new(place).agent_with(Noted { name: "fails", log, work }, Policy::EndGroup).on_end(move |end| {
            let closes = seen.lock().unwrap().iter().filter(|call| call.contains("close")).count();
            places.send((place, end.clone(), closes)).unwrap();
            resume_unwind(Box::new("a hook that panics"));
        })
    };
    let failed = GroupEnd::Failed { agent: "fails".to_owned(), error: "for good".to_owned() };
    let agenda = Agenda::builder().workers(1).start().unwrap();
    let mut event_loop = EventLoop::builder().clock(VirtualClock::new()).build().unwrap();

    let (send, ends) = channel();
    let thread = told(send.clone(), "a thread").spawn(BackOff::default()).unwrap();
    assert_eq!(ends.recv().unwrap(), ("a thread", failed.clone(), 1));
    let worker = told(send.clone(), "an agenda").submit(&agenda, Priority::Normal).unwrap();
    assert_eq!(ends.recv().unwrap(), ("an agenda", failed.clone(), 1));
    let looped = told(send.clone(), "a loop").add_to(&mut event_loop, "agents");
    while looped.ended().is_none() {
        event_loop.turn(Duration::ZERO).unwrap();
    }
    assert_eq!(ends.recv().unwrap(), ("a loop", failed.clone(), 1));
    assert_eq!(told(send.clone(), "the caller").into_invoker().run(&mut NoIdle), failed);
    assert_eq!(ends.recv().unwrap(), ("the caller", failed.clone(), 1));

    drop(told(send.clone(), "a drop").into_invoker());
    assert_eq!(ends.recv().unwrap(), ("a drop", GroupEnd::Closed, 0));
    agenda.close(PATIENCE).unwrap();
    assert!(told(send.clone(), "nowhere").submit(&agenda, Priority::Normal).is_err());
    assert_eq!(ends.recv().unwrap(), ("nowhere", GroupEnd::Closed, 0));

    drop((thread, worker, event_loop, send));
    assert!(ends.recv().is_err(), "each end is told once");
    assert_eq!(looped.ended(), Some(failed));
}
