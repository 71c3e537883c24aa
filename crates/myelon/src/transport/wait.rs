//! How an endpoint of a transport waits: the ring's strategies, under the name that users know.

use disruptor_mp::WaitStrategy;

/// [`WaitStrategy`] under the name that the contract has for it.
pub type MyelonWaitStrategy = WaitStrategy;
