//! Tests of the protocol that write and read payloads, which the protocol itself cannot do. One file per claim.

#[allow(unsafe_code, reason = "writes and reads payloads as the ends do")]
mod group;
mod records;
