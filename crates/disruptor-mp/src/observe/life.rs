//! Whether the process that writes a segment lives, and which one it is.

use crate::liveness::ProcessIdentity;
use std::fmt;

/// What is known of the process that writes a segment: the producer of a ring, the creator of a counters file or of a
/// cursor. It is the kernel's word, from a lock that it drops when the process ends.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Life {
    /// It is there: it holds its lock. It may be [stopped](crate::liveness::ProcessState::Stopped).
    Alive,
    /// It has closed the ring in good order. What it published can still be read.
    Closed,
    /// It was dropped by a panic. The next producer takes the ring over.
    Panicked,
    /// Its process has ended without closing it. The next producer takes the ring over; if none will come,
    /// [`gc`](crate::gc) removes it.
    Dead,
    /// Another segment has replaced this one under its name.
    Replaced,
    /// A collector has removed it; it is seen because it is still mapped or has another name.
    Removed,
    /// It is a [copy](crate::segment::is_copy) of a segment, in which no process lives. Nothing is known of the
    /// processes of the original.
    UnknownCopy,
    /// The system refused to say, with its words.
    Unknown(String),
}

impl fmt::Display for Life {
    /// One or two words: `alive`, `closed`, `dropped by a panic`, `dead`, `replaced`, `removed`,
    /// `unknown (copy)`, `unknown`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Alive => "alive",
            Self::Closed => "closed",
            Self::Panicked => "dropped by a panic",
            Self::Dead => "dead",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
            Self::UnknownCopy => "unknown (copy)",
            Self::Unknown(_) => "unknown",
        })
    }
}

/// The process that writes a segment, or wrote it last.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProducerInfo {
    /// Its identity, with the pid in its own pid namespace. [`observe`](ProcessIdentity::observe) says what it does.
    pub process: ProcessIdentity,
    /// Which producer of the ring it is: 1 is the creator, and each take-over adds 1.
    pub reign: u64,
    /// What the kernel says of it.
    pub life: Life,
}
