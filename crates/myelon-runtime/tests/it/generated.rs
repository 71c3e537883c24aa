//! Random programs against a reference that asks every descriptor with `poll` before each turn.
//!
//! `PROPTEST_CASES` says how many programs (64).

use myelon_runtime::event_loop::{
    CommandSender, EventLoop, Interest, Next, OnFailure, Priority, Ready, Settings, SourceId, SourceState, Tick,
};
use myelon_runtime::testing::VirtualClock;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;
use rustix::event::{PollFd, PollFlags, poll};
use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// What a handler does after it has read. Numbers choose other sources.
#[derive(Clone, Copy, Debug)]
enum Does {
    Again,
    More,
    Drain,
    Pause,
    Remove,
    Fail,
    Panic,
    ResumeMyself,
    RemoveOther(usize),
    PauseOther(usize),
    ResumeOther(usize),
    AddOne,
}

/// How a source is added, and what its handler does in its calls, again and again.
#[derive(Clone, Debug)]
struct Way {
    kind: Kind,
    reads: usize,
    does: Vec<Does>,
    budget: u32,
    limit: Option<(u32, u64)>,
    priority: Priority,
    on_failure: OnFailure,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Pipe,
    Socket,
    RawPipe,
    RawSocket,
}

#[derive(Clone, Debug)]
enum Step {
    Add(Way),
    Write(usize, usize),
    Close(usize),
    Remove(usize),
    Pause(usize),
    Resume(usize),
    Command,
    Timer(u64),
    Interval(u64),
    Advance(u64),
    Turn,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        6 => Just(Does::Again),
        4 => Just(Does::More),
        3 => Just(Does::Drain),
        2 => Just(Does::Pause),
        1 => Just(Does::Remove),
        2 => Just(Does::Fail),
        2 => Just(Does::Panic),
        2 => Just(Does::ResumeMyself),
        1 => any::<usize>().prop_map(Does::RemoveOther),
        2 => any::<usize>().prop_map(Does::PauseOther),
        2 => any::<usize>().prop_map(Does::ResumeOther),
        1 => Just(Does::AddOne),
    ]
}

fn way() -> impl Strategy<Value = Way> {
    let kind = prop_oneof![Just(Kind::Pipe), Just(Kind::Socket), Just(Kind::RawPipe), Just(Kind::RawSocket)];
    let priority = prop_oneof![Just(Priority::Low), Just(Priority::Normal), Just(Priority::High)];
    let on_failure = prop_oneof![6 => Just(OnFailure::Keep), 2 => Just(OnFailure::Pause), 1 => Just(OnFailure::Remove)];
    let limit = prop_oneof![3 => Just(None), 1 => (1..4_u32, 1..50_u64).prop_map(Some)];
    let does = prop::collection::vec(does(), 1..6);
    (kind, 1..5_usize, does, 1..5_u32, limit, priority, on_failure).prop_map(
        |(kind, reads, does, budget, limit, priority, on_failure)| Way {
            kind,
            reads,
            does,
            budget,
            limit,
            priority,
            on_failure,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => way().prop_map(Step::Add),
        8 => (any::<usize>(), 1..40_usize).prop_map(|(which, bytes)| Step::Write(which, bytes)),
        2 => any::<usize>().prop_map(Step::Close),
        1 => any::<usize>().prop_map(Step::Remove),
        2 => any::<usize>().prop_map(Step::Pause),
        2 => any::<usize>().prop_map(Step::Resume),
        3 => Just(Step::Command),
        1 => (0..100_u64).prop_map(Step::Timer),
        1 => (1..100_u64).prop_map(Step::Interval),
        3 => (0..60_u64).prop_map(Step::Advance),
        8 => Just(Step::Turn),
    ]
}

/// What the reference knows of a source.
struct Source {
    id: SourceId,
    way: Way,
    /// The descriptor that the loop waits for, or a duplicate of it.
    reader: OwnedFd,
    writer: Option<OwnedFd>,
    written: usize,
    read: usize,
    calls: u64,
    failures: u64,
    calls_in_turn: u32,
    /// Paused, resumed or removed in this turn.
    touched: bool,
    removed: bool,
    end_told: bool,
    /// When the interval of its rate limit began, and how many calls there were in it.
    interval: Option<(Instant, u32)>,
}

struct Timer {
    id: SourceId,
    first: Instant,
    period: Option<Duration>,
    told: u64,
}

#[derive(Default)]
struct World {
    sources: Vec<Source>,
    timers: Vec<Timer>,
    commands: u64,
    handled: u64,
    turns: u64,
    /// What a handler has seen that is wrong. A panic would be contained.
    wrong: Vec<String>,
}

type Shared = Rc<RefCell<World>>;

/// No source is added beyond these.
const SOURCES_MAX: usize = 24;

fn is_ready(descriptor: BorrowedFd<'_>) -> bool {
    let mut asked = [PollFd::new(&descriptor, PollFlags::IN | PollFlags::RDHUP)];
    poll(&mut asked, Some(&rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
}

fn add(event_loop: &mut EventLoop, world: &Shared, way: Way) {
    let index = world.borrow().sources.len();
    if index == SOURCES_MAX {
        return;
    }
    let (reader, writer) = match way.kind {
        Kind::Pipe | Kind::RawPipe => {
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC | rustix::pipe::PipeFlags::NONBLOCK).unwrap()
        }
        Kind::Socket | Kind::RawSocket => {
            let (reader, writer) = UnixStream::pair().unwrap();
            reader.set_nonblocking(true).unwrap();
            writer.set_nonblocking(true).unwrap();
            (reader.into(), writer.into())
        }
    };
    let mut settings = Settings::new(format!("source {index}")).priority(way.priority);
    settings = settings.budget(way.budget).on_failure(way.on_failure);
    if let Some((calls, milliseconds)) = way.limit {
        settings = settings.rate_limit(calls, Duration::from_millis(milliseconds));
    }
    let shared = Rc::clone(world);
    let id = match way.kind {
        Kind::Pipe | Kind::Socket => {
            let owned = reader.try_clone().unwrap();
            let handler = move |event_loop: &mut EventLoop, owned: &mut OwnedFd, ready: Ready| {
                serve(event_loop, &shared, index, &*owned, ready)
            };
            event_loop.add(owned, Interest::Readable, settings, handler)
        }
        Kind::RawPipe | Kind::RawSocket => {
            let owned = reader.try_clone().unwrap();
            let handler =
                move |event_loop: &mut EventLoop, ready: Ready| serve(event_loop, &shared, index, &owned, ready);
            event_loop.add_raw(reader.as_raw_fd(), Interest::Readable, settings, handler)
        }
    };
    world.borrow_mut().sources.push(Source {
        id: id.unwrap(),
        way,
        reader,
        writer: Some(writer),
        written: 0,
        read: 0,
        calls: 0,
        failures: 0,
        calls_in_turn: 0,
        touched: true,
        removed: false,
        end_told: false,
        interval: None,
    });
}

/// The handler of each source.
fn serve(event_loop: &mut EventLoop, world: &Shared, index: usize, reader: &OwnedFd, ready: Ready) -> io::Result<Next> {
    let (does, reads) = begin_call(event_loop, &mut world.borrow_mut(), index);
    let mut bytes = [0; 64];
    let mut read = 0;
    loop {
        let room = if matches!(does, Does::Drain) { bytes.len() } else { reads };
        match rustix::io::read(reader, &mut bytes[..room]) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => break,
            Ok(some) => read += some,
            Err(error) => world.borrow_mut().wrong.push(format!("source {index}: {error}")),
        }
        if !matches!(does, Does::Drain) {
            break;
        }
    }
    {
        let source = &mut world.borrow_mut().sources[index];
        source.read += read;
        source.end_told |= ready.hang_up && !ready.readable;
        let pauses = matches!(does, Does::Pause | Does::ResumeMyself);
        source.touched |= pauses || (ready.hang_up && !ready.readable);
    }
    match does {
        Does::Again => Ok(Next::Again),
        Does::More => Ok(Next::More),
        Does::Drain => Ok(Next::Drained),
        Does::Pause => Ok(Next::Pause),
        Does::Remove => {
            note_removal(&mut world.borrow_mut(), index);
            Ok(Next::Remove)
        }
        Does::Fail | Does::Panic => {
            let policy = {
                let source = &mut world.borrow_mut().sources[index];
                source.failures += 1;
                source.touched |= source.way.on_failure == OnFailure::Pause;
                source.way.on_failure
            };
            if policy == OnFailure::Remove {
                note_removal(&mut world.borrow_mut(), index);
            }
            match does {
                Does::Panic => resume_unwind(Box::new("on purpose")),
                _ => Err(io::Error::other("on purpose")),
            }
        }
        Does::ResumeMyself => {
            let id = event_loop.current().unwrap();
            event_loop.pause(id);
            event_loop.resume(id)?;
            Ok(Next::Again)
        }
        Does::RemoveOther(which) => remove(event_loop, world, which),
        Does::PauseOther(which) => pause(event_loop, world, which),
        Does::ResumeOther(which) => resume(event_loop, world, which),
        Does::AddOne => {
            let way = Way {
                kind: Kind::Pipe,
                reads: 1,
                does: vec![Does::Again],
                budget: 2,
                limit: None,
                priority: Priority::Normal,
                on_failure: OnFailure::Keep,
            };
            add(event_loop, world, way);
            Ok(Next::Again)
        }
    }
}

/// Counts a call, and says what is to be done in it.
fn begin_call(event_loop: &EventLoop, world: &mut World, index: usize) -> (Does, usize) {
    let now = event_loop.now();
    let source = &mut world.sources[index];
    let Way { reads, budget, limit, ref does, .. } = source.way;
    let does = does[source.calls as usize % does.len()];
    source.calls += 1;
    source.calls_in_turn += 1;
    if source.removed {
        world.wrong.push(format!("source {index} is called after its removal"));
        return (does, reads);
    }
    if source.calls_in_turn > budget {
        world.wrong.push(format!("source {index} is called {} times in a turn", source.calls_in_turn));
    }
    if let Some((calls, milliseconds)) = limit {
        let over = |began: Instant| now - began >= Duration::from_millis(milliseconds);
        let (began, count) = source.interval.filter(|(began, _)| !over(*began)).unwrap_or((now, 0));
        source.interval = Some((began, count + 1));
        if count + 1 > calls {
            world.wrong.push(format!("source {index} is called {} times in its interval", count + 1));
        }
    }
    (does, reads)
}

fn note_removal(world: &mut World, index: usize) {
    let source = &mut world.sources[index];
    (source.removed, source.touched, source.writer) = (true, true, None);
}

fn one_of(world: &Shared, which: usize) -> Option<usize> {
    let count = world.borrow().sources.len();
    (count > 0).then(|| which % count)
}

fn remove(event_loop: &mut EventLoop, world: &Shared, which: usize) -> io::Result<Next> {
    if let Some(index) = one_of(world, which) {
        let (id, removed) = {
            let source = &world.borrow().sources[index];
            (source.id, source.removed)
        };
        if event_loop.remove(id) == removed {
            world.borrow_mut().wrong.push(format!("source {index} was removed: {removed}, and its removal says else"));
        }
        if !removed {
            note_removal(&mut world.borrow_mut(), index);
        }
    }
    Ok(Next::Again)
}

fn pause(event_loop: &mut EventLoop, world: &Shared, which: usize) -> io::Result<Next> {
    if let Some(index) = one_of(world, which) {
        let id = world.borrow().sources[index].id;
        world.borrow_mut().sources[index].touched = true;
        event_loop.pause(id);
    }
    Ok(Next::Again)
}

fn resume(event_loop: &mut EventLoop, world: &Shared, which: usize) -> io::Result<Next> {
    if let Some(index) = one_of(world, which) {
        let id = world.borrow().sources[index].id;
        world.borrow_mut().sources[index].touched = true;
        event_loop.resume(id)?;
    }
    Ok(Next::Again)
}

fn add_timer(event_loop: &mut EventLoop, world: &Shared, milliseconds: u64, periodic: bool) {
    let index = world.borrow().timers.len();
    let after = Duration::from_millis(milliseconds);
    let first = event_loop.now() + after;
    let shared = Rc::clone(world);
    let handler = move |_: &mut EventLoop, tick: Tick| {
        let mut world = shared.borrow_mut();
        let timer = &mut world.timers[index];
        let due = first + timer.period.unwrap_or_default() * u32::try_from(timer.told).unwrap();
        timer.told += 1 + tick.missed;
        if tick.deadline != due {
            world.wrong.push(format!("timer {index} is told another deadline"));
        }
    };
    let id = match periodic {
        true => event_loop.add_interval(after, "interval", handler),
        false => event_loop.add_timer(after, "timer", handler),
    };
    world.borrow_mut().timers.push(Timer { id, first, period: periodic.then_some(after), told: 0 });
}

/// A channel whose handler fails, panics, and pauses and resumes itself by turns.
fn add_channel(event_loop: &mut EventLoop, world: &Shared) -> CommandSender<u64> {
    let shared = Rc::clone(world);
    let (_, sender) = event_loop.add_channel(8, "commands", move |event_loop: &mut EventLoop, command: u64| {
        {
            let mut world = shared.borrow_mut();
            if command != world.handled {
                let expected = world.handled;
                world.wrong.push(format!("command {command} instead of {expected}"));
            }
            world.handled += 1;
        }
        match command % 5 {
            0 => Err("on purpose"),
            1 => resume_unwind(Box::new("on purpose")),
            2 => {
                let id = event_loop.current().unwrap();
                event_loop.pause(id);
                event_loop.resume(id).map_err(|_| "no resume")?;
                Ok(Next::Again)
            }
            3 => Ok(Next::More),
            _ => Ok(Next::Again),
        }
    });
    sender
}

/// One turn, and what the reference says about it.
fn turn(event_loop: &mut EventLoop, world: &Shared) -> Result<usize, TestCaseError> {
    let mut expected = Vec::new();
    {
        let mut world = world.borrow_mut();
        world.turns += 1;
        for (index, source) in world.sources.iter_mut().enumerate() {
            (source.calls_in_turn, source.touched) = (0, false);
            let state = event_loop.report(source.id).map(|report| report.state);
            prop_assert_eq!(state.is_none(), source.removed, "source {}", index);
            if matches!(state, Some(SourceState::Waiting | SourceState::Ready)) && is_ready(source.reader.as_fd()) {
                expected.push(index);
            }
        }
    }
    let commands = world.borrow().commands;
    let served = event_loop.turn(Duration::ZERO).unwrap();
    let now = event_loop.now();
    let world = world.borrow();
    prop_assert!(world.wrong.is_empty(), "{:?}", world.wrong);
    for index in expected {
        let Source { removed, touched, calls_in_turn, .. } = world.sources[index];
        prop_assert!(removed || touched || calls_in_turn > 0, "source {} was ready, and was not called", index);
    }
    prop_assert_eq!(world.handled, commands, "every command is handled in the next turn");
    for (index, timer) in world.timers.iter().enumerate() {
        match timer.period {
            None => prop_assert_eq!(timer.told, u64::from(timer.first <= now), "timer {}", index),
            Some(period) => {
                let over = (now + period).saturating_duration_since(timer.first);
                prop_assert_eq!(u128::from(timer.told), over.as_nanos() / period.as_nanos(), "interval {}", index);
            }
        }
    }
    Ok(served)
}

/// Resumes everything until each byte and each end was told.
fn finish(event_loop: &mut EventLoop, world: &Shared, clock: &VirtualClock) -> TestCaseResult {
    let is_done = |source: &Source| {
        source.removed || (source.read == source.written && (source.writer.is_some() || source.end_told))
    };
    for _ in 0..2000 {
        // One that is done may pause others in each call, so it is left alone.
        let sources =
            |world: &World| (0..world.sources.len()).filter(|&index| !is_done(&world.sources[index])).collect();
        let left: Vec<usize> = sources(&world.borrow());
        if left.is_empty() {
            return Ok(());
        }
        left.iter().for_each(|index| drop(resume(event_loop, world, *index)));
        clock.advance(Duration::from_millis(50));
        turn(event_loop, world)?;
    }
    let world = world.borrow();
    let left = world.sources.iter().enumerate().filter(|(_, source)| !is_done(source));
    let left: Vec<_> = left.map(|(index, source)| (index, &source.way, source.written, source.read)).collect();
    Err(TestCaseError::fail(format!("lost: {left:?}")))
}

fn check(steps: Vec<Step>) -> TestCaseResult {
    let clock = VirtualClock::new();
    let mut event_loop = EventLoop::builder().clock(clock.clone()).build().unwrap();
    let world = Shared::default();
    let sender = add_channel(&mut event_loop, &world);
    for step in steps {
        match step {
            Step::Add(way) => add(&mut event_loop, &world, way),
            Step::Write(which, bytes) => {
                let Some(index) = one_of(&world, which) else { continue };
                let source = &mut world.borrow_mut().sources[index];
                let Some(writer) = &source.writer else { continue };
                source.written += rustix::io::write(writer, &[7; 64][..bytes]).unwrap_or(0);
            }
            Step::Close(which) => {
                let Some(index) = one_of(&world, which) else { continue };
                world.borrow_mut().sources[index].writer = None;
            }
            Step::Remove(which) => drop(remove(&mut event_loop, &world, which)),
            Step::Pause(which) => drop(pause(&mut event_loop, &world, which)),
            Step::Resume(which) => drop(resume(&mut event_loop, &world, which)),
            Step::Command => {
                let commands = world.borrow().commands;
                if sender.send(commands).is_ok() {
                    world.borrow_mut().commands += 1;
                }
            }
            Step::Timer(milliseconds) => add_timer(&mut event_loop, &world, milliseconds, false),
            Step::Interval(milliseconds) => add_timer(&mut event_loop, &world, milliseconds, true),
            Step::Advance(milliseconds) => clock.advance(Duration::from_millis(milliseconds)),
            Step::Turn => drop(turn(&mut event_loop, &world)?),
        }
    }
    finish(&mut event_loop, &world, &clock)?;
    let world = world.borrow();
    for (index, source) in world.sources.iter().enumerate().filter(|(_, source)| !source.removed) {
        let report = event_loop.report(source.id).unwrap();
        prop_assert_eq!((report.calls, report.failures), (source.calls, source.failures), "source {}", index);
    }
    for timer in &world.timers {
        let left = timer.period.is_some() || timer.told == 0;
        prop_assert_eq!(event_loop.report(timer.id).is_some(), left, "a timer that was told once is gone");
    }
    prop_assert_eq!(event_loop.handle().statistics().turns, world.turns);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").map_or(64, |cases| cases.parse().expect("a number of programs")),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_programs_lose_no_byte_no_command_and_no_tick_and_starve_no_source(
        steps in prop::collection::vec(step(), 1..120),
    ) {
        check(steps)?;
    }
}
