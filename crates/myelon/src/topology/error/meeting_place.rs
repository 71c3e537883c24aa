//! What a worker finds in the place of the scheduler that it looks for.

use crate::transport::TransportError;
use disruptor_mp::Place;
use std::fmt;
use std::path::PathBuf;

/// What a worker finds in the place of its scheduler.
#[derive(Debug)]
#[non_exhaustive]
pub enum MeetingPlace {
    /// There is no ring under the name of the broadcast ring.
    NoRing {
        /// The file that was looked for.
        path: PathBuf,
        /// The session's response rings that exist.
        others: Vec<String>,
        /// The live process that reads one of them as the scheduler, as seen in its own pid namespace. In this case the
        /// name of the broadcast ring was removed: end that process, and start the session again.
        scheduler: Option<u32>,
    },
    /// The broadcast ring belongs to a scheduler that is gone.
    Ended {
        /// The place of the ring: its name or its file.
        place: String,
        /// How the scheduler ended.
        ending: SchedulerEnding,
    },
    /// The broadcast ring could not be attached to.
    Unusable(Box<TransportError>),
}

impl std::error::Error for MeetingPlace {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unusable(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for MeetingPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRing { path, others, scheduler } => {
                write!(f, "there is no broadcast ring at {}", Place::from(path.clone()))?;
                match (&others[..], scheduler) {
                    ([], _) => f.write_str(
                        ", and no other ring of this session: start the scheduler, with the same label and directory; \
                         if it runs, the names were removed: end it, and start the session again",
                    ),
                    (others, Some(pid)) => write!(
                        f,
                        ", but of this session there is {}, which the scheduler, process {pid}, reads: the name of the broadcast ring was \
                         removed; end that process, and start the session again",
                        others.join(", ")
                    ),
                    (others, None) => write!(
                        f,
                        ", but of this session there is {}, which no scheduler reads: start the scheduler",
                        others.join(", ")
                    ),
                }?;
                if others.is_empty() {
                    // Of a scheduler in a container of its own, a worker sees no ring at all.
                    f.write_str(
                        "; if it runs in another container, let both containers share the directory of the rings",
                    )?;
                }
                Ok(())
            }
            Self::Ended { place, ending } => {
                write!(
                    f,
                    "the broadcast ring at {place} belongs to a scheduler that is gone: {ending}; start the scheduler again"
                )
            }
            Self::Unusable(error) => error.fmt(f),
        }
    }
}

/// What a worker knows of the process that has started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Parentage {
    /// It lives. So it has closed the topology, or another process has removed the ring's name: start the session
    /// again.
    Lives {
        /// The pid of that process.
        pid: u32,
    },
    /// A process between the two, such as a shell, or another pid namespace hides it.
    Hidden,
}

impl fmt::Display for Parentage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lives { pid } => write!(
                f,
                "the scheduler, process {pid}, lives: it has closed the topology, or another process has removed the name; start the session again"
            ),
            Self::Hidden => write!(
                f,
                "whether the scheduler lives cannot be known, because this worker is not its own child: see whether it runs, and start the \
                 session again"
            ),
        }
    }
}

/// How a worker knows that its scheduler is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchedulerEnding {
    /// The process that has started this worker has ended.
    Orphaned {
        /// The pid of that process.
        pid: u32,
    },
    /// It has closed the broadcast ring.
    Closed,
    /// Another scheduler has replaced the broadcast ring.
    Replaced,
    /// The broadcast ring has no producer any more.
    NoProducer {
        /// The pid of the last one, in its own pid namespace.
        pid: u32,
    },
}

impl fmt::Display for SchedulerEnding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Orphaned { pid } => write!(f, "its process {pid} has ended"),
            Self::Closed => write!(f, "it has closed the topology"),
            Self::Replaced => write!(f, "another scheduler has taken its place"),
            Self::NoProducer { pid } => write!(f, "the broadcast ring's producer, process {pid}, has gone"),
        }
    }
}
