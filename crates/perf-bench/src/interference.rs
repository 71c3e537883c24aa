//! Whether a measurement had its cpus to itself.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::raw;

/// What one cpu has done since boot, as `/proc/stat` counts it: in ticks of 10 ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CpuTicks {
    /// Ticks in which something ran here: user, nice, system and interrupts. Guests are part of user already.
    busy: u64,
    /// Ticks in which this virtual cpu wanted to run and the host ran something else.
    stolen: u64,
}

/// The line of `cpu` in the text of `/proc/stat`.
fn parse_cpu_ticks(stat: &str, cpu: usize) -> Option<CpuTicks> {
    let name = format!("cpu{cpu}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let mut fields = line.split_ascii_whitespace().skip(1).map(str::parse::<u64>);
    let mut next = || fields.next()?.ok();
    let (user, nice, system, _idle, _iowait) = (next()?, next()?, next()?, next()?, next()?);
    // The later fields came with later kernels.
    let (irq, softirq, stolen) = (next().unwrap_or(0), next().unwrap_or(0), next().unwrap_or(0));
    Some(CpuTicks { busy: user + nice + system + irq + softirq, stolen })
}

/// How long this thread has been ready to run while something else ran, from the text of `/proc/self/schedstat`.
/// `None` where the kernel does not count it; it then says that the thread has never run.
fn parse_waited(schedstat: &str) -> Option<Duration> {
    let mut fields = schedstat.split_ascii_whitespace().map(str::parse::<u64>);
    let (ran_ns, waited_ns) = (fields.next()?.ok()?, fields.next()?.ok()?);
    (ran_ns > 0).then(|| Duration::from_nanos(waited_ns))
}

/// The state of a role and its cpu at one moment.
pub(crate) struct Snapshot {
    at: Instant,
    own_cpu: Duration,
    waited: Option<Duration>,
    involuntary: u64,
    ticks: CpuTicks,
}

impl Snapshot {
    /// Takes it, for this process pinned to `cpu`, in its main thread.
    pub(crate) fn take(cpu: usize) -> io::Result<Self> {
        let ticks = parse_cpu_ticks(&fs::read_to_string("/proc/stat")?, cpu).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, format!("/proc/stat has no line for cpu{cpu}"))
        })?;
        let waited = fs::read_to_string("/proc/self/schedstat").ok().and_then(|text| parse_waited(&text));
        let own_cpu = clock::own_cpu();
        Ok(Self { at: Instant::now(), own_cpu, waited, involuntary: raw::involuntary_switches(), ticks })
    }

    /// What happened between this snapshot and a later one.
    pub(crate) fn until(&self, later: &Self) -> Usage {
        Usage {
            wall: later.at - self.at,
            own_cpu: later.own_cpu.saturating_sub(self.own_cpu),
            waited: self.waited.zip(later.waited).map(|(earlier, later)| later.saturating_sub(earlier)),
            involuntary: later.involuntary.saturating_sub(self.involuntary),
            cpu_busy: tick_time(later.ticks.busy.saturating_sub(self.ticks.busy)),
            cpu_stolen: tick_time(later.ticks.stolen.saturating_sub(self.ticks.stolen)),
        }
    }
}

/// What a role used, and what its cpu did during that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// How long the measurement took.
    pub(crate) wall: Duration,
    /// Cpu time of the role.
    pub(crate) own_cpu: Duration,
    /// How long the role was ready to run and did not; unknown on kernels that do not count it.
    pub(crate) waited: Option<Duration>,
    /// How often the kernel gave the role's cpu to another thread.
    pub(crate) involuntary: u64,
    /// How long the cpu was busy, for any process; exact to a tick.
    pub(crate) cpu_busy: Duration,
    /// How long the host kept the cpu away; exact to a tick.
    pub(crate) cpu_stolen: Duration,
}

impl Usage {
    /// Leaves out what a process with several threads on its one cpu cannot tell: which of them waited for which, and
    /// which took the cpu from which. What the cpu itself counts remains.
    pub(crate) fn among_threads(self) -> Self {
        Self { waited: None, involuntary: 0, ..self }
    }
}

/// Why a measurement does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Disturbance {
    /// Other processes ran on a cpu of ours, by the cpu's own count.
    ForeignWork,
    /// A role was ready to run and had to wait.
    Waited,
    /// A role lost its cpu more often than the kernel's own housekeeping explains.
    Preempted,
    /// The host took a cpu away.
    Stolen,
}

impl fmt::Display for Disturbance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::ForeignWork => "foreign work on the cpu",
            Self::Waited => "waited for the cpu",
            Self::Preempted => "preempted",
            Self::Stolen => "cpu stolen by the host",
        })
    }
}

/// The part of a measurement that other processes may take without changing a median.
const TOLERATED_SHARE: f64 = 0.01;
/// A role that wanted its cpu for more than this part of the measurement is one that spins.
const SPINNING_SHARE: f64 = 0.95;
/// Where `/proc/stat` counts in whole ticks, each end of the measurement may be off by one.
const TICK_ERROR: u64 = 2;
/// Kernel threads that are bound to a cpu run a few times a second on it and cannot be moved away.
const HOUSEKEEPING_PER_SECOND: f64 = 20.0;
/// So that one of them does not discard a measurement of some milliseconds.
const HOUSEKEEPING_AT_LEAST: f64 = 2.0;

/// The worst thing that happened to any of the roles, each given with its cpu; `None` when the measurement counts.
pub(crate) fn judge(roles: &[(usize, Usage)]) -> Option<Disturbance> {
    let mut own_by_cpu = BTreeMap::<usize, Duration>::new();
    for (cpu, usage) in roles {
        *own_by_cpu.entry(*cpu).or_default() += usage.own_cpu;
    }
    roles.iter().find_map(|(cpu, usage)| {
        let tolerated = usage.wall.mul_f64(TOLERATED_SHARE);
        let by_ticks = tolerated + tick_time(TICK_ERROR);
        let switches = HOUSEKEEPING_AT_LEAST.max(usage.wall.as_secs_f64() * HOUSEKEEPING_PER_SECOND);
        // A role that sleeps also "waits" from its wake-up until a halted cpu runs again. That is part of the
        // measurement. Only a role that wanted to run all the time has lost the time that it waited.
        let lost = usage.waited.filter(|waited| usage.own_cpu + *waited > usage.wall.mul_f64(SPINNING_SHARE));
        if usage.cpu_stolen > by_ticks {
            Some(Disturbance::Stolen)
        } else if lost.is_some_and(|lost| lost > tolerated) {
            Some(Disturbance::Waited)
        } else if usage.cpu_busy.saturating_sub(own_by_cpu[cpu]) > by_ticks {
            Some(Disturbance::ForeignWork)
        } else if lost.is_none() && usage.involuntary as f64 > switches {
            // Only where the lost time itself is unknown: a switch says that others ran, but not for how long.
            Some(Disturbance::Preempted)
        } else {
            None
        }
    })
}

/// `ticks` of `/proc/stat` as a duration.
fn tick_time(ticks: u64) -> Duration {
    Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second()).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  8237 0 3571 474387 464 0 39 330 0 0
cpu0 4098 1 1654 237524 73 2 8 182 5 0
cpu1 4138 0 1917 236863 391 0 30 148 0 0
cpu10 7 0 0 0 0
intr 123 0
";

    #[test]
    fn a_cpu_is_busy_with_everything_but_idling_and_guests_count_once() {
        assert_eq!(parse_cpu_ticks(STAT, 0), Some(CpuTicks { busy: 4098 + 1 + 1654 + 2 + 8, stolen: 182 }));
    }

    #[test]
    fn cpu_1_is_not_cpu_10_and_an_old_kernel_has_fewer_fields() {
        assert_eq!(parse_cpu_ticks(STAT, 1), Some(CpuTicks { busy: 4138 + 1917 + 30, stolen: 148 }));
        assert_eq!(parse_cpu_ticks(STAT, 10), Some(CpuTicks { busy: 7, stolen: 0 }));
        assert_eq!(parse_cpu_ticks(STAT, 2), None);
    }

    #[test]
    fn a_kernel_that_does_not_count_waiting_is_recognised() {
        assert_eq!(parse_waited("120000 4500 17\n"), Some(Duration::from_nanos(4500)));
        assert_eq!(parse_waited("0 0 1\n"), None);
        assert_eq!(parse_waited(""), None);
    }

    /// A role that spun for 200 ms and was left alone.
    fn quiet() -> Usage {
        let wall = Duration::from_millis(200);
        Usage {
            wall,
            own_cpu: wall,
            waited: Some(Duration::ZERO),
            involuntary: 0,
            cpu_busy: wall,
            cpu_stolen: Duration::ZERO,
        }
    }

    #[test]
    fn a_quiet_measurement_counts_even_when_a_tick_is_off() {
        let busy = Usage { cpu_busy: Duration::from_millis(220), ..quiet() };
        assert_eq!(judge(&[(0, quiet()), (1, busy)]), None);
    }

    #[test]
    fn work_of_others_on_the_cpu_is_noticed() {
        let busy = Usage { own_cpu: Duration::from_millis(20), cpu_busy: Duration::from_millis(90), ..quiet() };
        assert_eq!(judge(&[(0, quiet()), (1, busy)]), Some(Disturbance::ForeignWork));
    }

    #[test]
    fn roles_that_share_a_cpu_are_not_foreign_to_each_other() {
        let half = Usage { own_cpu: Duration::from_millis(100), ..quiet() };
        assert_eq!(judge(&[(0, half), (0, half)]), None);
    }

    #[test]
    fn waiting_for_the_cpu_is_noticed_where_it_is_counted() {
        let waited = Usage { waited: Some(Duration::from_millis(4)), ..quiet() };
        assert_eq!(judge(&[(0, waited)]), Some(Disturbance::Waited));
    }

    #[test]
    fn a_sleeper_does_not_lose_the_time_in_which_its_cpu_wakes_up() {
        let ms = Duration::from_millis;
        let sleeper = Usage { own_cpu: ms(10), waited: Some(ms(8)), cpu_busy: ms(20), ..quiet() };
        assert_eq!(judge(&[(0, sleeper)]), None);
    }

    #[test]
    fn switches_stand_in_where_waiting_is_not_counted() {
        let switched = Usage { involuntary: 10, ..quiet() };
        assert_eq!(judge(&[(0, switched)]), None);
        assert_eq!(judge(&[(0, Usage { waited: None, ..switched })]), Some(Disturbance::Preempted));
    }

    #[test]
    fn a_cpu_that_the_host_took_away_is_noticed() {
        let stolen = Usage { cpu_stolen: Duration::from_millis(30), ..quiet() };
        assert_eq!(judge(&[(0, stolen)]), Some(Disturbance::Stolen));
    }
}
