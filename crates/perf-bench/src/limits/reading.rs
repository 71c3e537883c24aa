//! The lower bound for reading a large message: looking at every byte once.

use std::hint::black_box;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::raw::Window;
use crate::side::{Measurement, Side, Stop};
use crate::stats::Unit;
use crate::subject::Subject;
use crate::workload::payload::sum;

/// One process adds up all words of a window; the other sleeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reading {
    pub(crate) window_bytes: usize,
}

impl Subject for Reading {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut window = Window::new(self.window_bytes)?;
        window.fill(1);
        let expected = u64::from_ne_bytes([1; 8]).wrapping_mul((self.window_bytes / 8) as u64);
        side.measured(|| {
            let (begin, mut read_bytes) = (Instant::now(), 0);
            while begin.elapsed() < side.window() {
                let sum = sum(black_box(&window));
                if sum != expected {
                    return Err(Stop::Failed(format!("the window adds up to {sum} and not to {expected}")));
                }
                read_bytes += window.len();
            }
            let rate = read_bytes as f64 / begin.elapsed().as_secs_f64();
            Ok(Some(Measurement::of(rate, Unit::BytesPerSecond)))
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        side.measured(|| Ok(None))
    }
}
