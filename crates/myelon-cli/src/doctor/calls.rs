//! The system calls that rings make, tried out in this process.

use super::finding::{Finding, Level, On};
use super::machine::{Machine, message};
use disruptor_mp::probe;
use rustix::io::Errno;

/// What a call answered: nothing, or an error.
pub(crate) type Answer = Result<(), Errno>;

#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) futex: Answer,
    pub(crate) futex_waitv: Answer,
    pub(crate) eventfd: Answer,
    pub(crate) memfd: Answer,
    pub(crate) membarrier: Answer,
    /// Whether a seccomp filter is in force.
    pub(crate) is_filtered: Result<bool, String>,
}

impl Calls {
    pub(crate) fn gather(machine: &Machine) -> Self {
        Self {
            futex: errno(probe::sleep_at_a_bell()),
            futex_waitv: errno(probe::sleep_at_several_bells()),
            eventfd: errno(probe::doorbell()),
            memfd: errno(probe::memory_file()),
            membarrier: errno(probe::barrier_of_others()),
            is_filtered: machine.status("Seccomp").map(|mode| mode != "0"),
        }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        let call = |check, names: &[&str], answer, level, means| self.judge_call(check, names, answer, level, means);
        vec![
            call("futex", &["futex"], self.futex, Level::Problem, "a waiting end cannot sleep: it uses a whole core"),
            call(
                "futex-waitv",
                &["futex_waitv"],
                self.futex_waitv,
                Level::Warning,
                "the thread of doorbells and of `Select` cannot sleep at several rings at once: while it waits it \
                 looks once a millisecond, which costs processor time and up to 1 ms per event",
            ),
            call("eventfd", &["eventfd2"], self.eventfd, Level::Warning, "doorbells and async ends cannot be made"),
            call(
                "memfd",
                &["memfd_create", "fcntl"],
                self.memfd,
                Level::Warning,
                "rings without a name (`Place::Memfd`) cannot be made; rings with a name can",
            ),
            call(
                "membarrier",
                &["membarrier"],
                self.membarrier,
                Level::Warning,
                "each publish and each release pays for a memory fence, about 20 ns",
            ),
        ]
    }

    fn judge_call(&self, check: &'static str, names: &[&str], answer: Answer, level: Level, means: &str) -> Finding {
        let called = names.join(" with ");
        let Err(error) = answer else { return Finding::ok(check, format!("{called} works")) };
        let text = message(error.raw_os_error());
        // A filter may answer as if the kernel did not have the call.
        let by_filter = match (&self.is_filtered, error) {
            (Ok(true), Errno::PERM | Errno::ACCESS | Errno::NOSYS) => "; a seccomp filter is in force",
            _ => "",
        };
        refused(Finding::new(level, check, format!("{called} is refused: {text}{by_filter}"), means), names, error)
    }
}

/// Adds what makes refused calls work.
pub(crate) fn refused(finding: Finding, names: &[&str], error: Errno) -> Finding {
    let both = names.join(" and ");
    let finding = match error {
        Errno::MFILE => return finding.fix(On::Shell, "ulimit -n 4096"),
        Errno::NFILE => return finding.fix(On::Host, "sysctl fs.file-max=1000000"),
        Errno::NOSYS | Errno::OPNOTSUPP => {
            finding.fix(On::Host, format!("without a filter: a kernel that has {both}, Linux 5.16 or newer"))
        }
        _ => finding,
    };
    finding
        .fix(On::Docker, format!("--security-opt seccomp=PROFILE.json, with {both} among the allowed calls"))
        .fix(
            On::Kubernetes,
            format!(
                "securityContext.seccompProfile: {{ type: Localhost, localhostProfile: PROFILE.json }}, with {both} \
                 among the allowed calls"
            ),
        )
        .fix(On::Systemd, format!("SystemCallFilter={}, in a line after those that the unit has", names.join(" ")))
}

/// The number of an error. The library's errors here are all the system's own, or `Unsupported`.
pub(crate) fn errno<T>(result: std::io::Result<T>) -> Result<T, Errno> {
    result.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::OPNOTSUPP))
}
