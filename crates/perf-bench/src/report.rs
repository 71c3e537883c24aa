//! The report of a run, for people and for programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display};

use serde::Serialize;

use crate::machine::{Machine, written_cache};
use crate::probe::Label;
use crate::schedule::{Aim, Counted, Discard, Judged, Plan, Record};
use crate::stats::{Latencies, Percentiles, Summary, Unit, written_ratio};

/// A whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) command: &'static str,
    pub(crate) machine: Machine,
    /// The cpus of roles 0 and 1.
    pub(crate) cpus: Vec<usize>,
    /// The label that counted; `None` for any.
    pub(crate) wanted_label: Option<Label>,
    pub(crate) repeats_wanted: usize,
    pub(crate) window_ms: u128,
    /// Whether this was a smoke run. Its numbers mean nothing.
    pub(crate) quick: bool,
    pub(crate) rows: Vec<Row>,
    /// Sentences below the table.
    pub(crate) notes: Vec<String>,
}

/// One case under one label.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) wait: &'static str,
    /// `None` when no measurement counted.
    pub(crate) label: Option<Label>,
    pub(crate) measured: Option<MeasuredRow>,
    /// The case that `ratio` compares with.
    pub(crate) reference: Option<String>,
    /// This median by that of the reference under the same label; `None` without either.
    pub(crate) ratio: Option<f64>,
    /// What the figure ought to be, in words.
    pub(crate) aim: Option<String>,
    /// Whether the aim is met; `None` without an aim, or without what it needs.
    pub(crate) aim_met: Option<bool>,
    /// How many measurements of the case have to count, under whichever label.
    pub(crate) repeats_wanted: usize,
    /// Measurements of the case that did not count, by reason, under whichever label.
    pub(crate) discarded: BTreeMap<Discard, usize>,
    /// Why the case cannot be measured here.
    pub(crate) unavailable: Option<String>,
}

/// The numbers of a row.
#[derive(Debug, Serialize)]
pub(crate) struct MeasuredRow {
    pub(crate) unit: Unit,
    pub(crate) summary: Summary,
    /// Of all counted measurements together.
    pub(crate) latencies: Option<Percentiles>,
    /// The part of its cpu that the last consumer used: the median.
    pub(crate) cpu_share: f64,
    pub(crate) repeats: Vec<RepeatRow>,
}

/// One measurement that counted.
#[derive(Debug, Serialize)]
pub(crate) struct RepeatRow {
    pub(crate) value: f64,
    pub(crate) round_trip_before_ns: f64,
    pub(crate) round_trip_after_ns: f64,
}

impl Report {
    /// Sums up a run.
    pub(crate) fn new(command: &'static str, machine: Machine, plan: &Plan, records: &[Record]) -> Self {
        Self {
            command,
            machine,
            cpus: plan.cpus.to_vec(),
            wanted_label: plan.wanted,
            repeats_wanted: plan.repeats,
            window_ms: plan.timing.window.as_millis(),
            quick: plan.smoke,
            rows: rows(records, plan),
            notes: sharing_note(plan, records).into_iter().collect(),
        }
    }

    /// The cases for which fewer measurements counted than were wanted, except those that cannot be measured here.
    pub(crate) fn incomplete(&self) -> BTreeSet<&str> {
        let mut missing = BTreeMap::<&str, usize>::new();
        for row in self.rows.iter().filter(|row| row.unavailable.is_none()) {
            let counted = row.measured.as_ref().map_or(0, |row| row.repeats.len());
            let missing = missing.entry(&row.case).or_insert(row.repeats_wanted);
            *missing = missing.saturating_sub(counted);
        }
        missing.into_iter().filter(|(_, count)| *count > 0).map(|(case, _)| case).collect()
    }
}

/// A sentence about the cases whose consumers had to share cpus.
fn sharing_note(plan: &Plan, records: &[Record]) -> Option<String> {
    let is_timed = |record: &&Record| !record.counted.is_empty() && record.case.judged != Judged::NoProcess;
    let shared = records.iter().filter(is_timed).filter(|record| !plan.has_cpus_for(record.case.parties));
    let names: Vec<_> = shared.map(|record| record.case.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        let names = names.join("; ");
        format!("consumers shared cpus, so counts of instructions say more about what each of them costs than: {names}")
    })
}

/// A row for every case and label; a case of which nothing counted has one without a label.
fn rows(records: &[Record], plan: &Plan) -> Vec<Row> {
    records
        .iter()
        .flat_map(|record| {
            let labels: BTreeSet<_> = record.counted.iter().map(|counted| counted.label).collect();
            let labels: Vec<_> = if labels.is_empty() { vec![None] } else { labels.into_iter().map(Some).collect() };
            labels.into_iter().map(|label| row(record, label, records, plan))
        })
        .collect()
}

fn row(record: &Record, label: Option<Label>, all: &[Record], plan: &Plan) -> Row {
    let measured = label.and_then(|label| measured_row(record, label));
    let reference = record.case.reference.as_ref().and_then(|name| all.iter().find(|other| other.case.name == *name));
    let reference_row = label.zip(reference).and_then(|(label, reference)| measured_row(reference, label));
    let ratio = measured.as_ref().zip(reference_row).map(|(row, other)| row.summary.median / other.summary.median);
    // The numbers of a smoke run mean nothing.
    let aim = record.case.aim.zip(measured.as_ref()).filter(|_| !plan.smoke);
    Row {
        aim: record.case.aim.map(|aim| written_aim(aim, measured.as_ref().map(|row| row.unit))),
        aim_met: aim.and_then(|(aim, row)| is_met(aim, row, ratio)),
        repeats_wanted: record.case.repeats(plan.repeats),
        case: record.case.name.clone(),
        wait: record.case.wait,
        label,
        measured,
        reference: record.case.reference.clone(),
        ratio,
        discarded: record.discarded.clone(),
        unavailable: record.unavailable.clone(),
    }
}

/// An aim in words. Without a unit nothing was measured, and there is nothing to compare.
fn written_aim(aim: Aim, unit: Option<Unit>) -> String {
    let value = |value: f64| unit.map_or_else(|| value.to_string(), |unit| unit.written(value));
    match aim {
        Aim::RatioAtMost(ratio) => format!("<= {ratio} x ref"),
        Aim::RatioAtLeast(ratio) => format!(">= {ratio} x ref"),
        Aim::AtMostMore(more) => format!("<= ref + {}", value(more)),
        Aim::AtMost(most) => format!("<= {}", value(most)),
        Aim::AtLeast(least) => format!(">= {}", value(least)),
        Aim::AtMostWithin { value: most, cpu_share } => {
            format!("<= {} at <= {}", value(most), Unit::Share.written(cpu_share))
        }
    }
}

/// Whether the aim is met; `None` when it is about a reference and there is nothing to compare with.
fn is_met(aim: Aim, row: &MeasuredRow, ratio: Option<f64>) -> Option<bool> {
    let median = row.summary.median;
    match aim {
        Aim::RatioAtMost(most) => ratio.map(|ratio| ratio <= most),
        Aim::RatioAtLeast(least) => ratio.map(|ratio| ratio >= least),
        Aim::AtMostMore(more) => ratio.map(|ratio| median - median / ratio <= more),
        Aim::AtMost(most) => Some(median <= most),
        Aim::AtLeast(least) => Some(median >= least),
        Aim::AtMostWithin { value, cpu_share } => Some(median <= value && row.cpu_share <= cpu_share),
    }
}

fn measured_row(record: &Record, label: Label) -> Option<MeasuredRow> {
    let counted: Vec<&Counted> = record.counted.iter().filter(|counted| counted.label == label).collect();
    let values: Vec<_> = counted.iter().map(|counted| counted.measurement.value).collect();
    let mut latencies = Latencies::new();
    for own in counted.iter().filter_map(|counted| counted.measurement.latencies.as_ref()) {
        latencies.merge(own);
    }
    let repeats = counted.iter().map(|counted| RepeatRow {
        value: counted.measurement.value,
        round_trip_before_ns: counted.round_trips_ns.0,
        round_trip_after_ns: counted.round_trips_ns.1,
    });
    Some(MeasuredRow {
        unit: counted.first()?.measurement.unit,
        summary: Summary::of(&values)?,
        latencies: latencies.percentiles(),
        cpu_share: Summary::of(&counted.iter().map(|counted| counted.cpu_share).collect::<Vec<_>>())?.median,
        repeats: repeats.collect(),
    })
}

/// The columns of the table.
const COLUMNS: [&str; 16] = [
    "case",
    "wait",
    "label",
    "n",
    "median",
    "min",
    "max",
    "x ref",
    "aim",
    "p50",
    "p90",
    "p99",
    "p99.9",
    "worst",
    "cpu",
    "discarded",
];

/// How a missing value is written.
const NOTHING: &str = "-";

impl Row {
    fn cells(&self) -> [String; COLUMNS.len()] {
        let or_nothing = |value: Option<String>| value.unwrap_or_else(|| NOTHING.to_owned());
        let of_summary = |value: fn(&Summary) -> f64| {
            or_nothing(self.measured.as_ref().map(|row| row.unit.written(value(&row.summary))))
        };
        let latencies = self.measured.as_ref().and_then(|row| row.latencies);
        let of_latencies = |value: fn(&Percentiles) -> u64| {
            or_nothing(latencies.map(|latencies| Unit::Nanoseconds.written(value(&latencies) as f64)))
        };
        [
            self.case.clone(),
            self.wait.to_owned(),
            or_nothing(self.label.map(|label| label.to_string())),
            self.measured.as_ref().map_or(0, |row| row.repeats.len()).to_string(),
            of_summary(|summary| summary.median),
            of_summary(|summary| summary.min),
            of_summary(|summary| summary.max),
            or_nothing(self.ratio.map(written_ratio)),
            self.aim_cell(),
            of_latencies(|latencies| latencies.p50_ns),
            of_latencies(|latencies| latencies.p90_ns),
            of_latencies(|latencies| latencies.p99_ns),
            of_latencies(|latencies| latencies.p999_ns),
            of_latencies(|latencies| latencies.max_ns),
            or_nothing(self.measured.as_ref().map(|row| Unit::Share.written(row.cpu_share))),
            self.discarded_cell(),
        ]
    }

    fn aim_cell(&self) -> String {
        let Some(aim) = &self.aim else { return NOTHING.to_owned() };
        match self.aim_met {
            Some(true) => format!("{aim}: met"),
            Some(false) => format!("{aim}: missed"),
            None => aim.clone(),
        }
    }

    fn discarded_cell(&self) -> String {
        if let Some(reason) = &self.unavailable {
            return format!("not measured: {reason}");
        }
        let reasons: Vec<_> = self.discarded.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        if reasons.is_empty() { "0".to_owned() } else { reasons.join(", ") }
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_header(formatter)?;
        writeln!(formatter)?;
        write_table(formatter, &self.rows)?;
        if !self.notes.is_empty() {
            writeln!(formatter)?;
        }
        self.notes.iter().try_for_each(|note| writeln!(formatter, "{note}"))
    }
}

impl Report {
    fn write_header(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        let unknown = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let guest = if machine.virtual_machine { ", virtual" } else { "" };
        let cpus_max = machine.cgroup_cpus_max.map_or_else(|| "none".to_owned(), |cpus| format!("{cpus:.2} cpus"));
        let memory_max =
            machine.cgroup_memory_max_bytes.map_or_else(|| "none".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        let label = self.wanted_label.map_or_else(|| "any".to_owned(), |label| label.to_string());
        writeln!(formatter, "perf-bench {}", self.command)?;
        writeln!(
            formatter,
            "processor  {}{guest}; L2 {}, L3 {}",
            unknown(&machine.processor),
            written_cache(machine.l2_bytes),
            written_cache(machine.l3_bytes)
        )?;
        writeln!(formatter, "kernel     {}; governor {}", unknown(&machine.kernel), unknown(&machine.governor))?;
        writeln!(
            formatter,
            "cpus       {:?} of {} allowed; cgroup limits: cpu {cpus_max}, memory {memory_max}",
            self.cpus,
            machine.allowed_cpus.len()
        )?;
        writeln!(
            formatter,
            "run        label {label}, {} repeats of {} ms, interleaved; waiting as each case says",
            self.repeats_wanted, self.window_ms
        )?;
        if self.quick {
            writeln!(formatter, "           A smoke run: everything counts, so the numbers mean nothing.")?;
        }
        Ok(())
    }
}

/// Writes aligned columns: names to the left, numbers to the right, and the last column as long as it is.
fn write_table(formatter: &mut fmt::Formatter<'_>, rows: &[Row]) -> fmt::Result {
    let lines: Vec<_> = std::iter::once(COLUMNS.map(str::to_owned)).chain(rows.iter().map(Row::cells)).collect();
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS.len()] = std::array::from_fn(width);
    for line in &lines {
        for (column, (cell, width)) in line.iter().zip(widths).enumerate() {
            match column {
                0..=2 | 8 => write!(formatter, "{cell:<width$}  ")?,
                _ if column == COLUMNS.len() - 1 => writeln!(formatter, "{cell}")?,
                _ => write!(formatter, "{cell:>width$}  ")?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::side::Measurement;
    use std::time::Duration;

    fn plan(repeats: usize) -> Plan {
        let timing = crate::side::Timing { window: Duration::from_millis(200), probe: Duration::from_millis(20) };
        Plan { repeats, attempts: 1, wanted: None, smoke: false, timing, cpus: [0, 1], other_cpus: Vec::new() }
    }

    /// A case of which these measurements counted.
    fn record(name: &str, reference: Option<&str>, counted: &[(Label, f64)]) -> Record {
        let case = crate::schedule::Case {
            name: name.to_owned(),
            reference: reference.map(str::to_owned),
            ..crate::cases::limits::cache_line_case()
        };
        let counted = counted.iter().map(|&(label, value)| Counted {
            label,
            round_trips_ns: (140.0, 141.0),
            measurement: Measurement::of(value, Unit::Nanoseconds),
            cpu_share: 1.0,
        });
        Record { case, counted: counted.collect(), discarded: BTreeMap::new(), unavailable: None }
    }

    #[test]
    fn a_case_is_compared_with_its_reference_under_the_same_label_only() {
        let reference = record("bare", None, &[(Label::Near, 10.0), (Label::Far, 100.0)]);
        let other = record("ours", Some("bare"), &[(Label::Near, 20.0), (Label::Near, 40.0), (Label::Smt, 5.0)]);
        let rows = rows(&[reference, other], &plan(1));
        let summary: Vec<_> = rows.iter().map(|row| (row.case.as_str(), row.label, row.ratio)).collect();
        let expected = [
            ("bare", Some(Label::Near), None),
            ("bare", Some(Label::Far), None),
            ("ours", Some(Label::Smt), None),
            ("ours", Some(Label::Near), Some(3.0)),
        ];
        assert_eq!(summary, expected);
    }

    #[test]
    fn a_case_of_which_nothing_counted_still_has_a_row() {
        let mut nothing = record("bare", None, &[]);
        nothing.discarded.insert(Discard::OtherLabel, 12);
        let rows = rows(&[nothing], &plan(1));
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].cells()[3], "0");
        assert_eq!(rows[0].cells()[15], "12 other label");
    }

    #[test]
    fn an_aim_is_met_or_missed_or_nobody_knows() {
        let aim = |ratio| Some(Aim::RatioAtMost(ratio));
        let mut other = record("ours", Some("bare"), &[(Label::Near, 15.0), (Label::Far, 15.0)]);
        other.case.aim = aim(1.5);
        let bare = || record("bare", None, &[(Label::Near, 10.0)]);
        let met: Vec<_> = rows(&[other, bare()], &plan(1)).iter().map(|row| row.aim_met).collect();
        assert_eq!(met, [Some(true), None, None]);

        let mut more = record("ours", Some("bare"), &[(Label::Near, 12.0), (Label::Far, 12.0)]);
        more.case.aim = Some(Aim::AtMostMore(1.5));
        let found = rows(&[more, bare()], &plan(1));
        assert_eq!(found[0].aim_cell(), "<= ref + 1.50 ns: missed");
        assert_eq!(found[1].aim_met, None);

        let mut within = record("ours", None, &[(Label::Near, 3000.0)]);
        within.case.aim = Some(Aim::AtMostWithin { value: 3000.0, cpu_share: 0.2 });
        let row = &rows(&[within], &plan(1))[0];
        assert_eq!(row.aim_cell(), "<= 3.00 µs at <= 20.0 %: missed", "the consumer of `record` uses its whole cpu");
    }

    #[test]
    fn a_case_that_is_measured_once_is_complete_after_that() {
        let mut once = record("ours", None, &[(Label::Near, 1.0)]);
        once.case.once = true;
        assert_eq!(rows(&[once], &plan(5))[0].repeats_wanted, 1);
    }
}
