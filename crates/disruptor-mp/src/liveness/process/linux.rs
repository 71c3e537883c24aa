//! What Linux knows about a process, from `/proc` and the cgroup file system.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use super::{ProcessFacts, ProcessIdentity, ProcessState, Throttling};

/// Where version 2 of the cgroup file system is mounted by convention. If version 1 is mounted there, the files do not
/// exist, so these facts are missing from a report.
const CGROUP_ROOT: &str = "/sys/fs/cgroup";

/// A limit for what is read of a file: each of the files is shorter.
const FILE_LEN_MAX: u64 = 64 * 1024;

pub(super) fn current_pid() -> u32 {
    rustix::process::getpid().as_raw_pid().cast_unsigned()
}

pub(super) fn identify(pid: u32) -> ProcessIdentity {
    // The path is `self` and not our pid: the mounted `/proc` may use the pids of another namespace.
    let start_time_ticks = fs::read("/proc/self/stat")
        .ok()
        .and_then(|stat| Stat::parse(&stat))
        .and_then(|stat| stat.start_by_machine_clock());
    let pid_namespace = fs::metadata("/proc/self/ns/pid").ok().map(|namespace| namespace.ino());
    match (start_time_ticks, pid_namespace) {
        (Some(start_time_ticks), Some(pid_namespace)) => ProcessIdentity { pid, start_time_ticks, pid_namespace },
        // An identity with only one of the two values would look like that of another process.
        _ => ProcessIdentity { pid, start_time_ticks: 0, pid_namespace: 0 },
    }
}

/// The facts about a process of our own pid namespace, or the state that explains why there are none.
pub(super) fn look_up(identity: &ProcessIdentity) -> Result<ProcessFacts, ProcessState> {
    if !proc_numbers_as_we_do() {
        return Err(ProcessState::Unknown);
    }
    let process = ProcessDirectory::open(identity.pid)?;
    let stat = process.read("stat").map_err(|error| state_behind(error, identity.pid))?;
    let stat = Stat::parse(&stat).ok_or(ProcessState::Unknown)?;
    // Both start times must be of the same clock: a process of another time namespace has read its own start time by
    // another clock than ours.
    if stat.start_by_machine_clock().ok_or(ProcessState::Unknown)? != identity.start_time_ticks {
        return Err(ProcessState::Gone);
    }
    let state = stat.process_state();
    if matches!(state, ProcessState::Zombie | ProcessState::Gone) {
        return Err(state);
    }
    // From here on, a fact that cannot be read is left out of the report: the process may be ending at this moment.
    let wchan = process.read("wchan").ok().and_then(|wchan| parse_wchan(&wchan));
    let group = process.read("cgroup").ok().and_then(|cgroup| parse_cgroup(&cgroup));
    let throttled = group.and_then(|group| throttling(Path::new(CGROUP_ROOT), &group));
    Ok(ProcessFacts { pid: identity.pid, state, wchan, throttled })
}

/// Whether `/proc` shows us under our pid. If the `/proc` of another pid namespace is mounted, it shows another pid.
fn proc_numbers_as_we_do() -> bool {
    fs::read_link("/proc/self").is_ok_and(|ourselves| ourselves == Path::new(&current_pid().to_string()))
}

/// The directory `/proc/<pid>`, which is kept open. An open directory belongs to the process and not to its pid. When
/// the process is gone, reads fail, so no facts of a later process with the same pid are mixed in.
struct ProcessDirectory(OwnedFd);

impl ProcessDirectory {
    fn open(pid: u32) -> Result<Self, ProcessState> {
        rustix::fs::open(format!("/proc/{pid}"), OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .map(Self)
            .map_err(|error| state_behind(error.into(), pid))
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let file = File::from(rustix::fs::openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?);
        let mut content = Vec::new();
        file.take(FILE_LEN_MAX).read_to_end(&mut content)?;
        Ok(content)
    }
}

/// The state of a process whose files in `/proc` could not be read because of `error`.
fn state_behind(error: io::Error, pid: u32) -> ProcessState {
    if !matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::SRCH)) {
        return ProcessState::Unknown;
    }
    // With the mount option `hidepid`, `/proc` denies that other users' processes exist. Signal 0 asks the kernel
    // itself and sends nothing.
    let exists = i32::try_from(pid).ok().and_then(Pid::from_raw).map(rustix::process::test_kill_process);
    match exists {
        // No process can have this pid, or no process has it.
        None | Some(Err(Errno::SRCH)) => ProcessState::Gone,
        Some(_) => ProcessState::Unknown,
    }
}

/// The fields that we need of `/proc/<pid>/stat`.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: u8,
    threads: u64,
    start_time_ticks: u64,
}

impl Stat {
    /// `None` if the content is not what the manual describes.
    fn parse(content: &[u8]) -> Option<Self> {
        // The second field is the name in parentheses, which the process chooses: it may contain spaces, line ends and
        // parentheses. No later field has a parenthesis, so the last one ends the name.
        let name_end = content.iter().rposition(|byte| *byte == b')')?;
        let mut fields = content[name_end + 1..].split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        // The manual counts from 1: 3 is the state, 20 the number of threads, 22 the start time. `nth` counts from 0,
        // after the fields that were taken before.
        let &[state] = fields.next()? else { return None };
        let threads = number(fields.nth(20 - 3 - 1)?)?;
        let start_time_ticks = number(fields.nth(22 - 20 - 1)?)?;
        Some(Self { state, threads, start_time_ticks })
    }

    /// The start time by the machine's own clock. `/proc` shows it by the reader's clock.
    fn start_by_machine_clock(&self) -> Option<u64> {
        self.start_time_ticks.checked_add_signed(-clock_offset_ticks()?)
    }

    fn process_state(&self) -> ProcessState {
        match self.state {
            b'R' => ProcessState::Running,
            b'S' => ProcessState::Sleeping,
            b'D' => ProcessState::DiskSleep,
            b'T' | b't' => ProcessState::Stopped,
            // A process whose first thread has ended while other threads run has this letter, too, and it is alive.
            b'Z' if self.threads > 1 => ProcessState::Unknown,
            b'Z' => ProcessState::Zombie,
            b'X' | b'x' => ProcessState::Gone,
            _ => ProcessState::Unknown,
        }
    }
}

/// How many ticks the boot clock of our time namespace is ahead of the machine's; `None` if that is not known.
fn clock_offset_ticks() -> Option<i64> {
    // A kernel without time namespaces has one clock.
    let Ok(offsets) = fs::read("/proc/self/timens_offsets") else { return Some(0) };
    let namespace = |name: &str| fs::metadata(format!("/proc/self/ns/{name}")).map(|namespace| namespace.ino()).ok();
    // The file shows the clock that our children will have. If a process has asked for another clock and has not forked
    // yet, its own clock and that of its children differ.
    if namespace("time")? != namespace("time_for_children")? {
        return None;
    }
    parse_boot_offset(&offsets)?.checked_mul(i64::try_from(rustix::param::clock_ticks_per_second()).ok()?)
}

/// The seconds by which a namespace's boot clock is ahead of the machine's. `None` for an offset with a fraction of a
/// second: the start time in ticks could be wrong by one.
fn parse_boot_offset(content: &[u8]) -> Option<i64> {
    let line = content.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"boottime"))?;
    let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
    let seconds = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
    (fields.next()? == b"0").then_some(seconds)
}

/// The kernel function in which the thread waits. The kernel writes `0` if there is none, and if we may not know it.
fn parse_wchan(content: &[u8]) -> Option<String> {
    let name = content.trim_ascii();
    // It must be a kernel symbol: other characters could garble a terminal.
    let is_symbol = name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.".contains(byte));
    (is_symbol && !name.is_empty() && name != b"0").then(|| String::from_utf8_lossy(name).into_owned())
}

/// The path of the process's control group of version 2, relative to the root of the hierarchy.
fn parse_cgroup(content: &[u8]) -> Option<PathBuf> {
    let path = content.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"0::/"))?;
    let path = Path::new(OsStr::from_bytes(path));
    // A group outside the root of our cgroup namespace is shown as `/../other`, which our mount does not contain.
    let is_below = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    is_below.then(|| path.to_owned())
}

/// The longest throttling of `group` and of the groups that enclose it. The limit of a container often belongs to an
/// outer group, whose processes are throttled together.
fn throttling(root: &Path, group: &Path) -> Option<Throttling> {
    let of = |group: &Path| parse_cpu_stat(&fs::read(root.join(group).join("cpu.stat")).ok()?);
    group.ancestors().filter_map(of).max_by_key(|throttling| throttling.time)
}

/// `None` if the group has no processor controller.
fn parse_cpu_stat(content: &[u8]) -> Option<Throttling> {
    let value = |key: &[u8]| {
        let mut lines = content.split(|byte| *byte == b'\n');
        number(lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(b" "))?)
    };
    Some(Throttling { periods: value(b"nr_throttled")?, time: Duration::from_micros(value(b"throttled_usec")?) })
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A line of `/proc/<pid>/stat` as the kernel writes it.
    fn stat(name: &[u8], state: char, threads: u64, start: u64) -> Vec<u8> {
        let before = b"4711 (".iter().chain(name).chain(b") ").copied();
        let after = format!(
            "{state} 1 4711 4711 34816 4711 4194304 120 0 0 0 5 3 0 0 20 0 {threads} 0 {start} 6311936 450 184467440737095"
        );
        before.chain(after.into_bytes()).collect()
    }

    #[test]
    fn a_name_cannot_pretend_to_be_a_field() {
        let expected = Stat { state: b'S', threads: 3, start_time_ticks: 98765 };
        for name in
            [&b"myelon"[..], b") R (", b"a b  c", b"two\nlines", b"))))", b"(", b"", b") Z 1 1", b"\xff\xfe", b"x) R"]
        {
            assert_eq!(
                Stat::parse(&stat(name, 'S', 3, 98765)),
                Some(Stat { ..expected }),
                "{:?}",
                name.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn a_line_that_is_cut_off_is_no_answer() {
        let whole = stat(b"name", 'S', 1, 98765);
        let start_ends = whole.windows(5).position(|window| window == b"98765").unwrap() + 5;
        for len in 0..start_ends - 5 {
            assert_eq!(Stat::parse(&whole[..len]), None, "{len}");
        }
        assert!(Stat::parse(&whole[..start_ends]).is_some());
        assert_eq!(Stat::parse(b"1 (name) SS 1 1"), None);
    }

    #[test]
    fn letters_become_states() {
        let state = |letter: char, threads| Stat::parse(&stat(b"n", letter, threads, 1)).unwrap().process_state();
        assert_eq!(state('R', 1), ProcessState::Running);
        assert_eq!(state('S', 1), ProcessState::Sleeping);
        assert_eq!(state('D', 1), ProcessState::DiskSleep);
        assert_eq!(state('T', 1), ProcessState::Stopped);
        assert_eq!(state('t', 1), ProcessState::Stopped);
        assert_eq!(state('Z', 1), ProcessState::Zombie);
        assert_eq!(state('X', 1), ProcessState::Gone);
        assert_eq!(state('?', 1), ProcessState::Unknown);
        assert_eq!(state('Z', 2), ProcessState::Unknown, "its other threads live");
    }

    #[test]
    fn the_offset_of_a_clock_is_whole_seconds_or_nothing() {
        let offsets = |boot: &str| format!("monotonic        -86400         0\nboottime   {boot}\n");
        assert_eq!(parse_boot_offset(offsets("   5000         0").as_bytes()), Some(5000));
        assert_eq!(parse_boot_offset(offsets("  -5000         0").as_bytes()), Some(-5000));
        for nothing in ["1 5", "1", "", "x 0"] {
            assert_eq!(parse_boot_offset(offsets(nothing).as_bytes()), None, "{nothing}");
        }
    }

    #[test]
    fn wchan_is_a_symbol_or_nothing() {
        assert_eq!(parse_wchan(b"futex_do_wait"), Some("futex_do_wait".into()));
        assert_eq!(parse_wchan(b"do_wait.isra.0\n"), Some("do_wait.isra.0".into()));
        for nothing in [&b""[..], b"0", b"0\n", b"\x1b[2J", b"\xff"] {
            assert_eq!(parse_wchan(nothing), None);
        }
    }

    #[test]
    fn only_a_version_2_group_that_we_can_see_counts() {
        assert_eq!(parse_cgroup(b"0::/user.slice/a b.scope\n"), Some("user.slice/a b.scope".into()));
        assert_eq!(parse_cgroup(b"12:cpu:/old\n0::/new\n"), Some("new".into()));
        assert_eq!(parse_cgroup(b"0::/\n"), Some("".into()));
        for nothing in [&b""[..], b"12:cpu:/old\n", b"0::/../other\n", b"0::/a/../../b\n", b"0:://\n", b"0::\n"] {
            assert_eq!(parse_cgroup(nothing), None, "{:?}", nothing.escape_ascii().to_string());
        }
    }

    #[test]
    fn the_throttling_of_an_enclosing_group_is_found() {
        let root = std::env::temp_dir().join(testkit::names::unique("cgroup"));
        let group = Path::new("pod/container");
        fs::create_dir_all(root.join(group)).unwrap();
        let write = |group: &str, content: &str| fs::write(root.join(group).join("cpu.stat"), content).unwrap();

        assert_eq!(throttling(&root, group), None, "no group has the file");
        write("", "usage_usec 100\n");
        assert_eq!(throttling(&root, group), None, "the root has no limit");
        write("pod", "usage_usec 5\nnr_periods 9\nnr_throttled 7\nthrottled_usec 1500\nnr_bursts 0\n");
        let of_pod = Throttling { periods: 7, time: Duration::from_micros(1500) };
        assert_eq!(throttling(&root, group), Some(of_pod));
        write("pod/container", "nr_throttled 0\nthrottled_usec 0\n");
        assert_eq!(throttling(&root, group), Some(of_pod), "the longest counts");
        assert_eq!(throttling(&root, Path::new("pod/removed")), Some(of_pod));
        fs::remove_dir_all(&root).unwrap();
    }

    proptest! {
        #[test]
        fn no_content_makes_a_parser_panic(content: Vec<u8>, text in "[0-9 ():/\n.a-zA-Z_]{0,200}") {
            for content in [&content[..], text.as_bytes()] {
                let _ = Stat::parse(content).map(|stat| stat.process_state());
                let _ = parse_wchan(content);
                let _ = parse_cgroup(content);
                let _ = parse_cpu_stat(content);
            }
        }

        #[test]
        fn any_name_is_only_a_name(name: Vec<u8>) {
            let expected = Stat { state: b'D', threads: 2, start_time_ticks: 77 };
            prop_assert_eq!(Stat::parse(&stat(&name, 'D', 2, 77)), Some(expected));
        }
    }
}
