//! A scheduler and its workers as processes of their own, stopped and killed at the worst moments.
//!
//! There is one file for each process that dies. `actors` has the roles of the processes, `stage` what every test
//! needs.

mod actors;
mod calls;
mod descriptions;
mod endings;
mod lent;
mod meeting;
mod refusals;
mod reports;
mod schedulers_death;
mod stage;
mod statuses;
mod steps;
mod successors;
mod texts;
mod titles;
#[cfg(feature = "bincode")]
mod typed;
#[cfg(feature = "bincode")]
mod typed_calls;
mod unattended;
mod urgent;
#[cfg(feature = "bincode")]
mod versions;
mod waiting;
mod workers_death;
