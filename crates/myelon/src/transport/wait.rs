//! How an endpoint of a transport waits: as that of a ring.
//!
//! **Lives here:** the name that the contract has for it. **May touch it:** the program that configures a transport.

use disruptor_mp::WaitStrategy;

/// [`WaitStrategy`] under the name that the contract has for it.
pub type MyelonWaitStrategy = WaitStrategy;
