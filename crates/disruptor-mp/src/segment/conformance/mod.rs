//! What a segment promises, tested the same way wherever it is; then what only files or only processes can show.
//!
//! **Lives here:** nothing but the rooms: `stage` is what the tests have in common, `suite` runs once per backend.
//! **Builds on:** everything in `segment`. **May touch it:** tests only.

mod fork;
mod objects;
mod openers;
mod processes;
#[cfg(target_os = "linux")]
mod scarce;
mod stage;
mod suite;
mod victim;
