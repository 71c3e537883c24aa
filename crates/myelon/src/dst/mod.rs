//! Deterministic simulation: a whole exchange in one thread. One seed decides the order of steps, the delays and the
//! crashes.
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
//! [`Place::heap`](crate::Place::heap). The rings are the real ones: their memory, their table of consumers, joining,
//! coming back, taking over, replacing.
//!
//! **Simulated:** time, the order in which actors run, how long a wake takes and whether it comes, deaths between two
//! calls and inside an encoder that has written half a message.
//!
//! **Not simulated:** memory orderings and deaths between two stores of one call, which the ring's loom models and its
//! kill tests have; the kernel's locks, for which the heap has a table; real sleeps, bells, doorbells and futexes,
//! which only a call that waits enters: a wake here stands for a bell that is rung, and a lost wake for a process that
//! dies between its store and the bell; clocks that the rings read themselves: a full ring looks for dead consumers
//! *without an id* at most once in 10 ms of real time, so give every consumer an id, or a run may not replay.
//!
//! For tests of this project and of programs that are built on it. It is not part of the stable interface.
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
