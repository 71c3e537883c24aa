//! What travels: one type to all workers, one back from each.

/// What the scheduler tells all workers. Urgent messages have the same type.
#[myelon::message]
pub(crate) enum Step {
    Run {
        number: u64,
        tokens: Vec<u32>,
        work: Work,
    },
    /// Ends the work on all steps that were sent before it.
    Cancel,
}

/// How long a worker works on a step, and what happens to it, because this is an example.
#[myelon::message]
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Work {
    Short,
    UntilCancelled,
    /// The worker of this rank is killed in the middle.
    KillsRank(u32),
    /// The worker of this rank is stopped in the middle.
    StopsRank(u32),
}

/// What a worker says.
#[myelon::message]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Answer {
    Sum(u64),
    Cancelled,
}
