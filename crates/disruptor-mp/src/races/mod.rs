//! Searches the orders in which processes that start and end at the same time can interleave in the rings of one
//! stream, with the death of one process at every point.
//!
//! The table lists the rules; for each there is a play that fails without it. A protocol of locks and names with a new
//! rule adds a row.
//!
//! These processes communicate through locks, names and single words. Each of these has an order of its own, so only
//! the order of whole steps matters. The steps are played on the real code: locks belong to descriptors, so threads
//! exclude each other as processes do.
//!
//! `RACES_ONLY=text` searches only the plays whose name contains that text; `RACES_STEP=1` tries each pair of points,
//! and not only a part of them; `RACES_LEGS=0:8,1:22` plays one order (`1:22!`: process 1 dies there), and
//! `RACES_TRACE=1` prints its points.

mod stream;
mod turns;

use std::cell::Cell;
use std::fmt;
use std::time::{Duration, Instant};
use stream::{PLAYS, Play};
use testkit::watchdog::Watchdog;
use turns::{Leg, Went};
pub(crate) use turns::{turn, turn_of_unlocking, yield_turn};

impl Rule {
    const COUNT: usize = Self::DecidedUnderTheTable as usize + 1;
}

/// The rules that the protocol rests on. Without one of them, a play fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Whether a consumer has given up is checked again, under its lock.
    GivenUpLookedAtTwice,
    /// Whether a consumer has given up is checked again by a producer that frees its entry.
    AwaitedLookedAtTwice,
    /// The ring that is removed under a name is the one that was looked at.
    SameRing,
    /// Whether a ring is needed is checked again, under all locks.
    UnneededUnderLocks,
    /// Whether a ring has no consumer is checked again by the producer that replaces it, while none can join.
    DecidedUnderTheTable,
}

/// For each rule, the play that fails without it.
const RULES: [(Rule, &str); Rule::COUNT] = [
    (Rule::GivenUpLookedAtTwice, "one leaves and one gives up and comes"),
    (Rule::AwaitedLookedAtTwice, "one comes back and is evicted"),
    (Rule::SameRing, "the last one leaves and a new ring comes"),
    (Rule::UnneededUnderLocks, "the last one leaves and one comes"),
    (Rule::DecidedUnderTheTable, "a producer begins again and one comes"),
];

thread_local! {
    static LIFTED: Cell<Option<Rule>> = const { Cell::new(None) };
}

/// Whether the play of this thread runs without `rule`.
pub(crate) fn is_lifted(rule: Rule) -> bool {
    LIFTED.get() == Some(rule)
}

/// How many points of the second process are between two orders that are tried, unless `RACES_STEP` says otherwise; for
/// the first process, a tenth of it.
const STEP: usize = 29;

/// Runs `run` without `rule`, in this thread and in the processes that it plays.
fn without<T>(rule: Option<Rule>, run: impl FnOnce() -> T) -> T {
    LIFTED.set(rule);
    let result = run();
    LIFTED.set(None);
    result
}

/// How a play has failed, and in which order.
struct Failure {
    play: &'static str,
    legs: Vec<Leg>,
    what: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let leg = |leg: &Leg| format!("{}:{}{}", leg.act, leg.points, if leg.dies { "!" } else { "" });
        let legs = self.legs.iter().map(leg).collect::<Vec<_>>().join(",");
        writeln!(f, "\"{}\" goes wrong with RACES_LEGS={legs}: {}", self.play, self.what)
    }
}

fn played(play: &Play, legs: &[Leg]) -> Result<Vec<Went>, Failure> {
    (play.run)(legs).map_err(|what| Failure { play: play.name, legs: legs.to_vec(), what })
}

/// Plays one order.
fn one(play: &Play, legs: &[Leg]) -> Result<usize, Failure> {
    played(play, legs).map(|_| 1)
}

/// The one order that is asked for, if any.
fn asked_for() -> Option<Vec<Leg>> {
    let leg = |text: &str| {
        let (act, points) = text.split_once(':')?;
        let dies = points.ends_with('!');
        Some(Leg { act: act.parse().ok()?, points: points.trim_end_matches('!').parse().ok()?, dies })
    };
    let text = std::env::var("RACES_LEGS").ok()?;
    Some(text.split(',').map(|text| leg(text).expect("RACES_LEGS is like 0:8,1:22!")).collect())
}

/// Returns how many orders were played, or the first that fails.
fn search(play: &Play, step: usize) -> Result<usize, Failure> {
    let mut count = 0;
    let mut run = |legs: &[Leg]| {
        count += 1;
        played(play, legs)
    };
    for first in 0..play.acts {
        for second in (0..play.acts).filter(|&second| second != first) {
            // The first goes so far, the second goes so far, then the first to its end; and one of them may die there.
            for i in (0..).step_by(step.div_ceil(10)) {
                let mut is_whole = false;
                for j in (i % step..).step_by(step) {
                    let mut is_second_whole = false;
                    for dies in [None, Some(first), Some(second)] {
                        if dies.is_some_and(|dies| !play.mortal.contains(&dies)) {
                            continue;
                        }
                        let leg = |act, points| Leg { act, points, dies: dies == Some(act) };
                        let went = run(&[leg(first, i), leg(second, j)])?;
                        is_whole |= went[0] == Went::Whole;
                        is_second_whole |= went[1] == Went::Whole;
                    }
                    if !is_second_whole || !is_whole {
                        break;
                    }
                }
                if !is_whole {
                    break;
                }
            }
        }
    }
    Ok(count)
}

#[test]
fn whoever_comes_and_goes_at_once_nothing_is_lost_and_nothing_is_left() {
    let only = std::env::var("RACES_ONLY").ok();
    let step = std::env::var("RACES_STEP").ok().map_or(STEP, |step| step.parse().expect("RACES_STEP is a number"));
    let mut failures = Vec::new();
    for play in PLAYS.iter().filter(|play| only.as_ref().is_none_or(|only| play.name.contains(only.as_str()))) {
        let _watchdog = Watchdog::new(Duration::from_secs(600), play.name);
        let begin = Instant::now();
        match asked_for().map_or_else(|| search(play, step), |legs| one(play, &legs)) {
            Ok(count) => eprintln!("{}: {count} orders, {:?}", play.name, begin.elapsed()),
            Err(failure) => failures.push(failure),
        }
    }
    assert!(failures.is_empty(), "{}", failures.iter().map(Failure::to_string).collect::<String>());
}

#[test]
fn without_each_rule_its_play_goes_wrong() {
    for (rule, name) in RULES {
        let _watchdog = Watchdog::new(Duration::from_secs(600), name);
        let play = PLAYS.iter().find(|play| play.name == name).expect("the name of a play");
        let searched = without(Some(rule), || search(play, 1));
        assert!(searched.is_err(), "\"{name}\" goes well without {rule:?}");
    }
}
