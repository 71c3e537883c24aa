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
/// By default after 10 ms, doubling to 10 s; after 10 restarts in a row its group ends; it is no longer in a row when
/// it has run for 10 s.
///
/// ```
/// use myelon_runtime::agents::{Group, Policy, Restart, Work, from_fn};
/// use std::time::Duration;
///
/// let restart = Restart::new(Duration::from_millis(1), Duration::from_secs(1)).limit(5).then_end();
/// let flaky = from_fn("flaky", |_| Err("no answer".into()));
/// let other = from_fn("other", |_| Ok(Work::NONE));
/// let group = Group::new("example").agent_with(flaky, restart).agent_with(other, Policy::End);
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

    /// The same back-off for what you restart yourself, such as a child.
    pub fn row(self) -> Restarts {
        Restarts { restart: self, in_a_row: 0 }
    }

    /// How long the back-off is after `restarts` in a row.
    pub(super) fn delay(&self, restarts: u32) -> Duration {
        let factor = 1_u32.checked_shl(restarts).unwrap_or(u32::MAX);
        self.least.saturating_mul(factor).min(self.most)
    }
}

/// How many restarts there were in a row. [`Restart::row`] begins it.
///
/// ```
/// use myelon_runtime::agents::{Restart, Restarts};
/// use std::time::Duration;
///
/// let restart = Restart::new(Duration::from_millis(10), Duration::from_secs(1)).calm(Duration::from_secs(5)).limit(3);
/// let mut restarts: Restarts = restart.row();
/// let at_once = Duration::ZERO; // how long the child has run until it ended
/// assert_eq!(restarts.next_after(at_once), Some(Duration::from_millis(10)));
/// assert_eq!(restarts.next_after(at_once), Some(Duration::from_millis(20)));
/// // It has run for long enough, so a new row begins.
/// assert_eq!(restarts.next_after(Duration::from_secs(60)), Some(Duration::from_millis(10)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restarts {
    restart: Restart,
    in_a_row: u32,
}

impl Restarts {
    /// It has failed after it had run for `ran_for`: how long to wait before it is started again. `None`: it has
    /// reached the [limit](Restart::limit) and is not started again.
    pub fn next_after(&mut self, ran_for: Duration) -> Option<Duration> {
        self.has_run(ran_for);
        self.next_delay()
    }

    /// [`next_after`](Self::next_after) for a caller that has said how long it has run.
    pub(super) fn next_delay(&mut self) -> Option<Duration> {
        if self.in_a_row >= self.restart.limit {
            return None;
        }
        let delay = self.restart.delay(self.in_a_row);
        self.in_a_row += 1;
        Some(delay)
    }

    /// It has run for this time without failure.
    pub(super) fn has_run(&mut self, ran_for: Duration) {
        if ran_for >= self.restart.calm {
            self.in_a_row = 0;
        }
    }

    /// Whether a calm run would change something.
    pub(super) fn is_in_a_row(&self) -> bool {
        self.in_a_row > 0
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

    #[test]
    fn a_row_ends_at_its_limit_and_begins_anew_after_a_calm_run() {
        let (ms, calm) = (Duration::from_millis, Duration::from_secs(5));
        let mut restarts = Restart::new(ms(10), ms(25)).calm(calm).limit(4).row();
        let row = |restarts: &mut Restarts| [(); 5].map(|()| restarts.next_after(calm - ms(1)));
        let expected = [Some(ms(10)), Some(ms(20)), Some(ms(25)), Some(ms(25)), None];
        assert_eq!(row(&mut restarts), expected);
        assert_eq!(restarts.next_after(ms(0)), None, "the limit stays reached");
        restarts.has_run(calm);
        assert_eq!(row(&mut restarts), expected);
        assert_eq!(restarts.next_after(calm), Some(ms(10)));
        assert_eq!(restarts.next_after(ms(0)), Some(ms(20)));
    }
}
