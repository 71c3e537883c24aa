//! How both ends of our rings wait.

use disruptor_mp::WaitStrategy;
use serde::{Deserialize, Serialize};

/// How ends wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Waiting {
    /// They look again at once.
    Spin,
    /// As they do by default.
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
