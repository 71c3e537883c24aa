//! What is wrong with the description of a session.
//!
//! **Lives here:** [`TopologyError`]. **Builds on:** the errors of session layouts. **May touch it:** `description`
//! makes it.

use crate::transport::SessionLayoutError;

/// Why there is no such topology, or no such worker in it. Nothing was created.
///
/// ```
/// use myelon::topology::Topology;
///
/// let error = Topology::new("tp-engine", 0usize).unwrap_err();
/// assert_eq!(error.to_string(), "tp-engine: a session has at least one worker, and 0 were asked for");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{session}: {source}")]
#[non_exhaustive]
pub struct TopologyError {
    /// The session's label.
    pub session: String,
    /// What is wrong with it.
    pub r#source: SessionLayoutError,
}

impl TopologyError {
    /// That of the session called `label`.
    pub(in super::super) fn of(label: &str) -> impl Fn(SessionLayoutError) -> Self {
        move |source| Self { session: label.to_owned(), source }
    }
}
