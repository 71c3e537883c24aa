//! Deterministic simulation: a whole exchange of messages in one thread. One seed decides the order of steps, the
//! delays and the crashes.
//!
//! | for | see |
//! |---|---|
//! | which actor runs next, and when | [`Schedule`] |
//! | wakes that come late or never; where an actor dies | [`Faults`], [`CrashPoint`] |
//! | time that passes only when the schedule says so | [`SimClock`] |
//! | ends as a killed process leaves them | [`Crash`] |
//! | whether two runs were the same, and what the last steps were | [`Trace`] |
//! | which seeds to run | [`seeds`] |
//!
//! Actors are state machines that use the rings with [`Patience::Now`](crate::Patience::Now) only, on
//! [`Place::heap`](crate::Place::heap). The rings are the real ones, with their memory and their table of consumers.
//! Joining, coming back, taking over and replacing are the real code.
//!
//! **Simulated:** time; the order in which actors run; how long a wake takes and whether it comes; deaths between two
//! calls, and inside an encoder that has written half a message.
//!
//! **Not simulated:**
//! - Memory orderings, and deaths between two stores of one call. The ring's loom models and its kill tests have these.
//! - The kernel's locks. The heap has a table instead.
//! - Real sleeps, bells, doorbells and futexes: only a call that waits enters them. A wake here stands for a bell that
//!   is rung. A lost wake stands for a process that dies between its store and the bell.
//! - Clocks that the rings read themselves. A full ring looks for dead consumers *without an id* at most once in 10 ms
//!   of real time. So give every consumer an id, or a run may not replay.
//!
//! This module is for tests of this project and of programs that are built on it. It is not part of the stable
//! interface.
//! Source: RFC 0010, "Simulating".

mod crash;
mod random;
mod schedule;
mod seeds;
mod trace;

pub use crash::Crash;
pub use random::Random;
pub use schedule::{CrashPoint, Faults, Schedule, SimClock};
pub use seeds::{SEED_VARIABLE, seeds};
pub use trace::Trace;
