//! What a failure of an agent means for it and its group.

use std::time::Duration;

/// What happens to an agent that has failed: by an error or a panic, in a start or later. It was closed before, if it
/// was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// It is started again, later.
    Restart(Restart),
    /// It ends. The others of its group go on.
    End,
    /// All agents of its group end.
    EndGroup,
}

impl Default for Policy {
    fn default() -> Self {
        Self::Restart(Restart::default())
    }
}

impl From<Restart> for Policy {
    fn from(restart: Restart) -> Self {
        Self::Restart(restart)
    }
}

/// When a failed agent is started again: after a time that doubles with each restart in a row.
///
/// By default after 10 ms, doubling to 10 s; after 10 restarts in a row its group ends; it is no longer in a row when it
/// has run for 10 s.
///
/// ```
/// use myelon_runtime::agents::{Group, Policy, Restart, Work, from_fn};
/// use std::time::Duration;
///
/// let restart = Restart::new(Duration::from_millis(1), Duration::from_secs(1)).limit(5).then_end();
/// let flaky = from_fn("flaky", |_| Err("no answer".into()));
/// let group = Group::new("example").agent_with(flaky, restart).agent_with(from_fn("other", |_| Ok(Work::NONE)), Policy::End);
/// # drop(group);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    pub(super) least: Duration,
    pub(super) most: Duration,
    pub(super) calm: Duration,
    pub(super) limit: u32,
    pub(super) then_group: bool,
}

impl Default for Restart {
    fn default() -> Self {
        Self::new(Duration::from_millis(10), Duration::from_secs(10))
    }
}

impl Restart {
    /// The first restart in a row comes after `least`, each later one after twice the time, at most after `most`. An
    /// agent that has run for `most` without failure begins a new row.
    ///
    /// # Panics
    /// `least` is longer than `most`.
    pub fn new(least: Duration, most: Duration) -> Self {
        assert!(least <= most, "the shortest back-off is not longer than the longest");
        Self { least, most, calm: most, limit: 10, then_group: true }
    }

    /// After how many restarts in a row it ends instead: 10 if nothing is said. [`u32::MAX`]: it never does.
    #[must_use]
    pub fn limit(mut self, restarts: u32) -> Self {
        self.limit = restarts;
        self
    }

    /// How long it must run without failure so that the next failure begins a new row.
    #[must_use]
    pub fn calm(mut self, calm: Duration) -> Self {
        self.calm = calm;
        self
    }

    /// At the limit only the agent ends, and not its group.
    #[must_use]
    pub fn then_end(mut self) -> Self {
        self.then_group = false;
        self
    }

    /// How long the back-off is after `restarts` in a row.
    pub(super) fn delay(&self, restarts: u32) -> Duration {
        let factor = 1_u32.checked_shl(restarts).unwrap_or(u32::MAX);
        self.least.saturating_mul(factor).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_doubles_up_to_the_longest() {
        let restart = Restart::new(Duration::from_millis(3), Duration::from_millis(20));
        let delays = [0, 1, 2, 3, 31, 32, u32::MAX].map(|restarts| restart.delay(restarts).as_millis());
        assert_eq!(delays, [3, 6, 12, 20, 20, 20, 20]);
        assert_eq!(Restart::new(Duration::ZERO, Duration::MAX).delay(40), Duration::ZERO);
    }
}
