//! Programs to copy; each example is a folder beside this crate's manifest.
#![forbid(unsafe_code)]
