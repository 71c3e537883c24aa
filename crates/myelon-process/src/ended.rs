//! How a child has ended.

use crate::Signal;
use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// How a child has ended. `Display` continues a sentence after its name: `was ended by SIGTERM`.
///
/// ```
/// use myelon_process::{Command, Ended, Patience};
///
/// let mut child = Command::new("sh").args(["-c", "exit 7"]).spawn()?;
/// match child.wait(Patience::Endless) {
///     Some(Ended::Exited(code)) => assert_eq!(code, 7),
///     Some(other) => println!("it {other}"),
///     None => unreachable!("the patience is endless"),
/// }
/// # Ok::<(), myelon_process::SpawnError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has returned from `main`, or called `exit`, with this code. 0 is success.
    Exited(i32),
    /// A signal has ended it.
    Signalled {
        /// The signal.
        signal: Signal,
        /// Whether the kernel has written its memory into a file.
        core_dumped: bool,
    },
    /// It has ended, and it cannot be known how.
    Unknown(StatusUnknown),
}

/// Why it is not known how a process has ended. That it has ended is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StatusUnknown {
    /// Another thread of this process has waited for it, or the kernel has reaped it because SIGCHLD is ignored; and
    /// this kernel does not keep the status. Linux 6.15 and later keep it.
    ReapedElsewhere,
    /// The same happened before this process could open the child's descriptor, so that no kernel can say its status.
    GoneAtOnce,
}

impl fmt::Display for StatusUnknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ReapedElsewhere => {
                "its status was given to another thread, or to none because SIGCHLD is ignored, and this kernel does not keep it"
            }
            Self::GoneAtOnce => {
                "its status was given to another thread, or to none because SIGCHLD is ignored, before its descriptor was opened"
            }
        })
    }
}

impl Ended {
    /// Whether it has exited with 0.
    pub fn is_success(self) -> bool {
        self == Self::Exited(0)
    }

    /// The same as the standard library says it; what is unknown is the error.
    ///
    /// # Errors
    /// `Unknown`, with its reason.
    pub fn status(self) -> Result<ExitStatus, StatusUnknown> {
        match self {
            Self::Exited(code) => Ok(ExitStatus::from_raw((code & 0xff) << 8)),
            Self::Signalled { signal, core_dumped } => {
                Ok(ExitStatus::from_raw(signal.number() | if core_dumped { CORE_DUMPED } else { 0 }))
            }
            Self::Unknown(why) => Err(why),
        }
    }

    /// The end that the kernel has described by `status`.
    pub(crate) fn of_status(status: ExitStatus) -> Self {
        let signal = status.signal().and_then(Signal::from_number);
        match signal {
            Some(signal) => Self::Signalled { signal, core_dumped: status.core_dumped() },
            None => Self::Exited(status.code().unwrap_or_default()),
        }
    }
}

/// The bit of a status word that says that a core was dumped.
const CORE_DUMPED: i32 = 0x80;

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "has exited with {code}"),
            Self::Signalled { signal, core_dumped: false } => write!(f, "was ended by {signal}"),
            Self::Signalled { signal, core_dumped: true } => {
                write!(f, "was ended by {signal} and has left a core dump")
            }
            Self::Unknown(why) => write!(f, "has ended, and how cannot be known: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_that_of_the_standard_librarys_status_and_back() {
        for word in [0, 7 << 8, 255 << 8, 9, 15, 11 | CORE_DUMPED] {
            let status = ExitStatus::from_raw(word);
            assert_eq!(Ended::of_status(status).status(), Ok(status), "{status}");
        }
    }

    #[test]
    fn an_end_reads_as_the_rest_of_a_sentence() {
        let abort = Ended::Signalled { signal: Signal::ABRT, core_dumped: true };
        assert_eq!(abort.to_string(), "was ended by SIGABRT and has left a core dump");
        assert_eq!(Ended::Exited(7).to_string(), "has exited with 7");
        assert!(Ended::Unknown(StatusUnknown::GoneAtOnce).to_string().ends_with("before its descriptor was opened"));
    }
}
