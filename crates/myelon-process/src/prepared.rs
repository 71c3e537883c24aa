//! A program that can be started at once, from any thread.

use crate::child::{Pipes, Reserve};
use crate::{Child, SpawnError};
use disruptor_mp::liveness::process::Spawn;
use nix::sys::signal::SigSet;
use std::ffi::{CStr, CString, OsStr, OsString};
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A program that can be started at once. It holds the descriptors for the child, and the ends of its pipes that stay
/// here.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) name: OsString,
    /// The files that the program may be, in order.
    pub(crate) candidates: Vec<CString>,
    /// The directories from which they were made.
    pub(crate) path: Option<OsString>,
    pub(crate) arguments: Vec<CString>,
    pub(crate) environment: Vec<CString>,
    pub(crate) directory: Option<CString>,
    pub(crate) descriptors: Vec<(OwnedFd, RawFd)>,
    pub(crate) process_group: Option<i32>,
    pub(crate) blocked: SigSet,
    pub(crate) pipes: Pipes,
}

impl Prepared {
    /// Starts it, as a child of the calling thread.
    pub(crate) fn start(mut self) -> Result<Child, SpawnError> {
        let os = |program: &OsStr, call, source| SpawnError::Os { program: program.to_owned(), call, source };
        let reserve = Reserve::new().map_err(|source| os(&self.name, "pidfd_open", source))?;
        let pid = self.execute()?;
        let pipes = std::mem::take(&mut self.pipes);
        Child::new(pid, reserve, pipes).map_err(|source| os(&self.name, "pidfd_open", source))
    }

    /// Tries the candidates in order, as `execvp` does: one that may not be executed does not end the search.
    fn execute(&self) -> Result<u32, SpawnError> {
        let mut refused = None;
        for program in &self.candidates {
            // Each attempt would cost a process.
            if self.path.is_some() && !self.as_seen_here(program).is_file() {
                continue;
            }
            let spawn = Spawn {
                program,
                arguments: &self.arguments,
                environment: &self.environment,
                directory: self.directory.as_deref(),
                descriptors: &self.descriptors,
                process_group: self.process_group,
                blocked: self.blocked.as_ref(),
            };
            match spawn.start() {
                Ok(pid) => return Ok(pid),
                Err(error) => {
                    let may_be_elsewhere = self.path.is_some() && error.kind() == io::ErrorKind::PermissionDenied;
                    let error = self.explain(program, error);
                    if !may_be_elsewhere {
                        return Err(error);
                    }
                    refused.get_or_insert(error);
                }
            }
        }
        let program = self.name.clone();
        Err(refused.unwrap_or_else(|| match &self.path {
            Some(path) => SpawnError::NotInPath { program, path: path.clone() },
            None => SpawnError::NotFound { program },
        }))
    }

    /// The call says what is wrong, and not with which file.
    fn explain(&self, path: &CStr, source: io::Error) -> SpawnError {
        let program = self.name.clone();
        let directory = self.directory.as_deref().map(path_of);
        if let Some(directory) = directory {
            let is_entered = rustix::fs::access(directory.join("."), rustix::fs::Access::EXEC_OK);
            if source.kind() == io::ErrorKind::Unsupported || is_entered.is_err() {
                let source = is_entered.map_or_else(io::Error::from, |()| source);
                return SpawnError::Directory { program, directory: directory.to_owned(), source };
            }
        }
        if source.kind() == io::ErrorKind::NotFound {
            return if self.as_seen_here(path).exists() {
                SpawnError::NoInterpreter { program }
            } else {
                SpawnError::NotFound { program }
            };
        }
        SpawnError::Os { program, call: "posix_spawn", source }
    }

    /// A path of the child: a relative one starts at its directory.
    fn as_seen_here(&self, path: &CStr) -> PathBuf {
        self.directory
            .as_deref()
            .map_or_else(PathBuf::new, |directory| path_of(directory).to_owned())
            .join(path_of(path))
    }
}

fn path_of(text: &CStr) -> &Path {
    Path::new(OsStr::from_bytes(text.to_bytes()))
}
