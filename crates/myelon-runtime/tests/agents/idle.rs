//! How a group sleeps: at what times, woken by what, at what cost.

use crate::{AtPipe, PATIENCE, Watchdog, eventually, log};
use myelon_runtime::agents::{
    Adaptive, Agent, AgentError, BackOff, Doorbells, Group, GroupEnd, GroupHandle, IdleStrategy, ParkAtDoorbells,
    Pause, Policy, Restart, Spin, Work, Yield, from_fn,
};
use myelon_runtime::clock::Clock;
use myelon_runtime::testing::VirtualClock;
use std::fs::read_to_string;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{TryRecvError, channel};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

const US: Duration = Duration::from_micros(1);

#[test]
fn back_off_sleeps_twice_as_long_each_time_and_work_begins_anew() {
    let (clock, at) = (VirtualClock::new(), log());
    let (begin, times) = (clock.now(), at.clone());
    let mut calls = 0;
    let agent = from_fn("counts", move |now| {
        calls += 1;
        times.lock().unwrap().push((now - begin).as_micros());
        Ok(match calls {
            12 => Work::Finished,
            9 => Work::Count(1),
            _ => Work::NONE,
        })
    });
    let mut idle = BackOff::new(10 * US, 50 * US).spins(1).yields(2);
    let mut invoker = Group::new("example").agent(agent).clock(clock).into_invoker();
    assert_eq!(invoker.run(&mut idle), GroupEnd::Finished);
    // The start is work, so it does not idle between the start and the first call.
    assert_eq!(*at.lock().unwrap(), [0, 0, 0, 0, 10, 30, 70, 120, 170, 170, 170, 170]);
}

#[test]
fn a_sleep_ends_at_the_first_deadline_of_all_agents() {
    struct Every {
        period: Duration,
        next: Option<std::time::Instant>,
        at: crate::Log<u128>,
        begin: std::time::Instant,
    }
    impl myelon_runtime::agents::Agent for Every {
        fn name(&self) -> &str {
            "every"
        }
        fn do_work(&mut self, now: std::time::Instant) -> Result<Work, myelon_runtime::agents::AgentError> {
            let next = *self.next.get_or_insert(now + self.period);
            if now < next {
                return Ok(Work::NONE);
            }
            self.next = Some(next + self.period);
            self.at.lock().unwrap().push((now - self.begin).as_secs().into());
            Ok(if now - self.begin >= Duration::from_secs(3600) { Work::Finished } else { Work::Count(1) })
        }
        fn wake_at(&self) -> Option<std::time::Instant> {
            self.next
        }
    }
    let (clock, at) = (VirtualClock::new(), log());
    let begin = clock.now();
    let every = |s| Every { period: Duration::from_secs(s), next: None, at: at.clone(), begin };
    let group = Group::new("timers").agent(every(1000)).agent(every(900)).clock(clock);
    assert_eq!(group.into_invoker().run(&mut ParkAtDoorbells), GroupEnd::Finished);
    assert_eq!(*at.lock().unwrap(), [900, 1000, 1800, 2000, 2700, 3000, 3600, 4000]);
}

/// Two groups that send each other numbers. It never ends if one wake-up is lost.
fn ping_pong(rounds: u64, idles: [Box<dyn IdleStrategy + Send>; 2]) {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a ping-pong");
    let handles = Arc::new([const { std::sync::OnceLock::new() }; 2]);
    let (to_second, from_first) = channel();
    let (to_first, from_second) = channel();
    let mut ends = vec![(to_second, from_second, 1), (to_first, from_first, 0)];
    ends[0].0.send(0).unwrap();
    let mut runners = Vec::new();
    for (me, idle) in idles.into_iter().enumerate() {
        let (send, receive, other) = ends.remove(0);
        let handles = Arc::clone(&handles);
        let agent = from_fn("player", move |_| match receive.try_recv() {
            Ok(number) => {
                // The last one is not answered; then the other end is dropped.
                let sent = number < rounds && send.send(number + 1).is_ok();
                let other: &myelon_runtime::agents::GroupHandle = handles[other].wait();
                other.wake();
                Ok(if sent { Work::Count(1) } else { Work::Finished })
            }
            Err(TryRecvError::Empty) => Ok(Work::NONE),
            Err(TryRecvError::Disconnected) => Ok(Work::Finished),
        });
        let runner = Group::new(format!("player {me}")).agent(agent).spawn(idle).unwrap();
        runners.push(runner);
    }
    for (runner, handle) in runners.iter().zip(&*handles) {
        handle.set(runner.handle()).unwrap();
    }
    // The first ball goes to the second player, and so does each even one.
    assert_eq!(rounds % 2, 0);
    assert_eq!(runners[1].wait(PATIENCE * 2).unwrap(), GroupEnd::Finished);
}

#[test]
fn no_wake_is_lost_with_any_strategy() {
    ping_pong(20_000, [Box::new(ParkAtDoorbells), Box::new(ParkAtDoorbells)]);
    let long = Duration::from_secs(3600);
    // A wake that is lost would cost an hour.
    let back_off = || Box::new(BackOff::new(long, long).spins(0).yields(0));
    ping_pong(20_000, [back_off(), back_off()]);
    let adaptive = || Box::new(Adaptive::new().sleeps(long, Duration::MAX));
    ping_pong(20_000, [adaptive(), adaptive()]);
    ping_pong(20_000, [adaptive(), Box::new(ParkAtDoorbells)]);
    ping_pong(200, [Box::new(Spin), Box::new(Yield)]);
}

#[test]
fn no_ring_of_a_descriptor_and_no_wake_beside_it_is_lost() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "bytes in a pipe");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (read, woken) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let (asked, seen) = (Arc::new(AtomicU64::new(0)), Arc::clone(&woken));
    let ask = Arc::clone(&asked);
    let beside = from_fn("beside", move |_| {
        let asked = ask.load(Ordering::Acquire);
        Ok(Work::Count((asked - seen.swap(asked, Ordering::Release)) as usize))
    });
    let group = Group::new("both").agent(AtPipe { pipe: ours, read: Arc::clone(&read) }).agent(beside);
    let mut runner = group.spawn(ParkAtDoorbells).unwrap();
    let handle = runner.handle();
    for round in 1..=5000 {
        (&theirs).write_all(&[1]).unwrap();
        eventually("the byte is read", PATIENCE, || read.load(Ordering::Relaxed) == round).unwrap();
        asked.store(round, Ordering::Release);
        handle.wake();
        eventually("the wake is served", PATIENCE, || woken.load(Ordering::Acquire) == round).unwrap();
    }
    assert_eq!(runner.close(PATIENCE).unwrap(), GroupEnd::Closed);
}

/// An agent at a pipe into which nothing comes. Something happens at the moment when it has armed for the first time.
struct ArmedThen<F> {
    pipe: UnixStream,
    then: Option<F>,
    ready: Arc<AtomicBool>,
}

impl<F: FnOnce() + Send> Agent for ArmedThen<F> {
    fn name(&self) -> &str {
        "armed"
    }

    fn do_work(&mut self, _: std::time::Instant) -> Result<Work, AgentError> {
        Ok(if self.ready.load(Ordering::Relaxed) { Work::Finished } else { Work::NONE })
    }

    fn before_park(&mut self) -> bool {
        if let Some(then) = self.then.take() {
            // What another thread does now, it does while the group is about to sleep.
            std::thread::scope(|scope| drop(scope.spawn(then).join()));
        }
        true
    }

    fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
        doorbells.add(&self.pipe);
    }
}

#[test]
fn the_first_sleep_at_doorbells_ends_by_a_wake_and_by_a_close_that_come_while_it_begins() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a first sleep");
    for close in [false, true] {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let (ready, handle) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::<GroupHandle>::new()));
        let (set, group) = (Arc::clone(&ready), Arc::clone(&handle));
        let then = move || {
            if close {
                group.wait().request_close();
            } else {
                set.store(true, Ordering::Relaxed);
                group.wait().wake();
            }
        };
        let agent = ArmedThen { pipe: ours, then: Some(then), ready };
        let mut runner = Group::new("armed").agent(agent).spawn(ParkAtDoorbells).unwrap();
        handle.set(runner.handle()).unwrap();
        let end = if close { GroupEnd::Closed } else { GroupEnd::Finished };
        assert_eq!(runner.wait(PATIENCE).unwrap(), end, "closed: {close}");
    }
}

/// An agent without a descriptor that waits in `before_park`, as each call of the standard library that blocks may do.
struct WaitsAsItArms<F> {
    then: Option<F>,
    ready: Arc<AtomicBool>,
}

impl<F: FnOnce() + Send> Agent for WaitsAsItArms<F> {
    fn name(&self) -> &str {
        "waits"
    }

    fn do_work(&mut self, _: std::time::Instant) -> Result<Work, AgentError> {
        Ok(if self.ready.load(Ordering::Relaxed) { Work::Finished } else { Work::NONE })
    }

    fn before_park(&mut self) -> bool {
        if let Some(then) = self.then.take() {
            std::thread::scope(|scope| drop(scope.spawn(then).join()));
            std::thread::park_timeout(Duration::from_millis(1));
        }
        true
    }
}

#[test]
fn a_wake_that_comes_while_an_agent_waits_in_before_park_is_not_lost() {
    let _watchdog = Watchdog::new(PATIENCE, "a sleep after a wait");
    let (ready, handle) = (Arc::new(AtomicBool::new(false)), Arc::new(OnceLock::<GroupHandle>::new()));
    let (set, group) = (Arc::clone(&ready), Arc::clone(&handle));
    let then = move || {
        set.store(true, Ordering::Relaxed);
        group.wait().wake();
    };
    let mut runner =
        Group::new("waits").agent(WaitsAsItArms { then: Some(then), ready }).spawn(ParkAtDoorbells).unwrap();
    handle.set(runner.handle()).unwrap();
    assert_eq!(runner.wait(PATIENCE).unwrap(), GroupEnd::Finished);
}

/// A strategy that sleeps twice in one step. Between the two the group is woken.
struct SleepsTwice(Option<Box<dyn FnOnce() + Send>>);

impl IdleStrategy for SleepsTwice {
    fn idle(&mut self, pause: &mut Pause<'_>) {
        if let Some(then) = self.0.take() {
            then();
        }
        pause.park(Duration::from_secs(3600));
        pause.park_at_doorbells(None);
    }
}

#[test]
fn a_wake_that_ends_the_first_of_two_sleeps_in_a_step_of_idling_is_followed_by_a_cycle() {
    let _watchdog = Watchdog::new(PATIENCE, "two sleeps");
    let ready = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&ready);
    let agent = from_fn("woken", move |_| Ok(if seen.load(Ordering::Relaxed) { Work::Finished } else { Work::NONE }));
    let mut invoker = Group::new("woken").agent(agent).into_invoker();
    let handle = invoker.handle();
    let then = move || {
        ready.store(true, Ordering::Relaxed);
        handle.wake();
    };
    assert_eq!(invoker.run(&mut SleepsTwice(Some(Box::new(then)))), GroupEnd::Finished);
}

/// An agent that fails for the first time when it is asked to arm.
struct FailsAsItArms {
    failures: u32,
}

impl Agent for FailsAsItArms {
    fn name(&self) -> &str {
        "fails"
    }

    fn do_work(&mut self, _: std::time::Instant) -> Result<Work, AgentError> {
        Ok(if self.failures > 0 { Work::Finished } else { Work::NONE })
    }

    fn before_park(&mut self) -> bool {
        self.failures += 1;
        panic!("it cannot arm")
    }
}

/// A strategy that sleeps at doorbells twice in one step.
struct TwiceAtDoorbells;

impl IdleStrategy for TwiceAtDoorbells {
    fn idle(&mut self, pause: &mut Pause<'_>) {
        pause.park_at_doorbells(Some(Duration::from_secs(3600)));
        pause.park_at_doorbells(None);
    }
}

#[test]
fn an_agent_that_fails_in_the_first_of_two_sleeps_in_a_step_of_idling_is_restarted_and_its_group_ends() {
    let _watchdog = Watchdog::new(PATIENCE, "two sleeps");
    let group = |policy| Group::new("fails").agent_with(FailsAsItArms { failures: 0 }, policy).into_invoker();
    let restart = Restart::new(Duration::from_millis(1), Duration::from_millis(1));
    assert_eq!(group(Policy::Restart(restart)).run(&mut TwiceAtDoorbells), GroupEnd::Finished);
    let ended = group(Policy::EndGroup).run(&mut TwiceAtDoorbells);
    assert!(matches!(ended, GroupEnd::Failed { .. }), "{ended:?}");
}

#[test]
fn a_back_off_that_begins_while_an_agent_is_asked_for_its_deadline_is_a_deadline() {
    struct FailsWhenAsked;
    impl Agent for FailsWhenAsked {
        fn name(&self) -> &str {
            "asked"
        }
        fn do_work(&mut self, _: std::time::Instant) -> Result<Work, AgentError> {
            Ok(Work::NONE)
        }
        fn wake_at(&self) -> Option<std::time::Instant> {
            panic!("it has no clock")
        }
    }
    let delay = Duration::from_secs(5);
    let clock = VirtualClock::new();
    let group = Group::new("asked").agent_with(FailsWhenAsked, Policy::Restart(Restart::new(delay, delay)));
    let mut invoker = group.clock(clock.clone()).into_invoker();
    invoker.invoke();
    assert_eq!(invoker.wake_at(), Some(clock.now() + delay));
}

/// How often the scheduler has given the thread of this name a core.
fn switches(name: &str) -> Vec<String> {
    let mut all = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").expect("procfs").flatten() {
        if read_to_string(task.path().join("comm")).unwrap_or_default().trim_end() == name {
            let status = read_to_string(task.path().join("status")).unwrap_or_default();
            all.extend(status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned));
        }
    }
    all
}

#[test]
fn an_idle_runner_at_doorbells_is_never_scheduled() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a rest");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let read = Arc::new(AtomicU64::new(0));
    let with = Group::new("idle at pipe").agent(AtPipe { pipe: ours, read: Arc::clone(&read) });
    let without = Group::new("idle alone").agent(from_fn("woken", |_| Ok(Work::NONE)));
    let runners = [with.spawn(ParkAtDoorbells).unwrap(), without.spawn(ParkAtDoorbells).unwrap()];
    (&theirs).write_all(&[1; 10]).unwrap();
    eventually("bytes are read", PATIENCE, || read.load(Ordering::Relaxed) == 10).unwrap();
    runners[1].handle().wake();
    for name in ["idle at pipe", "idle alone"] {
        // It comes to rest. From then on nothing happens, however long we look.
        eventually("rest", PATIENCE, || {
            let before = switches(name);
            std::thread::sleep(Duration::from_millis(300));
            before.len() == 2 && before == switches(name)
        })
        .unwrap();
    }
}
