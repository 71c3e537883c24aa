//! What a loop and an agenda have done, as named counters in a table of the program's choice, so that other processes
//! can show it.
//!
//! The crate has no table. A program implements [`Counters`] for the one that it has, which takes a few lines, and
//! calls [`EventLoop::export_counters`](crate::event_loop::EventLoop::export_counters) and
//! [`EventLoop::export_agenda_counters`](crate::event_loop::EventLoop::export_agenda_counters). This one is for the
//! tables of `disruptor-mp`, which stay readable when the process is dead:
//!
//! ```
//! use disruptor_mp::counters::{CounterHandle, CountersFile, ids::APPLICATION_BASE};
//! use myelon_runtime::counters::{Counters, Description};
//! use myelon_runtime::event_loop::{EventLoop, Tick};
//! use std::time::Duration;
//!
//! struct InFile(CountersFile);
//!
//! impl Counters for InFile {
//!     type Counter = CounterHandle;
//!
//!     fn register(&mut self, counter: &'static Description, of: &str) -> Option<CounterHandle> {
//!         // The id tells counters apart, and the label is what a reader shows; it has 48 bytes.
//!         self.0.register(APPLICATION_BASE + counter.number, 0, &format!("{} {of}", counter.name))
//!     }
//!
//!     fn add(&mut self, counter: &CounterHandle, amount: u64) {
//!         counter.add(amount);
//!     }
//!
//!     fn record_max(&mut self, counter: &CounterHandle, candidate: u64) {
//!         counter.record_max(candidate);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = CountersFile::boxed(64); // or `create`, in a file that other processes open
//! let mut event_loop = EventLoop::new()?;
//! event_loop.add_timer(Duration::ZERO, "orders", |event_loop: &mut EventLoop, _: Tick| event_loop.handle().quit());
//! event_loop.export_counters(Duration::from_secs(1), "export of the counters", InFile(file.clone()));
//! event_loop.run()?;
//! drop(event_loop); // exports what it has done since the last second
//! let calls = file.snapshot().into_iter().find(|counter| counter.label == "calls orders").unwrap();
//! assert_eq!(calls.value, 1);
//! # Ok(())
//! # }
//! ```
//!
//! # Whose they are
//!
//! Sources with the same description have one set of counters: each counter has the sum of what they have done, or the
//! largest of their maxima. So a server whose connections are all described as *a connection* takes four counters for
//! them, however many come and go, and no count is lost with a source that is removed. When the last source of a
//! description is removed, its counters are given back to the table by dropping them. A table that keeps them, as those
//! of `disruptor-mp` do, goes on with them when the description comes again, also in the next process of that name.
//!
//! If a table is full, a description has no counters or only some. Each attempt without room is counted in
//! [`REGISTRATIONS_REFUSED`]. The loop's own counters are registered first. An agenda has fourteen for each priority,
//! which are registered once.
//!
//! Source: RFC 0022, "Counters".

/// What a counter is.
///
/// ```
/// use myelon_runtime::counters::{ALL, Description};
///
/// for Description { name, unit, help, .. } in ALL {
///     println!("{name} ({unit}): {help}");
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// Tells it apart from the others, in tables that have numbers: less than 64. It never changes.
    pub number: u32,
    /// The name that a program shows: lower-case letters and `_`.
    pub name: &'static str,
    /// What is counted, in the plural.
    pub unit: &'static str,
    /// A sentence that says what is counted.
    pub help: &'static str,
    /// Whether the value is the largest that was seen, and not a sum.
    pub is_maximum: bool,
}

/// A table of counters.
///
/// The loop calls it in its own thread. A panic is contained and reported as one of the exporting source.
pub trait Counters {
    /// A counter of the table. Dropping it says that it does not change any more, unless it is registered again.
    type Counter;

    /// The counter of `of`, which is the description of a source, *the loop*, or the name of an agenda and a priority.
    /// It continues with its value if the table has it already. `None`: there is no room.
    fn register(&mut self, counter: &'static Description, of: &str) -> Option<Self::Counter>;

    /// Counts `amount` more.
    fn add(&mut self, counter: &Self::Counter, amount: u64);

    /// Makes `candidate` the value if it is larger.
    fn record_max(&mut self, counter: &Self::Counter, candidate: u64);
}

/// Declares each counter once: its documentation is its `help` sentence.
macro_rules! declare {
    ($($constant:ident = $number:literal, $name:literal, $unit:literal, $is_maximum:literal: $help:literal;)+) => {
        $(#[doc = $help] #[doc = concat!("\n\nUnit: ", $unit, ".")] pub static $constant: Description =
            Description { number: $number, name: $name, unit: $unit, help: $help, is_maximum: $is_maximum };)+

        /// Every counter, by number.
        pub static ALL: &[&Description] = &[$(&$constant),+];
    };
}

declare! {
    TURNS = 0, "turns", "turns", false: "Turns that a loop has begun.";
    SLEEPS = 1, "sleeps", "turns", false: "Turns in which a loop was allowed to sleep.";
    STALE_EVENTS = 2, "stale_events", "events", false:
        "Events that were dropped because their source was removed before it was served.";
    REGISTRATIONS_REFUSED = 3, "registrations_refused", "times", false:
        "Times a description found no room for one or more of its counters.";
    CALLS = 16, "calls", "calls", false: "Calls of the handlers of all sources with this description.";
    FAILURES = 17, "failures", "calls", false: "Calls that returned an error or panicked, and other failures of these sources.";
    TIME = 18, "time", "nanoseconds", false: "The time of all calls.";
    WORST = 19, "worst", "nanoseconds", true: "The time of the longest call.";
    SUBMITTED = 32, "submitted", "tasklets", false: "Tasklets that an agenda has accepted.";
    RUNS = 33, "runs", "runs", false: "How often tasklets were run.";
    RUNS_AGAIN = 34, "runs_again", "runs", false: "Runs that ended in *again*.";
    STOLEN = 35, "stolen", "times", false: "Times a worker took tasklets from another one.";
    LATE = 36, "late", "tasklets", false: "Tasklets whose deadline was over when they were picked.";
    DONE = 37, "done", "tasklets", false: "Tasklets that have run and have a value.";
    FAILED = 38, "failed", "tasklets", false: "Tasklets that have run and answered with an error.";
    PANICKED = 39, "panicked", "tasklets", false: "Tasklets that have run and panicked.";
    CANCELLED = 40, "cancelled", "tasklets", false: "Tasklets that were cancelled.";
    EXPIRED = 41, "expired", "tasklets", false: "Tasklets that were dropped because they were late.";
    LEFT = 42, "left", "tasklets", false: "Tasklets that waited when their agenda ended.";
    WAITED = 43, "waited", "nanoseconds", false:
        "The time from the submission of a tasklet, or from its last run, to its run; of those that are measured.";
    RAN = 44, "ran", "nanoseconds", false: "The time of the runs that are measured.";
    MEASURED = 45, "measured", "runs", false: "Runs that are measured: all, or one in 16.";
}

/// What an agenda counts of each priority.
#[cfg(not(loom))]
pub(crate) static OF_AGENDA: [&Description; 14] = [
    &SUBMITTED,
    &RUNS,
    &RUNS_AGAIN,
    &STOLEN,
    &LATE,
    &DONE,
    &FAILED,
    &PANICKED,
    &CANCELLED,
    &EXPIRED,
    &LEFT,
    &WAITED,
    &RAN,
    &MEASURED,
];

/// What each loop counts.
#[cfg(not(loom))]
pub(crate) static OF_LOOP: [&Description; 4] = [&TURNS, &SLEEPS, &STALE_EVENTS, &REGISTRATIONS_REFUSED];

/// What is counted of each description.
#[cfg(not(loom))]
pub(crate) static OF_SOURCE: [&Description; 4] = [&CALLS, &FAILURES, &TIME, &WORST];

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_number_and_a_name_of_its_own() {
        for (index, counter) in ALL.iter().enumerate() {
            assert!(ALL[..index].iter().all(|earlier| earlier.number < counter.number && earlier.name != counter.name));
            assert!(counter.number < 64 && counter.help.ends_with('.'), "{counter:?}");
            let in_list = OF_LOOP.contains(counter) || OF_SOURCE.contains(counter);
            assert!(in_list || OF_AGENDA.contains(counter), "{counter:?}");
        }
    }
}
