//! How our figures compare with the best peer's.

use std::fmt::{self, Display};

use super::log::Figures;
use super::targets::{Targets, What};
use super::{Entry, Whose};
use crate::probe::Label;
use crate::stats::{Summary, Unit};

/// A figure of ours and the figure with which it is compared.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Row {
    pub(crate) label: Label,
    pub(crate) table: String,
    pub(crate) column: String,
    pub(crate) subject: String,
    pub(crate) unit: Unit,
    pub(crate) ours: Summary,
    /// Whether the rival is a peer.
    pub(crate) is_to_peer: bool,
    /// The best peer, or another subject of ours.
    pub(crate) rival: String,
    pub(crate) rival_median: f64,
    /// Ours over the rival's.
    pub(crate) now: f64,
    pub(crate) before: Option<f64>,
    pub(crate) aim: Option<f64>,
}

impl Row {
    /// How bad it is: a time over the rival's, or the rival's rate over ours.
    fn badness(&self) -> f64 {
        if self.unit.is_lower_better() { self.now } else { 1.0 / self.now }
    }

    /// Whether the aim is met; `None` without one.
    pub(crate) fn is_met(&self) -> Option<bool> {
        self.aim.map(|aim| if self.unit.is_lower_better() { self.now <= aim } else { self.now >= aim })
    }

    /// The largest over the smallest, of all processes.
    pub(crate) fn spread(&self) -> f64 {
        self.ours.max / self.ours.min
    }

    /// The cells of its line.
    pub(crate) fn cells(&self) -> [String; COLUMNS.len()] {
        let ratio = |ratio: Option<f64>| ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let aim = match (self.aim, self.is_met()) {
            (Some(aim), Some(is_met)) => {
                let sign = if self.unit.is_lower_better() { "<=" } else { ">=" };
                format!("{sign} {aim}: {}", if is_met { "met" } else { "missed" })
            }
            _ => "-".to_owned(),
        };
        [
            ratio(Some(self.now)),
            ratio(self.before),
            aim,
            self.table.clone(),
            self.column.clone(),
            self.subject.clone(),
            self.unit.written(self.ours.median),
            format!("{:.2}", self.spread()),
            self.ours.repeats.to_string(),
            format!("{} {}", self.rival, self.unit.written(self.rival_median)),
        ]
    }
}

/// The columns of the table.
pub(crate) const COLUMNS: [&str; 10] =
    ["now", "before", "aim", "figure", "size", "ours", "median", "max/min", "n", "beside"];

/// Everything in a log, and the targets with which it is compared.
pub(crate) struct Standing<'a> {
    pub(crate) entries: &'a [Entry],
    pub(crate) figures: &'a Figures,
    pub(crate) targets: &'a Targets,
}

impl Standing<'_> {
    /// The entries of a table.
    pub(crate) fn of_table(&self, table: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.table == table)
    }

    /// The median of an entry.
    fn median(&self, entry: &Entry, label: Label) -> Option<f64> {
        Some(self.figures.of(&entry.case.name, label)?.summary.median)
    }

    /// The best peer in the place of an entry.
    fn best_peer(&self, of: &Entry, label: Label, unit: Unit) -> Option<(&Entry, f64)> {
        let peers = self.of_table(&of.table).filter(|entry| entry.whose == Whose::Peers && entry.column == of.column);
        let medians = peers.filter_map(|entry| Some((entry, self.median(entry, label)?)));
        let is_lower_better = unit.is_lower_better();
        medians.min_by(|(_, one), (_, other)| if is_lower_better { one.total_cmp(other) } else { other.total_cmp(one) })
    }

    /// All figures of ours that have a rival, the worst first.
    pub(crate) fn rows(&self, label: Label) -> Vec<Row> {
        let mut rows = Vec::new();
        for entry in self.entries.iter().filter(|entry| entry.whose == Whose::Ours) {
            let Some(figure) = self.figures.of(&entry.case.name, label) else { continue };
            let mut add = |rival: &Entry, rival_median: f64, over: Option<&str>| {
                let place = (entry.table.as_str(), entry.column.as_str(), entry.subject.as_str());
                let target = |what| self.targets.of(what, label, place, over);
                let (before, aim) = (target(What::Before), target(What::Aim));
                if over.is_some() && before.is_none() && aim.is_none() {
                    return;
                }
                rows.push(Row {
                    label,
                    table: entry.table.clone(),
                    column: entry.column.clone(),
                    subject: entry.subject.clone(),
                    unit: figure.unit,
                    ours: figure.summary,
                    is_to_peer: over.is_none(),
                    rival: rival.subject.clone(),
                    rival_median,
                    now: figure.summary.median / rival_median,
                    before,
                    aim,
                });
            };
            if let Some((peer, median)) = self.best_peer(entry, label, figure.unit) {
                add(peer, median, None);
            }
            for over in self.targets.overs(&entry.table, &entry.subject) {
                let rival =
                    self.of_table(&entry.table).find(|rival| rival.subject == over && rival.column == entry.column);
                if let Some((rival, median)) = rival.and_then(|rival| Some((rival, self.median(rival, label)?))) {
                    add(rival, median, Some(over));
                }
            }
        }
        rows.sort_by(|one, other| other.badness().total_cmp(&one.badness()));
        rows
    }

    /// For each table and column our best figure against the best peer, the worst of them first.
    pub(crate) fn best_rows(&self, label: Label) -> Vec<Row> {
        let mut best: Vec<Row> = Vec::new();
        // The last ones are the best.
        for row in self.rows(label).into_iter().rev().filter(|row| row.is_to_peer) {
            if !best.iter().any(|other| (&other.table, &other.column) == (&row.table, &row.column)) {
                best.push(row);
            }
        }
        best.reverse();
        best
    }

    /// How many entries have figures of fewer processes than that under a label, and how many entries there are.
    pub(crate) fn missing(&self, label: Label, processes: usize) -> (usize, usize) {
        let has_few = |entry: &&Entry| {
            self.figures.of(&entry.case.name, label).is_none_or(|figure| figure.summary.repeats < processes)
        };
        (self.entries.iter().filter(has_few).count(), self.entries.len())
    }
}

/// How many processes a median should have.
pub(crate) const PROCESSES: usize = 5;

impl Display for Standing<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for label in self.figures.labels() {
            let (missing, all) = self.missing(label, PROCESSES);
            writeln!(formatter, "ours over the best peer, {label}, worst first")?;
            if missing > 0 {
                writeln!(
                    formatter,
                    "({missing} of {all} figures are of fewer than {PROCESSES} processes: run it again)"
                )?;
            }
            let rows = self.rows(label);
            let lines: Vec<_> =
                std::iter::once(COLUMNS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
            let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
            let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
            for line in &lines {
                let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
                writeln!(formatter, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
            }
            writeln!(formatter)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::log::tests::figures;
    use super::*;
    use crate::cases::limits::cache_line_case;

    fn entry(table: &str, subject: &str, whose: Whose) -> Entry {
        Entry::new(table, "64 B", subject, whose, cache_line_case())
    }

    #[test]
    fn ours_is_beside_the_best_peer_and_the_worst_comes_first() {
        let entries = [
            entry("round trip", "records", Whose::Ours),
            entry("round trip", "transport", Whose::Ours),
            entry("round trip", "slow", Whose::Peers),
            entry("round trip", "fast", Whose::Peers),
            entry("round trip", "cache line", Whose::Limit),
            entry("one way", "records", Whose::Ours),
            entry("one way", "fast", Whose::Peers),
            entry("one way", "faster", Whose::Peers),
        ];
        let (time, rate) = (Unit::Nanoseconds, Unit::EventsPerSecond);
        let near = |place, value, unit| (place, Label::Near, value, unit);
        let figures = figures(&[
            near("round trip: 64 B: records", 100.0, time),
            near("round trip: 64 B: transport", 220.0, time),
            near("round trip: 64 B: slow", 400.0, time),
            near("round trip: 64 B: fast", 200.0, time),
            near("round trip: 64 B: cache line", 10.0, time),
            near("one way: 64 B: records", 50.0, rate),
            near("one way: 64 B: fast", 70.0, rate),
            near("one way: 64 B: faster", 100.0, rate),
            ("one way: 64 B: records", Label::Far, 5.0, rate),
        ]);
        let targets = Targets::known().unwrap();
        let standing = Standing { entries: &entries, figures: &figures, targets: &targets };
        let rows = standing.rows(Label::Near);
        let to_peers: Vec<_> = rows.iter().filter(|row| row.rival.starts_with("fast")).collect();
        let found: Vec<_> = to_peers.iter().map(|row| (row.subject.as_str(), row.rival.as_str(), row.now)).collect();
        assert_eq!(found, [("records", "faster", 0.5), ("transport", "fast", 1.1), ("records", "fast", 0.5)]);
        assert_eq!(to_peers[0].is_met(), Some(false), "half the rate");
        assert_eq!((to_peers[2].is_met(), to_peers[2].before), (Some(true), Some(1.56)), "half the time");
        let own: Vec<_> = rows.iter().filter(|row| row.rival == "cache line").map(|row| row.now).collect();
        assert_eq!(own, [10.0], "records are measured by the cache line as well");
        let best = standing.best_rows(Label::Near);
        let best: Vec<_> = best.iter().map(|row| (row.table.as_str(), row.subject.as_str())).collect();
        assert_eq!(best, [("one way", "records"), ("round trip", "records")], "one for each, the worst first");
        assert!(standing.rows(Label::Far).is_empty(), "no peer was measured there");
        assert_eq!(standing.missing(Label::Near, 1), (0, 8));
        assert_eq!(standing.missing(Label::Far, 1), (7, 8));
        assert!(standing.to_string().contains("(8 of 8 figures are of fewer than 5 processes"), "{standing}");
    }
}
