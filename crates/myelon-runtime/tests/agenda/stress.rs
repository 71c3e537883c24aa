//! Everything at once: errors, panics, cancels, deadlines, waits, safe points, a close. Each tasklet has one end.
//!
//! `AGENDA_STRESS` says how many tasklets (100 000), `AGENDA_SEED` which ones; the test prints both. It also runs in a
//! process that may allocate 128 MiB.

use crate::{PATIENCE, Watchdog};
use myelon_runtime::agenda::{
    Agenda, End, Handle, Late, NotDone, Priority, QuiesceError, Sampling, Step, Submitter, Tasklet, TaskletError,
    WaitError,
};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use testkit::process::{Respawn, is_victim, say};
use testkit::test_name;

/// A small generator of numbers that look random.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// What the askers have learned.
#[derive(Default)]
struct Seen {
    ends: [AtomicU64; 6],
    /// Tasklets that are between their begin and their end. A wait takes one out for its time: it is a safe point.
    inside: AtomicU32,
    quiesced: AtomicU64,
    held_up: AtomicU64,
}

impl Seen {
    fn learn<T>(&self, result: &Result<T, NotDone>) {
        let end = match result {
            Ok(_) => End::Done,
            Err(NotDone::Failed { .. }) => End::Failed,
            Err(NotDone::Panicked { .. }) => End::Panicked,
            Err(NotDone::Cancelled { .. }) => End::Cancelled,
            Err(NotDone::Expired { .. }) => End::Expired,
            Err(NotDone::Left { .. }) => End::Left,
            Err(other) => panic!("{other}"),
        };
        self.ends[End::ALL.iter().position(|of| *of == end).unwrap()].fetch_add(1, Ordering::Relaxed);
    }

    fn learn_from(&self, handle: &mut Handle<u64>) {
        match handle.wait(PATIENCE) {
            Ok(value) => self.learn(&Ok(value)),
            Err(WaitError::NotDone(why)) => self.learn::<u64>(&Err(why)),
            Err(error) => panic!("{error}"),
        }
        assert!(matches!(handle.try_wait(), Err(WaitError::Taken { .. } | WaitError::NotDone(_))));
    }

    fn quiesce(&self, submitter: &Submitter, patience: Duration) {
        match submitter.quiesce("look", patience, || assert_eq!(self.inside.load(Ordering::Relaxed), 0)) {
            Ok(()) => self.quiesced.fetch_add(1, Ordering::Relaxed),
            Err(QuiesceError::HeldUp { .. } | QuiesceError::Busy { .. }) => {
                self.held_up.fetch_add(1, Ordering::Relaxed)
            }
            Err(error) => panic!("{error}"),
        };
    }
}

/// The time in which a tasklet runs and does not wait.
struct Inside<'a>(&'a Seen);

impl<'a> Inside<'a> {
    fn enter(seen: &'a Seen) -> Self {
        seen.inside.fetch_add(1, Ordering::Relaxed);
        Self(seen)
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A tasklet that does one of many things. `deeper` is how many levels of tasklets it may submit.
fn tasklet(
    mut random: Random,
    submitter: &Submitter,
    seen: &Arc<Seen>,
    deeper: u32,
) -> Tasklet<u64, impl FnMut(&myelon_runtime::agenda::Run) -> Result<Step<u64>, TaskletError> + Send + 'static> {
    let (submitter, seen) = (submitter.clone(), Arc::clone(seen));
    let priority = Priority::ALL[random.below(3) as usize];
    let deadline = (random.below(8) == 0).then(|| Instant::now() + Duration::from_micros(random.below(2000)));
    let late = if random.below(4) == 0 { Late::Run } else { Late::Expire };
    let tasklet = Tasklet::repeating("anything", move |run| {
        let inside = Inside::enter(&seen);
        match random.below(16) {
            0 => resume_unwind(Box::new("on purpose")),
            1 => Err("on purpose".into()),
            2 | 3 if run.count < 5 => Ok(Step::Again),
            4 | 5 if deeper > 0 => {
                drop(inside);
                let next = tasklet_of(&mut random, &submitter, &seen, deeper - 1);
                let Ok(mut next) = next else { return Ok(Step::Done(0)) };
                if random.below(2) == 0 {
                    next.cancel();
                }
                seen.learn_from(&mut next);
                Ok(Step::Done(1))
            }
            6 if random.below(8) == 0 => {
                drop(inside);
                seen.quiesce(&submitter, Duration::from_micros(random.below(3000)));
                Ok(Step::Done(2))
            }
            _ => {
                if random.below(50) == 0 {
                    std::thread::yield_now();
                }
                Ok(Step::Done(3))
            }
        }
    });
    let tasklet = tasklet.priority(priority);
    match deadline {
        Some(at) => tasklet.deadline(at, late),
        None => tasklet,
    }
}

/// Submits one and returns its handle. A function of its own, because the types of closures cannot be recursive.
fn tasklet_of(
    random: &mut Random,
    submitter: &Submitter,
    seen: &Arc<Seen>,
    deeper: u32,
) -> Result<Handle<u64>, TaskletError> {
    let seed = Random(random.below(u64::MAX));
    Ok(submitter.submit(tasklet(seed, submitter, seen, deeper))?)
}

/// One thread that submits `count` tasklets, and asks for each in one of three ways.
fn submits(mut random: Random, submitter: &Submitter, seen: &Arc<Seen>, count: u64) {
    let mut handles = Vec::new();
    for _ in 0..count {
        let seed = Random(random.below(u64::MAX));
        let next = tasklet(seed, submitter, seen, 3);
        if random.below(3) == 0 {
            let told = Arc::clone(seen);
            if submitter.submit_then(next, move |result| told.learn(&result)).is_err() {
                break;
            }
        } else {
            let Ok(handle) = submitter.submit(next) else { break };
            handles.push(handle);
        }
        if random.below(200) == 0 {
            seen.quiesce(submitter, Duration::from_millis(random.below(5)));
        }
        // So the memory that is used has a limit.
        if handles.len() >= 256 {
            for mut handle in handles.drain(..) {
                if random.below(4) == 0 {
                    handle.cancel();
                }
                seen.learn_from(&mut handle);
            }
        }
    }
    handles.iter_mut().for_each(|handle| seen.learn_from(handle));
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name}={value}: no number")))
}

// what was counted is what has happened.
#[test]
fn every_tasklet_ends_in_exactly_one_way() {
    stress();
}

/// What the process may allocate, with the stacks of its threads.
const MEMORY_MAX_BYTES: u64 = 128 << 20;

#[test]
#[ignore = "runs as a victim"]
fn victim_with_little_memory() {
    if !is_victim() {
        return;
    }
    let mut limit = getrlimit(Resource::Data);
    limit.current = Some(MEMORY_MAX_BYTES);
    setrlimit(Resource::Data, limit).unwrap();
    stress();
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    say(&format!("ONE END FOR EACH {peak}"));
}

#[test]
fn the_memory_of_an_agenda_does_not_grow_with_the_tasklets_that_have_ended() {
    let mut victim = Respawn::test(test_name!(victim_with_little_memory)).spawn();
    println!("{}", victim.wait_line("ONE END FOR EACH"));
    assert!(victim.wait_exit(PATIENCE).success());
}

fn stress() {
    let count = setting("AGENDA_STRESS", 100_000);
    let seed = setting("AGENDA_SEED", u64::from(std::process::id()));
    println!("AGENDA_STRESS={count} AGENDA_SEED={seed}");
    let _watchdog = Watchdog::new(PATIENCE * 4 + Duration::from_micros(count * 1000), "the stress test");
    let mut random = Random(seed);
    // Two rounds in which everything is waited for, and one that is closed in the middle.
    for (round, sampling) in [Sampling::Each, Sampling::OneIn16, Sampling::OneIn16].into_iter().enumerate() {
        let agenda = Agenda::builder().workers(1 + round + 2 * (round % 2)).sampling(sampling).start().unwrap();
        let (submitter, seen) = (agenda.submitter(), Arc::new(Seen::default()));
        let closed_in_the_middle = round == 2;
        std::thread::scope(|scope| {
            let threads = [(); 2].map(|()| {
                let (random, submitter, seen) = (Random(random.below(u64::MAX)), &submitter, &seen);
                scope.spawn(move || submits(random, submitter, seen, count / 6))
            });
            if closed_in_the_middle {
                while agenda.statistics().submitted() < count / 6 && threads.iter().any(|thread| !thread.is_finished())
                {
                    std::thread::yield_now();
                }
                agenda.close(Duration::from_micros(random.below(500))).unwrap();
            }
        });
        if !closed_in_the_middle {
            agenda.close(PATIENCE).unwrap();
        }
        let statistics = agenda.statistics();
        let counted = End::ALL.map(|end| statistics.ended(end));
        let learned = std::array::from_fn(|at| seen.ends[at].load(Ordering::Relaxed));
        println!(
            "round {round}: {counted:?} of {:?}; {:?} closures at safe points, {:?} held up",
            End::ALL,
            seen.quiesced,
            seen.held_up
        );
        assert_eq!(counted, learned, "counted and learned");
        assert_eq!(counted.iter().sum::<u64>(), statistics.submitted(), "one end for each");
        assert!(agenda.running().is_empty());
        assert_eq!(seen.inside.load(Ordering::Relaxed), 0);
    }
}
