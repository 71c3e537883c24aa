//! Criterion micro benchmarks; one operation each.
#![forbid(unsafe_code)]
