//! The error of rkyv, when it refuses.

use crate::codec::Cause;
use rkyv::rancor::{Source, Trace};
use std::fmt;

/// How many places are kept: enough to find the field. A hostile message can have one for each of its levels.
const PLACES_MAX: usize = 8;

/// Why an archive could not be written or read, and where in the message, from the inside out. rkyv's own error says so
/// only with debug assertions.
#[derive(Debug)]
pub struct ArchiveError(Box<Refusal>);

#[derive(Debug)]
struct Refusal {
    cause: Cause,
    places: Vec<String>,
}

impl Source for ArchiveError {
    #[cold]
    fn new<T: std::error::Error + Send + Sync + 'static>(source: T) -> Self {
        Self(Box::new(Refusal { cause: Box::new(source), places: Vec::new() }))
    }
}

impl Trace for ArchiveError {
    #[cold]
    fn trace<R: fmt::Debug + fmt::Display + Send + Sync + 'static>(mut self, place: R) -> Self {
        if self.0.places.len() < PLACES_MAX {
            self.0.places.push(place.to_string());
        }
        self
    }
}

impl fmt::Display for ArchiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.cause)?;
        self.0.places.iter().try_for_each(|place| write!(f, ", {place}"))
    }
}

impl std::error::Error for ArchiveError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The cause itself is already part of this error's text.
        self.0.cause.source()
    }
}
