//! Models of a group that sleeps and of those that call it.

pub(crate) mod sleep;

/// What a model says when a call was seen before what its caller had done.
pub(crate) const NEWS_UNSEEN: &str = "a call was seen before what its caller had done";
/// What a model says when a group was brought to a thread while it ran, or twice.
pub(crate) const RUNS_TWICE: &str = "the group runs in two places";
