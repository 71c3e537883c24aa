//! The ends of a ring of records, and what they hand out.
//!
//! **Lives here:** the producer with its claims and batches, the consumer with its leases, the tap with its copies, and
//! their builders. **Builds on:** the ends of any ring, and `protocol::records`. The protocol, and what a crash at each
//! step leaves behind: RFC 0006.

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
