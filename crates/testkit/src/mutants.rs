//! Mutants of a protocol: shows that its models fail without each of its named steps.
//!
//! A crate with loom models names each ordering, fence, second look and exchange of its protocols in an enum, and asks
//! at each whether this process is the model of the mutant that lacks it ([`lacking`]). A table made by [`mutants!`]
//! says which model fails without which step, and how. [`assert_each_is_needed`] runs this test binary again for each
//! row, since a process models one mutant.
//!
//! [`mutants!`]: crate::mutants!

use std::collections::BTreeSet;
use std::env;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

/// The environment variable with the number of the step that the models of a process lack.
const VARIABLE: &str = "TESTKIT_MUTANT";

/// Longer than any model needs on a busy machine. A model that reaches it proves nothing.
const WATCHDOG: Duration = Duration::from_secs(120);

/// loom's finding: two threads use one place, and nothing orders them.
pub const RACE: &str = "Causality violation";
/// loom's finding: a thread sleeps, and no thread is left to wake it.
pub const ASLEEP: &str = "deadlock; threads =";
/// loom's finding: a thread looks again and again, and nothing changes.
pub const ENDLESS: &str = "Model exceeded maximum number of branches";

/// A row of a table: without the step `site`, `model` fails with one of `symptoms`.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The name of the step.
    pub site: &'static str,
    /// Its number, which is not 0.
    pub number: u8,
    /// The harness's name of the model, which is a test of this binary.
    pub model: &'static str,
    /// What the model prints when it fails: a message of its own, or a finding of loom's.
    pub symptoms: &'static [&'static str],
}

/// A table of [`Mutant`]s.
///
/// A variant of the enum without a row does not compile, and neither does a row whose model no longer exists. The
/// models are in `place::folder`, which must be in scope, in files of their own:
///
/// ```text
/// use crate::ring;
/// const MUTANTS: &[Mutant] = testkit::mutants! { Site;
///     ring::models {
///         WakeFence {
///             park::a_sleeper_is_woken => &[ASLEEP],
///         }
///     }
/// };
/// ```
#[macro_export]
macro_rules! mutants {
    ($sites:ident; $($place:ident::$folder:ident {
        $($site:ident { $($file:ident::$model:ident => $symptoms:expr,)+ })+
    })+) => {{
        // A site without a row makes this match not exhaustive. A site may have rows in several folders.
        #[allow(unreachable_patterns)]
        const _: fn($sites) = |site| match site {
            $($($sites::$site => (),)+)+
        };
        const MUTANTS: &[$crate::mutants::Mutant] = &[$($($({
            let _: fn() = $place::$folder::$file::$model;
            $crate::mutants::Mutant {
                site: ::core::stringify!($site),
                number: $sites::$site as u8,
                model: ::core::concat!(
                    ::core::stringify!($place), "::", ::core::stringify!($folder), "::",
                    ::core::stringify!($file), "::", ::core::stringify!($model),
                ),
                symptoms: $symptoms,
            }
        },)+)+)+];
        MUTANTS
    }};
}

/// The number of the step that the models of this process lack; `None` in an ordinary run.
///
/// # Panics
/// The variable has another value than a number that [`assert_each_is_needed`] has set.
pub fn lacking() -> Option<u8> {
    env::var(VARIABLE).ok().map(|number| number.parse().expect("the number of a step"))
}

/// Asserts that each model passes as it is, and fails in the way that is expected without the step of each of its rows.
///
/// # Panics
/// When it does not, with all that the models printed. Also if a model does not end.
#[track_caller]
pub fn assert_each_is_needed(mutants: &[Mutant]) {
    let complaints = complaints(mutants);
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn complaints(mutants: &[Mutant]) -> Vec<String> {
    let mut complaints = Vec::new();
    for model in mutants.iter().map(|mutant| mutant.model).collect::<BTreeSet<_>>() {
        let Run { success, output } = Run::of(model, None);
        if !(success && output.contains("test result: ok. 1 passed")) {
            complaints.push(format!("{model} does not pass as it is:\n{output}"));
        }
    }
    for mutant in mutants {
        let Mutant { site, model, symptoms, .. } = mutant;
        let Run { success, output } = Run::of(model, Some(mutant));
        // A model may end its process: a destructor that panics too aborts it.
        if success || !symptoms.iter().any(|symptom| output.contains(symptom)) {
            complaints.push(format!("{model} without {site} does not fail with one of {symptoms:?}:\n{output}"));
        }
    }
    complaints
}

/// One model in a process of its own.
struct Run {
    success: bool,
    output: String,
}

impl Run {
    fn of(model: &str, mutant: Option<&Mutant>) -> Self {
        let mut command = Command::new(env::current_exe().expect("this test is a file"));
        command.args(["--exact", model, "--nocapture", "--test-threads=1"]).env_remove(VARIABLE);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(mutant) = mutant {
            command.env(VARIABLE, mutant.number.to_string());
        }
        let mut child = command.spawn().expect("this test can be run again");
        let out = collect(child.stdout.take());
        let err = collect(child.stderr.take());
        let success = wait(&mut child, model, mutant);
        let output = out.join().expect("a reader of a pipe") + &err.join().expect("a reader of a pipe");
        Self { success, output }
    }
}

/// Whether the child ended well, within the watchdog's time.
fn wait(child: &mut Child, model: &str, mutant: Option<&Mutant>) -> bool {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            return status.success();
        }
        if began.elapsed() > WATCHDOG {
            child.kill().expect("the child is ours");
            child.wait().expect("the child is ours");
            let lack = mutant.map_or(String::new(), |mutant| format!(" without {}", mutant.site));
            panic!("{model}{lack} did not end within {WATCHDOG:?}");
        }
        sleep(Duration::from_millis(2));
    }
}

/// What comes out of a pipe, read in parallel so that the child never waits for us.
fn collect(pipe: Option<impl Read + Send + 'static>) -> JoinHandle<String> {
    let mut pipe = pipe.expect("the pipe was asked for");
    spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).expect("test output is text");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mutants;

    /// A protocol of two steps, of which only the first is needed.
    enum Site {
        Needed = 1,
        Needless,
    }

    const BROKEN: &str = "the protocol is broken";

    mod toy {
        use super::*;

        #[test]
        pub(super) fn works_with_what_is_needed() {
            assert!(lacking() != Some(Site::Needed as u8), "{BROKEN}");
        }
    }

    const MUTANTS: &[Mutant] = crate::mutants! { Site;
        mutants::tests {
            Needed {
                toy::works_with_what_is_needed => &["another message", BROKEN],
            }
            Needless {
                toy::works_with_what_is_needed => &[BROKEN],
            }
        }
    };

    #[test]
    fn a_model_that_fails_as_its_row_says_is_right() {
        assert_each_is_needed(&MUTANTS[..1]);
    }

    #[test]
    fn a_model_that_does_not_fail_is_a_complaint() {
        let complaints = complaints(&MUTANTS[1..]);
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].contains("without Needless does not fail"), "{}", complaints[0]);
    }

    #[test]
    fn a_model_that_fails_in_another_way_is_a_complaint() {
        let complaints = complaints(&[Mutant { symptoms: &["another message"], ..MUTANTS[0] }]);
        assert_eq!(complaints.len(), 1);
        assert!(complaints[0].contains("without Needed does not fail"), "{}", complaints[0]);
    }

    #[test]
    fn a_model_that_does_not_exist_is_a_complaint() {
        let complaints = complaints(&[Mutant { model: "mutants::tests::toy::gone", ..MUTANTS[0] }]);
        assert_eq!(complaints.len(), 2, "as it is, and without the step");
        assert!(complaints[0].contains("gone does not pass as it is"), "{}", complaints[0]);
    }
}
