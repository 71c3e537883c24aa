//! loom models of a group of agents and of those that call it: every schedule, within the bounds given.
//!
//! There is one file per claim; the table in [`crate::models`] shows that each named step is needed. The words are
//! those of every build. What they wake is of the models: a place to be parked, one with a bell, and a caller that runs
//! a group which is away.

pub(crate) mod away;
pub(crate) mod sleep;

use super::Calls;
use crate::models::explore;
use crate::primitive::{AtomicU32, Ordering};
use crate::sleeping::Sleep;
use loom::sync::Arc;
use loom::thread::spawn;

/// A call was seen before what its caller had done.
pub(crate) const NEWS_UNSEEN: &str = "a call was seen before what its caller had done";
/// A caller that was to ring did not find the bell.
pub(crate) const NO_BELL: &str = "the group sleeps at a bell that a caller does not see";
/// A group was brought to a thread while another ran it.
pub(crate) const RUNS_TWICE: &str = "the group runs in two places";
/// No cycle has seen what a caller had done.
pub(crate) const NOT_SERVED: &str = "a call was followed by no cycle";
