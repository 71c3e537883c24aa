//! Adds what a loop and its sources have done to counters, at a period.
//!
//! - **Invariant:** what was added for a source is remembered as long as the loop has the source, and until what it has
//!   done last is added. So a counter that has an older value, or other sources, goes on from there.

use super::handle::Shared;
use super::record::Record;
use super::{EventLoop, Settings, SourceId, Tick};
use crate::counters::{Counters, Description, OF_LOOP, OF_SOURCE};
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

/// The records of sources that were removed since the last export. The loop has a weak one for each exporter.
pub(super) type Departed = Weak<RefCell<Vec<Arc<Record>>>>;

/// The counters of one description, or of the loop.
pub(super) struct Set<K, const N: usize> {
    counters: [Option<K>; N],
    /// How many sources have it.
    sources: usize,
}

struct Exporter<C: Counters> {
    table: C,
    shared: Arc<Shared>,
    departed: Rc<RefCell<Vec<Arc<Record>>>>,
    of_loop: Set<C::Counter, 4>,
    by_description: HashMap<String, Set<C::Counter, 4>>,
    /// What is exported already, in the order of `OF_LOOP` and of `OF_SOURCE`.
    told_of_loop: [u64; 4],
    told: HashMap<SourceId, [u64; 4]>,
    refused: u64,
}

impl<C: Counters> Exporter<C> {
    fn new(mut table: C, shared: Arc<Shared>) -> Self {
        let of_loop = Set::register(&mut table, &OF_LOOP, "the loop");
        Self {
            table,
            shared,
            departed: Rc::default(),
            refused: u64::from(of_loop.lacks_room()),
            of_loop,
            by_description: HashMap::new(),
            told_of_loop: [0; 4],
            told: HashMap::new(),
        }
    }

    fn export(&mut self) {
        let departed = std::mem::take(&mut *self.departed.borrow_mut());
        for record in departed {
            self.export_source(&record);
            self.told.remove(&record.id);
            if let Some(set) = self.by_description.get_mut(record.description()) {
                set.sources -= 1;
                if set.sources == 0 {
                    self.by_description.remove(record.description());
                }
            }
        }
        for record in self.shared.records() {
            self.export_source(&record);
        }
        let statistics = self.shared.statistics();
        let now = [statistics.turns, statistics.sleeps, statistics.stale_events, self.refused];
        self.of_loop.tell(&mut self.table, &OF_LOOP, &mut self.told_of_loop, now);
    }

    fn export_source(&mut self, record: &Record) {
        let is_new = !self.told.contains_key(&record.id);
        if !self.by_description.contains_key(record.description()) {
            let set = Set::register(&mut self.table, &OF_SOURCE, record.description());
            self.refused += u64::from(set.lacks_room());
            self.by_description.insert(record.description().to_owned(), set);
        }
        let Some(set) = self.by_description.get_mut(record.description()) else { return };
        set.sources += usize::from(is_new);
        let told = self.told.entry(record.id).or_default();
        set.tell(&mut self.table, &OF_SOURCE, told, record.counts());
    }
}

/// The last export: when the source is removed, or the loop is dropped.
impl<C: Counters> Drop for Exporter<C> {
    fn drop(&mut self) {
        self.export();
    }
}

impl<K, const N: usize> Set<K, N> {
    pub(super) fn register(table: &mut impl Counters<Counter = K>, what: &[&'static Description; N], of: &str) -> Self {
        Self { counters: what.map(|counter| table.register(counter, of)), sources: 0 }
    }

    fn lacks_room(&self) -> bool {
        self.counters.iter().any(Option::is_none)
    }

    /// Adds what is new since `told`, in the order of `what`.
    pub(super) fn tell(
        &self,
        table: &mut impl Counters<Counter = K>,
        what: &[&Description; N],
        told: &mut [u64; N],
        now: [u64; N],
    ) {
        for (index, counter) in self.counters.iter().enumerate() {
            let before = std::mem::replace(&mut told[index], now[index]);
            let Some(counter) = counter.as_ref().filter(|_| now[index] != before) else { continue };
            if what[index].is_maximum {
                table.record_max(counter, now[index]);
            } else {
                table.add(counter, now[index] - before);
            }
        }
    }
}

impl EventLoop {
    /// Adds what this loop and its sources have done to the counters of a table: after each `period`, when the returned
    /// source is removed, and when the loop is dropped. See [`counters`](crate::counters), which has an example.
    ///
    /// An export takes time in proportion to the number of sources. While a handler hangs, nothing is exported; its
    /// [`LoopHandle`](super::LoopHandle) shows more.
    ///
    /// # Panics
    /// `period` is zero.
    pub fn export_counters<C: Counters + 'static>(
        &mut self,
        period: Duration,
        settings: impl Into<Settings>,
        counters: C,
    ) -> SourceId {
        let mut exporter = Exporter::new(counters, Arc::clone(self.shared()));
        self.departed.push(Rc::downgrade(&exporter.departed));
        self.add_interval(period, settings, move |_: &mut EventLoop, _: Tick| exporter.export())
    }

    /// A source is removed.
    pub(super) fn depart(&mut self, record: &Arc<Record>) {
        self.departed.retain(|departed| {
            let departed = departed.upgrade();
            departed.inspect(|departed| departed.borrow_mut().push(Arc::clone(record))).is_some()
        });
    }
}
