//! Tests of the protocol that write and read payloads, which it cannot do by itself.
//!
//! **Lives here:** one file per claim. **Builds on:** the protocol over `HeapMemory`. **May touch it:** tests.

#[allow(unsafe_code, reason = "writes and reads payloads as the ends do")]
mod group;
mod records;
