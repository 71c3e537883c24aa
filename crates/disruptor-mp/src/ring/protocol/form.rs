//! The form of a ring: what a slot contains, and how a reader knows that an event is there.
//!
//! ```text
//! form      in a slot                            what says that an event is there          kind of segment
//! Stamped   stamp | payload: one event           its stamp                                 Ring
//! Dense     payload: one event                   the cursor                                Dense
//! Lines     64 bytes; a record covers several    the commit word in the record's first     Records
//! ```

use super::memory::{Memory, SlotMemory};
#[cfg(not(loom))]
use crate::segment::Kind;
use crate::sync::primitive::AtomicI64;
use std::fmt::Debug;

pub use super::dense::Dense;
pub use super::records::line::Lines;
pub use super::stamped::Stamped;

/// The form of a ring: which words are before an event, and what the algorithm does with them. A ring has slots of one
/// event each, [`Stamped`] or [`Dense`], or [`Lines`] with records over them. The trait is sealed: no other crate can
/// implement it. The default functions are those of slots, in which each event takes one position.
pub trait Form: sealed::Sealed + Clone + Copy + Debug + Send + Sync + 'static {
    /// The words before a payload.
    #[doc(hidden)]
    type Header: Default + Send + Sync;

    /// What a reader remembers so that it can distinguish the next event from the event that was at that place a lap
    /// ago. It is `()` where a reader need not remember anything.
    #[doc(hidden)]
    type Expected: Copy + Default + Send;

    /// The kind of segment in which a ring of this form lives.
    #[cfg(not(loom))]
    #[doc(hidden)]
    const KIND: Kind;

    /// Positions after the next write that are never given away: they hold the header of the next event.
    #[doc(hidden)]
    const HEADROOM: i64 = 0;

    /// Whether a producer stores the end of what it may be writing, in the word *claimed*. A tap needs it if the words
    /// before an event do not show that the event is being overwritten: a tap does not gate.
    #[doc(hidden)]
    const CLAIMS: bool;

    /// Whether the sequence that users see is stored in a line of the ring. Then a reader must fetch that line to know
    /// it.
    #[doc(hidden)]
    const NUMBERS_STAND_IN_LINES: bool = false;

    /// Whether only the cursor says what is published. Then a producer also stores how far it has *written*.
    #[doc(hidden)]
    const CURSOR_TELLS: bool = false;

    /// The position after the event that begins at `position`, if that event can be read. A caller that gets a position
    /// also sees the payload.
    #[doc(hidden)]
    fn end_of<M: Memory<Form = Self>>(memory: &M, position: i64) -> Option<i64>;

    /// Whether the word at `position` contains nothing that could be damage. A form without such a word answers `true`.
    #[doc(hidden)]
    fn is_silent<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool;

    /// Whether the word at `position` says that an event is there, and the words around it agree.
    #[doc(hidden)]
    fn is_published<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool;

    /// The sequence of the event that begins, or will begin, at `position`: the number that users see.
    #[doc(hidden)]
    #[inline(always)]
    fn number_at<M: Memory<Form = Self>>(_memory: &M, position: i64) -> i64 {
        position
    }

    /// What a reader expects if it begins at `position`.
    #[doc(hidden)]
    #[inline(always)]
    fn expected_at<M: Memory<Form = Self>>(_memory: &M, _position: i64) -> Self::Expected {
        Self::Expected::default()
    }

    /// What a reader expects at `position`, which is `events` events after the event that it expected before; `None` if
    /// another event is there.
    #[doc(hidden)]
    #[inline(always)]
    fn expected_after<M: Memory<Form = Self>>(
        _memory: &M,
        expected: Self::Expected,
        _events: i64,
        _position: i64,
    ) -> Option<Self::Expected> {
        Some(expected)
    }

    /// As [`expected_at`](Self::expected_at), for a reader that does not believe the words at `position`.
    #[doc(hidden)]
    fn doubted_at<M: Memory<Form = Self>>(_memory: &M, _position: i64) -> Self::Expected {
        Self::Expected::default()
    }

    /// Whether a reader with this expectation believes a word at its position.
    #[doc(hidden)]
    #[inline(always)]
    fn is_believed(_expected: Self::Expected) -> bool {
        true
    }

    /// The sequence of the event that is expected at `position`.
    #[doc(hidden)]
    #[inline(always)]
    fn number(_expected: Self::Expected, position: i64) -> i64 {
        position
    }

    /// Whether the sequence at `position` is the expected one.
    #[doc(hidden)]
    #[inline(always)]
    fn is_expected<M: Memory<Form = Self>>(_memory: &M, _expected: Self::Expected, _position: i64) -> bool {
        true
    }

    /// The lowest position, from `position` on, at which an event begins; or `published`. The caller makes sure that
    /// the producer does not overwrite what is there.
    #[doc(hidden)]
    fn begin_from<M: Memory<Form = Self>>(_memory: &M, position: i64, _published: i64) -> i64 {
        position
    }

    /// The lowest position, from `position` on, for which a word says that an event begins there; or `published`.
    #[doc(hidden)]
    fn known_begin_from<M: Memory<Form = Self>>(_memory: &M, position: i64, _published: i64) -> i64 {
        position
    }

    /// [`known_begin_from`](Self::known_begin_from) for a producer that has found no consumer in the table.
    #[doc(hidden)]
    fn noted_begin_from<M: Memory<Form = Self>>(_memory: &M, position: i64, _published: i64) -> i64 {
        position
    }

    /// The end of what was published by a producer that is gone, and whether the cursor is believed.
    #[doc(hidden)]
    fn published_end<M: Memory<Form = Self>>(memory: &M) -> (i64, bool);

    /// Where the published events end, according to `cursor` and the words around it; and whether these words agree
    /// with `cursor`.
    #[doc(hidden)]
    fn end_from<M: Memory<Form = Self>>(memory: &M, cursor: i64) -> (i64, bool);

    /// Whether the word before `published` says that everything before it is published.
    #[doc(hidden)]
    fn confirms_published<M: Memory<Form = Self>>(memory: &M, published: i64) -> bool;

    /// Whether it is possible, according to the words of the ring, that everything before `position` was published
    /// once.
    #[doc(hidden)]
    fn may_have_been_reached<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool;

    /// Whether the word at `position` shows that the producer has overwritten the event that belongs there. Then the
    /// cursor, which is more than a lap further on, is right.
    #[doc(hidden)]
    fn tells_of_overrun<M: Memory<Form = Self>>(_memory: &M, _position: i64, _published: i64) -> bool {
        false
    }

    /// Where a reader goes on if it expects an event at `next` and does not find it, although the cursor, at
    /// `published`, is at most a lap further on. `None`: this is no damage yet. See `damage`.
    #[doc(hidden)]
    fn resume_after<M: Memory<Form = Self>>(
        memory: &M,
        next: i64,
        expected: Self::Expected,
        published: i64,
        is_over: bool,
    ) -> Option<i64>;

    /// What a reader expects after the event that it expected.
    #[doc(hidden)]
    fn following(expected: Self::Expected) -> Self::Expected {
        expected
    }

    /// The published position, and what a tap expects there.
    #[doc(hidden)]
    fn at_cursor<M: Memory<Form = Self>>(memory: &M) -> (i64, Self::Expected) {
        (memory.control().cursor.acquire(), Self::Expected::default())
    }

    /// Where a tap begins that is to see the last `events` events, as far as they are still there: no later than that,
    /// unless they are gone.
    #[doc(hidden)]
    fn before_cursor<M: Memory<Form = Self>>(memory: &M, events: i64) -> (i64, Self::Expected) {
        let published = memory.control().cursor.acquire();
        ((published - events.clamp(0, memory.capacity())).max(0), Self::Expected::default())
    }

    /// Where a tap goes on after the producer has lapped it while it expected `expected` at `next`, and what it expects
    /// there.
    #[doc(hidden)]
    fn resume_lapped<M: Memory<Form = Self>>(memory: &M, next: i64, expected: Self::Expected) -> (i64, Self::Expected) {
        // Half a lap before the cursor, so that the tap is not lapped again at once.
        let published = memory.control().cursor.acquire();
        ((published - memory.capacity() / 2).max(next + 1).min(published), expected)
    }

    /// Clears words that a dead producer left after `end`, the end of what was published, if the next write would make
    /// them valid.
    #[doc(hidden)]
    fn clear_leftovers<M: Memory<Form = Self>>(_memory: &M, _end: i64) {}
}

/// A [`Form`] with a word before each event that says whether the event is there: a stamp, or a commit word.
pub trait Worded: Form {
    /// That word.
    #[doc(hidden)]
    fn word(header: &Self::Header) -> &AtomicI64;
}

/// A [`Form`] with one event in each slot, so that an event's position is its sequence: [`Stamped`], [`Dense`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no slots with events in them",
    label = "not the form of a ring of events",
    note = "a ring of records has ends of its own: `build_record_producer`, `build_record_consumer`"
)]
pub trait SlotForm: Form<Expected = ()> {
    /// The bytes of a slot before its payload.
    #[doc(hidden)]
    const HEADER_BYTES: usize = size_of::<Self::Header>();

    /// Lets `fill` write the event at `position`, which no reader may be reading. Stores what the slot needs to make it
    /// visible.
    #[doc(hidden)]
    fn write<M: SlotMemory<Form = Self>>(memory: &M, position: i64, fill: impl FnOnce(*mut M::Event));

    /// [`write`](Self::write) for the `count` events from `first` on. A reader sees all of them or none. If `fill`
    /// fails, none is visible.
    #[doc(hidden)]
    fn write_group<M: SlotMemory<Form = Self>, X>(
        memory: &M,
        first: i64,
        count: usize,
        fill: impl FnMut(*mut M::Event, usize) -> Result<(), X>,
    ) -> Result<(), X>;

    /// What `copy` copies of the event at `position`, if the event was there before the copy and is still there after
    /// it.
    #[doc(hidden)]
    fn copy_by<M: Memory<Form = Self>, T>(memory: &M, position: i64, copy: impl FnOnce(&M) -> T) -> Option<T>;
}

/// The traits above are public because the bounds of the ends name them. The types that the traits name (`Memory`,
/// `Control`, `Entry`) are public for the same reason. The modules are private, so no other crate can name or implement
/// any of these.
pub(in crate::ring) mod sealed {
    /// Only types of this crate are forms, or types that a ring carries.
    pub trait Sealed {}
}
