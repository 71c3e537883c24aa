//! What a server does with every step: tell its workers, hear them, and never wait for room.
//!
//! **Lives here:** one module for each subject. **May touch it:** `workload` lists the subjects, `cases` what is
//! measured.

pub(crate) mod broadcast;
pub(crate) mod hold;
