//! The only door to atomics: `core`'s in every build, loom's in a model.
//!
//! **Lives here:** the atomic types, the fences, and [`order`], through which a model weakens one named ordering at a time.
//! **Builds on:** nothing. **May touch it:** everybody; nobody else names `std::sync::atomic`.
#![allow(clippy::disallowed_types, clippy::disallowed_methods)] // this is the door

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
