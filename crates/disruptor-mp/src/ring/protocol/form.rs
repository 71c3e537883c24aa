//! The form of a ring: what a slot contains, and how a reader knows that an event is there. No other crate can
//! implement a form.
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

/// The form of a ring: what lies in front of an event, and what follows from it. Slots of one event each, [`Stamped`]
/// or [`Dense`], or [`Lines`] with records over them. Sealed: its functions are those that the algorithm asks of a
/// form; what a form does not say itself is that of slots, in which an event is a position.
pub trait Form: sealed::Sealed + Clone + Copy + Debug + Send + Sync + 'static {
    /// The words in front of a payload.
    #[doc(hidden)]
    type Header: Default + Send + Sync;

    /// What a reader keeps to know the next event from what stood at its place a lap ago: nothing where the word itself
    /// tells.
    #[doc(hidden)]
    type Expected: Copy + Default + Send;

    /// The kind of segment in which a ring of this form lives.
    #[cfg(not(loom))]
    #[doc(hidden)]
    const KIND: Kind;

    /// Positions behind the next write that are never given away: they hold the header of the event after it.
    #[doc(hidden)]
    const HEADROOM: i64 = 0;

    /// Whether a producer says in *claimed* how far it may be writing, because what lies in front of an event does not
    /// tell a reader that does not gate that the event is written over.
    #[doc(hidden)]
    const CLAIMS: bool;

    /// Whether what users call an event stands in a line of the ring, which costs that line to look at.
    #[doc(hidden)]
    const NUMBERS_STAND_IN_LINES: bool = false;

    /// Whether the cursor alone says what is published, so that a producer also says what is *written*.
    #[doc(hidden)]
    const CURSOR_TELLS: bool = false;

    /// The position behind the event that begins at `position`, if that can be read. A caller that is told so sees its
    /// payload.
    #[doc(hidden)]
    fn end_of<M: Memory<Form = Self>>(memory: &M, position: i64) -> Option<i64>;

    /// Whether nothing stands at `position` that a reader could take for damage, as far as one look at the word in
    /// front of it tells, or without a look where there is none.
    #[doc(hidden)]
    fn is_silent<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool;

    /// Whether the word at `position` says that an event is there, and the words around it agree.
    #[doc(hidden)]
    fn is_published<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool;

    /// What users call the event that begins, or will begin, at `position`: its sequence.
    #[doc(hidden)]
    #[inline(always)]
    fn number_at<M: Memory<Form = Self>>(_memory: &M, position: i64) -> i64 {
        position
    }

    /// What a reader expects that begins at `position`.
    #[doc(hidden)]
    #[inline(always)]
    fn expected_at<M: Memory<Form = Self>>(_memory: &M, _position: i64) -> Self::Expected {
        Self::Expected::default()
    }

    /// What a reader expects at `position`, which lies `events` events after those that it expected; `None` if
    /// something else stands there.
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

    /// As [`expected_at`](Self::expected_at), for a reader that believes no word at `position`.
    #[doc(hidden)]
    fn doubted_at<M: Memory<Form = Self>>(_memory: &M, _position: i64) -> Self::Expected {
        Self::Expected::default()
    }

    /// Whether a reader that expects this believes a word at its position.
    #[doc(hidden)]
    #[inline(always)]
    fn is_believed(_expected: Self::Expected) -> bool {
        true
    }

    /// What users call the event that is expected at `position`.
    #[doc(hidden)]
    #[inline(always)]
    fn number(_expected: Self::Expected, position: i64) -> i64 {
        position
    }

    /// Whether what stands at `position` is what is expected there, as far as its number tells.
    #[doc(hidden)]
    #[inline(always)]
    fn is_expected<M: Memory<Form = Self>>(_memory: &M, _expected: Self::Expected, _position: i64) -> bool {
        true
    }

    /// The lowest position from `position` on at which an event begins, or `published`. The caller keeps the producer
    /// off what lies from there on.
    #[doc(hidden)]
    fn begin_from<M: Memory<Form = Self>>(_memory: &M, position: i64, _published: i64) -> i64 {
        position
    }

    /// The lowest position from `position` on at which some word says that an event begins, or `published`.
    #[doc(hidden)]
    fn known_begin_from<M: Memory<Form = Self>>(_memory: &M, position: i64, _published: i64) -> i64 {
        position
    }

    /// [`known_begin_from`](Self::known_begin_from) for a producer that has found no consumer in the table.
    #[doc(hidden)]
    fn noted_begin_from<M: Memory<Form = Self>>(_memory: &M, position: i64, _published: i64) -> i64 {
        position
    }

    /// The end of what was published, when its producer is not there to say it, and whether the cursor could be
    /// believed.
    #[doc(hidden)]
    fn published_end<M: Memory<Form = Self>>(memory: &M) -> (i64, bool);

    /// Where the published events end as far as `cursor` and the words around it tell, and whether these do not
    /// contradict it.
    #[doc(hidden)]
    fn end_from<M: Memory<Form = Self>>(memory: &M, cursor: i64) -> (i64, bool);

    /// Whether the word before `published` says that everything before it is published.
    #[doc(hidden)]
    fn confirms_published<M: Memory<Form = Self>>(memory: &M, published: i64) -> bool;

    /// Whether the words of the ring allow that everything before `position` was published once.
    #[doc(hidden)]
    fn may_have_been_reached<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool;

    /// Whether what stands at `position` says by itself that the producer has overwritten the event that belongs there,
    /// and that the cursor, more than a lap beyond, is right.
    #[doc(hidden)]
    fn tells_of_overrun<M: Memory<Form = Self>>(_memory: &M, _position: i64, _published: i64) -> bool {
        false
    }

    /// Where a reader goes on that expects an event at `next` which is not there, although the cursor, at `published`,
    /// lies within a lap after it; `None` if that is no damage yet. See `damage`.
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

    /// The published position, and what a reader expects there that does not gate.
    #[doc(hidden)]
    fn at_cursor<M: Memory<Form = Self>>(memory: &M) -> (i64, Self::Expected) {
        (memory.control().cursor.acquire(), Self::Expected::default())
    }

    /// Where a reader goes on that does not gate, and that was lapped while it expected `expected` at `next`; and what
    /// it expects there.
    #[doc(hidden)]
    fn resume_lapped<M: Memory<Form = Self>>(memory: &M, next: i64, expected: Self::Expected) -> (i64, Self::Expected) {
        // Half a lap before the cursor: there is room to breathe.
        let published = memory.control().cursor.acquire();
        ((published - memory.capacity() / 2).max(next + 1).min(published), expected)
    }

    /// Clears what a producer that died left behind `end`, the end of what was published, and that the next write would
    /// bring to life.
    #[doc(hidden)]
    fn clear_leftovers<M: Memory<Form = Self>>(_memory: &M, _end: i64) {}
}

/// A [`Form`] with a word in front of each event, which says whether it is there: a stamp, or a commit word.
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
    /// The first bytes of a slot that are not its payload.
    #[doc(hidden)]
    const HEADER_BYTES: usize = size_of::<Self::Header>();

    /// Lets `fill` write the event at `position`, which no reader may be reading, and makes it visible as far as the
    /// slot tells.
    #[doc(hidden)]
    fn write<M: SlotMemory<Form = Self>>(memory: &M, position: i64, fill: impl FnOnce(*mut M::Event));

    /// [`write`](Self::write) for the `count` events from `first` on, of which no reader sees one without the others.
    /// If `fill` fails, none is visible.
    #[doc(hidden)]
    fn write_group<M: SlotMemory<Form = Self>, X>(
        memory: &M,
        first: i64,
        count: usize,
        fill: impl FnMut(*mut M::Event, usize) -> Result<(), X>,
    ) -> Result<(), X>;

    /// A copy of the event at `position`, if it was there before the copy and is still there after it.
    #[doc(hidden)]
    fn copy<M: SlotMemory<Form = Self>>(memory: &M, position: i64) -> Option<M::Event>;
}

/// The traits above are public because the bounds of the ends name them, and so is what they name: `Memory`, `Control`,
/// `Entry`. The modules are private, so no other crate can name or implement any of it.
pub(in crate::ring) mod sealed {
    /// Only this crate's types are forms, or what a ring carries.
    pub trait Sealed {}
}
