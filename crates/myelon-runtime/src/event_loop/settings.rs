//! What a source may be told to do: its description, its place among others, its limits, and what a failure means.

use crate::Priority;
use std::borrow::Cow;
use std::time::Duration;

/// What happens to a source whose handler has failed or panicked. Its error is counted and kept in each case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// It stays, and is called again for what is still there.
    #[default]
    Keep,
    /// It is paused until [`EventLoop::resume`](super::EventLoop::resume).
    Pause,
    /// It is removed. For a handler whose state a panic may have left half changed.
    Remove,
}

/// How a source is described and served. A string is the settings with that description.
///
/// Priority, budget and rate limit are for descriptors. Channels and signals have a place of their own in the turn, and
/// use the budget and the rate limit. Timers and idle sources use the description and the policy for failures.
///
/// ```
/// use myelon_runtime::event_loop::{OnFailure, Priority, Settings};
/// use std::time::Duration;
///
/// let settings = Settings::new("answers of worker 3")
///     .priority(Priority::High)
///     .budget(64)
///     .rate_limit(1000, Duration::from_secs(1))
///     .on_failure(OnFailure::Remove);
/// # drop(settings);
/// ```
#[derive(Clone, Debug)]
pub struct Settings {
    pub(super) description: Cow<'static, str>,
    pub(super) priority: Priority,
    pub(super) budget: u32,
    pub(super) rate_limit: Option<(u32, Duration)>,
    pub(super) on_failure: OnFailure,
}

impl Settings {
    /// How often a source is called in one turn, if it has no other budget.
    pub const BUDGET: u32 = 16;

    /// `description` says who waits here, and for what. Dumps and failures show it.
    pub fn new(description: impl Into<Cow<'static, str>>) -> Self {
        let (priority, on_failure) = (Priority::default(), OnFailure::default());
        Self { description: description.into(), priority, budget: Self::BUDGET, rate_limit: None, on_failure }
    }

    /// Whether it is served before or after others.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// How often it is called in one turn at most, while it says that it has more.
    ///
    /// # Panics
    /// `calls` is zero.
    #[must_use]
    pub fn budget(mut self, calls: u32) -> Self {
        assert!(calls > 0, "a source without budget would never be called");
        self.budget = calls;
        self
    }

    /// How often it is called in an `interval` at most. Then it is not waited for until the interval ends.
    ///
    /// # Panics
    /// One of them is zero.
    #[must_use]
    pub fn rate_limit(mut self, calls: u32, interval: Duration) -> Self {
        assert!(calls > 0 && !interval.is_zero(), "a source with this limit would never be called");
        self.rate_limit = Some((calls, interval));
        self
    }

    /// What a failure of its handler means for it.
    #[must_use]
    pub fn on_failure(mut self, on_failure: OnFailure) -> Self {
        self.on_failure = on_failure;
        self
    }
}

impl From<&'static str> for Settings {
    fn from(description: &'static str) -> Self {
        Self::new(description)
    }
}

impl From<String> for Settings {
    fn from(description: String) -> Self {
        Self::new(description)
    }
}
