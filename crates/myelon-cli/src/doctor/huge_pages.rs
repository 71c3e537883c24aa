//! Huge pages: whether rings get them, and whether memory lies in a pool that rings cannot use.

use super::finding::{Finding, On, size};
use super::machine::Machine;

const SHMEM: &str = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";

#[derive(Debug)]
pub(crate) struct HugePages {
    /// The setting in force for memory files, and `force` and `deny` for every tmpfs.
    shmem: Result<String, String>,
    /// The option `huge` of the mount of `/dev/shm`.
    mounted: Result<Option<String>, String>,
    /// Bytes in the pool of hugetlbfs.
    pool_bytes: Result<u64, String>,
}

impl HugePages {
    pub(crate) fn gather(machine: &Machine) -> Self {
        let shmem = machine.read(SHMEM).and_then(|text| {
            let chosen = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
            chosen.map(|(chosen, _)| chosen.to_owned()).ok_or_else(|| format!("{SHMEM} is {}", text.trim()))
        });
        let mounted = machine.mounts().map(|mounts| {
            let shm = mounts.0.iter().rfind(|mount| mount.mount_point.as_os_str() == "/dev/shm");
            shm.and_then(|mount| mount.super_options.get("huge").cloned().flatten())
        });
        let pool_bytes = machine.read("/proc/meminfo").and_then(|text| {
            let field = |name: &str| {
                let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next());
                value.and_then(|value| value.parse::<u64>().ok())
            };
            let pool = field("HugePages_Total:").zip(field("Hugepagesize:"));
            pool.map(|(pages, kib)| pages.saturating_mul(kib).saturating_mul(1024))
                .ok_or_else(|| "/proc/meminfo has no HugePages_Total: this kernel has no hugetlbfs".to_owned())
        });
        Self { shmem, mounted, pool_bytes }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        vec![self.judge_shared(), self.judge_pool()]
    }

    fn judge_shared(&self) -> Finding {
        let check = "huge-pages";
        let (shmem, mounted) = match (&self.shmem, &self.mounted) {
            (Ok(shmem), Ok(mounted)) => (shmem, mounted.as_deref().unwrap_or("never")),
            (Err(why), _) | (_, Err(why)) => return Finding::not_known(check, why),
        };
        let found = format!("/dev/shm has huge={mounted}, shmem_enabled is {shmem}");
        let has = match (shmem.as_str(), mounted) {
            ("deny", _) => false,
            ("force", _) => true,
            (_, mounted) => matches!(mounted, "always" | "within_size"),
        };
        if has {
            return Finding::ok(check, found);
        }
        let means = "rings of 2 MiB and more use pages of 4 KiB: prefaulting them takes longer, and large messages \
                 miss the TLB more often; smaller rings do not change";
        let finding = Finding::note(check, found, means);
        match shmem.as_str() {
            "deny" => finding.fix(On::Host, format!("echo advise > {SHMEM}")),
            _ => finding,
        }
        .fix(On::Host, "mount -o remount,huge=within_size /dev/shm, and huge=within_size in /etc/fstab")
        .fix(
            On::Docker,
            "docker volume create --opt type=tmpfs --opt device=tmpfs --opt o=size=1g,huge=within_size rings",
        )
    }

    fn judge_pool(&self) -> Finding {
        let check = "hugetlb-pool";
        match &self.pool_bytes {
            Ok(0) => Finding::ok(check, "no memory is set aside"),
            Ok(bytes) => Finding::note(
                check,
                format!("{} are set aside for hugetlbfs", size(*bytes)),
                "rings cannot use that memory: less is left for /dev/shm",
            )
            .fix(On::Host, "sysctl vm.nr_hugepages=0, if no program uses the pool"),
            Err(why) => Finding::not_known(check, why),
        }
    }
}
