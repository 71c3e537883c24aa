//! A loop, an agenda and an operator together, under load: safe points, files of 64 MiB, an exchange of handlers.

use crate::command_fifo::Place;
use crate::{failures, log, watchdog};
use myelon_process::listen::Fifo;
use myelon_runtime::agenda::{Agenda, Run, Step, Tasklet, TaskletError};
use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready, SourceId, Tick};
use std::cell::{Cell, RefCell};
use std::fs::OpenOptions;
use std::io::{PipeReader, Read, Write, pipe};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use testkit::watchdog::PATIENCE;

/// Tasklets that run again and again until `ends` is set.
struct Load {
    ends: Arc<AtomicBool>,
    /// How many run now.
    inside: Arc<AtomicU32>,
    runs: Arc<AtomicU64>,
}

impl Load {
    fn start(agenda: &Agenda) -> Self {
        let load = Self { ends: Arc::default(), inside: Arc::default(), runs: Arc::default() };
        for _ in 0..8 {
            let Self { ends, inside, runs } = &load;
            let (ends, inside, runs) = (Arc::clone(ends), Arc::clone(inside), Arc::clone(runs));
            let work = move |_: &Run| -> Result<Step<()>, TaskletError> {
                inside.fetch_add(1, Ordering::Relaxed);
                runs.fetch_add(1, Ordering::Relaxed);
                (0..100).for_each(|_| std::hint::spin_loop());
                inside.fetch_sub(1, Ordering::Relaxed);
                Ok(if ends.load(Ordering::Relaxed) { Step::Done(()) } else { Step::Again })
            };
            agenda.submit(Tasklet::repeating("work", work)).unwrap();
        }
        load
    }
}

/// the byte `G` stops the agenda and runs the collector's closure, with nothing else.
#[test]
fn a_byte_of_an_operator_runs_a_closure_alone_while_tasklets_and_descriptors_are_busy() {
    const TIMES: u32 = 20;
    let _watchdog = watchdog("G under load");
    let agenda = Agenda::builder().workers(2).start().unwrap();
    let place = Place::new();
    let fifo = Fifo::create(place.path("commands")).unwrap();
    let mut operator = OpenOptions::new().write(true).open(fifo.path()).unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    let failures = failures(&mut event_loop);
    event_loop.attend(&agenda, "the loop");
    event_loop.add_command_fifo(fifo, "commands").unwrap();
    let load = Load::start(&agenda);
    let busy = Rc::new(Cell::new(0_u64));
    let count = Rc::clone(&busy);
    let (reader, mut writer) = pipe().unwrap();
    writer.write_all(b"x").unwrap();
    event_loop
        .add(reader, Interest::Readable, "always ready", move |_: &mut EventLoop, _: &mut PipeReader, _: Ready| {
            count.set(count.get() + 1);
            Next::More
        })
        .unwrap();
    let (inside, runs) = (Arc::clone(&load.inside), Arc::clone(&load.runs));
    let (mut collected, mut first) = (0, None);
    event_loop.add_at_safe_point(PATIENCE, "collect", move |event_loop: &mut EventLoop| {
        assert_eq!(inside.load(Ordering::Relaxed), 0, "a tasklet runs");
        let before = runs.load(Ordering::Relaxed);
        // Others have the time to run, if they could.
        (0..100).for_each(|_| std::thread::yield_now());
        assert_eq!((inside.load(Ordering::Relaxed), runs.load(Ordering::Relaxed)), (0, before));
        collected += 1;
        let (runs_at_first, calls_at_first) = *first.get_or_insert((before, busy.get()));
        // Both kinds of work go on between safe points.
        if collected >= TIMES && before > runs_at_first && busy.get() > calls_at_first {
            event_loop.handle().quit();
        }
    });
    event_loop.add_interval(Duration::from_millis(2), "the operator", move |_: &mut EventLoop, _: Tick| {
        operator.write_all(b"G")
    });
    event_loop.run().unwrap();
    assert_eq!(*failures.borrow(), [""; 0]);
    load.ends.store(true, Ordering::Relaxed);
    drop(event_loop);
    agenda.close(PATIENCE).unwrap();
}

/// a state is saved and loaded as tasklets; the loop's timers go on meanwhile. The lateness is printed.
#[test]
fn timers_go_on_while_64_mib_are_saved_and_loaded_as_tasklets() {
    const BYTES: usize = 64 << 20;
    let _watchdog = watchdog("saving and loading");
    let path = Arc::new(std::env::temp_dir().join(testkit::names::short()));
    let state: Arc<Vec<u8>> = Arc::new((0..BYTES).map(|at| (at >> 12) as u8).collect());
    let agenda = Agenda::builder().workers(1).start().unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    let (ticks, worst) = (Rc::new(Cell::new(0)), Rc::new(Cell::new(Duration::ZERO)));
    let (count, late) = (Rc::clone(&ticks), Rc::clone(&worst));
    event_loop.add_interval(Duration::from_millis(1), "a tick", move |event_loop: &mut EventLoop, tick: Tick| {
        count.set(count.get() + 1);
        late.set(late.get().max(event_loop.now() - tick.deadline));
    });
    let (to, from, saved) = (Arc::clone(&path), Arc::clone(&path), Arc::clone(&state));
    let (handle, submitter) = (event_loop.handle(), agenda.submitter());
    let save = Tasklet::new("save", move || std::fs::write(&*to, &*saved));
    event_loop
        .handle()
        .submit(&agenda, save, move |_, outcome| {
            outcome.unwrap().unwrap();
            let load = Tasklet::new("load", move || std::fs::read(&*from));
            handle
                .submit(&submitter, load, move |event_loop, outcome| {
                    assert!(outcome.unwrap().unwrap() == *state, "what was loaded is what was saved");
                    event_loop.handle().quit();
                })
                .unwrap();
        })
        .unwrap();
    let began = event_loop.now();
    event_loop.run().unwrap();
    std::fs::remove_file(&*path).unwrap();
    let took = event_loop.now() - began;
    println!("{BYTES} bytes saved and loaded in {took:.1?}: {} ticks, at most {:.1?} late", ticks.get(), worst.get());
    let reports = event_loop.handle().sources();
    assert!(reports.iter().all(|report| report.failures == 0), "{reports:?}");
    // A loop that read and wrote the file itself would have one tick for each of the two.
    assert!(ticks.get() > 2, "{} ticks in {took:?}", ticks.get());
}

type Got = Rc<RefCell<Vec<Vec<(u32, u8)>>>>;

/// A handler of one version of a plugin: it notes its version and the byte.
fn handler(
    got: &Got,
    index: usize,
    version: u32,
) -> impl FnMut(&mut EventLoop, &mut PipeReader, Ready) -> Next + use<> {
    let got = Rc::clone(got);
    move |_, pipe, _| {
        let mut byte = [0];
        if pipe.read(&mut byte).unwrap() == 0 {
            return Next::Remove;
        }
        got.borrow_mut()[index].push((version, byte[0]));
        Next::Again
    }
}

/// plugins are exchanged through the loop. No event is lost, and none is told to two versions.
#[test]
fn handlers_that_are_exchanged_at_safe_points_get_every_event_once_and_in_order() {
    const PLUGINS: usize = 8;
    const EVENTS: usize = 4000;
    let _watchdog = watchdog("an exchange of handlers");
    let agenda = Agenda::builder().workers(1).start().unwrap();
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.attend(&agenda, "the loop");
    let load = Load::start(&agenda);
    let got: Got = Rc::new(RefCell::new(vec![Vec::new(); PLUGINS]));
    let ids: crate::Log<SourceId> = log();
    let mut writers = Vec::new();
    for index in 0..PLUGINS {
        let (reader, writer) = pipe().unwrap();
        writers.push(writer);
        let id = event_loop.add(reader, Interest::Readable, "version 0", handler(&got, index, 0)).unwrap();
        ids.borrow_mut().push(id);
    }
    let sender = std::thread::spawn(move || {
        for event in 0..EVENTS {
            writers.iter_mut().for_each(|writer| writer.write_all(&[event as u8]).unwrap());
        }
    });
    let (news, mut version) = (Rc::clone(&got), 0);
    event_loop.add_at_safe_point(PATIENCE, "exchange the plugins", move |event_loop: &mut EventLoop| {
        version += 1;
        for (index, id) in ids.borrow_mut().iter_mut().enumerate() {
            // One that has read its end is gone.
            let Some(reader) = event_loop.take::<PipeReader>(*id) else { continue };
            let description = format!("version {version}");
            *id = event_loop.add(reader, Interest::Readable, description, handler(&news, index, version)).unwrap();
        }
    });
    let done = Rc::clone(&got);
    event_loop.add_interval(
        Duration::from_millis(1),
        "asks for versions",
        move |event_loop: &mut EventLoop, _: Tick| {
            let all = done.borrow().iter().all(|events| events.len() == EVENTS);
            if all { event_loop.handle().quit() } else { event_loop.handle().request_quiesce() }
        },
    );
    event_loop.run().unwrap();
    sender.join().unwrap();
    for events in &*got.borrow() {
        assert!(events.iter().enumerate().all(|(at, (_, byte))| *byte == at as u8), "in order, each once");
        assert!(events.is_sorted_by_key(|(version, _)| *version), "no old version after a new one");
        assert_eq!(events.len(), EVENTS);
    }
    let versions = got.borrow()[0].last().map(|(version, _)| *version);
    assert!(versions > Some(0), "there was no exchange");
    load.ends.store(true, Ordering::Relaxed);
    drop(event_loop);
    agenda.close(PATIENCE).unwrap();
}
