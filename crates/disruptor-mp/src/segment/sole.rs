//! A segment that belongs to its creator alone: it replaces what a crash has left, and is removed when its creator
//! drops it.
//!
//! For cursors and counters on their own. A ring is not one: another producer may take it over.

use std::sync::Arc;

use super::blueprint::{Blueprint, Kind};
use super::error::{CreateError, GcError};
use super::gc::{GcOutcome, Occupant, gc, occupant};
use super::options::CreateOptions;
use super::owner::{Claim, fork_epoch};
use super::place::Place;
use super::segment::Segment;

/// How often creation starts over because another process uses the same name at the same moment.
const ATTEMPTS: usize = 16;

/// A segment and its creator's claim. Dropping it marks the segment as removed and removes its name; processes that
/// have it mapped keep it mapped.
#[derive(Debug)]
pub(crate) struct Sole {
    segment: Arc<Segment>,
    /// Held, never read: the lock shows other processes that the creator lives.
    _claim: Claim,
    fork_epoch: u32,
}

impl Sole {
    /// Creates the segment. What a dead process has left under that name is removed first.
    ///
    /// # Errors
    /// [`CreateError`]; `AlreadyExists` if a live process has that name, or something there is not ours.
    pub(crate) fn create(
        place: &Place,
        blueprint: &Blueprint,
        options: &CreateOptions,
        init: impl Fn(&Segment),
    ) -> Result<Self, CreateError> {
        for _ in 0..ATTEMPTS {
            match Segment::create(place, blueprint, options, &init) {
                Ok((segment, claim)) => {
                    return Ok(Self { segment: Arc::new(segment), _claim: claim, fork_epoch: fork_epoch() });
                }
                Err(CreateError::AlreadyExists { .. }) if would_lose_counters(place, blueprint) => {
                    return Err(CreateError::HoldsCounters { place: place.to_string() });
                }
                Err(CreateError::AlreadyExists { .. }) => match gc(place) {
                    Ok(GcOutcome::Removed | GcOutcome::NotFound) => {}
                    Err(GcError::NotOwner { place, owner_uid, source }) => {
                        return Err(CreateError::NotOwner { place, owner_uid, source });
                    }
                    // This includes a segment that may not be removed: the caller then gets `AlreadyExists`.
                    Ok(GcOutcome::InUse { .. } | GcOutcome::NotOurs | GcOutcome::IsCopy) | Err(_) => break,
                },
                Err(error) => return Err(error),
            }
        }
        Err(CreateError::AlreadyExists { place: place.to_string() })
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Whether this process made it, rather than one of which it is a forked copy.
    pub(crate) fn is_ours(&self) -> bool {
        self.fork_epoch == fork_epoch()
    }
}

/// Whether the new segment is not a table of counters, but would replace one that no process has any more.
fn would_lose_counters(place: &Place, blueprint: &Blueprint) -> bool {
    let is_dead_counters = |it: &Occupant| it.make.kind == Some(Kind::Counters) && !it.is_in_use;
    blueprint.kind != Kind::Counters && occupant(place).is_ok_and(|it| it.as_ref().is_some_and(is_dead_counters))
}

impl Drop for Sole {
    fn drop(&mut self) {
        if !self.is_ours() {
            return;
        }
        // If the name cannot be removed now, a collector does it later: no process uses the segment.
        let _ = self.segment.unlink_if_same();
        self.segment.mark_removed();
    }
}
