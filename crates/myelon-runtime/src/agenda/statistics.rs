//! What an agenda counts and measures: a table for each worker and priority, and one for what happens outside workers.
//!
//! A worker alone writes its table, with relaxed stores. Readers never wait and never stop it; a table that is read
//! while its worker runs can be one tasklet older in one column than in another.

use super::state::End;
use crate::Priority;
use crate::primitive::{AtomicU64, Ordering};
use std::time::Duration;

/// Eight columns for each power of two: a quantile is at most an eighth too high.
const COLUMNS_PER_OCTAVE: u64 = 8;
/// 2^40 ns are 18 minutes; what takes longer is in the last column.
const COLUMNS: usize = 8 * 38;

/// How often a duration fell into which column.
#[derive(Debug)]
pub(crate) struct Histogram {
    columns: Box<[AtomicU64]>,
    total_ns: AtomicU64,
}

impl Histogram {
    fn new() -> Self {
        Self { columns: (0..COLUMNS).map(|_| AtomicU64::new(0)).collect(), total_ns: AtomicU64::new(0) }
    }

    fn column(ns: u64) -> usize {
        if ns < COLUMNS_PER_OCTAVE {
            return ns as usize;
        }
        let octave = u64::from(ns.ilog2()) - 3;
        let within = (ns >> octave) - COLUMNS_PER_OCTAVE;
        (((octave + 1) * COLUMNS_PER_OCTAVE + within) as usize).min(COLUMNS - 1)
    }

    /// The longest duration of a column.
    fn longest_ns(column: usize) -> u64 {
        let column = column as u64;
        if column < COLUMNS_PER_OCTAVE {
            return column;
        }
        let (octave, within) = (column / COLUMNS_PER_OCTAVE - 1, column % COLUMNS_PER_OCTAVE);
        ((COLUMNS_PER_OCTAVE + within + 1) << octave) - 1
    }

    /// Only for the one writer.
    pub(crate) fn record(&self, ns: u64) {
        add(&self.columns[Self::column(ns)], 1);
        add(&self.total_ns, ns);
    }

    fn read(&self) -> Times {
        let counts = self.columns.iter().map(|column| column.load(Ordering::Relaxed)).collect::<Vec<_>>();
        let samples = counts.iter().sum::<u64>();
        let quantile = |percent: u64| {
            let wanted = (samples * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            Duration::from_nanos(found.map_or(0, Self::longest_ns))
        };
        Times {
            samples,
            total: Duration::from_nanos(self.total_ns.load(Ordering::Relaxed)),
            p50: quantile(50),
            p99: quantile(99),
        }
    }
}

/// Adds to a counter that one thread writes: a load and a store, no locked operation.
pub(crate) fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}

/// The table of one worker and priority.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) submitted: AtomicU64,
    pub(crate) runs: AtomicU64,
    pub(crate) again: AtomicU64,
    pub(crate) stolen: AtomicU64,
    pub(crate) late: AtomicU64,
    ends: [AtomicU64; 6],
    pub(crate) waited: Histogram,
    pub(crate) ran: Histogram,
}

impl Table {
    pub(crate) fn new() -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            submitted: zero(),
            runs: zero(),
            again: zero(),
            stolen: zero(),
            late: zero(),
            ends: std::array::from_fn(|_| zero()),
            waited: Histogram::new(),
            ran: Histogram::new(),
        }
    }

    pub(crate) fn end(&self, end: End) -> &AtomicU64 {
        &self.ends[end.index()]
    }

    pub(crate) fn read(&self) -> Counts {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            // The ends first: a tasklet is counted as submitted before it can end on the same thread.
            ends: std::array::from_fn(|at| value(&self.ends[at])),
            runs: value(&self.runs),
            again: value(&self.again),
            stolen: value(&self.stolen),
            late: value(&self.late),
            submitted: value(&self.submitted),
            waited: self.waited.read(),
            ran: self.ran.read(),
        }
    }
}

/// Three tables, one a priority.
pub(crate) type Tables = [Table; 3];

pub(crate) fn tables() -> Tables {
    [Table::new(), Table::new(), Table::new()]
}

/// How long something took, over all samples.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Priority, Times};
///
/// let slow = |times: &Times| times.samples > 100 && times.p99 > std::time::Duration::from_millis(10);
/// let agenda = Agenda::builder().workers(1).start()?;
/// assert!(!slow(&agenda.statistics().worker(0, Priority::High).waited));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Times {
    /// How many were measured: all, or one in 16 (see [`Sampling`](crate::agenda::Sampling)).
    pub samples: u64,
    /// The sum of all samples.
    pub total: Duration,
    /// Half of the samples were not longer. At most an eighth too high.
    pub p50: Duration,
    /// 99 of 100 samples were not longer. At most an eighth too high.
    pub p99: Duration,
}

/// What was counted of one priority, by one worker or outside the workers.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Counts, End, Priority, Tasklet};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// agenda.submit(Tasklet::new("a sum", || 1 + 1))?.wait(Duration::from_secs(30))?;
/// let statistics = agenda.statistics();
/// let counts: &Counts = statistics.worker(0, Priority::Normal);
/// println!("{} runs, half of them waited less than {:?}", counts.runs, counts.waited.p50);
/// assert_eq!(counts.ended(End::Done), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Tasklets that were accepted: by a tasklet on this worker, or outside.
    pub submitted: u64,
    /// How often a tasklet was run here.
    pub runs: u64,
    /// How many of these runs ended in *again*.
    pub again: u64,
    /// How often this worker took from another one; each time it may have taken several.
    pub stolen: u64,
    /// Tasklets whose deadline was over when they were picked: those that ran and those that expired.
    pub late: u64,
    ends: [u64; 6],
    /// From the submission, or the end of the last run, to the start.
    pub waited: Times,
    /// From the start of a run to its end.
    pub ran: Times,
}

impl Counts {
    /// How many tasklets ended in this way. Each submitted tasklet ends once, in one way; it can end on another worker
    /// than it was submitted on. Cancelled ones and those left at the end are counted outside the workers.
    pub fn ended(&self, end: End) -> u64 {
        self.ends[end.index()]
    }
}

/// What an agenda has counted since it started.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, End, Priority, Tasklet};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// agenda.submit(Tasklet::new("a sum", || 1 + 1).priority(Priority::High))?.wait(Duration::from_secs(30))?;
/// let statistics = agenda.statistics();
/// assert_eq!(statistics.worker(0, Priority::High).runs, 1);
/// assert_eq!((statistics.submitted(), statistics.ended(End::Done)), (1, 1));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Statistics {
    pub(crate) workers: Vec<[Counts; 3]>,
    pub(crate) outside: [Counts; 3],
}

impl Statistics {
    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// What worker `worker`, from 0 on, has counted of a priority.
    ///
    /// # Panics
    /// If there is no such worker.
    pub fn worker(&self, worker: usize, priority: Priority) -> &Counts {
        &self.workers[worker][priority.index()]
    }

    /// What was counted of a priority outside the workers: submissions from other threads, cancelled and left tasklets.
    pub fn outside(&self, priority: Priority) -> &Counts {
        &self.outside[priority.index()]
    }

    fn all(&self) -> impl Iterator<Item = &Counts> {
        self.workers.iter().flatten().chain(&self.outside)
    }

    /// How many tasklets were accepted.
    pub fn submitted(&self) -> u64 {
        self.all().map(|counts| counts.submitted).sum()
    }

    /// How many tasklets ended in this way.
    pub fn ended(&self, end: End) -> u64 {
        self.all().map(|counts| counts.ended(end)).sum()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_column_holds_its_durations_within_an_eighth() {
        for ns in (0..5000).chain([1 << 20, (1 << 20) + 1, 999_999_999, 1 << 39]) {
            let longest = Histogram::longest_ns(Histogram::column(ns));
            assert!(longest >= ns && longest - ns <= ns / 8, "{ns}: {longest}");
        }
        assert_eq!(Histogram::column(u64::MAX), COLUMNS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_samples() {
        let histogram = Histogram::new();
        (1..=100).for_each(|ns| histogram.record(ns * 1000));
        let times = histogram.read();
        assert_eq!((times.samples, times.total), (100, Duration::from_micros(5050)));
        assert!((50_000..=56_250).contains(&times.p50.as_nanos()), "{times:?}");
        assert!((99_000..=111_375).contains(&times.p99.as_nanos()), "{times:?}");
        assert_eq!(Histogram::new().read(), Times::default());
    }
}
