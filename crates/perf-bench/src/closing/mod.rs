//! Our figures over the best peer's: all figures from several runs, how they compare, and the page that shows them.

pub(crate) mod log;
pub(crate) mod page;
mod picture;
pub(crate) mod standing;
pub(crate) mod targets;

use crate::schedule::Case;

/// Whether a figure is ours, a peer's, or the machine's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Peers,
    /// What the machine allows: shown, but not compared as a rival.
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
    /// What is measured; named by its place.
    pub(crate) case: Case,
}

impl Entry {
    pub(crate) fn new(table: &str, column: &str, subject: &str, whose: Whose, case: Case) -> Self {
        let case = Case { name: Self::name(table, column, subject), ..case };
        Self { table: table.to_owned(), column: column.to_owned(), subject: subject.to_owned(), whose, case }
    }

    /// The name of such an entry's case. The option that chooses cases separates names by commas. So the name has no
    /// commas, and a table is chosen by the part before the first separator.
    pub(crate) fn name(table: &str, column: &str, subject: &str) -> String {
        format!("{table}: {column}: {subject}")
    }
}
