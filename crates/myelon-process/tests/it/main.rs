//! Real processes, signals and sockets.
#![cfg(target_os = "linux")]

mod docs;
mod ends;
mod fifos;
mod passing;
mod signals;
mod sockets;
mod spawning;
mod tied;

use std::fs;

/// The number in `/proc` of the process `pid` that a line with `name` has, such as `SigBlk`.
fn signals_in_status(pid: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).unwrap()
}

/// The bit of a signal in such a number.
fn bit(signal: myelon_process::Signal) -> u64 {
    1 << (signal.number() - 1)
}
