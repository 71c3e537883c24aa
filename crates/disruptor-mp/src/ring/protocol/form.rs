//! The form of a ring: what lies in front of an event, and what follows from it.
//!
//! **Lives here:** [`Form`], and [`SlotForm`] for those with an event in each slot. The forms themselves are
//! [`Stamped`] and [`Lines`]. **Builds on:** `memory`. **May touch it:** the algorithm, through `Memory`; no other
//! crate can implement a form.
//!
//! ```text
//! form      in a slot                            what says that an event is there          kind of segment
//! Stamped   stamp | payload: one event           its stamp                                 Ring
//! Lines     64 bytes; a record covers several    the commit word in the record's first     Records
//! ```
//! A third form, events without stamps, has its place beside `Stamped`: it is a `SlotForm` of another kind.

use super::memory::{Memory, SlotMemory};
#[cfg(not(loom))]
use crate::segment::Kind;
use crate::sync::primitive::AtomicI64;
use std::fmt::Debug;

pub use super::records::line::Lines;
pub use super::stamped::Stamped;

/// The form of a ring: what lies in front of an event, and what follows from it. [`Stamped`] slots of one event each,
/// or [`Lines`] with records over them. Sealed: its functions are those that the algorithm asks of a form.
pub trait Form: sealed::Sealed + Clone + Copy + Debug + Send + Sync + 'static {
    /// The words in front of a payload.
    #[doc(hidden)]
    type Header: Default + Send + Sync;

    /// What a reader keeps to know the next event from what stood at its place a lap ago: nothing where the word itself
    /// tells.
    #[doc(hidden)]
    type Expected: Copy + Send;

    /// The kind of segment in which a ring of this form lives.
    #[cfg(not(loom))]
    #[doc(hidden)]
    const KIND: Kind;

    /// Positions behind the next write that are never given away: they hold the header of the event after it.
    #[doc(hidden)]
    const HEADROOM: i64;

    /// Whether a producer says in *claimed* how far it may be writing, because what lies in front of an event does not
    /// tell a reader that does not gate that the event is written over.
    #[doc(hidden)]
    const CLAIMS: bool;

    /// Whether what users call an event stands in a line of the ring, which costs that line to look at.
    #[doc(hidden)]
    const NUMBERS_STAND_IN_LINES: bool;

    /// The word that says whether an event is there: a stamp, or a commit word.
    #[doc(hidden)]
    fn word(header: &Self::Header) -> &AtomicI64;

    /// The position behind the event that begins at `position`, if `word`, which stands in front of it, says that it is
    /// published.
    #[doc(hidden)]
    fn end_of<M: Memory<Form = Self>>(memory: &M, position: i64, word: i64) -> Option<i64>;

    /// Whether the word at `position` says that an event is there, and the words around it agree.
    #[doc(hidden)]
    fn is_published<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool;

    /// What users call the event that begins, or will begin, at `position`: its sequence.
    #[doc(hidden)]
    fn number_at<M: Memory<Form = Self>>(memory: &M, position: i64) -> i64;

    /// What a reader expects that begins at `position`.
    #[doc(hidden)]
    fn expected_at<M: Memory<Form = Self>>(memory: &M, position: i64) -> Self::Expected;

    /// What a reader expects at `position`, which lies `events` events after those that it expected; `None` if
    /// something else stands there.
    #[doc(hidden)]
    fn expected_after<M: Memory<Form = Self>>(
        memory: &M,
        expected: Self::Expected,
        events: i64,
        position: i64,
    ) -> Option<Self::Expected>;

    /// As [`expected_at`](Self::expected_at), for a reader that believes no word at `position`.
    #[doc(hidden)]
    fn doubted_at<M: Memory<Form = Self>>(memory: &M, position: i64) -> Self::Expected;

    /// Whether a reader that expects this believes a word at its position.
    #[doc(hidden)]
    fn is_believed(expected: Self::Expected) -> bool;

    /// What users call the event that is expected at `position`.
    #[doc(hidden)]
    fn number(expected: Self::Expected, position: i64) -> i64;

    /// Whether what stands at `position` is what is expected there, as far as its number tells.
    #[doc(hidden)]
    fn is_expected<M: Memory<Form = Self>>(memory: &M, expected: Self::Expected, position: i64) -> bool;

    /// The lowest position from `position` on at which an event begins, or `published`. The caller keeps the producer
    /// off what lies from there on.
    #[doc(hidden)]
    fn begin_from<M: Memory<Form = Self>>(memory: &M, position: i64, published: i64) -> i64;

    /// The lowest position from `position` on at which some word says that an event begins, or `published`.
    #[doc(hidden)]
    fn known_begin_from<M: Memory<Form = Self>>(memory: &M, position: i64, published: i64) -> i64;

    /// [`known_begin_from`](Self::known_begin_from) for a producer that has found no consumer in the table.
    #[doc(hidden)]
    fn noted_begin_from<M: Memory<Form = Self>>(memory: &M, position: i64, published: i64) -> i64;

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

    /// Whether `word`, at `position`, says by itself that the producer has overwritten the event that belongs there,
    /// and that the cursor, more than a lap beyond, is right.
    #[doc(hidden)]
    fn tells_of_overrun<M: Memory<Form = Self>>(memory: &M, position: i64, word: i64, published: i64) -> bool;

    /// Where a reader goes on that expects an event at `next` which is not there, although the cursor, at `published`,
    /// lies within a lap after it; `None` if that is no damage yet. `word` stands there. See `damage`.
    #[doc(hidden)]
    fn resume_after<M: Memory<Form = Self>>(
        memory: &M,
        next: i64,
        expected: Self::Expected,
        word: i64,
        published: i64,
        is_over: bool,
    ) -> Option<i64>;

    /// What a reader expects after the event that it expected.
    #[doc(hidden)]
    fn following(expected: Self::Expected) -> Self::Expected;

    /// The published position, and what a reader expects there that does not gate.
    #[doc(hidden)]
    fn at_cursor<M: Memory<Form = Self>>(memory: &M) -> (i64, Self::Expected);

    /// Where a reader goes on that does not gate, and that was lapped while it expected `expected` at `next`; and what
    /// it expects there.
    #[doc(hidden)]
    fn resume_lapped<M: Memory<Form = Self>>(memory: &M, next: i64, expected: Self::Expected) -> (i64, Self::Expected);

    /// Clears what a producer that died left behind `end`, the end of what was published, and that the next write would
    /// bring to life.
    #[doc(hidden)]
    fn clear_leftovers<M: Memory<Form = Self>>(memory: &M, end: i64);
}

/// A [`Form`] with one event in each slot, so that an event's position is its sequence: [`Stamped`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no slots with events in them",
    label = "not the form of a ring of events",
    note = "a ring of records has ends of its own: `build_record_producer`, `build_record_consumer`"
)]
pub trait SlotForm: Form<Expected = ()> {
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
