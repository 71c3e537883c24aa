//! How an endpoint of a transport waits: the ring's strategies, under the name that users know.

use disruptor_mp::WaitStrategy;

/// Another name of [`WaitStrategy`], from earlier versions.
pub type MyelonWaitStrategy = WaitStrategy;
