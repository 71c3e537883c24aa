//! Messages, codecs and topologies from outside, with real processes and real signals.

mod docs;
#[cfg(all(feature = "bincode", feature = "tokio"))]
mod ends;
mod patience;
mod topology;
