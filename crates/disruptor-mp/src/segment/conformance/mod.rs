//! What a segment promises. The same tests run over every backend; others show what only files or only processes can
//! show.
//!
//! `stage` is what the tests have in common; `suite` runs once per backend.

mod fork;
mod objects;
mod openers;
mod processes;
#[cfg(target_os = "linux")]
mod scarce;
mod stage;
mod suite;
mod victim;
