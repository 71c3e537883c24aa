//! What rkyv says when it refuses.
//!
//! **Lives here:** [`ArchiveError`]. **Builds on:** rancor's traits. **May touch it:** rkyv makes it, the codec wraps it.

use crate::codec::{Cause, Full};
use rkyv::rancor::{Source, Trace};
use std::any::TypeId;
use std::fmt;

/// How many places are kept: enough to find the field; a hostile message has as many as it has levels.
const PLACES_MAX: usize = 8;

/// Why an archive could not be written or read, and where in the message, from the inside out. rkyv's own error says that in programs
/// with debug assertions only.
#[derive(Debug)]
pub struct ArchiveError(Reason);

#[derive(Debug)]
enum Reason {
    /// The claimed bytes are full: no error but an ordinary answer, at the end of every lap of a ring, so it takes no memory.
    Full,
    Refused(Box<Refusal>),
}

#[derive(Debug)]
struct Refusal {
    cause: Cause,
    places: Vec<String>,
}

impl Source for ArchiveError {
    #[cold]
    fn new<T: std::error::Error + Send + Sync + 'static>(source: T) -> Self {
        Self(match TypeId::of::<T>() == TypeId::of::<Full>() {
            true => Reason::Full,
            false => Reason::Refused(Box::new(Refusal { cause: Box::new(source), places: Vec::new() })),
        })
    }
}

impl Trace for ArchiveError {
    #[cold]
    fn trace<R: fmt::Debug + fmt::Display + Send + Sync + 'static>(mut self, place: R) -> Self {
        match &mut self.0 {
            Reason::Refused(refusal) if refusal.places.len() < PLACES_MAX => refusal.places.push(place.to_string()),
            _ => {}
        }
        self
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Reason::Full => Full.fmt(f),
            Reason::Refused(refusal) => {
                write!(f, "{}", refusal.cause)?;
                refusal.places.iter().try_for_each(|place| write!(f, ", {place}"))
            }
        }
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.0 {
            Reason::Full => None,
            // The cause itself is part of what we say.
            Reason::Refused(refusal) => refusal.cause.source(),
        }
    }
}
