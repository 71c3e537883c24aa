//! Messages, codecs and topologies from outside, with real processes and real signals.

#[cfg(all(feature = "bincode", feature = "tokio"))]
mod ends;
mod topology;
