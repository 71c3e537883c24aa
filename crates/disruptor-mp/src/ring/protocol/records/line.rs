//! Lines: the form of a ring of bytes, in which a record covers several lines and starts with two words.

use super::{lossy, walk};
use crate::ring::protocol::form::{Form, Worded, sealed};
use crate::ring::protocol::memory::Memory;
#[cfg(not(loom))]
use crate::segment::Kind;
use crate::sync::cursor::POSITION_MAX;
use crate::sync::primitive::{AtomicI64, Ordering, Site, order};

/// Lines of 64 bytes with records over them: the form of a ring of records. It says everything about what the ring
/// carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lines {}

/// The words in front of a record's payload, in the first of its lines.
#[expect(missing_debug_implementations, reason = "words of other processes, which no interface hands out")]
#[repr(C)]
#[derive(Default)]
pub struct LineHeader {
    /// The commit word.
    pub(crate) word: AtomicI64,
    /// The number of the record that begins, or will begin, here.
    pub(crate) number: AtomicI64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<LineHeader>() == super::word::HEADER_BYTES);

impl sealed::Sealed for Lines {}

impl Form for Lines {
    type Header = LineHeader;
    /// The number of the record that begins, or will begin, at the reader's position; its complement if the word there
    /// is not believed. A commit word does not tell the lap, so a record with another number is not published.
    type Expected = i64;

    #[cfg(not(loom))]
    const KIND: Kind = Kind::Records;
    const HEADROOM: i64 = 1;
    const CLAIMS: bool = true;
    const NUMBERS_STAND_IN_LINES: bool = true;

    #[inline(always)]
    fn end_of<M: Memory<Form = Self>>(memory: &M, position: i64) -> Option<i64> {
        // Acquire pairs with Release in `Sequencer::commit_word`: a reader that sees the word sees the payload.
        let word = memory.word(position).load(order(Site::StampAcquire, Ordering::Acquire));
        walk::end_of(memory, position, word)
    }

    #[inline(always)]
    fn is_silent<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        memory.word(position).load(Ordering::Relaxed) == 0
    }

    fn is_published<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        // Acquire: as in `end_of`.
        let word = memory.word(position).load(Ordering::Acquire);
        walk::end_of(memory, position, word).is_some()
            && (walk::leads_on(memory, position, word) || memory.control().cursor.acquire() > position)
    }

    fn number_at<M: Memory<Form = Self>>(memory: &M, position: i64) -> i64 {
        // A number from shared memory, with which the caller will do arithmetic.
        memory.header(position).number.load(Ordering::Relaxed).clamp(0, POSITION_MAX)
    }

    fn expected_at<M: Memory<Form = Self>>(memory: &M, position: i64) -> i64 {
        Self::number_at(memory, position)
    }

    #[inline(always)]
    fn expected_after<M: Memory<Form = Self>>(memory: &M, expected: i64, events: i64, position: i64) -> Option<i64> {
        let number = expected + events;
        walk::is_numbered(memory, position, number).then_some(number)
    }

    fn doubted_at<M: Memory<Form = Self>>(memory: &M, position: i64) -> i64 {
        !Self::number_at(memory, position)
    }

    #[inline(always)]
    fn is_believed(expected: i64) -> bool {
        expected >= 0
    }

    #[inline(always)]
    fn number(expected: i64, _position: i64) -> i64 {
        expected.max(!expected)
    }

    #[inline(always)]
    fn is_expected<M: Memory<Form = Self>>(memory: &M, expected: i64, position: i64) -> bool {
        walk::is_numbered(memory, position, expected)
    }

    fn begin_from<M: Memory<Form = Self>>(memory: &M, position: i64, published: i64) -> i64 {
        walk::begin_from(memory, position, published)
    }

    fn known_begin_from<M: Memory<Form = Self>>(memory: &M, position: i64, published: i64) -> i64 {
        walk::known_begin(memory, position, published)
    }

    fn noted_begin_from<M: Memory<Form = Self>>(memory: &M, position: i64, published: i64) -> i64 {
        walk::noted_begin(memory, position, published)
    }

    fn published_end<M: Memory<Form = Self>>(memory: &M) -> (i64, bool) {
        walk::published_end(memory)
    }

    fn end_from<M: Memory<Form = Self>>(memory: &M, cursor: i64) -> (i64, bool) {
        // In a model no cursor is forged, and loom pays for each look.
        if cfg!(loom) { (cursor, true) } else { walk::end_from(memory, cursor) }
    }

    /// Only a reader that follows the records can tell, and each of them is looked at before it is read.
    #[inline(always)]
    fn confirms_published<M: Memory<Form = Self>>(_memory: &M, _published: i64) -> bool {
        true
    }

    fn may_have_been_reached<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        walk::may_have_been_reached(memory, position)
    }

    fn resume_after<M: Memory<Form = Self>>(
        memory: &M,
        next: i64,
        expected: i64,
        published: i64,
        is_over: bool,
    ) -> Option<i64> {
        walk::resume_after(memory, next, expected, published, is_over)
    }

    fn following(expected: i64) -> i64 {
        expected.saturating_add(1)
    }

    fn at_cursor<M: Memory<Form = Self>>(memory: &M) -> (i64, i64) {
        lossy::at_cursor(memory)
    }

    fn before_cursor<M: Memory<Form = Self>>(memory: &M, events: i64) -> (i64, i64) {
        if events <= 0 { lossy::at_cursor(memory) } else { lossy::at_oldest(memory) }
    }

    fn resume_lapped<M: Memory<Form = Self>>(memory: &M, next: i64, expected: i64) -> (i64, i64) {
        lossy::resume_lapped(memory, next, expected)
    }
}

impl Worded for Lines {
    #[inline(always)]
    fn word(header: &LineHeader) -> &AtomicI64 {
        &header.word
    }
}
