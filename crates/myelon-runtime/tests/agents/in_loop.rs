//! A group in an event loop, beside other sources.

use crate::{AtPipe, Noted, PATIENCE, Watchdog, log};
use myelon_runtime::agents::{Agent, AgentError, Doorbells, Group, GroupEnd, Policy, Restart, Work, from_fn};
use myelon_runtime::clock::Clock;
use myelon_runtime::event_loop::{EventLoop, SourceState, Tick};
use myelon_runtime::testing::VirtualClock;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Turns until `condition`; each sleeps for a short time at most, so that a condition of another thread is seen.
fn turn_until(event_loop: &mut EventLoop, condition: impl Fn() -> bool) {
    while !condition() {
        event_loop.turn(Duration::from_millis(100)).unwrap();
    }
}

#[test]
fn a_group_is_called_for_each_byte_at_its_doorbell_and_for_nothing_else() {
    let _watchdog = Watchdog::new(PATIENCE, "bytes in a pipe");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let read = Arc::new(AtomicU64::new(0));
    let mut event_loop = EventLoop::new().unwrap();
    let sources_before = event_loop.handle().sources().len();
    let group = Group::new("readers").agent(AtPipe { pipe: ours, read: Arc::clone(&read) });
    let handle = group.add_to(&mut event_loop, "agents that read");
    for round in 1..=1000 {
        (&theirs).write_all(&[1]).unwrap();
        turn_until(&mut event_loop, || read.load(Ordering::Relaxed) == round);
    }
    // It comes to rest: no turn serves anything, and the agent is not called.
    while event_loop.turn(Duration::ZERO).unwrap() > 0 {}
    let before = handle.agents()[0].cycles;
    for _ in 0..100 {
        assert_eq!(event_loop.turn(Duration::ZERO).unwrap(), 0);
    }
    assert_eq!(handle.agents()[0].cycles, before);
    drop(theirs);
    turn_until(&mut event_loop, || handle.ended().is_some());
    assert_eq!(handle.ended(), Some(GroupEnd::Finished));
    assert_eq!(event_loop.handle().sources().len(), sources_before, "{}", event_loop.handle().dump());
}

#[test]
fn a_doorbell_that_the_program_has_paused_is_not_resumed_by_its_group() {
    let _watchdog = Watchdog::new(PATIENCE, "a paused doorbell");
    let (ours, theirs) = UnixStream::pair().unwrap();
    let read = Arc::new(AtomicU64::new(0));
    let mut event_loop = EventLoop::new().unwrap();
    let group = Group::new("readers").agent(AtPipe { pipe: ours, read: Arc::clone(&read) });
    let handle = group.add_to(&mut event_loop, "agents that read");
    let settle = |event_loop: &mut EventLoop| while event_loop.turn(Duration::ZERO).unwrap() > 0 {};
    settle(&mut event_loop);
    let sources = event_loop.handle().sources();
    let doorbell = sources.iter().find(|source| source.description.starts_with("doorbell")).unwrap().id;
    assert!(event_loop.pause(doorbell));
    for byte in 1..=2 {
        (&theirs).write_all(&[1]).unwrap();
        settle(&mut event_loop);
        assert_eq!(read.load(Ordering::Relaxed), byte - 1, "only a wake tells of this byte");
        handle.wake();
        settle(&mut event_loop);
        assert_eq!(read.load(Ordering::Relaxed), byte);
        assert_eq!(event_loop.report(doorbell).unwrap().state, SourceState::Paused);
    }
    assert!(event_loop.resume(doorbell).unwrap());
    (&theirs).write_all(&[1]).unwrap();
    settle(&mut event_loop);
    assert_eq!(read.load(Ordering::Relaxed), 3);
}

#[test]
fn a_group_that_is_removed_from_its_loop_leaves_no_source_there() {
    let _watchdog = Watchdog::new(PATIENCE, "a group that is removed");
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    let loop_handle = event_loop.handle();
    let sources_before = loop_handle.sources().len();
    let group = Group::new("readers").agent(AtPipe { pipe: ours, read: Arc::default() });
    let handle = group.add_to(&mut event_loop, "agents that read");
    turn_until(&mut event_loop, || loop_handle.sources().len() == sources_before + 2);
    // Also while no further call is accepted.
    while loop_handle.call(|_| {}).is_ok() {}
    let sources = loop_handle.sources();
    let id = sources.iter().find(|source| source.description == "agents that read").unwrap().id;
    event_loop.remove(id);
    assert_eq!(handle.ended(), Some(GroupEnd::Closed));
    turn_until(&mut event_loop, || loop_handle.sources().len() == sources_before);
}

#[test]
fn a_wake_from_another_thread_is_a_cycle() {
    let _watchdog = Watchdog::new(PATIENCE, "wakes");
    let asked = Arc::new(AtomicU64::new(0));
    let served = Arc::new(AtomicU64::new(0));
    let (ask, serve) = (Arc::clone(&asked), Arc::clone(&served));
    let agent = from_fn("answers", move |_| {
        let asked = ask.load(Ordering::Acquire);
        Ok(Work::Count((asked - serve.swap(asked, Ordering::Release)) as usize))
    });
    let mut event_loop = EventLoop::new().unwrap();
    let handle = Group::new("answers").agent(agent).add_to(&mut event_loop, "agents that answer");
    let quit = event_loop.handle();
    let other = std::thread::spawn(move || {
        for round in 1..=2000 {
            asked.store(round, Ordering::Release);
            handle.wake();
            while served.load(Ordering::Acquire) != round {
                std::thread::yield_now();
            }
        }
        quit.quit();
        handle
    });
    event_loop.run().unwrap();
    let handle = other.join().unwrap();
    drop(event_loop);
    assert_eq!(handle.ended(), Some(GroupEnd::Closed));
}

#[test]
fn deadlines_and_back_offs_are_timers_on_the_clock_of_the_loop() {
    let (clock, at) = (VirtualClock::new(), log());
    let (begin, times) = (clock.now(), at.clone());
    let mut event_loop = EventLoop::builder().clock(clock).build().unwrap();
    let quit = event_loop.handle();
    let flaky = from_fn("flaky", move |now| {
        times.lock().unwrap().push((now - begin).as_secs());
        Err("no answer".into())
    });
    let restart = Restart::new(Duration::from_secs(60), Duration::from_secs(3600)).limit(4);
    let handle = Group::new("slow")
        .agent_with(flaky, restart)
        .on_failure(move |failure| {
            if failure.then == myelon_runtime::agents::Then::GroupEnds {
                quit.quit();
            }
        })
        .add_to(&mut event_loop, "agents that fail");
    event_loop.run().unwrap();
    assert_eq!(*at.lock().unwrap(), [0, 60, 180, 420, 900]);
    assert!(matches!(handle.ended(), Some(GroupEnd::Failed { .. })));
}

#[test]
fn a_busy_group_does_not_keep_out_other_sources() {
    let _watchdog = Watchdog::new(PATIENCE, "a timer");
    let mut event_loop = EventLoop::new().unwrap();
    let handle =
        Group::new("busy").agent(from_fn("busy", |_| Ok(Work::Count(1)))).add_to(&mut event_loop, "busy agents");
    let mut ticks = 0;
    event_loop.add_interval(Duration::from_millis(1), "ticks", move |event_loop: &mut EventLoop, _: Tick| {
        ticks += 1;
        if ticks == 20 {
            event_loop.handle().exit();
        }
    });
    event_loop.run().unwrap();
    assert!(handle.agents()[0].cycles > 20);
    handle.request_close();
    while handle.ended().is_none() {
        // The exit was for `run`, which took it.
        event_loop.turn(Duration::ZERO).unwrap();
    }
    assert_eq!(handle.ended(), Some(GroupEnd::Closed));
}

/// An agent that has another socket after each start.
struct Reconnects {
    sockets: Vec<UnixStream>,
    now: Option<UnixStream>,
    read: Arc<AtomicU64>,
}

impl Agent for Reconnects {
    fn name(&self) -> &str {
        "reconnects"
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        let socket = self.sockets.pop().ok_or("no more sockets")?;
        socket.set_nonblocking(true)?;
        self.now = Some(socket);
        Ok(())
    }

    fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
        let mut socket = self.now.as_ref().ok_or("not started")?;
        match std::io::Read::read(&mut socket, &mut [0]) {
            Ok(0) => Err("the other end has closed".into()),
            Ok(_) => {
                self.read.fetch_add(1, Ordering::Relaxed);
                Ok(Work::Count(1))
            }
            Err(_) => Ok(Work::NONE),
        }
    }

    fn on_close(&mut self) {
        self.now = None;
    }

    fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
        if let Some(now) = &self.now {
            doorbells.add(now);
        }
    }
}

#[test]
fn after_a_restart_the_loop_waits_for_the_new_descriptor() {
    let _watchdog = Watchdog::new(PATIENCE, "bytes after restarts");
    let pairs = [(); 5].map(|()| UnixStream::pair().unwrap());
    let (mut theirs, sockets): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    let read = Arc::new(AtomicU64::new(0));
    let agent = Reconnects { sockets, now: None, read: Arc::clone(&read) };
    let mut event_loop = EventLoop::new().unwrap();
    let restart = Policy::Restart(Restart::new(Duration::ZERO, Duration::from_millis(1)));
    let handle = Group::new("clients").agent_with(agent, restart).add_to(&mut event_loop, "clients");
    for round in 1..=5 {
        let mut other = theirs.pop().unwrap();
        // It waits at its doorbell first, and is called for the byte, and then for the end.
        for _ in 0..20 {
            event_loop.turn(Duration::from_millis(1)).unwrap();
        }
        other.write_all(&[1]).unwrap();
        turn_until(&mut event_loop, || read.load(Ordering::Relaxed) == round);
    }
    assert_eq!(handle.agents()[0].starts, 5);
}

#[test]
fn the_end_of_a_loop_closes_the_agents() {
    let log = log();
    let mut event_loop = EventLoop::new().unwrap();
    let agent = Noted { name: "one", log: log.clone(), work: |_| Ok(Work::NONE) };
    let handle = Group::new("example").agent(agent).add_to(&mut event_loop, "agents");
    event_loop.turn(Duration::ZERO).unwrap();
    drop(event_loop);
    assert_eq!(*log.lock().unwrap(), ["one starts", "one closes"]);
    assert_eq!(handle.ended(), Some(GroupEnd::Closed));
    handle.wake(); // nothing happens
}
