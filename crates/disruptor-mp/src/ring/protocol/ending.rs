//! How an end of a ring left, and the number that says so in an entry. The end that leaves stores it; reports and
//! errors carry it.

/// How an end of a ring went: a consumer that has no owner any more, or a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// Its process ended without dropping it.
    Killed,
    /// It was dropped and its place is kept, as its program asked for. Its process may live.
    Dropped,
    /// It was dropped by a panic that began after it was made. Its process may live.
    Panicked,
    /// It has not come over yet from the ring that this one has replaced. Its process may live, and read the older
    /// ring; it may also be the place of one that had gone before.
    Awaited,
    /// It has given its place up, or, if it is a producer, has closed its ring. Only in what is said of a *required*
    /// consumer, which must not be missing, and of a producer in a report.
    Left,
    /// It is not known any more: what it has said was written over by the end that came after it, or its place was
    /// taken away. Its process may live. A ring does not say this of an end that it still knows.
    Unknown,
}

impl Ending {
    /// The number by which an entry says how its owner goes while its process lives, or that there is none yet; 0 is no
    /// ending.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Dropped => 1,
            Self::Panicked => 2,
            Self::Awaited => 3,
            Self::Killed | Self::Left | Self::Unknown => 0,
        }
    }

    /// The ending of a number from shared memory; `None` if it is none.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        [Self::Dropped, Self::Panicked, Self::Awaited].into_iter().find(|ending| ending.number() == number)
    }
}
