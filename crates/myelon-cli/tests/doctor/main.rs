//! `myelon doctor` as a process, on machines that each have one thing wrong: mounts, limits, filters, namespaces and
//! control groups of the test's own.
//!
//! Mounts are made in a mount namespace of the command's own, so they end with it.

#![cfg(target_os = "linux")]

mod calls;
mod directories;
mod fixes;
mod groups;
mod limits;
mod namespaces;
mod report;
mod settings;
