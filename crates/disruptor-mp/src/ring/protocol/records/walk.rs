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

/// The position after the record or the padding at `position`, if `word`, which is there, has committed it.
#[inline(always)]
pub(crate) fn end_of<M: Memory<Form = Lines>>(memory: &M, position: i64, word: i64) -> Option<i64> {
    Word::unpack(word, position, memory.capacity()).map(|(_, end)| end)
}

/// Whether what begins, or will begin, at `position` is record `number`.
#[inline(always)]
pub(crate) fn is_numbered<M: Memory<Form = Lines>>(memory: &M, position: i64, number: i64) -> bool {
    memory.header(position).number.load(Ordering::Relaxed) == number
}

/// Whether `word`, at `position`, leads to a header with the number that must follow, as every word of a producer does.
pub(crate) fn leads_on<M: Memory<Form = Lines>>(memory: &M, position: i64, word: i64) -> bool {
    let parsed = Word::unpack(word, position, memory.capacity());
    parsed.is_some_and(|(word, end)| {
        is_numbered(memory, end, memory.number_at(position) + i64::from(matches!(word, Word::Record { .. })))
    })
}

/// Follows the committed records from `position` to at most `limit`, while their numbers go on as they must: by one
/// after a record, the same after padding. Returns where that ends.
fn follow<M: Memory<Form = Lines>>(memory: &M, mut position: i64, limit: i64) -> i64 {
    let mut number = memory.number_at(position);
    while position < limit {
        // Acquire pairs with Release in `Sequencer::commit_word`: a reader that sees the word sees the header after the
        // record.
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
/// there. Otherwise the furthest position that they lead to is the end.
pub(crate) fn published_end<M: Memory<Form = Lines>>(memory: &M) -> (i64, bool) {
    let (cursor, capacity) = (memory.control().cursor.acquire(), memory.capacity());
    match end_by(memory, cursor, gates(memory)) {
        Some(end) => end,
        // No consumer gates, but one may be about to join at the cursor, and follows the records from there, as we do.
        // A record that was committed before its producer died, and then overwritten under the same word, would be read
        // as it was and as it is.
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

/// The end to which the records lead from the cursor, if they lead to the cursor from one of `begins`, or from it to
/// one. Otherwise the furthest position to which they lead from these. `None` if there are none.
fn end_by<M: Memory<Form = Lines>>(memory: &M, cursor: i64, begins: impl Iterator<Item = i64>) -> Option<(i64, bool)> {
    let capacity = memory.capacity();
    let (is_position, highest) = (is_position(memory, cursor), memory.control().gate.claim_limit_at_most());
    let mut furthest = None;
    for begin in begins.filter(|begin| *begin <= highest) {
        // A reader that followed commit words can be ahead of the cursor if the producer died before it stored it.
        let (from, to) = (begin.min(cursor), begin.max(cursor));
        if is_position && to - from <= capacity && follow(memory, from, to) == to {
            return Some((follow(memory, cursor, cursor + capacity), true));
        }
        furthest = furthest.max(Some(follow(memory, begin, begin + capacity)));
    }
    furthest.map(|end| (end, false))
}

/// Whether a producer can be at `cursor`. Neither words nor numbers tell one lap from another, but the claim limit
/// does: a producer is before it, by at most a lap. And it has not published more than it has claimed.
fn is_position<M: Memory<Form = Lines>>(memory: &M, cursor: i64) -> bool {
    let gate = &memory.control().gate;
    let (lowest, highest) = (gate.claim_limit_at_least().saturating_sub(memory.capacity()), gate.claim_limit_at_most());
    (lowest.max(0)..=highest.min(POSITION_MAX)).contains(&cursor) && memory.control().claimed.allows(cursor)
}

/// Whether a record begins at `position`, as far as the words tell. Each record says where the next one begins, so one
/// can follow the records from any of them. Followed from `position` they must reach the cursor, or followed from the
/// cursor they must reach `position`. If they reach the cursor from no known position, the cursor is damaged. Then they
/// must reach from `position` as far as they do from any known position.
pub(crate) fn may_have_been_reached<M: Memory<Form = Lines>>(memory: &M, position: i64) -> bool {
    if !(0..=POSITION_MAX).contains(&position) {
        return false;
    }
    let capacity = memory.capacity();
    let leads = |from: i64, to: i64| (0..=capacity).contains(&(to - from)) && follow(memory, from, to) == to;
    loop {
        let cursor = memory.control().cursor.acquire();
        let is_position = (0..=POSITION_MAX).contains(&cursor);
        // The second look is for records after the cursor: their producer has not stored the cursor yet.
        if is_position && (leads(position, cursor) || leads(cursor, position)) {
            return true;
        }
        if let (end, false) = end_from(memory, cursor)
            && leads(position, end)
        {
            return true;
        }
        // The gate at `position` protects what is after it. A live producer may have overwritten what is between a
        // lagging cursor and `position` while we followed. Then it has stored a new cursor. If that has passed
        // `position`, we do not come here again.
        if (is_position && position <= cursor) || memory.control().cursor.acquire() == cursor {
            return false;
        }
    }
}

/// Where a reader at `next`, before record `number`, goes on. The record is not there, although the cursor, at
/// `published`, is within a lap after it. See `damage`.
pub(crate) fn resume_after<M: Memory<Form = Lines>>(
    memory: &M,
    next: i64,
    number: i64,
    published: i64,
    is_over: bool,
) -> Option<i64> {
    // The expected number is negative where the reader believes no word here.
    let (is_numbered, number) = (is_numbered(memory, next, number), number.max(!number));
    // If another number is here, a record may begin here nevertheless; but not at the beginning of the ring, to which
    // nothing leads.
    let mut begin = begin_from(memory, next + i64::from(is_numbered || next == 0), published);
    // The cursor is right if words lead to it from a place where a record began, or if the numbers at both ends agree;
    // the number of the next record is at the cursor. If our word is cleared, it says nothing. Any other word was not
    // stored by a producer, if the number is the one that we expect. If a forged word has led us to another number, our
    // word may be what was there a lap ago.
    let records = memory.number_at(published) - number;
    // No producer has published more than it has claimed.
    let is_believed = memory.control().claimed.allows(published)
        && (begin < published || (i64::from(is_numbered)..=published - next).contains(&records));
    let is_nonsense = is_numbered && memory.word(next).load(Ordering::Relaxed) != 0;
    if !(is_believed || is_nonsense || is_over) {
        return None;
    }
    // Numbers that the reader was already handed do not come again, wherever the reader was led to.
    while begin < published && memory.number_at(begin) < number {
        let word = memory.word(begin).load(Ordering::Acquire);
        begin = end_of(memory, begin, word).map_or(published, |end| end.min(published));
    }
    Some(begin)
}

/// The lowest position from `position` on at which a record begins, as far as is known: the records lead from there to
/// the cursor. The caller makes sure that the producer does not overwrite the lines from `position` on.
pub(crate) fn begin_from<M: Memory<Form = Lines>>(memory: &M, position: i64, published: i64) -> i64 {
    // The caller's Acquire of the cursor: it sees the words that `note_begin` stored for records before the cursor.
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

/// The lowest position from `position` on, and before `published`, of which some word says that a record begins there;
/// `published` if no word does.
pub(crate) fn known_begin<M: Memory<Form = Lines>>(memory: &M, position: i64, published: i64) -> i64 {
    let noted = noted_begin(memory, position, published);
    gates(memory).filter(|begin| (position.max(0)..noted).contains(begin)).min().unwrap_or(noted)
}

/// [`known_begin`] where no consumer gates.
pub(crate) fn noted_begin<M: Memory<Form = Lines>>(memory: &M, position: i64, published: i64) -> i64 {
    noted(memory).filter(|begin| (position..published).contains(begin)).min().unwrap_or(published)
}

/// The positions that are noted for the eighths of the ring, if they can be positions at all.
fn noted<M: Memory<Form = Lines>>(memory: &M) -> impl Iterator<Item = i64> {
    let noted = memory.control().begins.first.iter().map(|begin| begin.load(Ordering::Relaxed));
    noted.filter(|begin| (0..=POSITION_MAX).contains(begin))
}

/// The gates of the active consumers, if they can be positions at all.
fn gates<M: Memory<Form = Lines>>(memory: &M) -> impl Iterator<Item = i64> {
    let active = memory.entries().filter(|entry| entry.status().state == State::Active);
    active.map(|entry| entry.position.load(Ordering::Acquire)).filter(|gate| (0..=POSITION_MAX).contains(gate))
}
