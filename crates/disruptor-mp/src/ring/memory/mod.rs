//! Where the words and slots of a ring live.
//!
//! **Lives here:** `heap`, for models and tests; `mapped`, a ring in a segment; `layout`, what a ring carries and how
//! large that is; `record_size`, the same in bytes for a ring of records; `sections`, the words of a segment of
//! whatever shape. **Builds on:** `protocol`, whose trait `Memory` they are, and `segment`. **May touch it:** the
//! algorithm, through that trait; who makes or opens a ring. Beside `ends`, the only room of the ring with `unsafe`
//! code.

#[cfg(test)]
pub(crate) mod heap;
#[cfg(not(loom))]
pub(crate) mod layout;
#[cfg(not(loom))]
pub(crate) mod mapped;
#[cfg(not(loom))]
pub(crate) mod record_size;
#[cfg(not(loom))]
pub(crate) mod sections;
