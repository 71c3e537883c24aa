//! The namespaces of this process, and the `/proc` that it sees.

use super::finding::{Finding, On};
use super::machine::Machine;

/// The inodes of the machine's own namespaces, which are the same on every Linux.
const FIRST_PID: u64 = 0xEFFF_FFFC;
const FIRST_IPC: u64 = 0xEFFF_FFFF;
const FIRST_TIME: u64 = 0xEFFF_FFFA;
const FIRST_USER: u64 = 0xEFFF_FFFD;

#[derive(Debug)]
pub(crate) struct Namespaces {
    /// Whether each is one of its own, and not the machine's.
    pid: Result<bool, String>,
    ipc: Result<bool, String>,
    time: Result<bool, String>,
    user: Result<bool, String>,
    /// How many seconds and nanoseconds the monotonic clock is ahead of the machine's.
    clock_offset: Result<(i64, i64), String>,
    /// Lines of three numbers: the first user inside, the first outside, and how many.
    users: Result<String, String>,
    /// Our pid in the `/proc` that we see, and as we know it.
    pid_in_proc: Result<u32, String>,
    /// `None` if that `/proc` is not the one at `/proc`.
    pid_of_ours: Option<u32>,
    /// Whether `/proc` hides the processes of other users.
    hides: Result<bool, String>,
}

impl Namespaces {
    pub(crate) fn gather(machine: &Machine, pid_of_ours: Option<u32>) -> Self {
        let is_own = |name: &str, first| namespace(machine, name).map(|inode| inode != first);
        let pid_in_proc = machine.status("Pid").and_then(|pid| pid.parse().map_err(|_| format!("Pid is {pid}")));
        let hides = machine.mounts().map(|mounts| {
            let proc = mounts.0.iter().rfind(|mount| mount.mount_point.as_os_str() == "/proc");
            let option = proc.and_then(|mount| mount.super_options.get("hidepid").cloned().flatten());
            option.is_some_and(|value| !matches!(value.as_str(), "0" | "off"))
        });
        Self {
            pid: is_own("pid", FIRST_PID),
            ipc: is_own("ipc", FIRST_IPC),
            time: is_own("time", FIRST_TIME),
            user: is_own("user", FIRST_USER),
            clock_offset: machine.read("/proc/self/timens_offsets").map(|text| clock_offset(&text)),
            users: machine.read("/proc/self/uid_map"),
            pid_in_proc,
            pid_of_ours,
            hides,
        }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        vec![self.judge_pid(), self.judge_proc(), self.judge_ipc(), self.judge_time(), self.judge_user()]
    }

    fn judge_pid(&self) -> Finding {
        let check = "pid-namespace";
        match &self.pid {
            Ok(false) => Finding::ok(check, "the machine's own"),
            Ok(true) => Finding::note(
                check,
                "one of its own",
                "a death is noticed as always, but a report on a process in another pid namespace does not say whether \
                 that process runs or is stopped, and its pid is the one inside",
            )
            .fix(On::Docker, "--pid container:FIRST, or --pid host")
            .fix(On::Kubernetes, "shareProcessNamespace: true")
            .fix(On::Systemd, "no PrivatePIDs="),
            Err(why) => Finding::not_known(check, why),
        }
    }

    fn judge_proc(&self) -> Finding {
        let check = "proc";
        let means = "reports do not say whether a process runs, is stopped or is throttled";
        let Some(pid_of_ours) = self.pid_of_ours else {
            return Finding::not_known(check, "another /proc than this process has was asked for");
        };
        match (&self.pid_in_proc, &self.hides) {
            (Ok(pid), _) if *pid != pid_of_ours => Finding::warning(
                check,
                format!("/proc shows this process as {pid}, but its pid is {pid_of_ours}"),
                format!("this is the /proc of another pid namespace: {means}"),
            )
            .fix(On::Host, "mount -t proc proc /proc, in the namespace; or unshare --pid --fork --mount-proc PROGRAM"),
            (Ok(_), Ok(true)) => Finding::warning(
                check,
                "/proc hides the processes of other users (hidepid)",
                format!("of processes of other users, {means}"),
            )
            .fix(On::Host, "mount -o remount,hidepid=0 /proc, and in /etc/fstab")
            .fix(On::Systemd, "ProtectProc=default"),
            (Ok(_), Ok(false)) => Finding::ok(check, "it shows this process and others"),
            (Err(why), _) | (_, Err(why)) => Finding::not_known(check, why),
        }
    }

    fn judge_ipc(&self) -> Finding {
        let check = "ipc-namespace";
        match &self.ipc {
            Ok(false) => Finding::ok(check, "the machine's own"),
            Ok(true) => Finding::note(
                check,
                "one of its own",
                "rings do not need a common one, but container runtimes give /dev/shm with it: two containers see each \
                 other's rings only if they have the same mount",
            )
            .fix(
                On::Docker,
                "--ipc shareable for the first container, --ipc container:FIRST for the others; or a common volume",
            )
            .fix(On::Kubernetes, "a volume emptyDir: { medium: Memory } at /dev/shm in all containers of the pod")
            .fix(On::Systemd, "no PrivateIPC=, and JoinsNamespaceOf= where it is needed"),
            Err(why) => Finding::not_known(check, why),
        }
    }

    fn judge_time(&self) -> Finding {
        let check = "time-namespace";
        match (&self.time, &self.clock_offset) {
            (Ok(false), _) => Finding::ok(check, "the machine's own"),
            (Ok(true), Ok((0, 0))) => Finding::ok(check, "one of its own, with the machine's clock"),
            (Ok(true), Ok((seconds, nanos))) => Finding::warning(
                check,
                format!("one of its own: the monotonic clock is {seconds} s and {nanos} ns ahead of the machine's"),
                "send times of messages and latencies between processes of different time namespaces are wrong by that \
                 much; order, delivery and liveness are not",
            )
            .fix(On::Host, "start the program without unshare --time (--monotonic 0 --boottime 0)")
            .fix(On::Docker, "a runtime configuration without linux.timeOffsets"),
            (Err(why), _) | (_, Err(why)) => Finding::not_known(check, why),
        }
    }

    fn judge_user(&self) -> Finding {
        let check = "user-namespace";
        match (&self.user, &self.users) {
            (Ok(false), _) => Finding::ok(check, "the machine's own"),
            (Ok(true), Ok(users)) => Finding::note(
                check,
                format!("one of its own, with {}", describe(users)),
                "files of all other users belong to user 65534 here; a process outside sees our rings as those of the \
                 outer user: ends inside and outside need the same outer user, or a common group",
            )
            .fix(On::Docker, "--userns host")
            .fix(On::Kubernetes, "hostUsers: true")
            .fix(On::Systemd, "PrivateUsers=no")
            .fix(On::Program, "CreateOptions::group with a group that is mapped in both"),
            (Err(why), _) | (_, Err(why)) => Finding::not_known(check, why),
        }
    }
}

/// The inode of a namespace of this process, from a link such as `pid:[4026531836]`.
fn namespace(machine: &Machine, name: &str) -> Result<u64, String> {
    let link = machine.link(format!("/proc/self/ns/{name}"))?;
    let number = link.split_once(":[").and_then(|(_, rest)| rest.strip_suffix(']')?.parse().ok());
    number.ok_or_else(|| format!("/proc/self/ns/{name} is {link}"))
}

fn clock_offset(text: &str) -> (i64, i64) {
    let fields = text.lines().find_map(|line| line.strip_prefix("monotonic")).unwrap_or_default();
    let mut fields = fields.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0));
    (fields.next().unwrap_or(0), fields.next().unwrap_or(0))
}

fn describe(users: &str) -> String {
    let ranges = users.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (inside, outside, count) = (fields.next()?, fields.next()?, fields.next()?);
        Some(format!("{count} users from {inside} on (outside from {outside} on)"))
    });
    let ranges: Vec<_> = ranges.collect();
    if ranges.is_empty() { "no users".into() } else { ranges.join(", ") }
}
