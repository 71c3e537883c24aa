//! Frees the entries of consumers that have gone.
//!
//! The process that frees an entry holds the lock byte of that entry. An entry under an id that a program chose is kept
//! for its successor.

use super::lineage::{self, Standing};
use super::membership::entry_byte;
use super::roster::{ConsumerInfo, describe, ending};
use crate::ring::memory::layout::Carries;
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::control::{State, Status};
use crate::ring::protocol::ending::Ending;
use crate::ring::protocol::join::free;
use crate::ring::protocol::memory::Memory;
use crate::segment::Spare;
use crate::step::rule;
use std::io;

/// The result of a look at the lock of an entry's owner.
pub(crate) enum Fallen {
    /// The owner is there, or the entry changed owners meanwhile.
    No,
    /// The owner has gone. No process can come back for the entry, and it was freed.
    Freed(ConsumerInfo),
    /// The owner has gone, and its entry is kept for the process that comes back under its id.
    Kept(ConsumerInfo),
    /// It has no owner yet: the consumer lives, and reads the ring before this one.
    Awaited,
}

/// Looks whether the owner of entry `index` has gone, and frees the entry if no consumer can come back for it. `gating`
/// is the epoch in which the producer believes that the entry gates, whatever its status says.
pub(crate) fn bury<S: Carries>(
    memory: &Mapped<S>,
    index: usize,
    gating: Option<u64>,
    spare: &mut Spare,
) -> io::Result<Fallen> {
    let entry = memory.entry(index);
    let seen = entry.status();
    if !seen.gates() && gating.is_none_or(|epoch| seen.epoch > epoch) {
        if gating.is_some() {
            // The entry is given up, and it gates: its owner has not released its lock yet, or the kernel refuses to
            // tell.
            memory.segment().is_held(entry_byte(index))?;
        }
        return Ok(Fallen::No);
    }
    let Some(ending) = ending(memory, index)? else { return Ok(Fallen::No) };
    let gone = ConsumerInfo { alive: false, ending: Some(ending), ..describe(memory, index) };
    if seen.state == State::Active && !entry.member.is_generated() {
        let gone = match ending {
            Ending::Awaited => match lineage::standing(memory.segment(), &gone.id)? {
                Standing::There => return Ok(if entry.status() == seen { Fallen::Awaited } else { Fallen::No }),
                Standing::Kept(ending) => ConsumerInfo { ending: Some(ending), ..gone },
                // Under the lock byte: it may have moved over between the looks, and left the older ring.
                Standing::GivenUp => {
                    let freed = evict(memory, index, seen, gating, spare)?;
                    let gone = ConsumerInfo { ending: Some(Ending::Left), ..gone };
                    return Ok(if freed { Fallen::Freed(gone) } else { Fallen::No });
                }
            },
            _ => gone,
        };
        // This process does not claim the byte: a rejoin may be about to take it. Unless the owner before and after the
        // look at the lock is the same, nothing is concluded.
        return Ok(if entry.status() == seen { Fallen::Kept(gone) } else { Fallen::No });
    }
    evict(memory, index, seen, gating, spare).map(|freed| if freed { Fallen::Freed(gone) } else { Fallen::No })
}

/// Frees entry `index` if it still has the owner that was `seen`, and that owner has gone.
pub(crate) fn evict<S: Carries>(
    memory: &Mapped<S>,
    index: usize,
    seen: Status,
    gating: Option<u64>,
    spare: &mut Spare,
) -> io::Result<bool> {
    let entry = memory.entry(index);
    let Some(claim) = spare.claim(entry_byte(index))? else { return Ok(false) };
    if entry.status() != seen {
        return Ok(false);
    }
    let awaited = (entry.ending(seen) == Some(Ending::Awaited)).then(|| entry.member.id());
    if let Some(id) = &awaited
        && !rule!(AwaitedLookedAtTwice, lineage::standing(memory.segment(), id)? != Standing::There)
    {
        return Ok(false);
    }
    free(memory, index, gating.unwrap_or(0));
    drop(claim);
    if let Some(id) = awaited {
        lineage::give_up::<S>(memory.segment(), &id);
    }
    Ok(true)
}
