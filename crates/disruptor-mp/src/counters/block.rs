//! The counters of one end of a ring. A block belongs to a lock byte of the ring, not to a name.
//!
//! Only the end that holds that byte, the producer's or that of a consumer's entry, writes the block. Every process may
//! read.
//!
//! All words of a block have one writer, so they share cache lines. Two blocks share none.

use super::ids;
use super::snapshot::CounterOwner;
use super::text::Text;
use crate::sync::primitive::{AtomicU32, AtomicU64, Ordering, fence};

/// Words with counts in a block.
pub(super) const WORDS: usize = 24;

const LABEL_WORDS: usize = 16;

/// The block of the producer.
pub(super) const PRODUCER: usize = 0;

/// The block with the sum of the counts of consumers whose entry another consumer has taken.
pub(super) const FORMER_CONSUMERS: usize = 1;

/// The block of the consumer in the first entry of the table.
pub(super) const FIRST_CONSUMER: usize = 2;

const _: () = assert!(ids::OF_PRODUCER.len() <= WORDS && ids::OF_CONSUMER.len() <= WORDS);
const _: () = assert!(size_of::<Block>() == 384 && core::mem::offset_of!(Block, counts) == 192);

/// The counter ids of block `index`, word by word.
pub(super) fn meaning(index: usize) -> &'static [u32] {
    if index == PRODUCER { ids::OF_PRODUCER } else { ids::OF_CONSUMER }
}

// Whether a block has an owner, in the lowest byte of its tenure; the epoch of the owner is above it.
const CHANGING: u64 = 0;
const COUNTING: u64 = 1;
const ENDED: u64 = 2;

/// The counters of one end. Every bit pattern is valid.
#[derive(Default)]
#[repr(C, align(128))]
pub(super) struct Block {
    /// `epoch << 8 | state`: whose counts these are. 0 before the first owner, and while they change hands.
    tenure: AtomicU64,
    /// Bit `n`: the owner counts in word `n`.
    declared: AtomicU64,
    owner_pid: AtomicU32,
    label_len: AtomicU32,
    label: [AtomicU64; LABEL_WORDS],
    reserved: [AtomicU64; 5],
    counts: [AtomicU64; WORDS],
}

/// A block as a reader saw it.
pub(super) struct Seen {
    pub(super) owner: CounterOwner,
    pub(super) label: String,
    pub(super) owner_pid: u32,
    pub(super) is_counting: bool,
    /// Id and value of each word that the owner counts in.
    pub(super) counts: Vec<(u32, u64)>,
}

impl Block {
    /// From now on the block belongs to the owner `label` of that epoch. Its counts continue if the old owner had the
    /// same label; the counts of another owner are added to `former`, and begin at 0.
    ///
    /// The caller holds the lock byte of the block. If it is killed in here, the next owner finds a block that is
    /// changing hands, in which each count is unchanged or 0; a count that was just being moved may be missing from
    /// `former`.
    pub(super) fn begin(&self, epoch: u64, label: &str, owner_pid: u32, former: Option<(&Self, &[u32])>) {
        let label = Text::beginning_of(label);
        self.tenure.store(CHANGING, Ordering::Relaxed);
        // Release, partner in `look`: a reader that sees one of the stores below does not see the old tenure again.
        fence(Ordering::Release);
        if self.label() != label {
            self.give_up_counts(former);
            label.store(&self.label);
            self.label_len.store(label.len_bytes(), Ordering::Relaxed);
        }
        self.owner_pid.store(owner_pid, Ordering::Relaxed);
        // Release, partner in `look`: a reader that sees this tenure sees its label and no count of another owner.
        self.tenure.store(epoch << 8 | COUNTING, Ordering::Release);
    }

    /// Sets every count to 0, after it was added to `former`.
    fn give_up_counts(&self, former: Option<(&Self, &[u32])>) {
        let declared = self.declared.load(Ordering::Relaxed);
        for (word, count) in self.counts.iter().enumerate().filter(|(word, _)| declared >> word & 1 == 1) {
            let value = count.load(Ordering::Relaxed);
            count.store(0, Ordering::Relaxed);
            if let Some((former, meaning)) = former
                && let Some(&id) = meaning.get(word)
            {
                former.take_in(word, id, value);
            }
        }
        self.declared.store(0, Ordering::Relaxed);
    }

    /// Adds a count of an owner that is gone. It is a locked instruction, once per owner, because several blocks may
    /// change hands at once.
    fn take_in(&self, word: usize, id: u32, value: u64) {
        match ids::describe(id).is_some_and(|description| description.is_maximum) {
            true => self.counts[word].fetch_max(value, Ordering::Relaxed),
            false => self.counts[word].fetch_add(value, Ordering::Relaxed),
        };
        self.declared.fetch_or(1 << word, Ordering::Relaxed);
    }

    /// Marks the owner as gone. Its counts stay until the block has another owner.
    pub(super) fn end(&self) {
        let tenure = self.tenure.load(Ordering::Relaxed);
        self.tenure.store(tenure & !0xff | ENDED, Ordering::Relaxed);
    }

    /// The word in which the owner counts `id`, if this block has one. Readers see it from now on.
    pub(super) fn declare(&self, meaning: &[u32], id: u32) -> Option<&AtomicU64> {
        let word = meaning.iter().position(|&known| known == id)?;
        self.declared.store(self.declared.load(Ordering::Relaxed) | 1 << word, Ordering::Relaxed);
        self.counts.get(word)
    }

    fn label(&self) -> Text<LABEL_WORDS> {
        Text::load(self.label_len.load(Ordering::Relaxed), &self.label)
    }

    /// Block `index` of its table; `None` if it has no owner, or changes hands now.
    pub(super) fn look(&self, index: usize) -> Option<Seen> {
        let tenure = self.tenure.load(Ordering::Relaxed);
        // Acquire, partner in `begin`. A relaxed load and a fence, because the mapping may be read-only and the
        // language guarantees only relaxed loads there.
        fence(Ordering::Acquire);
        let state = tenure & 0xff;
        if state != COUNTING && state != ENDED {
            return None;
        }
        let declared = self.declared.load(Ordering::Relaxed);
        let words = meaning(index).iter().zip(&self.counts).enumerate();
        let counts = words
            .filter(|(word, _)| declared >> word & 1 == 1)
            .map(|(_, (&id, count))| (id, count.load(Ordering::Relaxed)))
            .collect();
        let (label, owner_pid) = (String::from(self.label()), self.owner_pid.load(Ordering::Relaxed));
        // Acquire, partner in `begin`: if we read a store of the next owner, the tenure is another one now. A state
        // that has become *ended* meanwhile makes no difference.
        fence(Ordering::Acquire);
        let now = self.tenure.load(Ordering::Relaxed);
        if now >> 8 != tenure >> 8 || now & 0xff == CHANGING {
            return None;
        }
        let epoch = tenure >> 8;
        let owner = match index {
            PRODUCER => CounterOwner::Producer { reign: epoch },
            FORMER_CONSUMERS => CounterOwner::FormerConsumers,
            _ => CounterOwner::Consumer { entry: index - FIRST_CONSUMER, epoch },
        };
        Some(Seen { owner, label, owner_pid, is_counting: state == COUNTING, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn counts(block: &Block, index: usize) -> Vec<(u32, u64)> {
        block.look(index).unwrap().counts
    }

    fn count(block: &Block, id: u32, value: u64) {
        block.declare(ids::OF_CONSUMER, id).unwrap().fetch_add(value, Ordering::Relaxed);
    }

    #[test]
    fn the_counts_of_another_owner_move_to_the_former_ones_and_those_of_the_same_go_on() {
        let (block, former) = (Block::default(), Block::default());
        former.begin(0, "former consumers", 0, None);
        assert!(block.look(FIRST_CONSUMER).is_none(), "it has no owner yet");
        let begin = |epoch, label: &str| block.begin(epoch, label, 7, Some((&former, ids::OF_CONSUMER)));

        begin(0, "a");
        count(&block, ids::EVENTS_CONSUMED, 5);
        count(&block, ids::CONSUMER_LAG_MAX, 9);
        begin(1, "a");
        assert_eq!(counts(&block, FIRST_CONSUMER), [(ids::EVENTS_CONSUMED, 5), (ids::CONSUMER_LAG_MAX, 9)]);
        assert_eq!(counts(&former, FORMER_CONSUMERS), []);

        begin(3, "b");
        assert_eq!(counts(&block, FIRST_CONSUMER), [], "it counts nothing yet");
        count(&block, ids::EVENTS_CONSUMED, 1);
        count(&block, ids::CONSUMER_LAG_MAX, 2);
        begin(4, "c");
        assert_eq!(counts(&former, FORMER_CONSUMERS), [(ids::EVENTS_CONSUMED, 6), (ids::CONSUMER_LAG_MAX, 9)]);
        assert_eq!(block.look(5).unwrap().owner, CounterOwner::Consumer { entry: 3, epoch: 4 });
    }

    #[test]
    fn a_block_that_changes_hands_is_shown_with_one_owner_only_or_not_at_all() {
        const OWNERS: u64 = if cfg!(miri) { 50 } else { 20_000 };
        let (block, ready) = (Block::default(), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                ready.wait();
                for owner in 1..=OWNERS {
                    block.begin(owner, &owner.to_string(), owner as u32, None);
                    count(&block, ids::EVENTS_CONSUMED, owner);
                }
            });
            ready.wait();
            loop {
                let Some(seen) = block.look(FIRST_CONSUMER) else { continue };
                let CounterOwner::Consumer { epoch, .. } = seen.owner else { panic!("{:?}", seen.owner) };
                assert_eq!((seen.label.as_str(), seen.owner_pid), (epoch.to_string().as_str(), epoch as u32));
                let complete = [(ids::EVENTS_CONSUMED, epoch)];
                assert!(
                    seen.counts.is_empty() || seen.counts == complete || seen.counts == [(ids::EVENTS_CONSUMED, 0)],
                    "{:?} under owner {epoch}",
                    seen.counts
                );
                if epoch == OWNERS && seen.counts == complete {
                    break;
                }
            }
        });
    }

    #[test]
    fn an_owner_that_went_in_good_order_is_shown_until_the_next_comes() {
        let block = Block::default();
        block.begin(7, "w", 11, None);
        count(&block, ids::EVENTS_CONSUMED, 3);
        block.end();
        let seen = block.look(FIRST_CONSUMER).unwrap();
        assert_eq!((seen.is_counting, seen.label.as_str(), seen.counts.len()), (false, "w", 1));
        assert_eq!(seen.owner, CounterOwner::Consumer { entry: 0, epoch: 7 });
    }

    #[test]
    fn a_block_whose_new_owner_was_killed_while_it_changed_hands_is_not_shown_and_can_be_had() {
        let block = Block::default();
        block.begin(1, "w", 7, None);
        block.tenure.store(CHANGING, Ordering::Relaxed);
        assert!(block.look(FIRST_CONSUMER).is_none());
        block.begin(2, "w", 7, None);
        assert!(block.look(FIRST_CONSUMER).is_some());
    }

    #[test]
    fn a_damaged_block_shows_no_more_than_it_can_hold() {
        let block = Block::default();
        block.tenure.store(u64::MAX << 8 | COUNTING, Ordering::Relaxed);
        block.declared.store(u64::MAX, Ordering::Relaxed);
        block.label_len.store(u32::MAX, Ordering::Relaxed);
        block.label[0].store(u64::MAX, Ordering::Relaxed);
        let seen = block.look(FIRST_CONSUMER).unwrap();
        assert_eq!(seen.counts.len(), ids::OF_CONSUMER.len());
        assert!(seen.label.starts_with('\u{FFFD}'));
        block.tenure.store(u64::MAX, Ordering::Relaxed);
        assert!(block.look(FIRST_CONSUMER).is_none(), "no state of ours");
    }
}
