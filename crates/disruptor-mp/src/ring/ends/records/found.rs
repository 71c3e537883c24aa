//! What lies in a ring of records where a look has found something.
//!
//! **Lives here:** [`Found`], and [`look_at`]. **Builds on:** `word`, `consumer_side`. **May touch it:** whatever
//! hands records out.

use super::lease::RecordMeta;
use crate::ring::ends::consumer_side::ConsumerSide;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::records::line::Lines;
use crate::ring::protocol::records::walk::is_numbered;
use crate::ring::protocol::records::word::Word;
use crate::sync::primitive::Ordering;
use std::ptr::NonNull;

/// What lies at a position, and the position behind it.
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
    look_at_numbered(consumer, core.next(), core.number_found(), core.readable())
}

/// What lies at `position`, before record `number`: seen committed, gated by our gate, ending before `until`. How
/// often it was handed out is for the caller to say.
#[inline(always)]
pub(super) fn look_at(consumer: &ConsumerSide<Lines>, position: i64, number: i64, until: i64) -> Found {
    // A record that was led to by a forged word has the number that its line had a lap ago.
    if !is_numbered(consumer.core.memory(), position, number) {
        return look_at_misnumbered(consumer, position, number, until);
    }
    look_at_numbered(consumer, position, number, until)
}

/// [`look_at`] where the line has another number. At our position it had the right one when we came there. What was
/// stored there since says nothing, to no way of reading: what one finds and another does not is looked for forever.
#[cold]
#[inline(never)]
fn look_at_misnumbered(consumer: &ConsumerSide<Lines>, position: i64, number: i64, until: i64) -> Found {
    if position == consumer.core.next() { look_at_numbered(consumer, position, number, until) } else { Found::Damage }
}

/// [`look_at`] where the number is known to be right.
#[inline(always)]
fn look_at_numbered(consumer: &ConsumerSide<Lines>, position: i64, number: i64, until: i64) -> Found {
    let memory = consumer.core.memory();
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
