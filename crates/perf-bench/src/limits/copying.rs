//! The lower bound for writing a large message: copying it into memory of a ring's kind.

use std::hint::black_box;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::raw::Window;
use crate::side::{Measurement, Side, Stop};
use crate::stats::Unit;
use crate::subject::Subject;

/// One process copies a message that stays in its caches to consecutive places of a window; the other sleeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Copying {
    pub(crate) window_bytes: usize,
}

/// A decode step of a batch of 1024, which fits a first-level cache.
const MESSAGE_BYTES: usize = 16 * 1024;

impl Subject for Copying {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut window = Window::new(self.window_bytes)?;
        let message = vec![0xa5_u8; MESSAGE_BYTES];
        // The first lap warms up.
        lap(&mut window, &message);
        let rate = side.measured(|| {
            let (begin, mut copied_bytes) = (Instant::now(), 0);
            while begin.elapsed() < side.window() {
                copied_bytes += lap(&mut window, &message);
            }
            Ok(copied_bytes as f64 / begin.elapsed().as_secs_f64())
        })?;
        if window.iter().any(|&byte| byte != 0xa5) {
            return Err(Stop::Failed("a copied byte did not arrive".into()));
        }
        Ok(Some(Measurement::of(rate, Unit::BytesPerSecond)))
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        side.measured(|| Ok(None))
    }
}

/// Fills the window once and returns how many bytes that took.
fn lap(window: &mut [u8], message: &[u8]) -> usize {
    for place in window.chunks_exact_mut(message.len()) {
        place.copy_from_slice(black_box(message));
        // Without this the copy is never read, and the compiler may leave it out.
        black_box(place);
    }
    window.len()
}
