//! What a failure means: a restart after the time that was said, an end, or the end of the group.

use crate::{Noted, log};
use myelon_runtime::agents::{
    AgentState, Cause, Failure, Group, GroupEnd, NoIdle, ParkAtDoorbells, Policy, Restart, Then, Work, from_fn,
};
use myelon_runtime::clock::Clock;
use myelon_runtime::testing::VirtualClock;
use std::panic::resume_unwind;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn a_back_off_doubles_to_its_longest_and_the_limit_ends_the_group() {
    let (clock, at, told) = (VirtualClock::new(), log(), log());
    let begin = clock.now();
    let (times, hook) = (at.clone(), told.clone());
    let flaky = from_fn("flaky", move |now| {
        times.lock().unwrap().push(now - begin);
        Err("no answer".into())
    });
    let restart = Restart::new(3 * MS, 20 * MS).limit(5);
    let group = Group::new("example").clock(clock).agent_with(flaky, restart);
    let mut invoker = group.on_failure(move |failure| hook.lock().unwrap().push(failure.then)).into_invoker();
    let end = invoker.run(&mut ParkAtDoorbells);
    assert_eq!(end, GroupEnd::Failed { agent: "flaky".into(), error: "no answer".into() });
    assert_eq!(*at.lock().unwrap(), [0, 3, 9, 21, 41, 61].map(|ms| ms * MS));
    let restarts = [3, 6, 12, 20, 20].map(|ms| Then::RestartsIn(ms * MS));
    assert_eq!(*told.lock().unwrap(), [&restarts[..], &[Then::GroupEnds]].concat());
    let agent = &invoker.handle().agents()[0];
    assert_eq!((agent.starts, agent.restarts, agent.failures, agent.state), (6, 5, 6, AgentState::Ended));
}

#[test]
fn an_agent_that_has_run_for_the_calm_time_begins_a_new_row() {
    let (clock, told) = (VirtualClock::new(), log());
    let (moves, hook) = (clock.clone(), told.clone());
    let mut calls = 0;
    let flaky = from_fn("flaky", move |_| {
        calls += 1;
        if calls == 3 {
            moves.advance(100 * MS); // it runs well for the calm time
            return Ok(Work::Count(1));
        }
        if calls == 6 { Ok(Work::Finished) } else { Err("no answer".into()) }
    });
    let restart = Restart::new(MS, 20 * MS).limit(2).calm(100 * MS);
    let group = Group::new("example").clock(clock).agent_with(flaky, restart);
    let mut invoker = group.on_failure(move |failure| hook.lock().unwrap().push(failure.then)).into_invoker();
    assert_eq!(invoker.run(&mut ParkAtDoorbells), GroupEnd::Finished);
    assert_eq!(*told.lock().unwrap(), [1, 2, 1, 2].map(|ms| Then::RestartsIn(ms * MS)));
}

#[test]
fn the_end_of_a_group_closes_its_agents_in_reverse_order() {
    let log = log();
    let noted = |name, fails| Noted {
        name,
        log: log.clone(),
        work: move |_| if fails { resume_unwind(Box::new("as a bug would")) } else { Ok(Work::Count(1)) },
    };
    let group = Group::new("example")
        .agent(noted("first", false))
        .agent(noted("second", false))
        .agent_with(noted("third", true), Policy::EndGroup)
        .agent(noted("fourth", false));
    let mut invoker = group.into_invoker();
    let end = invoker.run(&mut NoIdle);
    assert_eq!(end, GroupEnd::Failed { agent: "third".into(), error: "it panicked: as a bug would".into() });
    let expected = [
        "first starts",
        "second starts",
        "third starts",
        "fourth starts",
        "third closes",
        "fourth closes",
        "second closes",
        "first closes",
    ];
    assert_eq!(*log.lock().unwrap(), expected);
}

#[test]
fn the_end_of_one_agent_leaves_the_others() {
    let mut left = 5;
    let other = from_fn("other", move |_| {
        left -= 1;
        Ok(if left == 0 { Work::Finished } else { Work::Count(1) })
    });
    let fails = from_fn("fails", |_| Err("for good".into()));
    let mut invoker = Group::new("example").agent_with(fails, Policy::End).agent(other).into_invoker();
    let end = invoker.run(&mut NoIdle);
    assert_eq!(end, GroupEnd::Failed { agent: "fails".into(), error: "for good".into() });
    let agents = invoker.handle().agents();
    assert_eq!((agents[0].failures, agents[1].cycles, agents[1].work), (1, 5, 5));
}

#[test]
fn a_report_says_what_has_happened_and_what_happens_next() {
    let told = log();
    let hook = told.clone();
    let group = Group::new("drivers")
        .agent_with(from_fn("sender", |_| Err("the ring is closed".into())), Restart::new(5 * MS, MS * 50))
        .on_failure(move |failure: &Failure<'_>| {
            assert!(matches!(failure.cause, Cause::Error(_)));
            hook.lock().unwrap().push(failure.to_string());
        });
    let mut invoker = group.into_invoker();
    invoker.invoke();
    invoker.invoke();
    let expected = "agent `sender` of `drivers` failed in do_work: the ring is closed; it starts again in 5.0ms";
    assert_eq!(*told.lock().unwrap(), [expected]);
    assert!(invoker.handle().dump().contains("backs off"), "{}", invoker.handle().dump());
}

#[test]
fn a_hook_that_panics_ends_the_group_and_its_agents_are_closed() {
    let log = log();
    let mut calls = 0;
    let work = move |_| {
        calls += 1;
        if calls < 3 { Ok(Work::Count(1)) } else { Err("as it may".into()) }
    };
    let group = Group::new("example").agent(Noted { name: "one", log: log.clone(), work });
    let mut invoker = group.on_failure(|_| resume_unwind(Box::new("a bug in the hook"))).into_invoker();
    let end = invoker.run(&mut NoIdle);
    assert_eq!(end, GroupEnd::Panicked { what: "the hook for failures", text: "a bug in the hook".into() });
    assert_eq!(*log.lock().unwrap(), ["one starts", "one closes"]);
}

#[test]
fn a_group_without_agents_has_finished() {
    assert_eq!(Group::new("empty").into_invoker().run(&mut NoIdle), GroupEnd::Finished);
}
