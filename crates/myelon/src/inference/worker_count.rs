//! How many workers a topology has: a number that is known to be valid.

/// The number of workers, that is, of a host's accelerators that compute one step together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize), serde(try_from = "usize", into = "usize"))]
pub enum WorkerCount {
    /// 2
    Two = 2,
    /// 3
    Three,
    /// 4
    Four,
    /// 5
    Five,
    /// 6
    Six,
    /// 7
    Seven,
    /// 8
    Eight,
}

/// A number of workers that no topology has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a topology has 2 to 8 workers; {count} were asked for")]
pub struct InvalidWorkerCount {
    /// The number of workers that was asked for.
    pub count: usize,
}

impl WorkerCount {
    const ALL: [Self; 7] = [Self::Two, Self::Three, Self::Four, Self::Five, Self::Six, Self::Seven, Self::Eight];

    /// The count as a number.
    pub const fn as_usize(self) -> usize {
        self as usize
    }

    /// From a number; `None` unless it is 2 to 8.
    pub fn from_usize(count: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|workers| workers.as_usize() == count)
    }
}

impl TryFrom<usize> for WorkerCount {
    type Error = InvalidWorkerCount;

    fn try_from(count: usize) -> Result<Self, InvalidWorkerCount> {
        Self::from_usize(count).ok_or(InvalidWorkerCount { count })
    }
}

impl From<WorkerCount> for usize {
    fn from(workers: WorkerCount) -> Self {
        workers.as_usize()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_to_eight_and_nothing_else() {
        let known: Vec<_> = (0..20).filter_map(WorkerCount::from_usize).map(WorkerCount::as_usize).collect();
        assert_eq!(known, [2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(WorkerCount::try_from(9), Err(InvalidWorkerCount { count: 9 }));
    }

    #[cfg(feature = "serde")]
    #[test]
    fn in_a_configuration_it_is_a_number() {
        assert_eq!(serde_json::to_string(&WorkerCount::Eight).unwrap(), "8");
        assert_eq!(serde_json::from_str::<WorkerCount>("2").unwrap(), WorkerCount::Two);
        assert!(serde_json::from_str::<WorkerCount>("1").is_err());
    }
}
