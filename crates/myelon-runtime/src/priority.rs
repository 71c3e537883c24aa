//! How urgent something is, for the loop and the agenda alike.

/// How urgent a tasklet or a source is. *High* is greater than *normal*, and that is greater than *low*.
///
/// An [agenda](crate::agenda) has a guard, so that *high* work does not keep out *low* work. A
/// [loop](crate::event_loop) serves each priority in each turn.
///
/// ```
/// use myelon_runtime::Priority;
///
/// assert!(Priority::High > Priority::Normal && Priority::Normal > Priority::Low);
/// assert_eq!(Priority::default(), Priority::Normal);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// What may wait: checkpoints, clean-up.
    Low,
    /// What a tasklet or a source has if it says nothing.
    #[default]
    Normal,
    /// What must not wait: cancels, answers to an operator.
    High,
}

impl Priority {
    /// From the most urgent to the least.
    pub const ALL: [Self; 3] = [Self::High, Self::Normal, Self::Low];

    /// As programs show it.
    #[cfg(not(loom))]
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Normal => "normal",
            Self::Low => "low",
        }
    }

    /// Its place in a table with one row a priority.
    pub(crate) const fn index(self) -> usize {
        self as usize
    }
}
