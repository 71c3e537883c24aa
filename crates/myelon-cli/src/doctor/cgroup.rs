//! The memory and the processor time that the control groups of this process leave it, version 1 or 2.

use super::finding::{Finding, On, size};
use super::machine::Machine;
use disruptor_mp::probe::MemoryLimit;
use std::path::{Component, Path, PathBuf};

/// Less than this is soon used up: four rings of a few MiB.
const MEMORY_LOW_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Cgroup {
    /// `Ok(None)`: there is no limit.
    pub(crate) memory: Result<Option<MemoryLimit>, String>,
    pub(crate) quota: Result<Option<Quota>, String>,
    /// How many processors this process may use.
    pub(crate) processors: Result<u32, String>,
}

/// The quota of processor time that leaves the least.
#[derive(Debug)]
pub(crate) struct Quota {
    group: String,
    quota_us: u64,
    period_us: u64,
    /// How often, and how long in milliseconds, the group was stopped.
    throttled: Option<(u64, u64)>,
}

impl Quota {
    fn cores(&self) -> f64 {
        self.quota_us as f64 / self.period_us as f64
    }
}

/// A control group of this process, or one around it.
struct Group {
    directory: PathBuf,
    /// Whether it is of version 2.
    is_v2: bool,
}

impl Cgroup {
    pub(crate) fn gather(machine: &Machine) -> Self {
        let memory = groups(machine, "memory", "memory.limit_in_bytes").map(|_| MemoryLimit::below(machine.root()));
        let quota = groups(machine, "cpu", "cpu.shares").map(|groups| {
            let quotas = groups.iter().filter_map(|group| quota(machine, group));
            quotas.min_by(|one, other| one.cores().total_cmp(&other.cores()))
        });
        let processors = machine
            .status("Cpus_allowed_list")
            .and_then(|list| count(&list).ok_or_else(|| format!("Cpus_allowed_list is {list}")));
        Self { memory, quota, processors }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        vec![self.judge_memory(), self.judge_processors(), self.judge_quota()]
    }

    fn judge_memory(&self) -> Finding {
        let check = "memory-limit";
        let limit = match &self.memory {
            Ok(Some(limit)) => limit,
            Ok(None) => return Finding::ok(check, "no control group limits memory"),
            Err(why) => return Finding::not_known(check, why),
        };
        let found = format!("{} of {} are left", size(limit.available_bytes), size(limit.limit_bytes));
        let (finding, fixed) = match limit.available_bytes {
            0 => (Finding::problem(check, found, "no ring can be made: creation fails with `no memory`"), true),
            left if left < MEMORY_LOW_BYTES => {
                let means = "the memory of a ring counts against the limit of the process that creates it: larger \
                 rings fail with `no memory`, also where /dev/shm has space";
                (Finding::warning(check, found, means), true)
            }
            _ => (Finding::ok(check, found), false),
        };
        if !fixed {
            return finding;
        }
        finding
            .fix(On::Docker, "docker update --memory 1g --memory-swap 1g CONTAINER (or docker run --memory 1g)")
            .fix(On::Kubernetes, "resources.limits.memory: 1Gi")
            .fix(On::Systemd, "MemoryMax=1G (systemctl set-property UNIT MemoryMax=1G)")
    }

    fn judge_processors(&self) -> Finding {
        let check = "processors";
        match &self.processors {
            Ok(1) => Finding::warning(
                check,
                "this process may use 1 processor",
                "a waiter that spins takes the time of the process for which it waits",
            )
            .fix(On::Program, "MYELON_WAIT=block")
            .fix(On::Shell, "taskset -c 0-3 PROGRAM")
            .fix(On::Docker, "docker update --cpuset-cpus 0-3 CONTAINER")
            .fix(On::Systemd, "AllowedCPUs=0-3, and no CPUAffinity="),
            Ok(count) => Finding::ok(check, format!("this process may use {count} processors")),
            Err(why) => Finding::not_known(check, why),
        }
    }

    fn judge_quota(&self) -> Finding {
        let check = "cpu-quota";
        let quota = match &self.quota {
            Ok(Some(quota)) => quota,
            Ok(None) => return Finding::ok(check, "no control group limits processor time"),
            Err(why) => return Finding::not_known(check, why),
        };
        let stopped = match quota.throttled {
            Some((count, millis)) => format!("; it was stopped {count} times, for {millis} ms together"),
            None => String::new(),
        };
        let found = format!(
            "{:.2} cores ({} of each {} ms) for control group {}{stopped}",
            quota.cores(),
            milliseconds(quota.quota_us),
            milliseconds(quota.period_us),
            quota.group
        );
        let means = "all threads of the group stop for the rest of a period when its time is used up: events are late \
                 by up to the period, and waiters that spin use up that time";
        let enough = self.processors.as_ref().is_ok_and(|processors| quota.cores() >= f64::from(*processors));
        if enough {
            return Finding::ok(check, format!("{found}, which is as much as its processors have"));
        }
        Finding::warning(check, found, means)
            .fix(On::Docker, "docker run with --cpuset-cpus 0-3, and without --cpus and --cpu-quota")
            .fix(
                On::Kubernetes,
                "no resources.limits.cpu; or whole numbers with requests = limits under cpuManagerPolicy: static",
            )
            .fix(On::Systemd, "CPUQuota= (empty), and AllowedCPUs=0-3 in place of it")
            .fix(On::Program, "MYELON_WAIT=block, where the quota has to stay")
    }
}

/// The groups of this process in the hierarchy of `controller`, innermost first. `known_by` is a file that every group
/// of version 1 with that controller has.
fn groups(machine: &Machine, controller: &str, known_by: &str) -> Result<Vec<Group>, String> {
    let lines = machine.read("/proc/self/cgroup")?;
    let mut all = Vec::new();
    for line in lines.lines() {
        let mut fields = line.splitn(3, ':');
        let (_, controllers, path) = (fields.next(), fields.next().unwrap_or(""), fields.next().unwrap_or(""));
        let is_v2 = controllers.is_empty();
        let mounts: Vec<String> = match is_v2 {
            true => vec!["/sys/fs/cgroup".into(), "/sys/fs/cgroup/unified".into()],
            false if controllers.split(',').any(|name| name == controller) => {
                vec![format!("/sys/fs/cgroup/{controller}"), format!("/sys/fs/cgroup/{controllers}")]
            }
            false => continue,
        };
        let known_by = if is_v2 { "cgroup.procs" } else { known_by };
        let Some(mount) = mounts.iter().find(|mount| machine.has(Path::new(mount).join(known_by))) else { continue };
        let path = Path::new(path.trim_start_matches('/'));
        // A group outside our cgroup namespace is shown as `/../other`, which our mount does not contain.
        let path = match path.components().all(|part| matches!(part, Component::Normal(_))) {
            true => path,
            false => Path::new(""),
        };
        all.extend(path.ancestors().map(|group| Group { directory: Path::new(mount).join(group), is_v2 }));
    }
    match all.is_empty() {
        true => Err(format!("no control groups with the controller {controller} are mounted in /sys/fs/cgroup")),
        false => Ok(all),
    }
}

/// The quota of one group, if it has one.
fn quota(machine: &Machine, group: &Group) -> Option<Quota> {
    let read = |name: &str| machine.read(group.directory.join(name)).ok();
    let (quota, period) = match group.is_v2 {
        true => {
            let max = read("cpu.max")?;
            let (quota, period) = max.trim().split_once(' ')?;
            (quota.to_owned(), period.to_owned())
        }
        // No quota is -1.
        false => (read("cpu.cfs_quota_us")?, read("cpu.cfs_period_us")?),
    };
    let (quota_us, period_us) = (quota.trim().parse().ok()?, period.trim().parse().ok().filter(|period| *period > 0)?);
    let stat = read("cpu.stat").unwrap_or_default();
    let field = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    let millis = match group.is_v2 {
        true => field("throttled_usec ").map(|micros| micros / 1_000),
        false => field("throttled_time ").map(|nanos| nanos / 1_000_000),
    };
    let throttled = field("nr_throttled ").zip(millis);
    Some(Quota { group: group.directory.display().to_string(), quota_us, period_us, throttled })
}

fn milliseconds(micros: u64) -> String {
    format!("{}", micros as f64 / 1_000.0)
}

/// How many processors a list such as `0-3,8` has.
fn count(list: &str) -> Option<u32> {
    let mut count = 0_u32;
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        count = count.checked_add(last.checked_sub(first)?.checked_add(1)?)?;
    }
    Some(count)
}
