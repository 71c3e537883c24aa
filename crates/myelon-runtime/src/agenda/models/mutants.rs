//! The table of mutants: each fence, each second look and each exchange that has a name, and the models that fail
//! without it.
//!
//! The test runs this test binary again for each row. A `Site` without a row does not compile.

use super::{BESIDE, FORGOTTEN, MUTANT_VARIABLE, TWICE};
use crate::agenda::primitive::Site;
use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Without what happens at `site`, `model` fails with `symptom`.
struct Mutant {
    site: Site,
    model: &'static str,
    symptom: &'static str,
}

/// A thread sleeps and no thread is left to wake it: loom's finding.
const ASLEEP: &str = "deadlock; threads =";
/// A thread looks again and again, and nothing changes: loom's finding.
const ENDLESS: &str = "Model exceeded maximum number of branches";

macro_rules! mutants {
    ($($site:ident { $($file:ident::$model:ident => $symptom:ident,)+ })+) => {
        const MUTANTS: &[Mutant] = &[$($({
            let _: fn() = super::$file::$model;
            Mutant {
                site: Site::$site,
                model: concat!("agenda::models::", stringify!($file), "::", stringify!($model)),
                symptom: $symptom,
            }
        },)+)+];

        /// A site without a row makes this match not exhaustive.
        const _: fn(Site) = |site| match site {
            $(Site::$site => (),)+
        };
    };
}

mutants! {
    WakeFence {
        park::a_worker_that_sleeps_is_woken_by_a_submission => ASLEEP,
        park::what_a_worker_pushes_wakes_a_thief => ASLEEP,
    }
    ParkFence {
        park::a_worker_that_sleeps_is_woken_by_a_submission => ASLEEP,
        park::what_a_worker_pushes_wakes_a_thief => ASLEEP,
    }
    ParkSecondLook {
        park::a_worker_that_sleeps_is_woken_by_a_submission => ASLEEP,
        park::what_a_worker_pushes_wakes_a_thief => ASLEEP,
        quiesce::a_tasklet_that_is_submitted_during_a_closure_runs_before_or_after_it => ASLEEP,
    }
    Spread {
        park::a_wake_spreads => ASLEEP,
    }
    StartExchange {
        state::a_tasklet_is_started_or_cancelled => TWICE,
    }
    CancelExchange {
        state::a_tasklet_is_started_or_cancelled => TWICE,
        state::a_repeating_tasklet_is_cancelled_once_between_runs => TWICE,
    }
    WatchSecondLook {
        state::a_thread_that_waits_for_the_end_is_called => ASLEEP,
    }
    ClosedSecondLook {
        closing::what_is_accepted_while_the_agenda_closes_has_an_end => FORGOTTEN,
    }
    CloseFence {
        closing::what_is_accepted_while_the_agenda_closes_has_an_end => FORGOTTEN,
    }
    StopFence {
        quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
    }
    ResumeFence {
        quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
    }
    ResumeSecondLook {
        quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
        quiesce::a_tasklet_that_is_submitted_during_a_closure_runs_before_or_after_it => BESIDE,
    }
    RestFence {
        quiesce::a_party_that_rests_does_not_hold_up_a_closure => ASLEEP,
    }
    RestRelease {
        quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
    }
    RestAcquire {
        quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
    }
    GoRelease {
        quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
    }
    GoAcquire {
        quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
    }
    LookBeforeEach {
        quiesce::a_party_that_works_on_stops_at_its_next_look => ENDLESS,
    }
    OneAsker {
        quiesce::two_closures_do_not_run_at_once => BESIDE,
    }
}

#[test]
fn every_mutant_fails_and_its_model_passes_without_the_mutation() {
    let mut complaints = Vec::new();
    for model in MUTANTS.iter().map(|mutant| mutant.model).collect::<BTreeSet<_>>() {
        let (success, output) = run(model, None);
        if !(success && output.contains("test result: ok. 1 passed")) {
            complaints.push(format!("{model} does not pass as it is:\n{output}"));
        }
    }
    for Mutant { site, model, symptom } in MUTANTS {
        let (success, output) = run(model, Some(*site));
        if success || !output.contains(symptom) {
            complaints.push(format!("{model} without {site:?} does not fail with `{symptom}`:\n{output}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Longer than any model needs on a busy machine. A model that reaches it proves nothing.
const WATCHDOG: Duration = Duration::from_secs(120);

/// One model in a process of its own, since a process models one mutant: whether it passed, and what it printed.
fn run(model: &str, mutant: Option<Site>) -> (bool, String) {
    let mut command = Command::new(std::env::current_exe().expect("this test is a file"));
    command.args(["--exact", model, "--nocapture", "--test-threads=1"]).env_remove(MUTANT_VARIABLE);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(site) = mutant {
        command.env(MUTANT_VARIABLE, (site as u8).to_string());
    }
    let mut child = command.spawn().expect("this test can be run again");
    let began = Instant::now();
    // What a model prints is shorter than a pipe is long.
    while child.try_wait().expect("the child is ours").is_none() {
        if began.elapsed() > WATCHDOG {
            child.kill().expect("the child is ours");
            child.wait().expect("the child is ours");
            panic!("{model} without {mutant:?} did not end within {WATCHDOG:?}");
        }
        sleep(Duration::from_millis(2));
    }
    let output = child.wait_with_output().expect("its output can be read");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
    )
}
