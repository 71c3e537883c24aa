//! Which case is measured when, and which measurements count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::interference::{self, Disturbance};
use crate::probe::Label;
use crate::roles::{self, Interrupt, Outcome, RoleError};
use crate::side::{Measured, Measurement, Timing};
use crate::workload::Workload;

/// One line of a run.
#[derive(Debug, Clone)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// How its sides wait, in a word.
    pub(crate) wait: &'static str,
    /// The name of the case of the same run that it is compared with.
    pub(crate) reference: Option<String>,
    /// What the figure ought to be.
    pub(crate) aim: Option<Aim>,
    pub(crate) workload: Workload,
    /// How many processes it takes: one producer, and consumers.
    pub(crate) parties: usize,
    /// The processes whose cpu has to be undisturbed.
    pub(crate) judged: Judged,
    /// Whether it means nothing unless every process has a cpu of its own.
    pub(crate) own_cpus: bool,
    /// Whether one measurement is enough, because it is an average over a long time or an exact count.
    pub(crate) once: bool,
}

impl Case {
    /// A case of one producer and one consumer, both undisturbed, that is compared with nothing.
    pub(crate) fn new(name: impl Into<String>, wait: &'static str, workload: Workload) -> Self {
        Self {
            name: name.into(),
            wait,
            reference: None,
            aim: None,
            workload,
            parties: 2,
            judged: Judged::EveryProcess,
            own_cpus: false,
            once: false,
        }
    }

    /// Compared with `reference`, a case of the same run.
    pub(crate) fn beside(self, reference: &Self) -> Self {
        Self { reference: Some(reference.name.clone()), ..self }
    }

    /// With an aim.
    pub(crate) fn aiming(self, aim: Aim) -> Self {
        Self { aim: Some(aim), ..self }
    }

    /// How many measurements of it have to count, of a run of `repeats`.
    pub(crate) fn repeats(&self, repeats: usize) -> usize {
        if self.once { 1 } else { repeats }
    }
}

/// Keeps the cases whose name contains one of `texts`, and the references of the kept ones. Without texts it
/// keeps all.
pub(crate) fn keep_only(cases: &mut Vec<Case>, texts: &[String]) {
    if texts.is_empty() {
        return;
    }
    let mut kept: BTreeSet<String> = BTreeSet::new();
    let is_wanted = |case: &&Case| texts.iter().any(|text| case.name.contains(text.as_str()));
    let mut wanted: Vec<_> = cases.iter().filter(is_wanted).map(|case| case.name.clone()).collect();
    // A reference may have one of its own.
    while let Some(name) = wanted.pop() {
        let reference = cases.iter().find(|case| case.name == name).and_then(|case| case.reference.clone());
        if kept.insert(name) {
            wanted.extend(reference);
        }
    }
    cases.retain(|case| kept.contains(&case.name));
}

/// What a figure ought to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Aim {
    /// At most this many times the reference.
    RatioAtMost(f64),
    /// At least this many times the reference.
    RatioAtLeast(f64),
    /// At most this much more than the reference, in the case's unit.
    AtMostMore(f64),
    /// At most this, in the case's unit.
    AtMost(f64),
    /// At least this, in the case's unit.
    AtLeast(f64),
    /// At most this, in the case's unit, while the consumer uses at most that part of a cpu.
    AtMostWithin { value: f64, cpu_share: f64 },
}

/// Which processes must not be disturbed for a measurement to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// All processes take part in the measurement.
    EveryProcess,
    /// As [`EveryProcess`](Self::EveryProcess), but the processes have several threads each, which have to wait for one
    /// another.
    Threads,
    /// The producer alone is measured; its consumers may share cpus.
    Producer,
    /// The measurement is a process's own count of its cpu time or instructions, which does not depend on where it runs
    /// and what else runs.
    NoProcess,
}

/// How a run is made.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How many measurements of each case have to count.
    pub(crate) repeats: usize,
    /// How often each of them is tried.
    pub(crate) attempts: usize,
    /// The label they need; `None` takes any, but compares only equal ones.
    pub(crate) wanted: Option<Label>,
    /// A smoke run: every measurement counts, because only that it runs is of interest.
    pub(crate) smoke: bool,
    pub(crate) timing: Timing,
    /// Where roles 0 and 1 run.
    pub(crate) cpus: [usize; 2],
    /// What else may be used, for cases of more roles.
    pub(crate) other_cpus: Vec<usize>,
}

impl Plan {
    /// The cpus of `parties` roles. Where there are too few, consumers share; the producer never does.
    fn cpus_of(&self, parties: usize) -> Vec<usize> {
        let consumers = self.cpus[1..].iter().chain(&self.other_cpus).copied().cycle();
        std::iter::once(self.cpus[0]).chain(consumers).take(parties).collect()
    }

    /// Whether each of `parties` roles has a cpu of its own.
    pub(crate) fn has_cpus_for(&self, parties: usize) -> bool {
        parties <= self.cpus.len() + self.other_cpus.len()
    }
}

/// A measurement that counts.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) label: Label,
    /// Cache-line round trips before and after, in nanoseconds.
    pub(crate) round_trips_ns: (f64, f64),
    pub(crate) measurement: Measurement,
    /// The part of its cpu that the last consumer used.
    pub(crate) cpu_share: f64,
}

/// Why a measurement does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Discard {
    /// The cpus were not where they are wanted.
    OtherLabel,
    /// The host moved them in between.
    LabelChanged,
    /// The cpus were not ours alone.
    Disturbed(Disturbance),
    /// The code of a peer failed in it.
    PeerFailed,
}

impl fmt::Display for Discard {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherLabel => formatter.pad("other label"),
            Self::LabelChanged => formatter.pad("label changed"),
            Self::Disturbed(disturbance) => disturbance.fmt(formatter),
            Self::PeerFailed => formatter.pad("the peer failed"),
        }
    }
}

impl Serialize for Discard {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Everything that a run learned about one case.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) case: Case,
    pub(crate) counted: Vec<Counted>,
    /// How many measurements did not count, by reason.
    pub(crate) discarded: BTreeMap<Discard, usize>,
    /// Why this machine cannot measure it, if so.
    pub(crate) unavailable: Option<String>,
}

/// Tries for each repeat of a case. With the pauses between them they last longer than a short stay of the cpus at the
/// wrong distance.
pub(crate) const ATTEMPTS_PER_REPEAT: usize = 30;

/// The pause after a measurement that did not count. The host moves cpus every few seconds, so hurry gains nothing.
const PAUSE: Duration = Duration::from_millis(150);

/// What observes a run while it goes on.
pub(crate) trait Watch {
    /// How the run ends when an observation cannot be kept.
    type Error: From<RoleError>;

    /// A repeat (from 0) of a case begins.
    fn begins(&mut self, repeat: usize, case: &Case);

    /// A measurement of a case has counted.
    ///
    /// # Errors
    /// The run ends with this.
    fn counts(&mut self, case: &Case, counted: &Counted) -> Result<(), Self::Error>;
}

/// Measures all `cases` as `plan` says. Repeats are outermost, and each repeat starts with another case, so that a
/// change over time affects all of them. Each measurement is made by fresh processes.
///
/// # Errors
/// See [`RoleError`], and what `watch` returns. A case that this machine cannot measure is not an error but a remark in
/// its record.
pub(crate) fn measure_all<W: Watch>(
    cases: Vec<Case>,
    plan: &Plan,
    interrupt: &Interrupt,
    watch: &mut W,
) -> Result<Vec<Record>, W::Error> {
    let mut records: Vec<_> = cases
        .into_iter()
        .map(|case| Record { case, counted: Vec::new(), discarded: BTreeMap::new(), unavailable: None })
        .collect();
    for record in &mut records {
        let parties = record.case.parties;
        if record.case.own_cpus && !plan.has_cpus_for(parties) {
            record.unavailable = Some(format!("{parties} spinning processes need as many cpus"));
        }
    }
    for repeat in 0..plan.repeats {
        for index in order(records.len(), repeat) {
            if repeat >= records[index].case.repeats(plan.repeats) {
                continue;
            }
            let record = &mut records[index];
            watch.begins(repeat, &record.case);
            let counted_before = record.counted.len();
            measure_once(record, plan, interrupt)?;
            record.counted[counted_before..].iter().try_for_each(|counted| watch.counts(&record.case, counted))?;
        }
    }
    Ok(records)
}

/// The order of `cases` cases in a repeat: the same circle, entered one case later each time.
fn order(cases: usize, repeat: usize) -> impl Iterator<Item = usize> {
    (0..cases).map(move |step| (step + repeat) % cases)
}

/// How often a peer may fail before it is given up.
const PEER_FAILURES_MAX: usize = 3;

/// Tries until one measurement counts or the attempts are used up.
fn measure_once(record: &mut Record, plan: &Plan, interrupt: &Interrupt) -> Result<(), RoleError> {
    let case = &record.case;
    let wanted = if plan.smoke || case.judged == Judged::NoProcess { None } else { plan.wanted };
    let cpus = plan.cpus_of(case.parties);
    for _ in 0..plan.attempts {
        if record.unavailable.is_some() {
            return Ok(());
        }
        let outcome = roles::run(&record.case.workload, &cpus, plan.timing, wanted, interrupt);
        // If a peer's code fails, only its own figure is lost, not the run. If ours fails, it is a bug.
        let is_peers = record.case.workload.subject().is_peers();
        let discard = match outcome {
            Err(error) if is_peers && !matches!(error, RoleError::Interrupted) => {
                if record.discarded.get(&Discard::PeerFailed).is_some_and(|times| *times >= PEER_FAILURES_MAX) {
                    record.unavailable = Some(error.to_string());
                    return Ok(());
                }
                Discard::PeerFailed
            }
            other => match other? {
                Outcome::Unavailable(reason) => {
                    record.unavailable = Some(reason);
                    return Ok(());
                }
                Outcome::Skipped => Discard::OtherLabel,
                Outcome::Measured(measured) => match sift(measured, &cpus, record.case.judged, plan) {
                    Ok(counted) => {
                        record.counted.push(counted);
                        return Ok(());
                    }
                    Err(discard) => discard,
                },
            },
        };
        *record.discarded.entry(discard).or_default() += 1;
        interrupt.pause(PAUSE)?;
    }
    Ok(())
}

/// Decides whether a measurement counts.
fn sift(measured: Vec<Measured>, cpus: &[usize], judged: Judged, plan: &Plan) -> Result<Counted, Discard> {
    let usages: Vec<_> = cpus.iter().copied().zip(measured.iter().map(|role| role.usage)).collect();
    // Of the whole measurement: a consumer with nothing to do in it has hardly any time of its own.
    let wall = usages.iter().map(|(_, usage)| usage.wall).max().expect("there are roles").as_secs_f64();
    let cpu_share = usages.last().map_or(0.0, |(_, usage)| usage.own_cpu.as_secs_f64() / wall);
    let round_trips_ns = measured.iter().find_map(|role| role.round_trips_ns).expect("role 0 has probed");
    let mut measurements = measured.into_iter().filter_map(|role| role.measurement);
    let measurement = measurements.next().expect("one side of a workload returns its measurement");
    assert!(measurements.next().is_none(), "only one side of a workload returns its measurement");

    let (label, after) = (Label::of_round_trip(round_trips_ns.0), Label::of_round_trip(round_trips_ns.1));
    let counted = Counted { label, round_trips_ns, measurement, cpu_share };
    let judged = match judged {
        _ if plan.smoke => return Ok(counted),
        Judged::NoProcess => return Ok(counted),
        Judged::Producer => &usages[..1],
        Judged::EveryProcess => &usages[..],
        Judged::Threads => &usages.iter().map(|&(cpu, usage)| (cpu, usage.among_threads())).collect::<Vec<_>>(),
    };
    if plan.wanted.is_some_and(|wanted| wanted != label) {
        return Err(Discard::OtherLabel);
    }
    if after != label {
        return Err(Discard::LabelChanged);
    }
    interference::judge(judged).map_or(Ok(counted), |disturbance| Err(Discard::Disturbed(disturbance)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interference::Usage;
    use crate::stats::Unit;

    #[test]
    fn every_repeat_measures_every_case_and_starts_one_later() {
        let orders: Vec<Vec<_>> = (0..4).map(|repeat| order(3, repeat).collect()).collect();
        assert_eq!(orders, [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]);
    }

    #[test]
    fn over_as_many_repeats_as_cases_every_case_has_been_at_every_place() {
        for case in 0..5 {
            let mut places: Vec<_> =
                (0..5).map(|repeat| order(5, repeat).position(|index| index == case).unwrap()).collect();
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2, 3, 4]);
        }
    }

    #[test]
    fn a_kept_case_brings_what_it_is_compared_with() {
        let case = |name: &str| Case { name: name.to_owned(), ..crate::cases::limits::cache_line_case() };
        let (first, other) = (case("first"), case("other"));
        let second = case("second").beside(&first);
        let third = case("third").beside(&second);
        let mut cases = vec![first, other, second, third];
        let names = |cases: &[Case]| cases.iter().map(|case| case.name.clone()).collect::<Vec<_>>();
        keep_only(&mut cases, &[]);
        assert_eq!(cases.len(), 4);
        keep_only(&mut cases, &["hir".to_owned()]);
        assert_eq!(names(&cases), ["first", "second", "third"]);
        keep_only(&mut cases, &["fourth".to_owned()]);
        assert!(cases.is_empty());
    }

    fn plan(wanted: Option<Label>) -> Plan {
        let timing = Timing { window: Duration::from_millis(200), probe: Duration::from_millis(20) };
        Plan { repeats: 1, attempts: 1, wanted, smoke: false, timing, cpus: [0, 1], other_cpus: vec![4] }
    }

    fn sift_both(measured: Vec<Measured>, plan: &Plan) -> Result<Counted, Discard> {
        sift(measured, &plan.cpus, Judged::EveryProcess, plan)
    }

    #[test]
    fn consumers_share_cpus_before_they_take_the_producers() {
        let plan = plan(None);
        assert_eq!(plan.cpus_of(3), [0, 1, 4]);
        assert_eq!(plan.cpus_of(5), [0, 1, 4, 1, 4]);
        assert!(plan.has_cpus_for(3) && !plan.has_cpus_for(4));
    }

    #[test]
    fn who_is_not_measured_may_be_disturbed() {
        let disturbed = || measured(140.0, 140.0, Duration::from_millis(100));
        let plan = plan(Some(Label::Near));
        assert!(sift(disturbed(), &plan.cpus, Judged::Producer, &plan).is_ok());
        assert!(sift(disturbed(), &plan.cpus, Judged::EveryProcess, &plan).is_err());
    }

    #[test]
    fn threads_of_a_process_may_wait_for_one_another_but_not_for_others() {
        let waiting = |foreign| {
            let mut measured = measured(140.0, 140.0, foreign);
            measured[1].usage.waited = Some(Duration::from_millis(100));
            measured
        };
        let plan = plan(Some(Label::Near));
        let sift = |foreign, judged| sift(waiting(foreign), &plan.cpus, judged, &plan);
        assert_eq!(sift(Duration::ZERO, Judged::EveryProcess).unwrap_err(), Discard::Disturbed(Disturbance::Waited));
        assert!(sift(Duration::ZERO, Judged::Threads).is_ok());
        let disturbed = sift(Duration::from_millis(100), Judged::Threads).unwrap_err();
        assert_eq!(disturbed, Discard::Disturbed(Disturbance::ForeignWork));
    }

    /// Both roles, with the cpus `before` and `after` that far apart, and `foreign` work on the second one.
    fn measured(before_ns: f64, after_ns: f64, foreign: Duration) -> Vec<Measured> {
        let wall = Duration::from_millis(200);
        let waited = Some(Duration::ZERO);
        let quiet = Usage { wall, own_cpu: wall, waited, involuntary: 0, cpu_busy: wall, cpu_stolen: Duration::ZERO };
        let busy = Usage { cpu_busy: wall + foreign, ..quiet };
        let measurement = Some(Measurement::of(1.0, Unit::Nanoseconds));
        vec![
            Measured { round_trips_ns: Some((before_ns, after_ns)), usage: quiet, measurement: None },
            Measured { round_trips_ns: None, usage: busy, measurement },
        ]
    }

    #[test]
    fn a_quiet_measurement_with_the_wanted_label_on_both_ends_counts() {
        let counted = sift_both(measured(140.0, 150.0, Duration::ZERO), &plan(Some(Label::Near))).unwrap();
        assert_eq!((counted.label, counted.measurement.value), (Label::Near, 1.0));
    }

    #[test]
    fn a_measurement_during_which_the_cpus_moved_does_not_count_even_when_any_label_will_do() {
        let moved = sift_both(measured(140.0, 510.0, Duration::ZERO), &plan(None));
        assert_eq!(moved.unwrap_err(), Discard::LabelChanged);
    }

    #[test]
    fn a_measurement_with_another_label_does_not_count() {
        let far = sift_both(measured(510.0, 510.0, Duration::ZERO), &plan(Some(Label::Near)));
        assert_eq!(far.unwrap_err(), Discard::OtherLabel);
    }

    #[test]
    fn a_disturbed_measurement_does_not_count_except_in_a_smoke_run() {
        let disturbed = || measured(140.0, 140.0, Duration::from_millis(100));
        let verdict = sift_both(disturbed(), &plan(Some(Label::Near))).unwrap_err();
        assert_eq!(verdict, Discard::Disturbed(Disturbance::ForeignWork));
        assert!(sift_both(disturbed(), &Plan { smoke: true, ..plan(Some(Label::Near)) }).is_ok());
    }
}
