//! Rings that were replaced before all was read, and the consumers that move over from them.
//!
//! A producer whose messages have another type than the ring that it finds never goes on in that ring. It replaces the
//! ring. Before that, it gives the old ring a second name, made from the old ring's generation; the header of the new
//! ring names it as *predecessor*. For each consumer with an id of its own in the old ring, the new ring has an entry
//! from the beginning, at its first message: *awaited*. So no message is overwritten before that consumer has moved
//! over. The entry in the old ring is freed only after the entry in the new ring is taken. Source: RFC 0015, "Rolling
//! upgrade".

use super::construct::check_shape;
use super::membership::{self, entry_byte};
use super::roster;
use crate::liveness::ProcessIdentity;
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::memory::sections;
use crate::ring::protocol::control::{Entry, NOTHING_DELIVERED, State};
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::memory::Memory;
use crate::schema::Schema;
use crate::segment::{self, Access, Blueprint, Fate, OpenError, PRODUCER, Place, Segment};
use crate::step::{rule, step};
use crate::sync::primitive::Ordering;
use std::io;
use std::sync::Arc;

/// How many rings that were replaced one after the other are looked through. Each stands for a change of the type while
/// a consumer was away. A producer that would make more of them is refused.
const ANCESTORS_MAX: usize = 64;

/// A consumer that is expected to move over from the replaced ring.
#[derive(Debug)]
pub(crate) struct Expected {
    id: String,
    rank: Option<u32>,
    process: ProcessIdentity,
    /// How it went; `None` if it lives in the old ring, is awaited there, or has something to read there.
    ending: Option<Ending>,
}

impl Expected {
    /// Whether it needs the old ring.
    fn is_reader(&self) -> bool {
        self.ending.is_none()
    }
}

/// The consumers with ids of their own that have entries in `old`: they live there, have kept their entry, or are
/// awaited there. And whether one of them needs the old ring. `has_unread` tells whether there is something to read at
/// a position. The caller holds the table's lock byte, so that no consumer joins meanwhile.
pub(crate) fn expected(old: &Segment, has_unread: impl Fn(i64) -> bool) -> (Vec<Expected>, bool) {
    let expected = |(index, entry): (usize, &Entry)| Expected {
        id: entry.member.id(),
        rank: entry.member.rank(),
        process: entry.member.identity.load(),
        // An error proves nothing: it may live.
        ending: roster::ending_in(old, entry, index)
            .unwrap_or(None)
            .filter(|&ending| ending != Ending::Awaited && !has_unread(entry.position.load(Ordering::Acquire))),
    };
    let expected: Vec<_> = chosen(old).filter(|(_, entry)| !is_gone_for_good(old, entry)).map(expected).collect();
    let is_needed = expected.iter().any(Expected::is_reader);
    (expected, is_needed)
}

/// An entry of the new ring for each expected consumer; `None` if it has too few entries for them.
pub(crate) fn seats(blueprint: &Blueprint, expected: &[Expected]) -> Option<Vec<usize>> {
    let mut is_taken = vec![false; blueprint.table_len as usize];
    let mut seat = |expected: &Expected| {
        let mut places = membership::places_of(blueprint.places, blueprint.table_len, &blueprint.prefix, &expected.id);
        let index = places.find(|&index| !is_taken[index])?;
        is_taken[index] = true;
        Some(index)
    };
    expected.iter().map(&mut seat).collect()
}

/// Gives each expected consumer its entry in `new`, which no process can find yet: active, at the first message, and
/// awaited. If none of them needs the old ring, which is then removed, each has kept its entry in the new one.
pub(crate) fn await_all(new: &Segment, seats: &[usize], expected: &[Expected]) {
    let is_old_needed = expected.iter().any(Expected::is_reader);
    let gate = &sections::control(new).expect("a new ring has its control lines").gate;
    for (&index, expected) in seats.iter().zip(expected) {
        let entry = sections::entry(new, index).expect("a seat lies in the table");
        entry.member.identity.store(expected.process);
        entry.member.set_id(&expected.id, false);
        entry.member.set_rank(expected.rank);
        entry.delivered.store(NOTHING_DELIVERED, Ordering::Relaxed);
        let ending = expected.ending.filter(|_| !is_old_needed).unwrap_or(Ending::Awaited);
        entry.set_ending(entry.status().epoch, ending);
        entry.set_state(State::Active);
        gate.high_water.fetch_max(index as u32 + 1, Ordering::Relaxed);
        gate.count_arrival();
    }
}

/// What the older rings say of a consumer that is awaited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It lives in one of them.
    There,
    /// It has gone, and has kept its entry in one of them.
    Kept(Ending),
    /// It has no entry in any of them: it has given its entry up, or the rings were removed.
    GivenUp,
}

/// What the rings before the one in `segment` say of the consumer `id`, which is awaited in it.
///
/// # Errors
/// One of them cannot be looked at, and is not known to be gone.
pub(crate) fn standing(segment: &Segment, id: &str) -> io::Result<Standing> {
    let mut standing = Standing::GivenUp;
    for older in ancestors(segment).map_err(io::Error::other)? {
        let Some((index, entry)) = place_of(&older, id) else { continue };
        match roster::ending_in(&older, entry, index)? {
            None => return Ok(Standing::There),
            // It is awaited there as well; the rings before that one tell.
            Some(Ending::Awaited) => {}
            Some(ending) => standing = Standing::Kept(ending),
        }
    }
    Ok(standing)
}

/// Whether a consumer that has an entry in an older ring is awaited in the ring in `segment`. If that cannot be told:
/// `true`.
pub(crate) fn is_awaited(segment: &Segment) -> bool {
    chosen(segment).any(|(_, entry)| is_awaited_at(entry) && !is_gone_for_good(segment, entry))
}

/// Whether the ring in `segment` is kept for consumers that have gone: one has a [backlog](has_backlog) there; or one
/// has an entry under an id of its own, if the ring says what its messages are.
pub(crate) fn keeps_places<S: Carries>(segment: &Arc<Segment>) -> bool {
    has_tag(segment) && has_place(segment) || has_backlog::<S>(segment)
}

fn has_tag(segment: &Segment) -> bool {
    Schema::decode(segment.schema()).is_ok_and(|schema| schema.content_tag().is_some())
}

/// Whether a consumer under an id of its own has an entry in the ring in `segment`, or is expected to move over to it.
fn has_place(segment: &Segment) -> bool {
    chosen(segment).any(|(_, entry)| !is_gone_for_good(segment, entry))
}

/// Whether a consumer that has gone has kept an entry in the ring in `segment` and not read everything, or one is still
/// expected to move over to it. An error proves nothing: the consumer may live.
pub(crate) fn has_backlog<S: Carries>(segment: &Arc<Segment>) -> bool {
    has_backlog_of::<S>(segment, |index, entry| roster::ending_in(segment, entry, index).unwrap_or(None))
}

/// [`has_backlog`] for consumers that have gone as `ending` says.
fn has_backlog_of<S: Carries>(segment: &Arc<Segment>, ending: impl Fn(usize, &Entry) -> Option<Ending>) -> bool {
    let has_unread = unread_in::<S>(segment);
    chosen(segment).any(|(index, entry)| match ending(index, entry) {
        Some(Ending::Awaited) => !is_gone_for_good(segment, entry),
        Some(_) => has_unread(entry.position.load(Ordering::Acquire)),
        None => false,
    })
}

/// Removes the ring in `segment`, which `place` leads to, if no process lives in it and no consumer that has gone needs
/// it. In the newest ring of a stream that says what its messages are, a consumer with an entry needs it.
///
/// All its lock bytes are held while this looks which consumers need it. A consumer that has come and gone since the
/// caller looked, and has kept its entry, still has it. A new ring under that name is not removed. What cannot be
/// removed now is removed with the ring that followed it.
pub(crate) fn remove_unneeded<S: Carries>(segment: &Arc<Segment>, place: &Place, is_newest: bool) {
    // None lives, as far as there are locks. Each has stored how it went, or it was killed.
    let ending = |_, entry: &Entry| Some(entry.ending(entry.status()).unwrap_or(Ending::Killed));
    let is_needed = || is_newest && has_tag(segment) && has_place(segment) || has_backlog_of::<S>(segment, ending);
    let _ = segment::collect(place, |generation| {
        rule!(SameRing, generation == segment.generation()) && rule!(UnneededUnderLocks, !is_needed())
    });
}

/// Whether the entry is that of a consumer that is expected to move over from an older ring.
fn is_awaited_at(entry: &Entry) -> bool {
    entry.ending(entry.status()) == Some(Ending::Awaited)
}

/// Whether the entry is that of a consumer that was expected to move over from an older ring, and has given that up.
pub(crate) fn is_gone_for_good(segment: &Segment, entry: &Entry) -> bool {
    // Looked at again: its entry may have been handed on before the older ring was removed.
    is_awaited_at(entry) && is_given_up(segment, entry) && is_awaited_at(entry)
}

/// Whether the consumer that is awaited at `entry` has given its entry up in the older rings.
fn is_given_up(segment: &Segment, entry: &Entry) -> bool {
    matches!(standing(segment, &entry.member.id()), Ok(Standing::GivenUp))
}

/// Takes the consumer `id`, which was given up, out of the rings before the one in `segment`, unless it lives there.
/// Removes the rings that no other consumer needs.
pub(crate) fn give_up<S: Carries>(segment: &Segment, id: &str) {
    // What cannot be opened now is removed with the ring itself.
    for older in ancestors(segment).unwrap_or_default() {
        leave(&older, id);
    }
    tidy::<S>(segment);
}

/// Gives up the entry of the consumer `id` in the ring `older`, in which it does not live. The caller must call
/// [`tidy`] afterwards.
pub(crate) fn leave(older: &Segment, id: &str) {
    let Some((index, entry)) = place_of(older, id) else { return };
    if let Ok(Some(_claim)) = older.claim(entry_byte(index)) {
        entry.set_free_after(0);
        step!(OlderLeft);
    }
}

/// Removes the rings of a stream that no consumer needs any more: the older ones, and the newest if no producer and no
/// consumer will come back to it. Called after a consumer has left the ring in `segment`, or has read it to its end and
/// gone.
///
/// A ring that cannot be looked at, or that a consumer is just joining, may be needed; the next consumer that leaves
/// looks again.
pub(crate) fn tidy<S: Carries>(segment: &Segment) {
    let Some(place) = segment.place().first_name() else { return };
    let newest = match Segment::open(&place, segment.header().kind, Access::ReadWrite) {
        Ok(newest) => newest,
        // The ring that followed has ended, so no consumer finds this one either.
        Err(OpenError::NotFound { .. }) => return remove(segment),
        Err(_) => return,
    };
    let Ok(older) = ancestors(&newest) else { return };
    let line: Vec<_> = older.into_iter().rev().chain([newest]).map(Arc::new).collect();
    if line.iter().all(|ring| ring.generation() != segment.generation()) {
        // This ring is removed even if the next ring was itself replaced, and with it all that was to be read.
        remove(segment);
    }
    let Some((newest, older)) = line.split_last() else { return };
    // This comes before our looks: to another process, a lock that we hold for a moment looks like the lock of a
    // consumer that needs the ring. That process has left before it looked, and our looks are still to come.
    line.iter().for_each(|ring| free_given_up(ring));
    // The rings after one that is needed are the way from there to the newest.
    let is_gone = older.iter().zip(&line[1..]).all(|(ring, next)| {
        let goes = !is_needed::<S>(ring) && hand_places_on(ring, next);
        if goes && let Some(second) = ring.place().second_name(ring.generation()) {
            remove_unneeded::<S>(ring, &second, false);
        }
        goes
    });
    if is_gone && newest.is_held(PRODUCER).is_ok_and(|is_held| !is_held) {
        remove_unneeded::<S>(newest, &place, true);
    }
}

/// Whether a consumer under an id of its own lives in the ring `older`, is expected there, or has something to read in
/// it. If that cannot be told: `true`.
fn is_needed<S: Carries>(older: &Arc<Segment>) -> bool {
    let lives = |(index, entry): (usize, &Entry)| !matches!(roster::ending_in(older, entry, index), Ok(Some(_)));
    chosen(older).any(lives) || has_backlog::<S>(older)
}

/// Whether there may be something to read at a position of the ring `older`.
pub(crate) fn unread_in<S: Carries>(older: &Arc<Segment>) -> impl Fn(i64) -> bool {
    let memory = check_shape::<S>(older, 0).is_ok().then(|| Mapped::<S>::new(Arc::clone(older)));
    move |position| {
        memory.as_ref().is_none_or(|memory| {
            let (end, is_certain) = memory.published_end();
            !is_certain || memory.number_at(position) < memory.number_at(end)
        })
    }
}

/// For each consumer that has kept its entry in the ring `older` and has nothing to read there: marks the entry in
/// which it is awaited in the `next` ring as kept. `false`: not for all of them, so `older` still has to keep them.
fn hand_places_on(older: &Segment, next: &Segment) -> bool {
    let mut is_complete = true;
    // A closed ring stays for those that are awaited in it, and for no others.
    let is_closed = sections::control(next).is_none_or(|control| control.gate.is_closed());
    for (index, kept) in chosen(older) {
        let Ok(Some(ending)) = roster::ending_in(older, kept, index) else { return false };
        let Some((index, entry)) = place_of(next, &kept.member.id()) else { continue };
        if ending == Ending::Awaited || !is_awaited_at(entry) {
            continue;
        }
        if is_closed {
            return false;
        }
        match next.claim(entry_byte(index)) {
            Ok(Some(claim)) if is_awaited_at(entry) => {
                // A new epoch, so that a producer that has just found it given up does not free it.
                entry.next_epoch();
                step!(PlaceRenewed);
                entry.set_ending(entry.status().epoch, ending);
                step!(PlaceHandedOn);
                if let Some(control) = sections::control(next) {
                    control.gate.count_departure();
                }
                drop(claim);
                entry.writer.ring();
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => is_complete = false,
        }
    }
    is_complete
}

/// Frees the entries of consumers that were expected to move over to the ring in `segment`, and have given that up.
fn free_given_up(segment: &Segment) {
    for (index, entry) in chosen(segment) {
        if is_gone_for_good(segment, entry)
            && let Ok(Some(claim)) = segment.claim(entry_byte(index))
        {
            // It may have moved over between the looks, and left the older ring.
            if rule!(GivenUpLookedAtTwice, is_gone_for_good(segment, entry)) {
                entry.set_free_after(0);
                step!(GivenUpFreed);
            }
            drop(claim);
            entry.writer.ring();
        }
    }
}

/// Removes the ring in `segment`, which was replaced, unless a process lives in it or in one before it.
fn remove(segment: &Segment) {
    if let Some(second) = segment.place().second_name(segment.generation()) {
        // One that cannot be removed now is removed with the ring that followed it.
        let _ = segment::gc(second);
    }
}

/// Removes the rings before the one in `segment`. That one was closed, or was replaced and with it all that was to be
/// read, so no consumer finds the older ones any more. A ring in which a process still lives is removed when that
/// process leaves.
pub(crate) fn give_all_up(segment: &Segment) {
    ancestors(segment).unwrap_or_default().iter().for_each(remove);
}

/// Marks the ring before this one as replaced, if the producer that replaced it was killed before it could.
pub(crate) fn finish_replacing(segment: &Segment) {
    if let Ok(Some(older)) = segment.predecessor()
        && older.fate() == Fate::Live
        && let Ok(Some(_claim)) = older.claim(PRODUCER)
    {
        older.mark_replaced();
        if let Some(control) = sections::control(&older) {
            control.readers.0.ring();
        }
    }
}

/// The rings before the one in `segment` that can still be found, the latest first.
///
/// # Errors
/// One of them cannot be opened although it is there.
pub(crate) fn ancestors(segment: &Segment) -> Result<Vec<Segment>, OpenError> {
    let mut found: Vec<Segment> = Vec::new();
    while found.len() < ANCESTORS_MAX
        && let Some(older) = found.last().unwrap_or(segment).predecessor()?
    {
        found.push(older);
    }
    Ok(found)
}

/// Whether the limit of kept rings is reached, if the one in `segment` is kept as well: consumers look through no more.
///
/// # Errors
/// As [`ancestors`].
pub(crate) fn is_full(segment: &Segment) -> Result<bool, OpenError> {
    Ok(ancestors(segment)?.len() + 1 > ANCESTORS_MAX)
}

/// The ids for which the ring `old` is kept: those of the consumers that are expected in the next ring. If none is
/// expected there, those of the consumers that have entries in `old`.
pub(crate) fn readers(old: &Segment, expected: &[Expected]) -> Vec<String> {
    match expected {
        [] => ids(old),
        expected => expected.iter().filter(|it| it.is_reader()).map(|it| it.id.clone()).collect(),
    }
}

/// The ids that programs chose and that have entries in the ring in `segment`.
pub(crate) fn ids(segment: &Segment) -> Vec<String> {
    chosen(segment).map(|(_, entry)| entry.member.id()).collect()
}

/// The entry of the consumer that calls itself `id`.
pub(crate) fn place_of<'a>(segment: &'a Segment, id: &str) -> Option<(usize, &'a Entry)> {
    chosen(segment).find(|(_, entry)| entry.member.id() == id)
}

/// The entries under ids that programs chose.
fn chosen(segment: &Segment) -> impl Iterator<Item = (usize, &Entry)> {
    let entries = (0..).map_while(|index| Some((index, sections::entry(segment, index)?)));
    // A consumer that was joining and is dead never began.
    let is_place = |entry: &Entry| !matches!(entry.status().state, State::Free | State::Joining);
    entries.filter(move |(_, entry)| is_place(entry) && !entry.member.is_generated())
}
