//! How much memory the cgroups of this process leave it, version 1 or 2.
//!
//! Creation asks before it reserves memory: a process that exceeds its limit is killed, which is worse than an error.
//!
//! The answer is stale at once: other processes of the group may take memory later. Where the cgroup files are missing,
//! nothing is known and nothing is refused.

use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// Where the cgroup file system is mounted by convention, from the root.
const CGROUP_ROOT: &str = "sys/fs/cgroup";

/// The limit that leaves the least: that of the process's cgroup, or of an enclosing one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryLimit {
    /// The limit.
    pub limit_bytes: u64,
    /// How much may still be allocated before memory is short, including page cache that can be dropped and free swap.
    pub available_bytes: u64,
}

/// The names of the files in one cgroup version.
struct Files {
    limit: &'static str,
    /// Higher numbers mean that there is no limit.
    limit_max: u64,
    usage: &'static str,
    /// Lines of `memory.stat`: memory that the kernel reclaims before it kills.
    reclaimable: &'static [&'static str],
    swap_limit: &'static str,
    swap_usage: &'static str,
    /// Whether the last two count memory and swap together.
    swap_includes_memory: bool,
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    // The highest multiple of any page size, which means no limit, is above this number.
    limit_max: i64::MAX as u64 - (64 << 10),
    usage: "memory.usage_in_bytes",
    reclaimable: &["total_inactive_file", "total_active_file"],
    swap_limit: "memory.memsw.limit_in_bytes",
    swap_usage: "memory.memsw.usage_in_bytes",
    swap_includes_memory: true,
};

const V2: Files = Files {
    limit: "memory.max",
    limit_max: u64::MAX,
    usage: "memory.current",
    reclaimable: &["inactive_file", "active_file", "slab_reclaimable"],
    swap_limit: "memory.swap.max",
    swap_usage: "memory.swap.current",
    swap_includes_memory: false,
};

impl MemoryLimit {
    /// The limit of this process, if it has one.
    pub fn of_this_process() -> Option<Self> {
        Self::below(Path::new("/"))
    }

    /// [`of_this_process`](Self::of_this_process) by the `proc` and `sys` in the directory `root`.
    pub fn below(root: &Path) -> Option<Self> {
        let groups = read(&root.join("proc/self/cgroup"))?;
        let swap_free_bytes = || {
            let meminfo = text(&root.join("proc/meminfo")).unwrap_or_default();
            field(&meminfo, "SwapFree:").unwrap_or(0).saturating_mul(1024)
        };
        Self::find(&root.join(CGROUP_ROOT), &groups, &swap_free_bytes)
    }

    /// `groups` is the content of `/proc/<pid>/cgroup`.
    fn find(root: &Path, groups: &[u8], swap_free_bytes: &dyn Fn() -> u64) -> Option<Self> {
        let limits = groups.split(|byte| *byte == b'\n').flat_map(|line| {
            let mut fields = line.splitn(3, |byte| *byte == b':');
            let (_, controllers, path) = (fields.next(), fields.next().unwrap_or(b""), fields.next().unwrap_or(b""));
            let (files, mount) = match controllers {
                b"" => (&V2, root.to_owned()),
                _ if controllers.split(|byte| *byte == b',').any(|name| name == b"memory") => {
                    (&V1, root.join("memory"))
                }
                _ => return Vec::new(),
            };
            // In a container the mount often begins at its own group, under which the path does not exist: the root
            // itself then has the limit.
            group_of(path)
                .ancestors()
                .filter_map(|group| Self::read(&mount.join(group), files, swap_free_bytes))
                .collect()
        });
        limits.min_by_key(|limit| limit.available_bytes)
    }

    /// The limit of one group; `None` without one.
    fn read(group: &Path, files: &Files, swap_free_bytes: &dyn Fn() -> u64) -> Option<Self> {
        let number = |name| text(&group.join(name))?.trim().parse::<u64>().ok();
        // `max` is not a number, so there is no limit. The other files are read only if there is one: reading them
        // costs more than all else in making a small ring.
        let limit_bytes = number(files.limit).filter(|limit| *limit <= files.limit_max)?;
        let stat = text(&group.join("memory.stat")).unwrap_or_default();
        let swap_free_bytes = swap_free_bytes();
        let reclaimable = files.reclaimable.iter().filter_map(|name| field(&stat, name)).fold(0, u64::saturating_add);
        let left = |limit: u64, usage: u64| limit.saturating_sub(usage.saturating_sub(reclaimable));
        let memory = left(limit_bytes, number(files.usage)?);
        let available_bytes = match (number(files.swap_limit), number(files.swap_usage)) {
            (Some(limit), Some(usage)) if files.swap_includes_memory => {
                memory.saturating_add(swap_free_bytes).min(left(limit, usage))
            }
            (Some(limit), Some(usage)) => memory.saturating_add(swap_free_bytes.min(limit.saturating_sub(usage))),
            _ => memory.saturating_add(swap_free_bytes),
        };
        Some(Self { limit_bytes, available_bytes })
    }
}

/// The content of a kernel file. It has no length before it is read, and the kernel makes it again for each read: most
/// need one read.
fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(8192);
    fs::File::open(path).ok()?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// [`read`] of a text file.
fn text(path: &Path) -> Option<String> {
    String::from_utf8(read(path)?).ok()
}

/// The path of a group below the root of its hierarchy. A group outside our cgroup namespace is shown as `/../other`,
/// which our mount does not contain.
fn group_of(path: &[u8]) -> PathBuf {
    let path = Path::new(OsStr::from_bytes(path.strip_prefix(b"/").unwrap_or(path)));
    if path.components().all(|part| matches!(part, Component::Normal(_))) { path.to_owned() } else { PathBuf::new() }
}

/// The number in the line that begins with `name`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_ascii_whitespace().next()?.parse().ok())
}

#[cfg(all(test, not(miri)))]
mod tests {
    use super::*;

    /// Files as a cgroup file system has them, in a directory of their own.
    struct Root(PathBuf);

    impl Root {
        fn new() -> Self {
            let root = std::env::temp_dir().join(testkit::names::unique("memory-limit"));
            fs::create_dir(&root).unwrap();
            Self(root)
        }

        fn group(&self, path: &str, files: [(&str, &str); 3]) {
            fs::create_dir_all(self.0.join(path)).unwrap();
            for (name, content) in files {
                fs::write(self.0.join(path).join(name), content).unwrap();
            }
        }

        fn write(&self, path: &str, content: &str) {
            fs::write(self.0.join(path), content).unwrap();
        }

        fn v2(&self, path: &str, max: &str, current: &str) {
            let stat = "anon 5\nfile 900\ninactive_file 100\nactive_file 150\nslab_reclaimable 50\n";
            self.group(path, [("memory.max", max), ("memory.current", current), ("memory.stat", stat)]);
        }
    }

    impl Drop for Root {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn found(limit_bytes: u64, available_bytes: u64) -> Option<MemoryLimit> {
        Some(MemoryLimit { limit_bytes, available_bytes })
    }

    #[test]
    fn the_group_that_leaves_the_least_counts_and_cache_is_no_use() {
        let root = Root::new();
        assert_eq!(MemoryLimit::find(&root.0, b"0::/pod/app\n", &|| 0), None, "no file says anything");
        root.v2("pod/app", "max\n", "5000\n");
        assert_eq!(MemoryLimit::find(&root.0, b"0::/pod/app\n", &|| 0), None, "`max` is no limit");
        root.v2("pod", "10000\n", "6300\n");
        assert_eq!(MemoryLimit::find(&root.0, b"0::/pod/app\n", &|| 0), found(10_000, 4_000));
        root.v2("pod/app", "9000\n", "300\n");
        assert_eq!(
            MemoryLimit::find(&root.0, b"0::/pod/app\n", &|| 0),
            found(10_000, 4_000),
            "the enclosing group leaves less"
        );
        assert_eq!(MemoryLimit::find(&root.0, b"0::/pod/app\n", &|| 500), found(10_000, 4_500), "swap can be had too");
        root.v2("pod/app", "200\n", "900\n");
        assert_eq!(MemoryLimit::find(&root.0, b"0::/pod/app\n", &|| 0), found(200, 0));
    }

    #[test]
    fn a_container_whose_mount_begins_at_its_own_group_has_its_limit_at_the_root() {
        let root = Root::new();
        root.v2("", "1000\n", "400\n");
        for groups in [&b"0::/\n"[..], b"0::/docker/4711\n", b"0::/../other\n"] {
            assert_eq!(MemoryLimit::find(&root.0, groups, &|| 0), found(1_000, 900));
        }
    }

    #[test]
    fn a_group_that_is_shown_from_outside_is_not_looked_for_outside_of_the_mount() {
        let root = Root::new();
        root.v2("mount", "1000\n", "400\n");
        root.v2("other", "10\n", "10\n");
        assert_eq!(MemoryLimit::find(&root.0.join("mount"), b"0::/../other\n", &|| 0), found(1_000, 900));
    }

    #[test]
    fn swap_that_the_group_may_not_use_is_no_memory() {
        let root = Root::new();
        root.v2("pod", "1000\n", "900\n");
        let available = |swap_free| MemoryLimit::find(&root.0, b"0::/pod\n", &|| swap_free).unwrap().available_bytes;
        assert_eq!(available(5_000), 400 + 5_000);
        root.write("pod/memory.swap.max", "80\n");
        root.write("pod/memory.swap.current", "30\n");
        assert_eq!((available(5_000), available(10)), (450, 410));
        root.write("pod/memory.swap.max", "max\n");
        assert_eq!(available(5_000), 400 + 5_000);

        let files = [("memory.limit_in_bytes", "1000"), ("memory.usage_in_bytes", "750"), ("memory.stat", "")];
        root.group("memory/job", files);
        root.write("memory/job/memory.memsw.limit_in_bytes", "1100");
        root.write("memory/job/memory.memsw.usage_in_bytes", "800");
        assert_eq!(MemoryLimit::find(&root.0, b"4:memory:/job\n", &|| 5_000), found(1_000, 300), "of both together");
    }

    #[test]
    fn version_1_has_other_files_in_another_place() {
        let root = Root::new();
        let stat = "cache 1\ntotal_inactive_file 30\ntotal_active_file 20\n";
        let files = [("memory.limit_in_bytes", "1000\n"), ("memory.usage_in_bytes", "750\n"), ("memory.stat", stat)];
        root.group("memory/job", files);
        assert_eq!(MemoryLimit::find(&root.0, b"4:cpu,memory:/job\n0::/\n", &|| 0), found(1_000, 300));
        assert_eq!(MemoryLimit::find(&root.0, b"4:cpuset:/job\n0::/\n", &|| 0), None, "another controller's group");
        for none in ["9223372036854771712\n", "9223372036854710272\n"] {
            root.write("memory/job/memory.limit_in_bytes", none);
            let find = || MemoryLimit::find(&root.0, b"4:memory:/job\n", &|| unreachable!("there is no limit"));
            assert_eq!(find(), None, "in pages of 4 and 64 KiB");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let root = Root::new();
        root.v2("", "99999999999999999999999\n", "-1\n");
        for groups in [&b""[..], b":", b"::", b"0::", b"\xff:\xff:\xff\n", b"0::/a\0b"] {
            assert_eq!(MemoryLimit::find(&root.0, groups, &|| u64::MAX), None);
        }
        root.v2("", "18446744073709551615\n", "0\n");
        assert_eq!(MemoryLimit::find(&root.0, b"0::/", &|| u64::MAX), found(u64::MAX, u64::MAX));
    }
}
