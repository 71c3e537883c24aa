//! What the models of this crate share. The models are with the protocols: [`crate::agenda::models`],
//! [`crate::requests::models`] and [`crate::calls::models`].
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test -p myelon-runtime --lib --release models`.

mod mutants;

use crate::primitive::MUTANT;
use std::sync::atomic::Ordering;

/// Runs `model` in every schedule with at most that many preemptions.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    if let Some(site) = testkit::mutants::lacking() {
        MUTANT.store(site, Ordering::Relaxed);
    }
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}
