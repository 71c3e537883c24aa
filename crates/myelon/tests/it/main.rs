//! Messages, codecs and topologies from outside, with real processes and real signals.

mod topology;
