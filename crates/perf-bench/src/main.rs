//! Measures rings between pinned processes.
fn main() {}
