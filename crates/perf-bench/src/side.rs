//! One role from within: the process that does one side of a measurement.

use std::cell::OnceCell;
use std::io;
use std::io::Write;
use std::os::fd::AsFd;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};

use crate::control::{CONTROL_BYTES, Control};
use crate::interference::{Snapshot, Usage};
use crate::probe::{self, Label};
use crate::raw::{FutexWord, SharedMemory, Word};
use crate::stats::{Latencies, Unit};
use crate::workload::Workload;

/// What a role is asked to do: the one argument of its process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Assignment {
    /// 0 is the producer, the others are consumers.
    pub(crate) role: usize,
    /// How many roles there are.
    pub(crate) parties: usize,
    /// Where to run.
    pub(crate) cpu: usize,
    /// The parent's pid: this process ends with it.
    pub(crate) parent: i32,
    /// How the names of this measurement's segments begin; no other measurement's do.
    pub(crate) segments: String,
    pub(crate) workload: Workload,
    pub(crate) timing: Timing,
    /// The label without which the measurement need not be made; `None` takes any.
    pub(crate) wanted: Option<Label>,
}

/// How many segments the sides of one measurement may have.
pub(crate) const SEGMENTS_MAX: usize = 2;

/// The name of segment `index` of the measurement whose segments' names begin with `prefix`.
pub(crate) fn segment_name(prefix: &str, index: usize) -> String {
    format!("{prefix}-{index}")
}

/// How long things take.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Timing {
    /// One measurement.
    pub(crate) window: Duration,
    /// Each of the two probes around it.
    pub(crate) probe: Duration,
}

/// The answer of a role: one line of JSON on its standard output.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// It measured.
    Measured(Measured),
    /// It did not, because the first probe had another label than the wanted one.
    Skipped,
    /// It cannot on this machine, for this reason.
    Unavailable(String),
    /// Something is broken.
    Failed(String),
}

/// A measurement as one role saw it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// Round trips in nanoseconds before and after; only role 0 knows them.
    pub(crate) round_trips_ns: Option<(f64, f64)>,
    pub(crate) usage: Usage,
    /// The result, from the one role that has it.
    pub(crate) measurement: Option<Measurement>,
}

/// The result of one measurement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) value: f64,
    pub(crate) unit: Unit,
    /// The single latencies of which `value` is the median, where the workload has them.
    pub(crate) latencies: Option<Latencies>,
}

impl Measurement {
    /// A value without a distribution.
    pub(crate) fn of(value: f64, unit: Unit) -> Self {
        Self { value, unit, latencies: None }
    }
}

/// Why a side did not finish its measurement.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The cpus are not where they are wanted.
    Skipped,
    /// This machine cannot do it; the text says what is missing.
    Unavailable(String),
    /// Something is broken: a system call, or a wrong answer from the subject.
    Failed(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// What a workload's side works with.
pub(crate) struct Side {
    assignment: Assignment,
    memory: SharedMemory,
    bracket: OnceCell<Bracket>,
}

/// What surrounds a measurement.
struct Bracket {
    round_trips_ns: Option<(f64, f64)>,
    usage: Usage,
}

impl Side {
    /// Which side this is: 0 is the producer.
    pub(crate) fn role(&self) -> usize {
        self.assignment.role
    }

    /// How long the body of [`measured`](Self::measured) should take.
    pub(crate) fn window(&self) -> Duration {
        self.assignment.timing.window
    }

    /// The shared word at `offset` of the workload's bytes.
    pub(crate) fn word(&self, offset: usize) -> &Word {
        self.memory.word(CONTROL_BYTES + offset)
    }

    /// `count` shared words from `offset` of the workload's bytes on.
    pub(crate) fn words(&self, offset: usize, count: usize) -> &[Word] {
        self.memory.words(CONTROL_BYTES + offset, count)
    }

    /// The shared futex word at `offset` of the workload's bytes.
    pub(crate) fn futex(&self, offset: usize) -> &FutexWord {
        self.memory.futex(CONTROL_BYTES + offset)
    }

    /// The name of one of the measurement's segments. The side that creates it removes it; the parent removes those of
    /// roles that die.
    ///
    /// # Panics
    /// When `index` is not below [`SEGMENTS_MAX`].
    pub(crate) fn segment(&self, index: usize) -> String {
        assert!(index < SEGMENTS_MAX, "the parent does not look after segment {index}");
        segment_name(&self.assignment.segments, index)
    }

    /// Waits until every side is here, for preparations in steps: one side creates the object to which the other
    /// attaches. All sides call it equally often.
    ///
    /// # Errors
    /// When the kernel refuses to wait or to wake.
    pub(crate) fn rendezvous(&self) -> io::Result<()> {
        Control::new(&self.memory, self.assignment.parties).meet()
    }

    /// Runs `body` as the measured part. Every side calls this once, after it has prepared; all bodies start together,
    /// and the cpus are probed before and after. What was prepared stays alive until all bodies have ended.
    ///
    /// # Errors
    /// [`Stop::Skipped`] when the first probe earned the wrong label (pass it on with `?`), and whatever `body`
    /// returns.
    pub(crate) fn measured<R>(&self, body: impl FnOnce() -> Result<R, Stop>) -> Result<R, Stop> {
        let control = Control::new(&self.memory, self.assignment.parties);
        control.meet()?;
        let before_ns = self.probe(&control);
        if let Some(before_ns) = before_ns {
            let wanted = self.assignment.wanted;
            control.decide(wanted.is_none_or(|wanted| wanted == Label::of_round_trip(before_ns)));
        }
        control.meet()?;
        if !control.decided() {
            return Err(Stop::Skipped);
        }
        let begin = Snapshot::take(self.assignment.cpu)?;
        control.meet()?;
        let result = body()?;
        let end = Snapshot::take(self.assignment.cpu)?;
        control.meet()?;
        let after_ns = self.probe(&control);
        let bracket = Bracket { round_trips_ns: before_ns.zip(after_ns), usage: begin.until(&end) };
        assert!(self.bracket.set(bracket).is_ok(), "a side measures once");
        Ok(result)
    }

    /// Roles 0 and 1 probe; role 0 learns the round trip.
    fn probe(&self, control: &Control<'_>) -> Option<f64> {
        let line = control.probe_line();
        match self.assignment.role {
            0 => {
                let round_trip_ns = probe::probe(&line, self.assignment.timing.probe);
                line.stop();
                Some(round_trip_ns)
            }
            1 => {
                probe::answer(&line);
                None
            }
            _ => None,
        }
    }
}

/// The whole life of a role's process: prepares itself, plays its side and writes its answer.
///
/// # Errors
/// When the answer cannot be written. Everything else is part of the answer.
pub(crate) fn play(assignment: Assignment) -> io::Result<()> {
    let answer = match measure(assignment) {
        Ok(measured) => Answer::Measured(measured),
        Err(Stop::Skipped) => Answer::Skipped,
        Err(Stop::Unavailable(reason)) => Answer::Unavailable(reason),
        Err(Stop::Failed(reason)) => Answer::Failed(reason),
    };
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, &answer)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

fn measure(assignment: Assignment) -> Result<Measured, Stop> {
    die_with(assignment.parent)?;
    let mut cpus = CpuSet::new();
    cpus.set(assignment.cpu);
    rustix::thread::sched_setaffinity(None, &cpus).map_err(|error| {
        Stop::Failed(format!("role {} cannot run on cpu {}: {error}", assignment.role, assignment.cpu))
    })?;
    // The parent passes the shared memory as our standard input.
    let memory = SharedMemory::open(io::stdin().as_fd(), CONTROL_BYTES + assignment.workload.subject().shared_bytes())?;
    let side = Side { assignment, memory, bracket: OnceCell::new() };
    let subject = side.assignment.workload.subject();
    let measurement = match side.assignment.role {
        0 => subject.produce(&side)?,
        _ => subject.consume(&side)?,
    };
    let Bracket { round_trips_ns, usage } =
        side.bracket.into_inner().ok_or_else(|| Stop::Failed("the workload returned without measuring".into()))?;
    Ok(Measured { round_trips_ns, usage, measurement })
}

/// Makes sure that this process does not outlive its parent.
fn die_with(parent: i32) -> Result<(), Stop> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(io::Error::from)?;
    // A parent that was gone before the call sends no signal any more.
    if rustix::process::getppid().map(Pid::as_raw_pid) == Some(parent) {
        Ok(())
    } else {
        Err(Stop::Failed("the parent process is gone".into()))
    }
}
