//! Tests of the protocol that write and read payloads, which it cannot do by itself.
//!
//! **Lives here:** one file per claim. **Builds on:** the protocol over `HeapMemory`. **May touch it:** tests.

mod group;
mod records;
