//! The facts about the machine that explain a number: the processor, the kernel, the limits of the cgroup.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::topology;

/// The machine of a run. What the system does not tell is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) processor: Option<String>,
    pub(crate) kernel: Option<String>,
    /// Whether the processor says that it is a guest.
    pub(crate) virtual_machine: bool,
    /// The cpus that this process may run on.
    pub(crate) allowed_cpus: Vec<usize>,
    /// The caches of the first measured cpu.
    pub(crate) l2_bytes: Option<usize>,
    pub(crate) l3_bytes: Option<usize>,
    /// The frequency governor of the first measured cpu.
    pub(crate) governor: Option<String>,
    /// How many cpus' worth of time the cgroup may use; `None` without a limit.
    pub(crate) cgroup_cpus_max: Option<f64>,
    /// How much memory the cgroup may use; `None` without a limit.
    pub(crate) cgroup_memory_max_bytes: Option<u64>,
}

impl Machine {
    /// Reads the facts of this machine, for a run whose first role is on `cpu`.
    pub(crate) fn observe(allowed_cpus: Vec<usize>, cpu: usize) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let governor = format!("/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor");
        let own_groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        Self {
            processor: cpuinfo_field(&cpuinfo, "model name"),
            kernel: read_trimmed(Path::new("/proc/sys/kernel/osrelease")),
            virtual_machine: cpuinfo_field(&cpuinfo, "flags")
                .is_some_and(|flags| flags.split(' ').any(|flag| flag == "hypervisor")),
            allowed_cpus,
            l2_bytes: topology::cache_bytes(cpu, 2),
            l3_bytes: topology::cache_bytes(cpu, 3),
            governor: read_trimmed(Path::new(&governor)),
            cgroup_cpus_max: cgroup_cpus_max(&own_groups),
            cgroup_memory_max_bytes: cgroup_memory_max_bytes(&own_groups),
        }
    }
}

impl Machine {
    /// What it is, in a sentence without its end.
    pub(crate) fn sentence(&self) -> String {
        let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let guest = if self.virtual_machine { ", virtual" } else { "" };
        format!(
            "{}{guest}, {} cpus, L2 {}, L3 {}, Linux {}",
            unknown(&self.processor),
            self.allowed_cpus.len(),
            written_cache(self.l2_bytes),
            written_cache(self.l3_bytes),
            unknown(&self.kernel)
        )
    }
}

/// The size of a cache.
pub(crate) fn written_cache(bytes: Option<usize>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| format!("{} KiB", bytes >> 10))
}

fn read_trimmed(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

/// The first value of `name` in the text of `/proc/cpuinfo`.
fn cpuinfo_field(cpuinfo: &str, name: &str) -> Option<String> {
    cpuinfo
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(field, value)| (field.trim() == name).then(|| value.trim().to_owned()))
}

/// The folders of this process's group for `controller` and of all groups above it, given the text of
/// `/proc/self/cgroup`.
/// An empty `controller` means the second version of cgroups. In a container the inner folders may not exist.
fn group_folders(own_groups: &str, controller: &str) -> Vec<PathBuf> {
    let own = own_groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers.split(',').any(|name| name == controller).then_some(path)
    });
    let Some(own) = own else { return Vec::new() };
    let root = Path::new("/sys/fs/cgroup").join(controller);
    Path::new(own).ancestors().map(|group| root.join(group.strip_prefix("/").unwrap_or(group))).collect()
}

/// The tightest limit on cpu time of the group and those above it.
fn cgroup_cpus_max(own_groups: &str) -> Option<f64> {
    let second = group_folders(own_groups, "")
        .into_iter()
        .filter_map(|folder| parse_cpu_max(&read_trimmed(&folder.join("cpu.max"))?));
    let first = group_folders(own_groups, "cpu").into_iter().filter_map(|folder| {
        let quota = read_trimmed(&folder.join("cpu.cfs_quota_us"))?;
        parse_cpu_max(&format!("{quota} {}", read_trimmed(&folder.join("cpu.cfs_period_us"))?))
    });
    second.chain(first).min_by(f64::total_cmp)
}

/// A quota and a period such as `50000 100000`, as a number of cpus. `max` (or -1, in the first version) is no limit.
fn parse_cpu_max(text: &str) -> Option<f64> {
    let (quota, period) = text.split_once(' ')?;
    let (quota, period) = (quota.parse::<f64>().ok()?, period.parse::<f64>().ok()?);
    (quota > 0.0 && period > 0.0).then(|| quota / period)
}

/// The tightest limit on memory of the group and those above it.
fn cgroup_memory_max_bytes(own_groups: &str) -> Option<u64> {
    let second = group_folders(own_groups, "").into_iter().map(|folder| folder.join("memory.max"));
    let first = group_folders(own_groups, "memory").into_iter().map(|folder| folder.join("memory.limit_in_bytes"));
    second.chain(first).filter_map(|path| parse_memory_max(&read_trimmed(&path)?)).min()
}

/// A number of bytes. `max` (or nearly the largest number, in the first version) is no limit.
fn parse_memory_max(text: &str) -> Option<u64> {
    text.parse().ok().filter(|&bytes| bytes < 1 << 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_of_both_versions_of_cgroups_are_read() {
        assert_eq!(parse_cpu_max("150000 100000"), Some(1.5));
        assert_eq!(parse_cpu_max("max 100000"), None);
        assert_eq!(parse_cpu_max("-1 100000"), None);
        assert_eq!(parse_memory_max("1073741824"), Some(1 << 30));
        assert_eq!(parse_memory_max("max"), None);
        assert_eq!(parse_memory_max("9223372036854771712"), None);
    }

    #[test]
    fn a_group_is_limited_by_those_above_it() {
        let folders = group_folders("4:cpu,cpuacct:/a/b\n0::/c\n", "cpu");
        let expected = ["/sys/fs/cgroup/cpu/a/b", "/sys/fs/cgroup/cpu/a", "/sys/fs/cgroup/cpu"];
        assert_eq!(folders, expected.map(PathBuf::from));
        assert_eq!(group_folders("0::/c\n", ""), ["/sys/fs/cgroup/c", "/sys/fs/cgroup"].map(PathBuf::from));
        assert!(group_folders("0::/c\n", "memory").is_empty());
    }

    #[test]
    fn the_first_processor_names_itself() {
        let cpuinfo = "processor\t: 0\nmodel name\t: Some CPU: 3 GHz\nmodel name\t: Other\n";
        assert_eq!(cpuinfo_field(cpuinfo, "model name").as_deref(), Some("Some CPU: 3 GHz"));
    }
}
