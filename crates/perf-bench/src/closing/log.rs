//! The log of measurements, a file to which runs add: one run need not have everything.
//!
//! One line of JSON for each run, and one for each measurement that counted, which is one set of fresh processes. A
//! line is written at once, so a run that is interrupted has added what it measured. A figure never mixes programs of
//! different builds: only measurements of the last build that measured a case count.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::probe::Label;
use crate::schedule::Counted;
use crate::stats::{Percentiles, Summary, Unit};

/// Why a log could not be added to or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogError {
    #[error("the log {} could not be {what}", path.display())]
    Os { path: PathBuf, what: &'static str, source: io::Error },
    #[error("line {line} of the log {} is not one of this program's; remove it", path.display())]
    Garbled { path: PathBuf, line: usize, source: serde_json::Error },
}

/// A run, before what it measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// Seconds since 1970.
    pub(crate) at_s: u64,
    /// The command.
    pub(crate) command: String,
    pub(crate) window_ms: u64,
    /// Which program it was: a number that no other program has.
    pub(crate) build: u64,
    pub(crate) machine: Machine,
}

impl Run {
    /// This one.
    ///
    /// # Errors
    /// When this program's file cannot be read.
    pub(crate) fn now(window_ms: u64, machine: Machine) -> io::Result<Self> {
        let at_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let args: Vec<_> = std::env::args().skip(1).collect();
        let mut hasher = DefaultHasher::new();
        fs::read("/proc/self/exe")?.hash(&mut hasher);
        Ok(Self { at_s, command: format!("perf-bench {}", args.join(" ")), window_ms, build: hasher.finish(), machine })
    }
}

/// A measurement that counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Measured {
    case: String,
    label: Label,
    value: f64,
    unit: Unit,
    /// Cache-line round trips before and after.
    line_ns: (f64, f64),
    /// The part of its cpu that the last consumer used.
    cpu_share: f64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    latencies: Option<Percentiles>,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Run(Run),
    Measured(Measured),
}

/// A file that a run adds to.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
}

impl Log {
    /// Begins a run in a file, which need not be there yet.
    ///
    /// # Errors
    /// See [`LogError`].
    pub(crate) fn begin(path: &Path, run: Run) -> Result<Self, LogError> {
        let os = |source| LogError::Os { path: path.to_owned(), what: "opened", source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(os)?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(os)?;
        let mut log = Self { path: path.to_owned(), file };
        log.write(&Line::Run(run))?;
        Ok(log)
    }

    /// Adds a measurement.
    ///
    /// # Errors
    /// See [`LogError`].
    pub(crate) fn add(&mut self, case: &str, counted: &Counted) -> Result<(), LogError> {
        self.write(&Line::Measured(Measured {
            case: case.to_owned(),
            label: counted.label,
            value: rounded(counted.measurement.value),
            unit: counted.measurement.unit,
            line_ns: (rounded(counted.round_trips_ns.0), rounded(counted.round_trips_ns.1)),
            cpu_share: rounded(counted.cpu_share),
            latencies: counted.measurement.latencies.as_ref().and_then(|latencies| latencies.percentiles()),
        }))
    }

    fn write(&mut self, line: &Line) -> Result<(), LogError> {
        let text = serde_json::to_string(line).expect("a line is made of numbers and names") + "\n";
        let written = self.file.write_all(text.as_bytes());
        written.map_err(|source| LogError::Os { path: self.path.clone(), what: "written", source })
    }
}

/// To five digits: more say nothing, and the log is kept.
fn rounded(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

/// The summary of all processes for a case under one label.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Figure {
    pub(crate) unit: Unit,
    /// Over processes.
    pub(crate) summary: Summary,
    /// The median over processes of what each consumer used of its cpu.
    pub(crate) cpu_share: f64,
    /// The median over processes of each one's p90, where there are single latencies.
    pub(crate) p90_ns: Option<f64>,
}

/// The content of a log.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) runs: Vec<Run>,
    by_case: BTreeMap<(String, Label), Figure>,
    /// Cache-line round trips under each label.
    line_ns: BTreeMap<Label, Vec<f64>>,
}

impl Figures {
    /// Reads a log.
    ///
    /// # Errors
    /// See [`LogError`].
    pub(crate) fn read(path: &Path) -> Result<Self, LogError> {
        let os = |source| LogError::Os { path: path.to_owned(), what: "read", source };
        Self::parse(&fs::read_to_string(path).map_err(os)?).map_err(|(line, source)| LogError::Garbled {
            path: path.to_owned(),
            line,
            source,
        })
    }

    fn parse(text: &str) -> Result<Self, (usize, serde_json::Error)> {
        let mut runs: Vec<Run> = Vec::new();
        // The build that measured a case last, and what it measured.
        let mut cases = BTreeMap::<String, (u64, Vec<Measured>)>::new();
        for (index, line) in text.lines().enumerate() {
            match serde_json::from_str(line).map_err(|source| (index + 1, source))? {
                Line::Run(run) => runs.push(run),
                Line::Measured(measured) => {
                    let build = runs.last().map_or(0, |run| run.build);
                    let (last_build, all) = cases.entry(measured.case.clone()).or_default();
                    if *last_build != build {
                        (*last_build, *all) = (build, Vec::new());
                    }
                    all.push(measured);
                }
            }
        }
        let mut figures = Self { runs, ..Self::default() };
        for (case, (_, all)) in cases {
            let mut by_label = BTreeMap::<Label, Vec<Measured>>::new();
            for measured in all {
                figures.line_ns.entry(measured.label).or_default().push(measured.line_ns.0);
                by_label.entry(measured.label).or_default().push(measured);
            }
            for (label, all) in by_label {
                figures.by_case.extend(figure(&all).map(|figure| ((case.clone(), label), figure)));
            }
        }
        Ok(figures)
    }

    /// The figure of a case under a label; `None` when nothing counted.
    pub(crate) fn of(&self, case: &str, label: Label) -> Option<&Figure> {
        self.by_case.get(&(case.to_owned(), label))
    }

    /// The labels under which something was measured.
    pub(crate) fn labels(&self) -> impl Iterator<Item = Label> {
        self.line_ns.keys().copied()
    }

    /// The cache-line round trips of all that counted under a label.
    pub(crate) fn line_ns(&self, label: Label) -> Option<Summary> {
        Summary::of(self.line_ns.get(&label)?)
    }
}

/// `None` of nothing.
fn figure(all: &[Measured]) -> Option<Figure> {
    let median = |of: fn(&Measured) -> Option<f64>| {
        let values: Vec<_> = all.iter().filter_map(of).collect();
        Summary::of(&values).map(|summary| summary.median)
    };
    Some(Figure {
        unit: all.first()?.unit,
        summary: Summary::of(&all.iter().map(|measured| measured.value).collect::<Vec<_>>())?,
        cpu_share: median(|measured| Some(measured.cpu_share))?,
        p90_ns: median(|measured| Some(measured.latencies?.p90_ns as f64)),
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::side::Measurement;

    fn run(build: u64) -> String {
        let run =
            Run { at_s: 0, command: "perf-bench closing".into(), window_ms: 50, build, machine: Machine::default() };
        serde_json::to_string(&Line::Run(run)).unwrap()
    }

    fn measured(case: &str, label: Label, value: f64, unit: Unit) -> String {
        let (line_ns, cpu_share) = ((119.0, 120.0), 1.0);
        let case = case.to_owned();
        serde_json::to_string(&Line::Measured(Measured {
            case,
            label,
            value,
            unit,
            line_ns,
            cpu_share,
            latencies: None,
        }))
        .unwrap()
    }

    /// A log with these measurements of one build.
    pub(in crate::closing) fn figures(all: &[(&str, Label, f64, Unit)]) -> Figures {
        let lines = all.iter().map(|&(case, label, value, unit)| measured(case, label, value, unit));
        Figures::parse(&std::iter::once(run(1)).chain(lines).collect::<Vec<_>>().join("\n")).unwrap()
    }

    #[test]
    fn near_and_far_are_apart_and_a_second_run_adds_to_the_first() {
        let unit = Unit::Nanoseconds;
        let lines = [
            run(1),
            measured("a", Label::Near, 10.0, unit),
            measured("a", Label::Far, 50.0, unit),
            run(1),
            measured("a", Label::Near, 20.0, unit),
        ];
        let figures = Figures::parse(&lines.join("\n")).unwrap();
        let near = figures.of("a", Label::Near).unwrap().summary;
        assert_eq!((near.median, near.repeats), (15.0, 2));
        assert_eq!(figures.of("a", Label::Far).unwrap().summary.repeats, 1);
        assert_eq!(figures.of("a", Label::Smt), None);
        assert_eq!(figures.labels().collect::<Vec<_>>(), [Label::Near, Label::Far]);
        assert_eq!(figures.runs.len(), 2);
    }

    #[test]
    fn what_another_build_measures_takes_the_place_of_what_the_former_did_of_that_case() {
        let unit = Unit::EventsPerSecond;
        let near = |case, value| measured(case, Label::Near, value, unit);
        let lines = [run(1), near("a", 10.0), near("b", 10.0), run(2), near("a", 30.0)];
        let figures = Figures::parse(&lines.join("\n")).unwrap();
        let median = |case| figures.of(case, Label::Near).unwrap().summary.median;
        assert_eq!((median("a"), median("b")), (30.0, 10.0));
    }

    #[test]
    fn what_a_run_adds_is_what_is_read_and_a_broken_line_is_named() {
        let folder = std::env::temp_dir().join(format!("perf-bench-log-{}", std::process::id()));
        let path = folder.join("closing.jsonl");
        for value in [1.0, 3.0] {
            let mut log = Log::begin(&path, Run::now(50, Machine::default()).unwrap()).unwrap();
            let measurement = Measurement::of(value, Unit::Nanoseconds);
            log.add("a", &Counted { label: Label::Near, round_trips_ns: (119.0, 121.0), measurement, cpu_share: 0.5 })
                .unwrap();
        }
        let figure = Figures::read(&path).unwrap().of("a", Label::Near).cloned().unwrap();
        assert_eq!((figure.summary.median, figure.summary.repeats, figure.cpu_share), (2.0, 2, 0.5));
        fs::write(&path, run(1) + "\nnothing\n").unwrap();
        let error = Figures::read(&path).unwrap_err();
        assert!(error.to_string().starts_with("line 2 of the log"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
