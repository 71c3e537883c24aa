//! How both ends of ours wait.
//!
//! **Lives here:** [`Waiting`]. **Builds on:** `disruptor_mp`. **May touch it:** workloads that are measured both ways.

use disruptor_mp::WaitStrategy;
use serde::{Deserialize, Serialize};

/// How ends wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Waiting {
    /// They look again at once.
    Spin,
    /// As they do when nothing is said about it.
    Default,
}

impl Waiting {
    /// As the report calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spin => "spin",
            Self::Default => "default wait",
        }
    }

    /// As the libraries call it.
    pub(crate) fn strategy(self) -> WaitStrategy {
        match self {
            Self::Spin => WaitStrategy::BusySpin,
            Self::Default => WaitStrategy::default(),
        }
    }
}
