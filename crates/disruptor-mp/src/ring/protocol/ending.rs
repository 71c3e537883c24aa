//! How an end of a ring left, and the number that says so in an entry. The end that leaves stores it; reports and
//! errors carry it.

/// How an end of a ring went: a consumer without a living owner, or a producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// Its process ended without dropping it.
    Killed,
    /// It was dropped and its entry is kept, as its program asked for. Its process may live.
    Dropped,
    /// It was dropped by a panic that began after it was made. Its process may live.
    Panicked,
    /// It has not moved over yet from the ring that this one has replaced. Its process may live and read the older
    /// ring. The entry may also be that of a consumer that had gone before.
    Awaited,
    /// A consumer has given its entry up, or a producer has closed its ring. For consumers this is reported only of a
    /// *required* one, which must not be missing.
    Left,
    /// It is not known any more: what it stored was overwritten by the next end there, or its entry was taken away. Its
    /// process may live. A ring does not say this of an end that it still knows.
    Unknown,
}

impl Ending {
    /// The number by which an entry says how its owner left while its process lived, or that it is awaited; 0 is no
    /// ending.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Dropped => 1,
            Self::Panicked => 2,
            Self::Awaited => 3,
            Self::Killed | Self::Left | Self::Unknown => 0,
        }
    }

    /// The ending of a number from shared memory; `None` if the number is none.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        [Self::Dropped, Self::Panicked, Self::Awaited].into_iter().find(|ending| ending.number() == number)
    }
}
