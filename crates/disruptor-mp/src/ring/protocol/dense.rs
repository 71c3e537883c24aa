//! Slots without stamps: events as in an array. Only the cursor says which events are there.
//!
//! Source: RFC 0017.
//!
//! ```text
//! slots   event 0 | event 1 | event 2 | ...
//! claimed >= claimed step after step >= written >= published          stored in this order
//! ```

use super::claimed::is_whole;
use super::control::State;
use super::form::{Form, SlotForm, sealed};
use super::memory::{Memory, SlotMemory};
#[cfg(not(loom))]
use crate::segment::Kind;
use crate::step;
use crate::sync::cursor::POSITION_MAX;
use crate::sync::primitive::{Ordering, Site, weakened};

/// Slots of events alone, as in an array: half of the memory that [`Stamped`](super::form::Stamped) slots of 64 bytes
/// take, and one store that makes a batch visible. The form for the highest rate. A reader that follows closely reads
/// the producer's line for each event, so a round trip takes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dense {}

impl sealed::Sealed for Dense {}

impl Form for Dense {
    type Header = ();
    type Expected = ();

    #[cfg(not(loom))]
    const KIND: Kind = Kind::Dense;
    const CLAIMS: bool = true;
    const CURSOR_TELLS: bool = true;

    #[inline(always)]
    fn end_of<M: Memory<Form = Self>>(memory: &M, position: i64) -> Option<i64> {
        let readable = readable(memory);
        (position < readable && readable <= position + memory.capacity()).then_some(position + 1)
    }

    /// There is no word to look at, and the line of the cursor stays in the producer's cache.
    fn is_silent<M: Memory<Form = Self>>(_memory: &M, _position: i64) -> bool {
        true
    }

    fn is_published<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        Self::end_of(memory, position).is_some()
    }

    fn published_end<M: Memory<Form = Self>>(memory: &M) -> (i64, bool) {
        Self::end_from(memory, memory.control().cursor.acquire())
    }

    fn end_from<M: Memory<Form = Self>>(memory: &M, cursor: i64) -> (i64, bool) {
        // The words are read in this order. What a live producer stores meanwhile only makes those higher that are read
        // later.
        let written = memory.control().cursor.acquire_written();
        let claimed = memory.control().claimed.load();
        // The producer stores them in the other order. If it died between the stores, it has written everything before
        // `written`.
        if cursor <= written && written <= claimed {
            return (written, true);
        }
        // One of them was damaged. Events that a consumer has read were published.
        let read = highest_gate(memory).min(memory.control().gate.claim_limit_at_most());
        let end = match (cursor, written) {
            (cursor, written) if written < cursor && cursor <= claimed => {
                if read > written {
                    cursor
                } else {
                    written
                }
            }
            (cursor, _) if cursor <= claimed => cursor.max(read),
            // The lower of two words that contradict *claimed*, but no more than the producer was allowed to write.
            (cursor, written) => cursor.min(written).min(memory.control().gate.claim_limit_at_most()),
        };
        (end, false)
    }

    #[inline(always)]
    fn confirms_published<M: Memory<Form = Self>>(memory: &M, published: i64) -> bool {
        published <= memory.control().cursor.acquire_written()
    }

    fn may_have_been_reached<M: Memory<Form = Self>>(memory: &M, position: i64) -> bool {
        (0..=POSITION_MAX).contains(&position) && position <= Self::published_end(memory).0
    }

    fn tells_of_overrun<M: Memory<Form = Self>>(memory: &M, _position: i64, published: i64) -> bool {
        Self::confirms_published(memory, published)
    }

    /// Where the two words contradict each other, the next publish stores both again. If there will be none, what can
    /// be read ends where a next producer would begin.
    fn resume_after<M: Memory<Form = Self>>(
        memory: &M,
        next: i64,
        (): (),
        published: i64,
        is_over: bool,
    ) -> Option<i64> {
        let (end, _) = Self::end_from(memory, published);
        (is_over && next < end).then_some(end)
    }
}

impl SlotForm for Dense {
    #[inline(always)]
    fn write<M: SlotMemory<Form = Self>>(memory: &M, position: i64, fill: impl FnOnce(*mut M::Event)) {
        memory.with_mut(position, fill);
        step!(PayloadWritten);
    }

    /// The cursor shows all of them at once.
    #[inline(always)]
    fn write_group<M: SlotMemory<Form = Self>, X>(
        memory: &M,
        first: i64,
        count: usize,
        mut fill: impl FnMut(*mut M::Event, usize) -> Result<(), X>,
    ) -> Result<(), X> {
        for index in 0..count {
            memory.with_mut(first + index as i64, |event| fill(event, index))?;
        }
        step!(GroupWritten);
        Ok(())
    }

    #[inline(always)]
    fn copy_by<M: Memory<Form = Self>, T>(memory: &M, position: i64, copy: impl FnOnce(&M) -> T) -> Option<T> {
        if readable(memory) <= position {
            return None;
        }
        let looked_early = weakened(Site::ClaimedCheck) && is_whole(memory, position, position + 1);
        let event = copy(memory);
        (looked_early || is_whole(memory, position, position + 1)).then_some(event)
    }
}

/// The end of what can be read: both published and written. It is the lower of the two words, so a reader does not
/// follow a single word that another process has forged. Where one is too low, the next publish stores both.
#[inline(always)]
fn readable<M: Memory<Form = Dense>>(memory: &M) -> i64 {
    let cursor = &memory.control().cursor;
    // A reader that sees the published position sees the written one that was stored before it, or a later one.
    let published = cursor.acquire();
    published.min(cursor.acquire_written())
}

/// How far any consumer has read, as far as active entries tell.
fn highest_gate<M: Memory<Form = Dense>>(memory: &M) -> i64 {
    let active = memory.entries().filter(|entry| entry.status().state == State::Active);
    active.map(|entry| entry.position.load(Ordering::Acquire)).filter(|gate| *gate <= POSITION_MAX).max().unwrap_or(0)
}
