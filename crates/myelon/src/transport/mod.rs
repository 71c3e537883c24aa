//! Messages of any size over a ring.
