//! The rings that a scheduler left, and that its workers remove.

use disruptor_mp::Place;

/// Rings that are removed when this is dropped, unless a process lives in them. The last field of an end: by then the
/// end is none of those.
///
/// A place that a dead worker has kept holds no ring: no process takes over the rings of a scheduler that has gone, so
/// none comes back to it.
#[derive(Default)]
pub(super) struct Leftovers(Vec<Place>);

impl Leftovers {
    /// The scheduler of the ring at `place` has gone.
    pub(super) fn push(&mut self, place: &Place) {
        self.0.push(place.clone());
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        for place in self.0.drain(..) {
            // Where it cannot be removed now, the next launch or a collector does it.
            let _ = disruptor_mp::gc(place);
        }
    }
}
