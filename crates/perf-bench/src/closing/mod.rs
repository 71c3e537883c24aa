//! Ours over the best peer: all figures of it from several runs, how they compare, and the page that shows them.
//!
//! **Lives here:** [`Entry`], a figure's place in the tables; one module for the log of what was measured, one for what
//! it says, one for what it ought to say, two for how it is shown. **Builds on:** `schedule`, `stats`. **May touch
//! it:** `main`; `cases::closing` lists the entries.

pub(crate) mod log;
pub(crate) mod page;
mod picture;
pub(crate) mod standing;
pub(crate) mod targets;

use crate::schedule::Case;

/// Of whom a figure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Peers,
    /// What the machine allows: shown, and no rival.
    Limit,
}

/// A figure of the closing tables.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) table: String,
    pub(crate) column: String,
    /// The row.
    pub(crate) subject: String,
    pub(crate) whose: Whose,
    /// What is measured; called after its place.
    pub(crate) case: Case,
}

impl Entry {
    pub(crate) fn new(table: &str, column: &str, subject: &str, whose: Whose, case: Case) -> Self {
        let case = Case { name: Self::name(table, column, subject), ..case };
        Self { table: table.to_owned(), column: column.to_owned(), subject: subject.to_owned(), whose, case }
    }

    /// How the case of such an entry is called. What chooses cases by their names has no commas in it, so a table is
    /// chosen by what stands before the first of these.
    pub(crate) fn name(table: &str, column: &str, subject: &str) -> String {
        format!("{table}: {column}: {subject}")
    }
}
