//! The subcommands: each has its arguments, what it finds as a type, and how that looks.

pub(crate) mod completions;
pub(crate) mod ls;
pub(crate) mod man;
