//! Adds what an agenda has done to counters, at a period of a loop.

use super::export::Set;
use super::{EventLoop, Settings, SourceId, Tick};
use crate::Priority;
use crate::agenda::{Counts, End, Submitter};
use crate::counters::{Counters, OF_AGENDA};
use std::time::Duration;

/// The numbers of one priority, in the order of `OF_AGENDA`.
type Row = [u64; OF_AGENDA.len()];

struct Exporter<C: Counters> {
    table: C,
    agenda: Submitter,
    /// In the order of [`Priority::ALL`], with what is exported already.
    rows: [(Set<C::Counter, { OF_AGENDA.len() }>, Row); 3],
}

fn row(counts: &Counts) -> Row {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let Counts { submitted, runs, again, stolen, late, waited, ran, .. } = *counts;
    let [done, failed, panicked, cancelled, expired, left] =
        [End::Done, End::Failed, End::Panicked, End::Cancelled, End::Expired, End::Left].map(|end| counts.ended(end));
    let (waited, measured, ran) = (nanos(waited.total), ran.samples, nanos(ran.total));
    [submitted, runs, again, stolen, late, done, failed, panicked, cancelled, expired, left, waited, ran, measured]
}

impl<C: Counters> Exporter<C> {
    fn new(mut table: C, agenda: Submitter) -> Self {
        let rows = Priority::ALL.map(|priority| {
            let of = format!("{} {}", agenda.name(), priority.name());
            (Set::register(&mut table, &OF_AGENDA, &of), [0; OF_AGENDA.len()])
        });
        Self { table, agenda, rows }
    }

    fn export(&mut self) {
        let statistics = self.agenda.statistics();
        for (priority, (set, told)) in Priority::ALL.into_iter().zip(&mut self.rows) {
            let mut now = row(statistics.outside(priority));
            for worker in 0..statistics.workers() {
                let more = row(statistics.worker(worker, priority));
                now.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
            }
            set.tell(&mut self.table, &OF_AGENDA, told, now);
        }
    }
}

/// The last export: when the source is removed, or the loop is dropped.
impl<C: Counters> Drop for Exporter<C> {
    fn drop(&mut self) {
        self.export();
    }
}

impl EventLoop {
    /// Adds what an agenda has done to the counters of a table, by priority: after each `period`, when the returned
    /// source is removed, and when the loop is dropped. So a loop that outlives the agenda exports all of it. See
    /// [`counters`](crate::counters) for the table.
    ///
    /// What is counted is of the agenda of that name. Give two agendas of one process two
    /// [names](crate::agenda::Builder::name).
    ///
    /// # Panics
    /// `period` is zero.
    pub fn export_agenda_counters<C: Counters + 'static>(
        &mut self,
        agenda: impl AsRef<Submitter>,
        period: Duration,
        settings: impl Into<Settings>,
        counters: C,
    ) -> SourceId {
        let mut exporter = Exporter::new(counters, agenda.as_ref().clone());
        self.add_interval(period, settings, move |_: &mut EventLoop, _: Tick| exporter.export())
    }
}
