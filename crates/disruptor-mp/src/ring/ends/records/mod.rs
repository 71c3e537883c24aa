//! The ends of a ring of records, and what they hand out: the producer with its claims and batches, the consumer with
//! its leases, the tap with its copies, and their builders.
//!
//! Source: RFC 0006, which also says what a crash at each step leaves in the ring.

pub(crate) mod batch;
pub(crate) mod batch_lease;
pub(crate) mod builder;
pub(crate) mod claim;
pub(crate) mod claims;
pub(crate) mod consumer;
pub(crate) mod error;
mod found;
pub(crate) mod held;
pub(crate) mod lease;
pub(crate) mod producer;
pub(crate) mod tap;
