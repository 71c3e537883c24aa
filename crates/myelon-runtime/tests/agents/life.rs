//! `on_close` runs once for each `on_start` that succeeded, whatever fails, panics or ends in between (R-58, R-67,
//!

use crate::{Noted, log};
use myelon_runtime::agents::{Agent, AgentError, BackOff, Group, GroupEnd, Policy, Restart, Work, from_fn};
use myelon_runtime::testing::VirtualClock;
use proptest::prelude::*;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// What one call does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    Nothing,
    Work,
    Finish,
    Fail,
    Panic,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        4 => Just(Does::Nothing),
        4 => Just(Does::Work),
        1 => Just(Does::Finish),
        2 => Just(Does::Fail),
        2 => Just(Does::Panic),
    ]
}

fn policy() -> impl Strategy<Value = Policy> {
    let restart = Restart::new(Duration::from_millis(1), Duration::from_millis(50));
    prop_oneof![
        Just(Policy::End),
        Just(Policy::EndGroup),
        Just(Policy::Restart(restart.limit(u32::MAX))),
        Just(Policy::Restart(restart.limit(2))),
        Just(Policy::Restart(restart.limit(2).calm(Duration::ZERO).then_end())),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// A start, and whether it succeeded.
    Start(bool),
    Work,
    Close,
    Drop,
}

#[derive(Clone, Debug)]
struct Script {
    starts: Vec<Does>,
    work: Vec<Does>,
    closes: Vec<Does>,
    parks: Vec<Does>,
    drop_panics: bool,
    policy: Policy,
}

fn script() -> impl Strategy<Value = Script> {
    let calls = |most| proptest::collection::vec(does(), 0..most);
    (calls(6), calls(30), calls(6), calls(6), any::<bool>(), policy()).prop_map(
        |(starts, work, closes, parks, drop_panics, policy)| Script {
            starts,
            work,
            closes,
            parks,
            drop_panics,
            policy,
        },
    )
}

struct Scripted {
    script: Script,
    /// What has happened, and how many calls have failed.
    seen: Arc<Mutex<(Vec<Seen>, u64)>>,
}

impl Scripted {
    fn see(&self, seen: Seen) {
        self.seen.lock().unwrap().0.push(seen);
    }

    fn fails(&self) {
        self.seen.lock().unwrap().1 += 1;
    }
}

/// The next one of a list, from the end; without one, the last word.
fn next(list: &mut Vec<Does>, last: Does) -> Does {
    list.pop().unwrap_or(last)
}

impl Agent for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        let does = next(&mut self.script.starts, Does::Nothing);
        self.see(Seen::Start(!matches!(does, Does::Fail | Does::Panic)));
        match does {
            Does::Fail => {
                self.fails();
                Err("no start".into())
            }
            Does::Panic => {
                self.fails();
                resume_unwind(Box::new("a start"))
            }
            _ => Ok(()),
        }
    }

    fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
        self.see(Seen::Work);
        match next(&mut self.script.work, Does::Finish) {
            Does::Nothing => Ok(Work::NONE),
            Does::Work => Ok(Work::Count(2)),
            Does::Finish => Ok(Work::Finished),
            Does::Fail => {
                self.fails();
                Err("no work".into())
            }
            Does::Panic => {
                self.fails();
                resume_unwind(Box::new(17))
            }
        }
    }

    fn on_close(&mut self) {
        self.see(Seen::Close);
        if next(&mut self.script.closes, Does::Nothing) == Does::Panic {
            self.fails();
            resume_unwind(Box::new("a close"));
        }
    }

    fn before_park(&mut self) -> bool {
        if next(&mut self.script.parks, Does::Nothing) == Does::Panic {
            self.fails();
            resume_unwind(Box::new(String::from("a look")));
        }
        // Nothing wakes it.
        false
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.see(Seen::Drop);
        if self.script.drop_panics {
            self.fails();
            resume_unwind(Box::new("a drop"));
        }
    }
}

/// A start, work, and one close; again and again; and one drop.
fn check(seen: &[Seen]) -> Result<(), TestCaseError> {
    let mut runs = false;
    for (at, what) in seen.iter().enumerate() {
        match what {
            Seen::Start(succeeded) => {
                prop_assert!(!runs, "a start of one that runs: {seen:?}");
                runs = *succeeded;
            }
            Seen::Work => prop_assert!(runs, "work of one that does not run: {seen:?}"),
            Seen::Close => {
                prop_assert!(runs, "a close of one that does not run: {seen:?}");
                runs = false;
            }
            Seen::Drop => {
                prop_assert!(!runs, "a drop without a close: {seen:?}");
                prop_assert_eq!(at + 1, seen.len(), "something after the drop: {:?}", seen);
            }
        }
    }
    prop_assert_eq!(seen.last(), Some(&Seen::Drop));
    Ok(())
}

proptest! {
    #[test]
    fn each_start_has_one_close(
        scripts in proptest::collection::vec(script(), 1..4),
        // After this many cycles it is dropped or closed; `None`: it runs to its end.
        cycles in proptest::option::of(0..40_usize),
        closes: bool,
        at_doorbells: bool,
    ) {
        let seen: Vec<_> = scripts.iter().map(|_| Arc::new(Mutex::new((Vec::new(), 0)))).collect();
        let told = Arc::new(Mutex::new(0));
        let hook = Arc::clone(&told);
        let mut group = Group::new("generated").clock(VirtualClock::new()).on_failure(move |_| *hook.lock().unwrap() += 1);
        for (script, seen) in scripts.iter().zip(&seen) {
            group = group.agent_with(Scripted { script: script.clone(), seen: Arc::clone(seen) }, script.policy);
        }
        let mut invoker = group.into_invoker();
        let handle = invoker.handle();
        let mut polls = BackOff::new(Duration::from_millis(1), Duration::from_millis(8)).spins(0).yields(0);
        let mut idle = |invoker: &mut myelon_runtime::agents::Invoker| {
            if at_doorbells {
                invoker.idle(&mut myelon_runtime::agents::ParkAtDoorbells);
                // Its agents do not let it sleep, so nothing else moves the clock.
                invoker.idle(&mut polls);
            } else {
                invoker.idle(&mut polls);
            }
        };
        let mut cycle = 0;
        while invoker.end().is_none() && cycles.is_none_or(|cycles| cycle < cycles) {
            if invoker.invoke() == 0 {
                idle(&mut invoker);
            }
            cycle += 1;
        }
        let ended_before = invoker.end().cloned();
        if closes {
            let end = invoker.close();
            if let Some(before) = ended_before {
                prop_assert_eq!(end, before, "an end stays what it is");
            }
        } else {
            drop(invoker);
        }
        prop_assert!(handle.ended().is_some());
        let mut failures = 0;
        for seen in &seen {
            let seen = seen.lock().unwrap();
            check(&seen.0)?;
            failures += seen.1;
        }
        prop_assert_eq!(*told.lock().unwrap(), failures, "each failure is told");
        let agents = handle.agents();
        prop_assert_eq!(agents.iter().map(|agent| agent.failures).sum::<u64>(), failures, "and counted");
        for (agent, seen) in agents.iter().zip(&seen) {
            let starts = seen.lock().unwrap().0.iter().filter(|what| **what == Seen::Start(true)).count() as u64;
            prop_assert_eq!(agent.starts, starts);
        }
    }
}

struct NeverStarts;

impl Agent for NeverStarts {
    fn name(&self) -> &str {
        "never starts"
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        Err("no luck".into())
    }

    fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
        unreachable!("it was not started")
    }
}

#[test]
fn the_time_of_the_hook_is_not_that_of_the_next_agent() {
    let clock = VirtualClock::new();
    let quick = from_fn("quick", |_| Ok(Work::Count(1)));
    let of_hook = clock.clone();
    let group = Group::new("example").agent(quick).agent_with(NeverStarts, Policy::Restart(Restart::default()));
    let group = group.agent(from_fn("next", |_| Ok(Work::Count(1)))).clock(clock);
    let mut invoker = group.on_failure(move |_| of_hook.advance(Duration::from_secs(1))).into_invoker();
    invoker.invoke();
    invoker.invoke();
    let reports = invoker.handle().agents();
    assert_eq!((reports[1].failures, reports[2].cycles), (2, 1));
    assert_eq!(reports[2].longest, Duration::ZERO);
}

/// An error whose text panics, and whose destructor does too.
#[derive(Debug)]
struct Unspeakable;

impl std::fmt::Display for Unspeakable {
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::panic::resume_unwind(Box::new("its text"))
    }
}

impl std::error::Error for Unspeakable {}

impl Drop for Unspeakable {
    fn drop(&mut self) {
        std::panic::resume_unwind(Box::new("its destructor"))
    }
}

#[test]
fn an_agent_whose_error_panics_is_closed_and_the_others_go_on() {
    let log = log();
    let bad = Noted { name: "bad", log: log.clone(), work: |_| Err(Unspeakable.into()) };
    let good = from_fn("good", |_| Ok(Work::Count(1)));
    let mut invoker = Group::new("example").agent_with(bad, Policy::End).agent(good).into_invoker();
    invoker.invoke();
    assert_eq!(invoker.invoke(), 1);
    assert_eq!(invoker.invoke(), 1);
    assert_eq!(*log.lock().unwrap(), ["bad starts", "bad closes"]);
    assert_eq!(invoker.handle().agents()[0].failures, 1);
    assert_eq!(invoker.close(), GroupEnd::Closed);
}
