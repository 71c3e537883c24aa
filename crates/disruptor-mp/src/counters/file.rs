//! A table of counters, as programs hold it.
//!
//! Registering is safe from several threads and processes at once.

use super::block;
use super::handle::CounterHandle;
use super::memory::Memory;
use super::record::{AttachedEnd, Subject};
use super::snapshot::CounterSnapshot;
use crate::segment::{Segment, Sole, fork_epoch};
use core::fmt;
use std::sync::Arc;

/// A table of counters that this process can see. Clones are cheap and refer to the same table.
#[derive(Clone)]
pub struct CountersFile {
    memory: Memory,
    /// Keeps the name of a segment that this process created for the table. Not held by handles.
    name: Option<Arc<Sole>>,
}

impl CountersFile {
    pub(super) fn new(memory: Memory) -> Self {
        Self { memory, name: None }
    }

    /// This file, whose name is removed with it and its clones.
    pub(super) fn named_by(self, creation: Sole) -> Self {
        Self { name: Some(Arc::new(creation)), ..self }
    }

    /// The handle to the counter (`id`, `label`), registered in this process's name.
    ///
    /// `id` says what is counted ([`ids`](super::ids), or from [`APPLICATION_BASE`](super::ids::APPLICATION_BASE) on
    /// the application's own), and `label` whose counter it is. For an application's own id, readers see the label as
    /// the counter's name. A label longer than [`LABEL_BYTES_MAX`](super::LABEL_BYTES_MAX) is cut at the last character
    /// that fits, and compared as cut. `flags` are passed on to readers unchanged.
    ///
    /// A pair that any process has registered before gets the same counter with its present value: a worker that comes
    /// back continues to count. Because a counter has one writer, two live owners must not use one pair; if they do,
    /// they share a counter and lose counts (or, registering at the same instant, get two). This does not concern the
    /// ends of rings: their counters belong to their blocks, or to the end itself if a file was attached.
    ///
    /// `None`: the table is full, or it is open for reading only. A program can then use [`CounterHandle::detached`].
    /// Takes time in proportion to the capacity, never waits.
    pub fn register(&self, id: u32, flags: u32, label: &str) -> Option<CounterHandle> {
        if !self.memory.is_writable() {
            return None;
        }
        let record = self.memory.table().register(id, flags, label, std::process::id())?;
        Some(CounterHandle::new(self.memory.hold(record.count(), self.memory.owner())))
    }

    /// The table in a ring's segment. If a faulty peer has overwritten it, it counts nothing; the ring itself does not
    /// depend on it.
    pub(crate) fn of_ring(segment: &Arc<Segment>) -> Self {
        Self::in_segment(segment).unwrap_or_else(|_| Self::boxed(1))
    }

    /// Prepares the block for the counts of former consumers, in a table that no other process knows yet.
    pub(super) fn begin_former_consumers(&self) {
        self.begin_block(block::FORMER_CONSUMERS, 0, "former consumers");
        self.end_block(block::FORMER_CONSUMERS);
    }

    /// Block `index` has a new owner, which holds its lock byte. Nothing happens if there is no such block.
    pub(super) fn begin_block(&self, index: usize, epoch: u64, label: &str) {
        if !self.memory.is_writable() {
            return;
        }
        let table = self.memory.table();
        let Some((block, meaning)) = table.block(index) else { return };
        let former = table.block(block::FORMER_CONSUMERS).map(|(former, _)| (former, meaning));
        block.begin(epoch, label, std::process::id(), former.filter(|_| index >= block::FIRST_CONSUMER));
    }

    /// The counter `id` of the owner of block `index`.
    pub(super) fn count_in_block(&self, index: usize, id: u32) -> Option<CounterHandle> {
        if !self.memory.is_writable() {
            return None;
        }
        let (block, meaning) = self.memory.table().block(index)?;
        Some(CounterHandle::new(self.memory.hold(block.declare(meaning, id)?, self.memory.owner())))
    }

    /// The owner of block `index` goes.
    pub(super) fn end_block(&self, index: usize) {
        if let Some((block, _)) = self.memory.table().block(index).filter(|_| self.memory.is_writable()) {
            block.end();
        }
    }

    /// This file for a process that counts in it under lock byte `lock` of `segment`, which it has just taken.
    pub(super) fn living_by(self, segment: &Arc<Segment>, lock: u32) -> Self {
        // An end that counted under this byte before is gone: otherwise the byte could not have been taken.
        self.memory.table().release_for(lock);
        Self { memory: self.memory.living_by(segment, lock), ..self }
    }

    /// A number that no other end has in this file; 0 if it is open for reading only. Records of ends whose processes
    /// are gone are released first.
    pub(super) fn begin_attachment(&self) -> u32 {
        if !self.memory.is_writable() {
            return 0;
        }
        let table = self.memory.table();
        if let Some((segment, own)) = self.memory.life() {
            let others = |lock: &u32| lock != own && segment.bytes_beside().contains(lock);
            for lock in table.locks().into_iter().filter(others) {
                // The byte is taken, and not only looked at, so that no end begins to count under it meanwhile. An
                // error of the kernel does not count as a death.
                if !segment.is_held(lock).unwrap_or(true)
                    && let Ok(Some(_claim)) = segment.claim(lock)
                {
                    table.release_for(lock);
                }
            }
        }
        table.next_number()
    }

    /// The counter `id` of the attached end `number`. Its record is released when the last clone of the handle is
    /// dropped.
    pub(super) fn count_for_attached(
        &self,
        id: u32,
        flags: u32,
        label: &str,
        ring: &str,
        number: u32,
    ) -> Option<CounterHandle> {
        if !self.memory.is_writable() {
            return None;
        }
        let (table, subject) = (self.memory.table(), Subject::attached(id, label, ring));
        let lock = self.memory.life().map(|(_, lock)| *lock);
        let index = table.attach(&subject, flags, std::process::id(), AttachedEnd { number, lock })?;
        let (memory, fork_epoch) = (self.memory.clone(), fork_epoch());
        let attachment = Attachment { memory, index, number, fork_epoch };
        Some(CounterHandle::new(self.memory.hold(table.records[index].count(), Arc::new(attachment))))
    }

    /// All counters: in a ring's table first those of its ends, then those that were registered.
    ///
    /// Each value is read once and is stale at once; values of different counters need not belong to one instant. Works
    /// while the owners run, are stopped or are dead. A counter that is being registered, or gets another owner, is
    /// complete or missing. The counts of an end are shown until another end has its block.
    pub fn snapshot(&self) -> Vec<CounterSnapshot> {
        self.memory.table().snapshot()
    }

    /// How many counters can be registered; those of a ring's ends have their own room.
    pub fn capacity(&self) -> u32 {
        self.memory.capacity()
    }
}

/// Keeps a record for an attached end, and releases it on drop.
struct Attachment {
    memory: Memory,
    index: usize,
    number: u32,
    fork_epoch: u32,
}

impl Drop for Attachment {
    fn drop(&mut self) {
        // A child of a fork has no handles: its parent continues to count here.
        if self.fork_epoch == fork_epoch() {
            self.memory.table().records[self.index].release(self.number);
        }
    }
}

impl fmt::Debug for CountersFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountersFile")
            .field("capacity", &self.capacity())
            .field("owns_name", &self.name.as_ref().is_some_and(|name| name.is_ours()))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{CounterOwner, LABEL_BYTES_MAX, ids};
    use crate::sync::primitive::{AtomicU32, Ordering};
    use std::collections::BTreeSet;
    use std::sync::Barrier;
    use std::thread;
    use std::time::{Duration, Instant};

    fn labels(file: &CountersFile) -> Vec<String> {
        file.snapshot().into_iter().map(|counter| counter.label).collect()
    }

    #[test]
    fn a_snapshot_shows_what_was_registered_and_counted() {
        let file = CountersFile::boxed(4);
        assert_eq!(file.snapshot(), []);
        let published = file.register(ids::EVENTS_PUBLISHED, 0, "rpc").unwrap();
        let lag = file.register(ids::CONSUMER_LAG_MAX, 6, "worker 1").unwrap();
        published.inc();
        published.add(41);
        lag.record_max(7);

        let owner_pid = std::process::id();
        let expected = [
            CounterSnapshot::new(ids::EVENTS_PUBLISHED, 0, 42, "rpc".into(), CounterOwner::Registered, owner_pid),
            CounterSnapshot::new(ids::CONSUMER_LAG_MAX, 6, 7, "worker 1".into(), CounterOwner::Registered, owner_pid),
        ];
        assert_eq!(file.snapshot(), expected);
        assert_eq!(file.clone().snapshot(), expected, "a clone sees the same table");
        drop((published, lag));
        assert_eq!(file.snapshot(), expected, "a counter stays when its handle goes");
    }

    #[test]
    fn a_full_table_refuses_new_counters_and_still_finds_old_ones() {
        let file = CountersFile::boxed(2);
        file.register(0x100, 0, "a").unwrap().inc();
        file.register(0x100, 0, "b").unwrap().inc();
        assert!(file.register(0x100, 0, "c").is_none());
        assert!(file.register(0x101, 0, "a").is_none());
        assert_eq!(file.register(0x100, 0, "a").unwrap().get(), 1);
    }

    #[test]
    fn registering_again_continues_the_same_counter() {
        let file = CountersFile::boxed(4);
        let first = file.register(ids::EVENTS_CONSUMED, 1, "worker 1").unwrap();
        first.add(10);
        drop(first);
        let second = file.clone().register(ids::EVENTS_CONSUMED, 2, "worker 1").unwrap();
        second.add(5);

        let counters = file.snapshot();
        assert_eq!(counters.len(), 1);
        assert_eq!((counters[0].value, counters[0].flags), (15, 2));
        assert_eq!(
            file.register(ids::EVENTS_CONSUMED, 0, "worker 2").unwrap().get(),
            0,
            "another label is another counter"
        );
        assert_eq!(file.register(ids::CONSUMER_REJOINS, 0, "worker 1").unwrap().get(), 0, "so is another id");
    }

    #[test]
    fn a_long_label_is_cut_between_characters() {
        let file = CountersFile::boxed(8);
        let exact = "x".repeat(LABEL_BYTES_MAX);
        let two_bytes = format!("{}ä", "x".repeat(LABEL_BYTES_MAX - 1));
        let four_bytes = format!("{}🦀", "y".repeat(LABEL_BYTES_MAX - 1));
        for label in ["", &exact, &two_bytes, &four_bytes] {
            file.register(0x100, 0, label).unwrap();
        }
        let cut = |letter: &str| letter.repeat(LABEL_BYTES_MAX - 1);
        assert_eq!(labels(&file), ["", &exact, &cut("x"), &cut("y")]);

        file.register(0x100, 0, &format!("{exact} and more")).unwrap().inc();
        assert_eq!(file.snapshot().len(), 4, "labels are compared as cut");
        assert_eq!(file.snapshot()[1].value, 1);
    }

    #[test]
    fn labels_that_differ_only_in_trailing_zeros_are_different() {
        let file = CountersFile::boxed(2);
        file.register(0x100, 0, "a").unwrap();
        file.register(0x100, 0, "a\0").unwrap();
        assert_eq!(labels(&file), ["a", "a\0"]);
    }

    #[test]
    fn threads_that_register_at_once_never_share_a_counter() {
        const THREADS: u32 = 4;
        const EACH: u32 = if cfg!(miri) { 4 } else { 64 };
        for _ in 0..if cfg!(miri) { 1 } else { 20 } {
            let file = CountersFile::boxed(THREADS * EACH);
            let start = Barrier::new(THREADS as usize);
            thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (file, start) = (file.clone(), &start);
                    scope.spawn(move || {
                        start.wait();
                        for n in 0..EACH {
                            let handle =
                                file.register(ids::APPLICATION_BASE + n, thread, &format!("t{thread}")).unwrap();
                            assert_eq!(handle.get(), 0, "another counter counts here");
                            handle.add(u64::from(1 + thread * EACH + n));
                        }
                    });
                }
            });
            let counters = file.snapshot();
            assert_eq!(counters.len(), (THREADS * EACH) as usize, "all of the table, and nothing twice");
            let distinct: BTreeSet<_> = counters.iter().map(|counter| (counter.id, &counter.label)).collect();
            assert_eq!(distinct.len(), counters.len());
            for counter in &counters {
                let n = counter.id - ids::APPLICATION_BASE;
                assert_eq!(counter.label, format!("t{}", counter.flags));
                assert_eq!(counter.value, u64::from(1 + counter.flags * EACH + n));
            }
        }
    }

    #[test]
    fn a_counter_is_shown_whole_or_not_at_all() {
        const TABLES: u32 = if cfg!(miri) { 20 } else { 5_000 };
        let files: Vec<_> = (0..TABLES).map(|_| CountersFile::boxed(1)).collect();
        let label = |n: u32| format!("{n:0>width$}", width = LABEL_BYTES_MAX);
        let deadline = Instant::now() + Duration::from_secs(60);
        // One table after the other. Each is filled only after the reader has begun to look at it, so that it looks
        // during the filling.
        let looking_at = AtomicU32::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                for (n, file) in (1..).zip(&files) {
                    let label = label(n);
                    while looking_at.load(Ordering::Relaxed) < n {
                        assert!(Instant::now() < deadline, "no thread looks at table {n}");
                        thread::yield_now();
                    }
                    file.register(n, !n, &label).unwrap();
                }
            });
            for (n, file) in (1..).zip(&files) {
                looking_at.store(n, Ordering::Relaxed);
                let counter = loop {
                    if let Some(counter) = file.snapshot().pop() {
                        break counter;
                    }
                    assert!(Instant::now() < deadline, "counter {n} does not appear");
                };
                assert_eq!((counter.id, counter.flags, counter.label), (n, !n, label(n)));
            }
        });
    }

    #[test]
    #[should_panic(expected = "a table holds 1 to 65536 counters, not 0")]
    fn a_table_without_counters_is_a_mistake() {
        CountersFile::boxed(0);
    }
}
