//! The processes of one measurement from outside: starts them, reads their answers, and makes sure that none is left.
//! [`Interrupt`] lets Ctrl-C end everything in order.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::control::CONTROL_BYTES;
use crate::counting::Counting;
use crate::probe::Label;
use crate::raw::{self, Counter, SharedMemory};
use crate::side::{Answer, Assignment, Measured, SEGMENTS_MAX, Timing, segment_name};
use crate::workload::Workload;

/// The hidden first argument that makes this program a role.
pub(crate) const ROLE_COMMAND: &str = "__role";

/// What a measurement may take beyond its window before it counts as hanging. All preparations together need far less.
const WATCHDOG: Duration = Duration::from_secs(30);

/// Why a measurement failed, and the run with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RoleError {
    /// The user ended the run.
    #[error("interrupted")]
    Interrupted,
    #[error("{workload:?} did not finish within {limit:?}")]
    Hung { workload: Workload, limit: Duration },
    #[error("role {role} of {workload:?} ended without an answer: {status}")]
    Died { role: usize, workload: Workload, status: ExitStatus },
    #[error("role {role} of {workload:?} failed: {reason}")]
    Failed { role: usize, workload: Workload, reason: String },
    #[error("role {role} of {workload:?} answered something else than agreed")]
    Garbled { role: usize, workload: Workload, source: serde_json::Error },
    #[error("{call} failed")]
    Os { call: &'static str, source: io::Error },
}

/// Names the call that failed.
fn os(call: &'static str) -> impl Fn(io::Error) -> RoleError {
    move |source| RoleError::Os { call, source }
}

/// Termination signals, as something that waits can include.
pub(crate) struct Interrupt(OwnedFd);

impl Interrupt {
    /// From here on SIGINT, SIGTERM and SIGHUP no longer end this process; they end every wait of this module.
    ///
    /// # Errors
    /// [`RoleError::Os`] when the kernel has no descriptor left.
    pub(crate) fn listen() -> Result<Self, RoleError> {
        raw::termination_signals().map(Self).map_err(os("signalfd"))
    }

    /// Sleeps, and uses no cpu that may be measured.
    ///
    /// # Errors
    /// [`RoleError::Interrupted`] at once when a signal comes.
    pub(crate) fn pause(&self, duration: Duration) -> Result<(), RoleError> {
        let mut fds = [PollFd::new(&self.0, PollFlags::IN)];
        poll(&mut fds, duration)?;
        if fds[0].revents().is_empty() { Ok(()) } else { Err(RoleError::Interrupted) }
    }
}

/// Waits until one of `fds` is ready or `duration` is over.
fn poll(fds: &mut [PollFd<'_>], duration: Duration) -> Result<(), RoleError> {
    let timeout = Timespec { tv_sec: duration.as_secs() as i64, tv_nsec: i64::from(duration.subsec_nanos()) };
    match rustix::event::poll(fds, Some(&timeout)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(os("poll")(error.into())),
    }
}

/// How a measurement ended, if it did not fail.
pub(crate) enum Outcome {
    /// What each role measured, in the order of roles.
    Measured(Vec<Measured>),
    /// The cpus were not where they are wanted.
    Skipped,
    /// This machine cannot do it, for this reason.
    Unavailable(String),
}

/// One role's process. Dropping it ends the process and waits for that.
struct Role {
    child: Child,
    /// `None` once everything has been read.
    stdout: Option<ChildStdout>,
    heard: Vec<u8>,
}

impl Role {
    /// Starts a role on the memory of `memory`, which becomes its standard input. `None`: there is no program to count
    /// its instructions.
    fn start(
        assignment: &Assignment,
        memory: &OwnedFd,
        counting: Option<&Counting>,
    ) -> Result<Option<Self>, RoleError> {
        let text = serde_json::to_string(assignment).expect("an assignment is made of numbers and names");
        let mut command = match counting {
            Some(counting) => counting.command().map_err(os("readlink"))?,
            // Not `current_exe`, whose path is wrong once the file has been replaced by a new build.
            None => Command::new("/proc/self/exe"),
        };
        command
            .args([ROLE_COMMAND, &text])
            .stdin(Stdio::from(memory.try_clone().map_err(os("dup"))?))
            .stdout(Stdio::piped());
        #[cfg(feature = "peers")]
        command.envs(crate::peers::environment(&assignment.segments));
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) if counting.is_some() && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(os("spawn")(error)),
        };
        let stdout = child.stdout.take();
        Ok(Some(Self { child, stdout, heard: Vec::new() }))
    }

    /// Reads what the role has written. Called when there is something, or the end, so it does not wait.
    fn hear(&mut self) -> Result<(), RoleError> {
        let Some(stdout) = &mut self.stdout else { return Ok(()) };
        let mut buffer = [0; 64 * 1024];
        match stdout.read(&mut buffer) {
            Ok(0) => self.stdout = None,
            Ok(count) => self.heard.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(os("read")(error)),
        }
        Ok(())
    }

    /// The answer of a role that has written everything.
    fn answer(&mut self, role: usize, workload: &Workload) -> Result<Answer, RoleError> {
        let status = self.child.wait().map_err(os("wait"))?;
        if !status.success() {
            return Err(RoleError::Died { role, workload: workload.clone(), status });
        }
        serde_json::from_slice(&self.heard).map_err(|source| RoleError::Garbled {
            role,
            workload: workload.clone(),
            source,
        })
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        // Both fail only when the process has ended and was waited for, which is the goal.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The names of the segments of one measurement. Dropping it removes what the measurement has left in shared memory,
/// which is nothing unless a role was killed.
struct Segments {
    prefix: String,
}

impl Segments {
    fn new() -> Self {
        static MEASUREMENTS: Counter = Counter::new();
        Self { prefix: format!("perf-bench-{}-{}", std::process::id(), MEASUREMENTS.next()) }
    }
}

impl Drop for Segments {
    fn drop(&mut self) {
        for index in 0..SEGMENTS_MAX {
            // What cannot be removed now stays until another process collects it; this does not affect the measurement.
            let _ = disruptor_mp::gc(segment_name(&self.prefix, index));
        }
        crate::step::broadcast::remove(&segment_name(&self.prefix, 0));
        #[cfg(feature = "peers")]
        crate::peers::remove(&self.prefix);
    }
}

/// Measures `workload` once, with one role on each of `cpus`. When this returns, all its processes are gone.
///
/// # Errors
/// See [`RoleError`]; every one of them ends the run.
pub(crate) fn run(
    workload: &Workload,
    cpus: &[usize],
    timing: Timing,
    wanted: Option<Label>,
    interrupt: &Interrupt,
) -> Result<Outcome, RoleError> {
    let memory = SharedMemory::create(CONTROL_BYTES + workload.subject().shared_bytes()).map_err(os("memfd_create"))?;
    // Before the roles, so that it is dropped after they have ended.
    let segments = Segments::new();
    let counting = workload.subject().counted_function().map(|function| Counting::new(function, &segments.prefix));
    let mut roles = Vec::with_capacity(cpus.len());
    for (role, &cpu) in cpus.iter().enumerate() {
        let (parties, parent) = (cpus.len(), std::process::id() as i32);
        let (segments, workload) = (segments.prefix.clone(), workload.clone());
        let assignment = Assignment { role, parties, cpu, parent, segments, workload, timing, wanted };
        match Role::start(&assignment, &memory, counting.as_ref().filter(|_| role == 0))? {
            Some(role) => roles.push(role),
            None => return Ok(Outcome::Unavailable("valgrind, which counts instructions, is not installed".into())),
        }
    }

    let limit = timing.window + 2 * timing.probe + WATCHDOG;
    let deadline = Instant::now() + limit;
    let mut measured: Vec<Option<Measured>> = cpus.iter().map(|_| None).collect();
    let mut skipped = false;
    while let Some(spoke) = next_to_speak(&roles, deadline, interrupt)? {
        let Some(role) = spoke else {
            return Err(RoleError::Hung { workload: workload.clone(), limit });
        };
        roles[role].hear()?;
        if roles[role].stdout.is_some() {
            continue;
        }
        // The others wait for a role that did not measure, so each of these ends all of them.
        match roles[role].answer(role, workload)? {
            Answer::Measured(own) => measured[role] = Some(own),
            Answer::Skipped => skipped = true,
            Answer::Unavailable(reason) => return Ok(Outcome::Unavailable(reason)),
            Answer::Failed(reason) => return Err(RoleError::Failed { role, workload: workload.clone(), reason }),
        }
    }
    let mut measured: Vec<_> = measured.into_iter().flatten().collect();
    if let (Some(counting), false) = (counting, skipped) {
        let instructions = counting.instructions().map_err(os("reading the count of instructions"))?;
        for measurement in measured.iter_mut().filter_map(|role| role.measurement.as_mut()) {
            measurement.value = instructions as f64 / measurement.value;
        }
    }
    debug_assert!(skipped || measured.len() == cpus.len(), "every role has answered");
    Ok(if skipped { Outcome::Skipped } else { Outcome::Measured(measured) })
}

/// Waits until a role writes something. `None`: all have written everything. `Some(None)`: the deadline has passed.
fn next_to_speak(roles: &[Role], deadline: Instant, interrupt: &Interrupt) -> Result<Option<Option<usize>>, RoleError> {
    let open: Vec<_> = roles.iter().enumerate().filter_map(|(role, it)| Some((role, it.stdout.as_ref()?))).collect();
    if open.is_empty() {
        return Ok(None);
    }
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(Some(None));
        }
        let mut fds = vec![PollFd::new(&interrupt.0, PollFlags::IN)];
        fds.extend(open.iter().map(|(_, stdout)| PollFd::from_borrowed_fd(stdout.as_fd(), PollFlags::IN)));
        poll(&mut fds, left)?;
        if !fds[0].revents().is_empty() {
            return Err(RoleError::Interrupted);
        }
        // The end of a pipe counts as something to read, so a role that dies is noticed at once.
        if let Some(index) = fds[1..].iter().position(|fd| !fd.revents().is_empty()) {
            return Ok(Some(Some(open[index].0)));
        }
    }
}
