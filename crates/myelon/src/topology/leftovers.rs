//! The rings that a scheduler left, and that its workers remove.

use disruptor_mp::Place;

/// Rings that are removed when this is dropped, unless a process lives in them. It is the last field of an end, so that
/// the end itself has left them by then.
///
/// A kept entry of a dead worker does not protect a ring here: no process takes over the rings of a scheduler that is
/// gone, so no worker comes back to it.
#[derive(Default)]
pub(super) struct Leftovers(Vec<Place>);

impl Leftovers {
    /// Adds the ring at `place`, whose scheduler is gone.
    pub(super) fn push(&mut self, place: &Place) {
        self.0.push(place.clone());
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        for place in self.0.drain(..) {
            // If it cannot be removed now, the next launch or a collector removes it.
            let _ = disruptor_mp::gc(place);
        }
    }
}
