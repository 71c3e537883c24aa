//! A program to start: its arguments, environment and descriptors.

use crate::child::Pipes;
use crate::prepared::Prepared;
use crate::stdio::Kind;
use crate::{Child, SignalSet, SpawnError, Stdio};
use nix::sys::signal::SigSet;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// The numbers of standard input, output and error.
const STANDARD: [RawFd; 3] = [0, 1, 2];

/// Where a program is looked for if there is no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A program to start. The methods have the names of [`std::process::Command`] and mean the same, with these
/// differences:
///
/// - The child does not inherit the calling thread's signal mask if this process has called
///   [`block_first`](crate::signals::block_first). It has the mask of before that call. A child with blocked signals
///   would survive SIGTERM.
/// - All its signals have their default actions. What this process ignores, such as SIGHUP under `nohup`, the child
///   does not ignore.
/// - It is started by `posix_spawn` in every case. A process with much memory is never forked. So there is no
///   `pre_exec`, `uid` or `gid`; `setpriv`, `prlimit`, `taskset` and `numactl` are programs that do such a thing and
///   then execute the real one in their own place.
/// - Further descriptors are passed on by [`inherit`](Self::inherit), under numbers that you choose, and to this child
///   alone. A descriptor that other code has left without close-on-exec reaches every child, as it does everywhere.
///
/// ```
/// use myelon_process::{Command, Patience, Stdio};
///
/// let mut command = Command::new("sh");
/// command.args(["-c", "test \"$RANK\" = 3"]).env("RANK", "3").stdin(Stdio::null());
/// let ended = command.spawn()?.wait(Patience::Endless);
/// assert!(ended.is_some_and(|ended| ended.is_success()));
///
/// let error = Command::new("no-such-program").spawn().unwrap_err();
/// assert!(error.to_string().starts_with("the program `no-such-program` is in no directory of PATH"));
/// # Ok::<(), myelon_process::SpawnError>(())
/// ```
#[derive(Debug)]
pub struct Command {
    program: OsString,
    arguments: Vec<OsString>,
    has_our_environment: bool,
    /// What is different from our environment; `None` is a variable that the child does not have.
    variables: BTreeMap<OsString, Option<OsString>>,
    directory: Option<PathBuf>,
    stdin: Stdio,
    stdout: Stdio,
    stderr: Stdio,
    inherited: BTreeMap<RawFd, OwnedFd>,
    process_group: Option<i32>,
    blocked: Option<SignalSet>,
}

impl Command {
    /// The program of this name. A name without a `/` is looked for in the `PATH` that the child will have.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            has_our_environment: true,
            variables: BTreeMap::new(),
            directory: None,
            stdin: Stdio::inherit(),
            stdout: Stdio::inherit(),
            stderr: Stdio::inherit(),
            inherited: BTreeMap::new(),
            process_group: None,
            blocked: None,
        }
    }

    /// The name of the program.
    pub fn get_program(&self) -> &OsStr {
        &self.program
    }

    /// Its arguments. With [`get_program`](Self::get_program) and [`get_envs`](Self::get_envs), a program that executes
    /// another one in its own place can be put in front of this one.
    ///
    /// ```
    /// use myelon_process::Command;
    ///
    /// fn as_user(user: &str, worker: &Command) -> Command {
    ///     let mut command = Command::new("setpriv");
    ///     command.args(["--reuid", user, "--clear-groups"]).arg(worker.get_program()).args(worker.get_args());
    ///     for (name, value) in worker.get_envs() {
    ///         match value {
    ///             Some(value) => command.env(name, value),
    ///             None => command.env_remove(name),
    ///         };
    ///     }
    ///     command
    /// }
    /// # as_user("nobody", Command::new("./worker").arg("--fast"));
    /// ```
    pub fn get_args(&self) -> impl Iterator<Item = &OsStr> {
        self.arguments.iter().map(OsString::as_os_str)
    }

    /// The variables that differ from those of this process; `None` is one that was removed.
    pub fn get_envs(&self) -> impl Iterator<Item = (&OsStr, Option<&OsStr>)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_deref()))
    }

    /// One more argument.
    pub fn arg(&mut self, argument: impl AsRef<OsStr>) -> &mut Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// More arguments.
    pub fn args<S: AsRef<OsStr>>(&mut self, arguments: impl IntoIterator<Item = S>) -> &mut Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the environment. The others are those of this process at the time of the start.
    pub fn env(&mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> &mut Self {
        self.variables.insert(name.as_ref().to_owned(), Some(value.as_ref().to_owned()));
        self
    }

    /// Sets variables of the environment.
    pub fn envs<N: AsRef<OsStr>, V: AsRef<OsStr>>(&mut self, variables: impl IntoIterator<Item = (N, V)>) -> &mut Self {
        for (name, value) in variables {
            self.env(name, value);
        }
        self
    }

    /// Removes a variable from the environment.
    pub fn env_remove(&mut self, name: impl AsRef<OsStr>) -> &mut Self {
        self.variables.insert(name.as_ref().to_owned(), None);
        self
    }

    /// Removes all variables: the child has only those that are set after this call.
    pub fn env_clear(&mut self) -> &mut Self {
        self.has_our_environment = false;
        self.variables.clear();
        self
    }

    /// The directory in which it runs. If the program is a relative path, that path starts there.
    pub fn current_dir(&mut self, directory: impl AsRef<Path>) -> &mut Self {
        self.directory = Some(directory.as_ref().to_owned());
        self
    }

    /// Its standard input; that of this process, unless this is called.
    pub fn stdin(&mut self, stdin: impl Into<Stdio>) -> &mut Self {
        self.stdin = stdin.into();
        self
    }

    /// Its standard output; that of this process, unless this is called.
    pub fn stdout(&mut self, stdout: impl Into<Stdio>) -> &mut Self {
        self.stdout = stdout.into();
        self
    }

    /// Its standard error; that of this process, unless this is called.
    pub fn stderr(&mut self, stderr: impl Into<Stdio>) -> &mut Self {
        self.stderr = stderr.into();
        self
    }

    /// The process group that it joins; 0 is a new group, which Ctrl-C in the terminal does not reach.
    pub fn process_group(&mut self, group: i32) -> &mut Self {
        self.process_group = Some(group);
        self
    }

    /// The signals that are blocked when it starts. Needed only in a host that has blocked signals without
    /// [`block_first`](crate::signals::block_first), such as a scheduler thread of an interpreter: its children would
    /// have the mask of the calling thread.
    ///
    /// ```
    /// use myelon_process::{Command, SignalSet};
    ///
    /// let mut command = Command::new("./worker");
    /// command.blocked_signals(SignalSet::empty());
    /// ```
    pub fn blocked_signals(&mut self, signals: SignalSet) -> &mut Self {
        self.blocked = Some(signals);
        self
    }

    /// Passes a descriptor on: the child has it as `number`. Only this child has it, also if other threads start
    /// programs at the same time. The command keeps it; drop the command if another process waits for the end of a
    /// pipe.
    ///
    /// ```
    /// use myelon_process::{Command, Patience};
    /// use std::io::Read;
    ///
    /// let (mut reader, writer) = std::io::pipe()?;
    /// let mut command = Command::new("sh");
    /// command.args(["-c", "echo ready >&5"]).inherit(writer, 5);
    /// let mut child = command.spawn()?;
    /// drop(command); // otherwise the pipe would not end
    /// let mut said = String::new();
    /// reader.read_to_string(&mut said)?;
    /// assert_eq!(said, "ready\n");
    /// # child.wait(Patience::Endless);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// If the number is below 3. For standard streams use [`stdin`](Self::stdin), [`stdout`](Self::stdout) or
    /// [`stderr`](Self::stderr).
    #[track_caller]
    pub fn inherit(&mut self, descriptor: impl Into<OwnedFd>, number: RawFd) -> &mut Self {
        assert!(number > 2, "{number} is no further descriptor: for 0, 1 and 2 use `stdin`, `stdout` and `stderr`");
        self.inherited.insert(number, descriptor.into());
        self
    }

    /// Passes a descriptor on under a number that no other descriptor has, neither in this command nor in this process,
    /// and returns that number. Tell it to the child by an argument or a variable.
    ///
    /// # Errors
    /// There are no descriptors left.
    pub fn inherit_anywhere(&mut self, descriptor: impl Into<OwnedFd>) -> io::Result<RawFd> {
        let mut descriptor = descriptor.into();
        // Nothing else of this process has the number that it has here, so the child inherits nothing else with it.
        while STANDARD.contains(&descriptor.as_raw_fd()) || self.inherited.contains_key(&descriptor.as_raw_fd()) {
            let next = descriptor.as_raw_fd() + 1;
            descriptor = rustix::io::fcntl_dupfd_cloexec(&descriptor, next.max(3))?;
        }
        let number = descriptor.as_raw_fd();
        self.inherited.insert(number, descriptor);
        Ok(number)
    }

    /// Starts it, as a child of the calling thread. A child that ends with its parent is started by a
    /// [`Nursery`](crate::Nursery), because that tie is to the thread.
    ///
    /// # Errors
    /// See [`SpawnError`]. The program has been executed if there is none.
    /// Source: RFC 0020, "Starting".
    pub fn spawn(&self) -> Result<Child, SpawnError> {
        self.prepare()?.start()
    }

    /// All that is needed to start it, from any thread.
    pub(crate) fn prepare(&self) -> Result<Prepared, SpawnError> {
        let variables = self.environment();
        let mut pipes = Pipes::default();
        let descriptors = self.descriptors(&mut pipes)?;
        let mut arguments = vec![self.text("the name", &self.program)?];
        for argument in &self.arguments {
            arguments.push(self.text("the argument", argument)?);
        }
        let (path, candidates) = self.candidates(&variables);
        let candidates = candidates.iter().map(|candidate| self.text("the path", candidate.as_os_str()));
        let directory = self.directory.as_deref().map(|directory| self.text("the directory", directory.as_os_str()));
        Ok(Prepared {
            name: self.program.clone(),
            candidates: candidates.collect::<Result<_, _>>()?,
            path,
            arguments,
            environment: variables.iter().map(|(name, value)| self.variable(name, value)).collect::<Result<_, _>>()?,
            directory: directory.transpose()?,
            descriptors,
            process_group: self.process_group,
            blocked: self.mask()?,
            pipes,
        })
    }

    fn environment(&self) -> BTreeMap<OsString, OsString> {
        let mut variables: BTreeMap<_, _> = match self.has_our_environment {
            true => std::env::vars_os().collect(),
            false => BTreeMap::new(),
        };
        for (name, value) in &self.variables {
            match value {
                Some(value) => variables.insert(name.clone(), value.clone()),
                None => variables.remove(name),
            };
        }
        variables
    }

    /// The files that the program may be, in order, and the `PATH` if that was asked.
    fn candidates(&self, variables: &BTreeMap<OsString, OsString>) -> (Option<OsString>, Vec<PathBuf>) {
        if self.program.as_bytes().contains(&b'/') {
            return (None, vec![self.program.clone().into()]);
        }
        let path = variables.get(OsStr::new("PATH")).cloned().unwrap_or_else(|| DEFAULT_PATH.into());
        let candidates = std::env::split_paths(&path).map(|directory| directory.join(&self.program)).collect();
        (Some(path), candidates)
    }

    fn mask(&self) -> Result<SigSet, SpawnError> {
        match self.blocked {
            Some(signals) => Ok(signals.to_system()),
            None => crate::signals::mask_for_children().map_err(|source| self.os("pthread_sigmask", source)),
        }
    }

    /// What the child has instead of what it would inherit, by its numbers there. The ends of pipes that stay here go
    /// into `pipes`.
    fn descriptors(&self, pipes: &mut Pipes) -> Result<Vec<(OwnedFd, RawFd)>, SpawnError> {
        let mut numbered = Vec::new();
        for (stream, number) in [&self.stdin, &self.stdout, &self.stderr].into_iter().zip(STANDARD) {
            let of_child: OwnedFd = match &stream.0 {
                Kind::Inherit => continue,
                Kind::Null => {
                    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
                    null.map_err(|source| self.os("open of /dev/null", source))?.into()
                }
                Kind::Descriptor(descriptor) => {
                    descriptor.try_clone().map_err(|source| self.descriptor(number, source))?
                }
                Kind::Piped => {
                    let (reader, writer) = io::pipe().map_err(|source| self.os("pipe", source))?;
                    match number {
                        0 => {
                            pipes.stdin = Some(writer);
                            reader.into()
                        }
                        1 => {
                            pipes.stdout = Some(reader);
                            writer.into()
                        }
                        _ => {
                            pipes.stderr = Some(reader);
                            writer.into()
                        }
                    }
                }
            };
            numbered.push((of_child, number));
        }
        for (&number, descriptor) in &self.inherited {
            numbered.push((descriptor.try_clone().map_err(|source| self.descriptor(number, source))?, number));
        }
        // They are given one after the other. If one of ours had the number of another, it would be lost.
        let last = numbered.iter().map(|&(_, number)| number).max().unwrap_or_default();
        for (descriptor, number) in &mut numbered {
            if descriptor.as_raw_fd() <= last {
                let above = rustix::io::fcntl_dupfd_cloexec(&*descriptor, last.saturating_add(1));
                *descriptor = above.map_err(|source| self.descriptor(*number, source.into()))?;
            }
        }
        Ok(numbered)
    }

    fn variable(&self, name: &OsStr, value: &OsStr) -> Result<CString, SpawnError> {
        // A variable of ours may begin with `=`.
        if name.is_empty() || name.as_bytes()[1..].contains(&b'=') {
            return Err(self.wrong("the variable", name, "a name has at least one character and no `=`"));
        }
        let mut text = name.to_owned();
        text.push("=");
        text.push(value);
        self.text("the variable", &text)
    }

    fn text(&self, what: &'static str, text: &OsStr) -> Result<CString, SpawnError> {
        CString::new(text.as_bytes()).map_err(|_| self.wrong(what, text, "it contains a zero byte"))
    }

    fn wrong(&self, what: &'static str, text: &OsStr, why: &'static str) -> SpawnError {
        SpawnError::Text { program: self.program.clone(), what, text: text.to_owned(), why }
    }

    fn descriptor(&self, number: RawFd, source: io::Error) -> SpawnError {
        SpawnError::Descriptor { program: self.program.clone(), number, source }
    }

    fn os(&self, call: &'static str, source: io::Error) -> SpawnError {
        SpawnError::Os { program: self.program.clone(), call, source }
    }
}
