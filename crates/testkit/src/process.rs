//! Victims: processes that a test starts in order to stop, kill and replace them.
//!
//! [`Respawn`] runs one test function of this very binary as another process. Each victim has one parent, which signals
//! only its own unreaped child.
//!
//! ```text
//! #[test]
//! #[ignore = "runs as a victim"]
//! fn victim_that_waits() {
//!     if !is_victim() {
//!         return;             // the harness runs it as an ordinary test when it is asked for ignored ones
//!     }
//!     say("READY");
//!     wait_to_be_killed();
//! }
//!
//! #[test]
//! fn a_stopped_process_can_be_killed() {
//!     let mut victim = Respawn::test(test_name!(victim_that_waits)).spawn();
//!     victim.wait_line("READY");
//!     victim.stop();
//!     victim.kill_and_reap();
//! }
//! ```

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::watchdog::{PATIENCE, eventually};
use crate::{procfs, raw};

/// The environment variable that makes a test function a victim and contains its role.
const ROLE_VARIABLE: &str = "TESTKIT_ROLE";

/// The harness's name of a test function in scope, for [`Respawn::test`]. If the function is renamed, the call does not
/// compile, instead of running no test at all.
#[macro_export]
macro_rules! test_name {
    ($function:ident) => {{
        let _: fn() = $function;
        $crate::process::harness_name(::core::concat!(::core::module_path!(), "::", ::core::stringify!($function)))
    }};
}

/// A path without its crate, which is the harness's name of a test. For [`test_name!`].
pub fn harness_name(path: &'static str) -> &'static str {
    path.split_once("::").map_or(path, |(_, rest)| rest)
}

/// The role of this process: the value of [`Respawn::role`], or else the name of the test. `None` in a process that was
/// not started as a victim.
pub fn role() -> Option<String> {
    env::var(ROLE_VARIABLE).ok()
}

/// Whether this process was started by [`Respawn`]. A test function for victims returns at once if it was not.
pub fn is_victim() -> bool {
    env::var_os(ROLE_VARIABLE).is_some()
}

/// For victims: a line to the parent's [`Victim::wait_line`], sent at once.
///
/// # Panics
/// If the parent does not listen any more.
pub fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).expect("the parent listens");
}

/// For victims: ignores SIGCHLD, as some servers do. From then on the kernel reaps our children, and we cannot.
pub fn ignore_children() {
    raw::ignore_children();
}

/// For victims: does nothing until another process kills this one.
pub fn wait_to_be_killed() -> ! {
    loop {
        thread::park();
    }
}

/// A test function of this binary, about to run as a process of its own.
#[derive(Debug)]
#[must_use = "nothing runs before `spawn`"]
pub struct Respawn {
    test: String,
    role: OsString,
    variables: Vec<(OsString, OsString)>,
    stdin_piped: bool,
    new_pid_namespace: bool,
    user: Option<u32>,
    group: Option<u32>,
}

impl Respawn {
    /// The test that the harness calls `test`; [`test_name!`] gives the name. Its stdin is empty and its role is
    /// `test`.
    pub fn test(test: &str) -> Self {
        Self {
            test: test.into(),
            role: test.into(),
            variables: Vec::new(),
            stdin_piped: false,
            new_pid_namespace: false,
            user: None,
            group: None,
        }
    }

    /// What [`role`] returns in the victim, for a function with several roles.
    pub fn role(mut self, role: impl AsRef<OsStr>) -> Self {
        self.role = role.as_ref().to_owned();
        self
    }

    /// An environment variable for the victim, in addition to ours.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.variables.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Connects the victim's stdin to [`Victim::send_line`].
    pub fn piped_stdin(mut self) -> Self {
        self.stdin_piped = true;
        self
    }

    /// Runs the victim as the first process of a new pid namespace; ask
    /// [`namespace::available`](crate::namespace::available) first.
    pub fn in_new_pid_namespace(mut self) -> Self {
        self.new_pid_namespace = true;
        self
    }

    /// Runs the victim as another user, and in the group of the same number, which only root may ask for.
    pub fn as_user(mut self, uid: u32) -> Self {
        self.user = Some(uid);
        self
    }

    /// Runs the victim in that group alone, which only root may ask for.
    pub fn in_group(mut self, gid: u32) -> Self {
        self.group = Some(gid);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When the operating system refuses.
    #[track_caller]
    pub fn spawn(self) -> Victim {
        let (spawned, answer) = mpsc::channel();
        let (hear, heard) = mpsc::channel();
        let (keep_alive, released) = mpsc::channel();
        let test = self.test.clone();
        thread::Builder::new()
            .name(format!("victim of {}", thread::current().name().unwrap_or("unnamed thread")))
            .spawn(move || self.attend(&spawned, hear, &released))
            .expect("the victim's thread starts");
        match answer.recv().expect("the victim's thread answers") {
            Ok(child) => Victim { child, test, heard, transcript: Vec::new(), status: None, _keep_alive: keep_alive },
            Err(error) => panic!("cannot start `{test}` as a process: {error}"),
        }
    }

    /// The thread that belongs to a victim: it spawns the victim, passes on its output, and stays until the guard is
    /// gone.
    ///
    /// It is a thread of its own because the kernel ties two things to the thread that spawns, not to its process: the
    /// pid namespace of the child, and its death together with us. The latter matters if the test is killed or aborts:
    /// a victim that is stopped or hangs would never end.
    fn attend(self, spawned: &Sender<io::Result<Child>>, hear: Sender<String>, released: &Receiver<()>) {
        let started = self.start();
        let (answer, stdout) = match started {
            Ok(mut child) => {
                let stdout = child.stdout.take();
                (Ok(child), stdout)
            }
            Err(error) => (Err(error), None),
        };
        // The receiver is gone only if the parent has panicked; the guard then kills the child, if there is one.
        if spawned.send(answer).is_err() {
            return;
        }
        for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).split(b'\n')) {
            let Ok(line) = line else { break };
            if hear.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
        // `wait_line` learns from this that nothing more will come.
        drop(hear);
        // Nothing is ever sent: this returns when the guard is gone.
        let _ = released.recv();
    }

    fn start(&self) -> io::Result<Child> {
        if self.new_pid_namespace {
            raw::enter_new_pid_namespace()?;
        }
        let mut command = Command::new(env::current_exe()?);
        // Quiet, because otherwise the harness writes "test name ... " into the line of the victim's first output.
        command
            .args(["--exact", &self.test, "--nocapture", "--include-ignored", "--test-threads=1", "--quiet"])
            .envs(self.variables.iter().map(|(key, value)| (key, value)))
            .env(ROLE_VARIABLE, &self.role)
            .stdin(if self.stdin_piped { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped());
        if let Some(uid) = self.user {
            command.uid(uid).gid(uid);
        }
        if let Some(gid) = self.group {
            command.gid(gid);
        }
        raw::die_with_spawning_thread(&mut command);
        command.spawn()
    }
}

/// A running victim; killed and reaped when dropped.
#[derive(Debug)]
pub struct Victim {
    child: Child,
    test: String,
    heard: Receiver<String>,
    /// Every line received so far, for the message when something fails.
    transcript: Vec<String>,
    /// Set once reaped. From then on another process may have the pid.
    status: Option<ExitStatus>,
    /// Nothing is ever sent: its drop ends the thread that spawned the victim.
    _keep_alive: Sender<()>,
}

impl Victim {
    /// Its pid, as we see it.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on the victim's stdout that starts with `beginning`, and returns the whole line without its
    /// end. Lines before it are skipped.
    ///
    /// # Panics
    /// If the victim closes its stdout first, or prints no such line within [`PATIENCE`]. The message contains all its
    /// output.
    #[track_caller]
    pub fn wait_line(&mut self, beginning: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.transcript.push(line.clone());
                    if line.starts_with(beginning) {
                        return line;
                    }
                }
                Err(why) => {
                    let why = match why {
                        RecvTimeoutError::Disconnected => "ended without it".to_owned(),
                        RecvTimeoutError::Timeout => format!("did not within {PATIENCE:?}"),
                    };
                    panic!("victim `{}` was to say `{beginning}` and {why}; it said {:#?}", self.test, self.transcript);
                }
            }
        }
    }

    /// Writes a line to the victim's stdin.
    ///
    /// # Panics
    /// Without [`Respawn::piped_stdin`], or if the victim does not read any more.
    #[track_caller]
    pub fn send_line(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("started with `piped_stdin`, and not closed since");
        writeln!(stdin, "{line}").unwrap_or_else(|error| panic!("victim `{}` does not read: {error}", self.test));
    }

    /// Lets the victim read the end of its stdin.
    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Sends a signal and does not wait.
    ///
    /// # Panics
    /// When the victim has been reaped.
    #[track_caller]
    pub fn kill(&self, signal: Signal) {
        assert!(self.status.is_none(), "victim `{}` has been reaped", self.test);
        let pid = Pid::from_raw(self.pid().cast_signed()).expect("a child's pid is positive");
        kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal victim `{}`: {error}", self.test));
    }

    /// Stops the victim (SIGSTOP); on return all its threads are stopped.
    ///
    /// # Panics
    /// If that takes longer than [`PATIENCE`], for instance because it has ended.
    #[track_caller]
    pub fn stop(&self) {
        self.kill(Signal::STOP);
        let stopped = eventually("the stop of all threads", PATIENCE, || {
            procfs::all_threads_stopped(self.pid()).unwrap_or(false) // a thread that ends at this moment: look again
        });
        stopped.unwrap_or_else(|error| panic!("victim `{}`: {error}", self.test));
    }

    /// Continues a stopped victim.
    #[track_caller]
    pub fn cont(&self) {
        self.kill(Signal::CONT);
    }

    /// Waits for the victim to end, and reaps it.
    ///
    /// # Panics
    /// When it has not ended within `limit`.
    #[track_caller]
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let ended = eventually("its end", limit, || {
            self.status = self.child.try_wait().expect("our child exists until we reap it");
            self.status.is_some()
        });
        ended.unwrap_or_else(|error| panic!("victim `{}`: {error}; it said {:#?}", self.test, self.transcript));
        self.status.expect("reaped above")
    }

    /// SIGKILL, and waits until the process does not exist any more.
    #[track_caller]
    pub fn kill_and_reap(&mut self) -> ExitStatus {
        self.kill(Signal::KILL);
        self.wait_exit(PATIENCE)
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        // Both fail only if the child has been reaped, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    #[test]
    #[ignore = "runs as a victim"]
    fn victim_that_echoes() {
        let Some(part) = role() else { return };
        say(&format!("READY {part} {}", env::var("TESTKIT_SELF_TEST").unwrap()));
        for line in io::stdin().lines() {
            say(&format!("ECHO {}", line.unwrap()));
        }
        if part == "bad" {
            // A panic that is not printed.
            std::panic::resume_unwind(Box::new("told to fail"));
        }
    }

    fn echo(role: &str) -> Victim {
        let respawn =
            Respawn::test(test_name!(victim_that_echoes)).role(role).env("TESTKIT_SELF_TEST", "x").piped_stdin();
        let mut victim = respawn.spawn();
        assert_eq!(victim.wait_line("READY"), format!("READY {role} x"));
        victim
    }

    #[test]
    fn a_victim_answers_until_its_stdin_ends() {
        let mut victim = echo("good");
        victim.send_line("one");
        victim.send_line("two");
        assert_eq!(victim.wait_line("ECHO t"), "ECHO two");
        victim.close_stdin();
        assert!(victim.wait_exit(PATIENCE).success());
        assert!(victim.wait_exit(PATIENCE).success(), "the answer stays");
    }

    #[test]
    fn a_panic_in_a_victim_is_a_failed_exit() {
        let mut victim =
            Respawn::test(test_name!(victim_that_echoes)).role("bad").env("TESTKIT_SELF_TEST", "x").spawn();
        victim.wait_line("READY bad");
        assert!(!victim.wait_exit(PATIENCE).success());
    }

    #[test]
    fn a_stopped_victim_is_silent_and_goes_on_afterwards() {
        let mut victim = echo("good");
        victim.stop();
        victim.send_line("late");
        assert!(victim.heard.try_recv().is_err());
        assert!(procfs::all_threads_stopped(victim.pid()).unwrap());
        victim.cont();
        victim.wait_line("ECHO late");
    }

    #[test]
    fn a_killed_victim_says_by_what() {
        let mut victim = echo("good");
        victim.stop();
        assert_eq!(victim.kill_and_reap().signal(), Some(Signal::KILL.as_raw()));
    }

    #[test]
    fn a_dropped_victim_is_gone() {
        let victim = echo("good");
        let child = Pid::from_raw(victim.pid().cast_signed());
        victim.stop();
        drop(victim);
        let answer = rustix::process::waitpid(child, rustix::process::WaitOptions::NOHANG);
        assert_eq!(answer.unwrap_err(), rustix::io::Errno::CHILD);
    }

    #[test]
    #[should_panic(expected = "has been reaped")]
    fn nobody_is_signalled_by_a_pid_that_may_be_somebody_elses() {
        let mut victim = echo("good");
        victim.kill_and_reap();
        victim.kill(Signal::KILL);
    }

    #[test]
    #[should_panic(expected = "ended without it")]
    fn a_victim_that_ends_too_early_is_noticed() {
        let mut victim = echo("good");
        victim.close_stdin();
        victim.wait_line("never said");
    }

    #[test]
    #[ignore = "runs as a victim"]
    fn victim_with_a_victim() {
        if !is_victim() {
            return;
        }
        let child = echo("good");
        child.stop();
        say(&format!("CHILD {}", child.pid()));
        wait_to_be_killed();
    }

    #[test]
    fn a_stopped_victim_dies_with_its_killed_parent() {
        let mut parent = Respawn::test(test_name!(victim_with_a_victim)).spawn();
        let said = parent.wait_line("CHILD");
        let grandchild: u32 = said["CHILD ".len()..].parse().unwrap();
        parent.kill_and_reap();
        // The process that adopts it may not reap it, so a zombie counts as dead.
        eventually("the end of the grandchild", PATIENCE, || {
            procfs::stat_fields(grandchild).map_or(true, |fields| fields[0] == "Z" || fields[0] == "X")
        })
        .unwrap();
    }

    #[test]
    fn nobody_started_this_process_as_a_victim() {
        assert!(!is_victim());
        assert_eq!(role(), None);
        assert_eq!(test_name!(victim_with_a_victim), "process::tests::victim_with_a_victim");
    }
}
