//! How an endpoint of a transport waits.
//!
//! **Lives here:** [`MyelonWaitStrategy`]. **Builds on:** the ring's strategies. **May touch it:** whoever configures a transport.

use disruptor_mp::WaitStrategy;

/// How an endpoint waits, in three words. The ring below has [more](WaitStrategy); `MYELON_WAIT` overrides both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub enum MyelonWaitStrategy {
    /// Looks again at once, for ever: the lowest latency, and a whole core.
    BusySpin,
    /// Spins for about ten microseconds, then sleeps until woken.
    Block,
    /// Learns the gaps between messages, and sleeps through those that are worth it.
    #[default]
    Adaptive,
}

impl From<MyelonWaitStrategy> for WaitStrategy {
    fn from(strategy: MyelonWaitStrategy) -> Self {
        match strategy {
            MyelonWaitStrategy::BusySpin => Self::BusySpin,
            MyelonWaitStrategy::Block => Self::Block,
            MyelonWaitStrategy::Adaptive => Self::Adaptive,
        }
    }
}
