//! Copies a record for a reader that does not gate: it may be lapped at any moment, and notices that afterwards.
//! Source: RFC 0013.

use super::line::Lines;
use super::walk::{is_numbered, noted_begin};
use super::word::Word;
use crate::ring::protocol::claimed::is_whole;
use crate::ring::protocol::memory::{LineMemory, Memory};
use crate::sync::primitive::{Ordering, Site, order, weakened};

/// How often the number at the cursor is read again because the producer has moved a lap further meanwhile. More often
/// means that *claimed* was damaged.
const LOOKS: usize = 8;

/// Copies the payload of record `number` from `position` into `into`, if it is there, or reports padding there; with
/// the position after it. `None`: it is not there, or was overwritten meanwhile.
pub(crate) fn copy<M: LineMemory>(memory: &M, position: i64, number: i64, into: &mut M::Copy) -> Option<(Word, i64)> {
    // Acquire pairs with Release in `Sequencer::commit_word`: a tap that sees the word sees the payload and the number,
    // or newer ones.
    let word = memory.word(position).load(order(Site::StampAcquire, Ordering::Acquire));
    let (word, end) = Word::unpack(word, position, memory.capacity())?;
    if !is_numbered(memory, position, number) {
        return None;
    }
    let looked_early = weakened(Site::ClaimedCheck) && is_whole(memory, position, end);
    if let Word::Record { len, .. } = word {
        memory.racing_copy(position, len as usize, into);
    }
    (looked_early || is_whole(memory, position, end)).then_some((word, end))
}

/// Where a reader goes on that was lapped at `next`, where it expected record `number`; and the number there. It is a
/// record that begins no more than half a lap before the cursor, or the cursor.
pub(crate) fn resume_lapped<M: Memory<Form = Lines>>(memory: &M, next: i64, number: i64) -> (i64, i64) {
    let published = memory.control().cursor.acquire();
    let from = (published - memory.capacity() / 2).max(next + 1);
    let begin = noted_begin(memory, from, published);
    let found = memory.number_at(begin);
    // The word may be old or forged: a record takes at least a line.
    let can_follow = (number..=number.saturating_add(begin - next)).contains(&found);
    if begin < published && is_whole(memory, begin, begin) && can_follow { (begin, found) } else { at_cursor(memory) }
}

/// The oldest position at which a record is known to begin that is still there, and the number there; or the cursor.
pub(crate) fn at_oldest<M: Memory<Form = Lines>>(memory: &M) -> (i64, i64) {
    let published = memory.control().cursor.acquire();
    // Not further back than a lap before what the producer may be writing.
    let from = published.max(memory.control().claimed.load()).saturating_sub(memory.capacity()).max(0);
    let begin = noted_begin(memory, from, published);
    let found = memory.number_at(begin);
    if begin < published && is_whole(memory, begin, begin) { (begin, found) } else { at_cursor(memory) }
}

/// The published position, and the number there.
pub(crate) fn at_cursor<M: Memory<Form = Lines>>(memory: &M) -> (i64, i64) {
    let look = || {
        let published = memory.control().cursor.acquire();
        (published, memory.number_at(published))
    };
    // If none is believed, *claimed* is damaged, and nothing is copied before the producer has stored it again. Then
    // this is looked up again.
    (0..LOOKS).map(|_| look()).find(|&(published, _)| is_whole(memory, published, published)).unwrap_or_else(look)
}
