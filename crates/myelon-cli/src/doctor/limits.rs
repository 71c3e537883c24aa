//! The limits that this process has inherited (`RLIMIT_*`).

use super::finding::{Finding, Level, On, size};
use super::machine::Machine;

/// The numbers of two capabilities.
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_NICE: u32 = 23;

/// A process with a few dozen ends needs as many, besides those of its own files and sockets.
const DESCRIPTORS_LOW: u64 = 256;
/// Less than a small ring.
const FILE_LOW_BYTES: u64 = 1 << 20;
/// Enough for some rings of a few MiB.
const LOCKED_LOW_BYTES: u64 = 64 << 20;

#[derive(Debug)]
pub(crate) struct Inherited {
    limits: Result<Values, String>,
    may_lock: Result<bool, String>,
    may_be_real_time: Result<bool, String>,
}

#[derive(Debug)]
struct Values {
    file_bytes: Bounds,
    locked_bytes: Bounds,
    descriptors: Bounds,
    address_bytes: Bounds,
    real_time: Bounds,
}

/// A limit; `None`: unlimited.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    soft: Option<u64>,
    /// How far this process may raise it.
    hard: Option<u64>,
}

impl Bounds {
    /// The limit that `/proc/self/limits` calls `name`.
    fn of(limits: &str, name: &str) -> Result<Self, String> {
        let values = limits.lines().find_map(|line| {
            let mut fields = line.strip_prefix(name)?.split_ascii_whitespace().map(|field| match field {
                "unlimited" => Some(None),
                number => number.parse().ok().map(Some),
            });
            Some(Self { soft: fields.next()??, hard: fields.next()?? })
        });
        values.ok_or_else(|| format!("/proc/self/limits does not say {name}"))
    }

    /// Adds how the shell raises it, or how root does if the shell may not. `option` is that of `ulimit`, `name` that
    /// of `prlimit`.
    fn raise(self, finding: Finding, option: &str, name: &str, wanted: Option<u64>) -> Finding {
        let value = wanted.map_or_else(|| "unlimited".to_owned(), |wanted| wanted.to_string());
        match (wanted, self.hard) {
            (_, None) => finding.fix(On::Shell, format!("ulimit -{option} {value}")),
            (Some(wanted), Some(hard)) if wanted <= hard => finding.fix(On::Shell, format!("ulimit -{option} {value}")),
            _ => finding.fix(On::Shell, format!("sudo prlimit --pid $$ --{name}={value} (the hard limit is too low)")),
        }
    }
}

impl Inherited {
    pub(crate) fn gather(machine: &Machine) -> Self {
        let limits = machine.read("/proc/self/limits").and_then(|limits| {
            Ok(Values {
                file_bytes: Bounds::of(&limits, "Max file size")?,
                locked_bytes: Bounds::of(&limits, "Max locked memory")?,
                descriptors: Bounds::of(&limits, "Max open files")?,
                address_bytes: Bounds::of(&limits, "Max address space")?,
                real_time: Bounds::of(&limits, "Max realtime priority")?,
            })
        });
        Self { limits, may_lock: machine.can(CAP_IPC_LOCK), may_be_real_time: machine.can(CAP_SYS_NICE) }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        let values = match &self.limits {
            Ok(values) => values,
            Err(why) => {
                let checks = ["rlimit-fsize", "rlimit-memlock", "rlimit-nofile", "rlimit-as", "rlimit-rtprio"];
                return checks.map(|check| Finding::not_known(check, why)).into();
            }
        };
        vec![
            judge_file(values.file_bytes),
            judge_locked(values.locked_bytes, &self.may_lock),
            judge_descriptors(values.descriptors),
            judge_addresses(values.address_bytes),
            judge_real_time(values.real_time, &self.may_be_real_time),
        ]
    }
}

fn judge_file(limit: Bounds) -> Finding {
    let check = "rlimit-fsize";
    let Some(bytes) = limit.soft else { return Finding::ok(check, "files may have any length") };
    let level = if bytes < FILE_LOW_BYTES { Level::Problem } else { Level::Warning };
    let means = "a ring is a file: a longer ring cannot be created";
    limit
        .raise(Finding::new(level, check, format!("files may have at most {}", size(bytes)), means), "f", "fsize", None)
        .fix(On::Docker, "--ulimit fsize=-1")
        .fix(On::Systemd, "LimitFSIZE=infinity")
}

fn judge_locked(limit: Bounds, may_lock: &Result<bool, String>) -> Finding {
    let check = "rlimit-memlock";
    let Some(bytes) = limit.soft else { return Finding::ok(check, "any amount of memory may be locked") };
    if *may_lock == Ok(true) {
        return Finding::ok(check, format!("{}, but CAP_IPC_LOCK permits more", size(bytes)));
    }
    if bytes >= LOCKED_LOW_BYTES {
        return Finding::ok(check, format!("{} of memory may be locked", size(bytes)));
    }
    limit
        .raise(
            Finding::note(
                check,
                format!("at most {} of memory may be locked", size(bytes)),
                "rings with `mlock` that are larger together cannot be created; others do not need it",
            ),
            "l",
            "memlock",
            None,
        )
        .fix(On::Docker, "--ulimit memlock=-1")
        .fix(On::Kubernetes, "securityContext.capabilities.add: [IPC_LOCK]")
        .fix(On::Systemd, "LimitMEMLOCK=infinity")
}

fn judge_descriptors(limit: Bounds) -> Finding {
    let check = "rlimit-nofile";
    match limit.soft {
        Some(count) if count < DESCRIPTORS_LOW => limit
            .raise(
                Finding::warning(
                    check,
                    format!("a process may have {count} descriptors"),
                    "each end keeps some open: making or joining rings fails when there are no more",
                ),
                "n",
                "nofile",
                Some(4096),
            )
            .fix(On::Docker, "--ulimit nofile=4096:4096")
            .fix(On::Systemd, "LimitNOFILE=4096"),
        Some(count) => Finding::ok(check, format!("a process may have {count} descriptors")),
        None => Finding::ok(check, "a process may have any number of descriptors"),
    }
}

fn judge_addresses(limit: Bounds) -> Finding {
    let check = "rlimit-as";
    let Some(bytes) = limit.soft else { return Finding::ok(check, "the address space has no limit") };
    limit.raise(Finding::warning(
        check,
        format!("the address space has at most {}", size(bytes)),
        "each ring that a process joins counts with its whole length, and a stream with almost twice that: mapping \
                 fails above the limit",
    ), "v", "as", None)
    .fix(On::Docker, "sh -c 'ulimit -v unlimited && exec PROGRAM' as the command of the container")
    .fix(On::Systemd, "LimitAS=infinity")
}

fn judge_real_time(limit: Bounds, may: &Result<bool, String>) -> Finding {
    let check = "rlimit-rtprio";
    match (limit.soft, may) {
        (_, Ok(true)) => Finding::ok(check, "CAP_SYS_NICE permits every real-time priority"),
        (None, _) => Finding::ok(check, "every real-time priority is permitted"),
        (Some(0), _) => Finding::note(
            check,
            "no real-time priority is permitted",
            "ends cannot be given a fixed place before other programs (SCHED_FIFO); most programs do not need it",
        )
        .fix(On::Shell, "echo 'USER - rtprio 50' > /etc/security/limits.d/rtprio.conf, and log in again")
        .fix(On::Docker, "--ulimit rtprio=50 --cap-add SYS_NICE")
        .fix(On::Kubernetes, "securityContext.capabilities.add: [SYS_NICE]")
        .fix(On::Systemd, "LimitRTPRIO=50"),
        (Some(priority), _) => Finding::ok(check, format!("real-time priorities up to {priority} are permitted")),
    }
}
