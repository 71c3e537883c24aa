//! What a look into a ring of records has found: one record, or a walk over several.

use super::lease::RecordMeta;
use crate::Sequence;
use crate::ring::ends::consumer_side::ConsumerSide;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::records::line::Lines;
use crate::ring::protocol::records::walk::is_numbered;
use crate::ring::protocol::records::word::Word;
use crate::sync::primitive::Ordering;
use std::ptr::NonNull;

/// What is at a position, and the position after it.
pub(super) enum Found {
    Record {
        bytes: NonNull<[u8]>,
        meta: RecordMeta,
        end: i64,
    },
    Padding {
        end: i64,
    },
    /// A word that no producer has stored, or one of another lap.
    Damage,
}

/// [`look_at`] our position, where a look has found something.
#[inline(always)]
pub(super) fn look_at_next(consumer: &ConsumerSide<Lines>) -> Found {
    let core = &consumer.core;
    look_at_numbered(core.memory(), core.next(), core.number_found(), core.readable())
}

/// What is at `position`, before record `number`: seen committed, gated by our gate, ending before `until`. The caller
/// sets how often it was handed out.
#[inline(always)]
pub(super) fn look_at(consumer: &ConsumerSide<Lines>, position: i64, number: i64, until: i64) -> Found {
    look_in(consumer.core.memory(), position, number, until, consumer.core.next())
}

/// [`look_at`] in a ring in which the caller gates `position`, and has seen committed what is there. What the caller
/// takes begins at `come_to`.
#[inline(always)]
fn look_in(memory: &Mapped<Lines>, position: i64, number: i64, until: i64, come_to: i64) -> Found {
    // If a forged word has led to a record, that record has the number that its line had a lap ago. At the caller's own
    // position the number was right when it came there. What was stored there since is ignored, and by every way of
    // reading alike: if one way found what another does not, they would look for it without end.
    if !is_numbered(memory, position, number) && position != come_to {
        return Found::Damage;
    }
    look_at_numbered(memory, position, number, until)
}

/// [`look_at`] where the number is known to be right.
#[inline(always)]
fn look_at_numbered(memory: &Mapped<Lines>, position: i64, number: i64, until: i64) -> Found {
    // Relaxed: the look that found something here was the Acquire. Loaded once, checked, then used.
    let word = memory.word(position).load(Ordering::Relaxed);
    match Word::unpack(word, position, memory.capacity()) {
        Some((_, end)) if end > until => Found::Damage,
        Some((Word::Record { len, kind, flags, .. }, end)) => {
            let meta = RecordMeta { sequence: number, kind, flags, redeliveries: 0 };
            Found::Record { bytes: memory.record(position, len as usize), meta, end }
        }
        Some((Word::Padding { .. }, end)) => Found::Padding { end },
        None => Found::Damage,
    }
}

/// Goes through records that its maker gates and has seen committed: where each begins, its bytes, and its metadata.
pub(super) struct Walk<'a> {
    memory: &'a Mapped<Lines>,
    number: Sequence,
    begin: i64,
    position: i64,
    until: i64,
}

impl<'a> Walk<'a> {
    /// From `begin`, where record `number` is the next one, to `until`.
    pub(super) fn new(memory: &'a Mapped<Lines>, (begin, until): (i64, i64), number: Sequence) -> Self {
        Self { memory, number, begin, position: begin, until }
    }

    /// The walk of a consumer, from its position to `until`, which a look has found.
    pub(super) fn of(consumer: &'a ConsumerSide<Lines>, until: i64) -> Self {
        Self::new(consumer.core.memory(), (consumer.core.next(), until), consumer.core.number_found())
    }

    /// Where the next item begins.
    pub(super) fn position(&self) -> i64 {
        self.position
    }
}

impl Iterator for Walk<'_> {
    type Item = (i64, NonNull<[u8]>, RecordMeta);

    /// Ends early where a word was damaged.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        while self.position < self.until {
            match look_in(self.memory, self.position, self.number, self.until, self.begin) {
                Found::Record { bytes, meta, end } => {
                    let begin = std::mem::replace(&mut self.position, end);
                    self.number += 1;
                    return Some((begin, bytes, meta));
                }
                Found::Padding { end } => self.position = end,
                Found::Damage => return None,
            }
        }
        None
    }
}
