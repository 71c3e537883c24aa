//! Where the records of a ring begin and end when no producer is left to say so.
//!
//! Only a reader that is at the beginning of a record can tell where the next one begins. Four kinds of positions are
//! known to be beginnings: the cursor, every consumer's gate, the first record of each eighth of the ring, and 0.

use super::line::Lines;
use super::word::Word;
use crate::ring::protocol::control::State;
use crate::ring::protocol::memory::Memory;
use crate::sync::cursor::POSITION_MAX;
use crate::sync::primitive::{Ordering, Site, order};

/// The position behind the record or the padding at `position`, if `word`, which stands there, has committed it.
#[inline(always)]
pub(crate) fn end_of<M: Memory<Form = Lines>>(memory: &M, position: i64, word: i64) -> Option<i64> {
    Word::unpack(word, position, memory.capacity()).map(|(_, end)| end)
}

/// Whether what begins, or will begin, at `position` is record `number`.
#[inline(always)]
pub(crate) fn is_numbered<M: Memory<Form = Lines>>(memory: &M, position: i64, number: i64) -> bool {
    memory.header(position).number.load(Ordering::Relaxed) == number
}

/// Whether `word`, which stands at `position`, is one that leads to a record with the number after it, as one that a
/// producer stored does.
pub(crate) fn leads_on<M: Memory<Form = Lines>>(memory: &M, position: i64, word: i64) -> bool {
    let parsed = Word::unpack(word, position, memory.capacity());
    parsed.is_some_and(|(word, end)| {
        is_numbered(memory, end, memory.number_at(position) + i64::from(matches!(word, Word::Record { .. })))
    })
}

/// Follows the committed records from `position`, while their numbers go up as they must, to at most `limit`; returns
/// where that ends.
fn follow<M: Memory<Form = Lines>>(memory: &M, mut position: i64, limit: i64) -> i64 {
    let mut number = memory.number_at(position);
    while position < limit {
        // Acquire pairs with Release in `Sequencer::commit`: who sees the word sees the header behind the record.
        let word = memory.word(position).load(order(Site::StampAcquire, Ordering::Acquire));
        let Some((parsed, end)) = Word::unpack(word, position, memory.capacity()) else { break };
        number += i64::from(matches!(parsed, Word::Record { .. }));
        if end > limit || memory.number_at(end) != number {
            break;
        }
        position = end;
    }
    position
}

/// The end of what was published, and whether the cursor could be believed: see `recover::published_end`.
///
/// A cursor is believed if the records lead to it from some consumer's gate, or from it to one; then they lead on from
/// there. If from none, the furthest that they lead to is the end.
pub(crate) fn published_end<M: Memory<Form = Lines>>(memory: &M) -> (i64, bool) {
    let (cursor, capacity) = (memory.control().cursor.acquire(), memory.capacity());
    match end_by(memory, cursor, gates(memory)) {
        Some(end) => end,
        // Nobody to ask, but somebody may be about to join at the cursor, and will follow the records from there, as we
        // do: one that was committed before its producer died, and written over behind the same word, would be read as
        // it was and as it is.
        None if is_position(memory, cursor) => (follow(memory, cursor, cursor + capacity), true),
        None => (end_by(memory, cursor, noted(memory)).map_or(cursor.clamp(0, POSITION_MAX), |(end, _)| end), false),
    }
}

/// The end of what was published, as far as `cursor`, the gates and the positions noted for each eighth of the ring
/// tell, while its producer may go on; and whether the cursor could be believed.
pub(crate) fn end_from<M: Memory<Form = Lines>>(memory: &M, cursor: i64) -> (i64, bool) {
    let begins = gates(memory).chain(noted(memory));
    // A ring has noted at least its beginning, unless those words are damaged.
    end_by(memory, cursor, begins).unwrap_or((cursor, true))
}

/// The end to which the records lead from the cursor, if they lead to that from one of `begins`, or from it to one;
/// otherwise the furthest to which they lead from these. `None` if there are none.
fn end_by<M: Memory<Form = Lines>>(memory: &M, cursor: i64, begins: impl Iterator<Item = i64>) -> Option<(i64, bool)> {
    let capacity = memory.capacity();
    let (is_position, highest) = (is_position(memory, cursor), memory.control().gate.claim_limit_at_most());
    let mut furthest = None;
    for begin in begins.filter(|begin| *begin <= highest) {
        // Who has followed the commit words may stand behind a cursor that was not stored any more.
        let (from, to) = (begin.min(cursor), begin.max(cursor));
        if is_position && to - from <= capacity && follow(memory, from, to) == to {
            return Some((follow(memory, cursor, cursor + capacity), true));
        }
        furthest = furthest.max(Some(follow(memory, begin, begin + capacity)));
    }
    furthest.map(|end| (end, false))
}

/// Whether a producer can stand at `cursor`. Neither words nor numbers tell one lap from another, but the claim limit
/// does: a producer stands before it, and at most a lap. Nor has it published more than it has claimed.
fn is_position<M: Memory<Form = Lines>>(memory: &M, cursor: i64) -> bool {
    let gate = &memory.control().gate;
    let (lowest, highest) = (gate.claim_limit_at_least().saturating_sub(memory.capacity()), gate.claim_limit_at_most());
    (lowest.max(0)..=highest.min(POSITION_MAX)).contains(&cursor) && memory.control().claimed.allows(cursor)
}

/// Whether a record begins at `position`, as far as the words tell: they lead from there to the cursor, or from that to
/// it. If they do not lead to the cursor from anywhere, it was not stored by a producer; then they lead from there as
/// far as they do from any other place.
pub(crate) fn may_have_been_reached<M: Memory<Form = Lines>>(memory: &M, position: i64) -> bool {
    if !(0..=POSITION_MAX).contains(&position) {
        return false;
    }
    let capacity = memory.capacity();
    let leads = |from: i64, to: i64| (0..=capacity).contains(&(to - from)) && follow(memory, from, to) == to;
    loop {
        let cursor = memory.control().cursor.acquire();
        let is_position = (0..=POSITION_MAX).contains(&cursor);
        // From the cursor by records whose producer has not stored it yet.
        if is_position && (leads(position, cursor) || leads(cursor, position)) {
            return true;
        }
        if let (end, false) = end_from(memory, cursor)
            && leads(position, end)
        {
            return true;
        }
        // The gate at `position` keeps what lies behind it; what lies between a cursor that lags and it, a live
        // producer may have written over while we followed. Then it has stored a new cursor, and from one that has
        // passed `position` we do not come here again.
        if (is_position && position <= cursor) || memory.control().cursor.acquire() == cursor {
            return false;
        }
    }
}

/// Where a reader goes on that stands at `next`, before record `number`, which is not there although the cursor, at
/// `published`, lies within a lap after it. See `damage`.
pub(crate) fn resume_after<M: Memory<Form = Lines>>(
    memory: &M,
    next: i64,
    number: i64,
    published: i64,
    is_over: bool,
) -> Option<i64> {
    // Negative where the reader believes nothing that stands here.
    let (is_numbered, number) = (is_numbered(memory, next, number), number.max(!number));
    // Before another number a record may begin here nevertheless; not so at the beginning of the ring, to which nothing
    // leads.
    let mut begin = begin_from(memory, next + i64::from(is_numbered || next == 0), published);
    // Words that lead to the cursor from a place where a record began say that it is right, and so do the numbers at
    // both ends, of which that of the next record stands at the cursor. Cleared, our word says nothing; anything else
    // no producer has stored before the number that we expect. Before another number, which a forged word has led us
    // to, it may be what stood there a lap ago.
    let records = memory.number_at(published) - number;
    // No producer has published more than it has claimed.
    let is_believed = memory.control().claimed.allows(published)
        && (begin < published || (i64::from(is_numbered)..=published - next).contains(&records));
    let is_nonsense = is_numbered && memory.word(next).load(Ordering::Relaxed) != 0;
    if !(is_believed || is_nonsense || is_over) {
        return None;
    }
    // What the reader has been handed the numbers of does not come again, wherever it was led to.
    while begin < published && memory.number_at(begin) < number {
        let word = memory.word(begin).load(Ordering::Acquire);
        begin = end_of(memory, begin, word).map_or(published, |end| end.min(published));
    }
    Some(begin)
}

/// The lowest position from `position` on at which a record begins, as far as is known: the records lead from there to
/// the cursor. The caller keeps the producer off the lines from `position` on.
pub(crate) fn begin_from<M: Memory<Form = Lines>>(memory: &M, position: i64, published: i64) -> i64 {
    // The caller's Acquire of the cursor: the words that `note_begin` stored for records before it are seen.
    if position <= 0 {
        return 0;
    }
    let mut from = position;
    loop {
        match known_begin(memory, from, published) {
            begin if begin < published && follow(memory, begin, published) < published => from = begin + 1,
            begin => return begin,
        }
    }
}

/// The lowest position from `position` on, and before `published`, which some word says to be the beginning of a
/// record; `published` if no word does.
pub(crate) fn known_begin<M: Memory<Form = Lines>>(memory: &M, position: i64, published: i64) -> i64 {
    let noted = noted_begin(memory, position, published);
    gates(memory).filter(|begin| (position.max(0)..noted).contains(begin)).min().unwrap_or(noted)
}

/// [`known_begin`] where no consumer gates.
pub(crate) fn noted_begin<M: Memory<Form = Lines>>(memory: &M, position: i64, published: i64) -> i64 {
    noted(memory).filter(|begin| (position..published).contains(begin)).min().unwrap_or(published)
}

/// The positions that are noted for the eighths of the ring, as far as they can be positions at all.
fn noted<M: Memory<Form = Lines>>(memory: &M) -> impl Iterator<Item = i64> {
    let noted = memory.control().begins.first.iter().map(|begin| begin.load(Ordering::Relaxed));
    noted.filter(|begin| (0..=POSITION_MAX).contains(begin))
}

/// The gates of the active consumers, as far as they can be positions at all.
fn gates<M: Memory<Form = Lines>>(memory: &M) -> impl Iterator<Item = i64> {
    let active = memory.entries().filter(|entry| entry.status().state == State::Active);
    active.map(|entry| entry.position.load(Ordering::Acquire)).filter(|gate| (0..=POSITION_MAX).contains(gate))
}
