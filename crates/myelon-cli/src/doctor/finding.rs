//! One answer of the doctor: what was found, what it means for rings, and how to repair it.

use serde::Serialize;
use std::fmt;
use std::path::Path;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    Ok,
    /// The machine does not say.
    NotKnown,
    /// It matters to some programs.
    Note,
    /// Rings work, but will be slow, or will fail later.
    Warning,
    /// Rings do not work.
    Problem,
}

impl Level {
    fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotKnown => "not known",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Problem => "problem",
        }
    }
}

/// Where a fix is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum On {
    /// The machine itself, usually as root.
    Host,
    /// The shell that starts the program.
    Shell,
    Docker,
    Kubernetes,
    Systemd,
    /// The program that uses the rings.
    Program,
}

impl On {
    fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Shell => "shell",
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
            Self::Systemd => "systemd",
            Self::Program => "program",
        }
    }
}

/// A command, or a setting with its value.
#[derive(Debug, Serialize)]
pub(crate) struct Fix {
    on: On,
    #[serde(rename = "do")]
    what: String,
}

/// The answer of one check.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    pub(crate) check: &'static str,
    /// The directory that was looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<String>,
    pub(crate) found: String,
    /// What it means for rings. Empty exactly if the level is `Ok` or `NotKnown`.
    #[serde(skip_serializing_if = "String::is_empty")]
    means: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) fixes: Vec<Fix>,
}

impl Finding {
    pub(crate) fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Self::new(Level::Ok, check, found, "")
    }

    pub(crate) fn not_known(check: &'static str, why: impl Into<String>) -> Self {
        Self::new(Level::NotKnown, check, why, "")
    }

    pub(crate) fn note(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self::new(Level::Note, check, found, means)
    }

    pub(crate) fn warning(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self::new(Level::Warning, check, found, means)
    }

    pub(crate) fn problem(check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self::new(Level::Problem, check, found, means)
    }

    pub(crate) fn new(level: Level, check: &'static str, found: impl Into<String>, means: impl Into<String>) -> Self {
        Self { level, check, directory: None, found: found.into(), means: means.into(), fixes: Vec::new() }
    }

    /// Adds a fix.
    pub(crate) fn fix(mut self, on: On, what: impl Into<String>) -> Self {
        self.fixes.push(Fix { on, what: what.into() });
        self
    }

    /// Says which directory it is about.
    pub(crate) fn about(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.display().to_string());
        self
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:9}  {}", self.level.name(), self.check)?;
        if let Some(directory) = &self.directory {
            write!(f, " {directory}")?;
        }
        write!(f, ": {}", self.found)?;
        if !self.means.is_empty() {
            write!(f, "\n           means: {}", self.means)?;
        }
        for fix in &self.fixes {
            write!(f, "\n           fix ({}): {}", fix.on.name(), fix.what)?;
        }
        Ok(())
    }
}

/// A size for people.
pub(crate) fn size(bytes: u64) -> String {
    let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
    match units.iter().find(|(_, shift)| bytes >= 1 << shift) {
        Some((unit, shift)) => format!("{:.1} {unit}", bytes as f64 / (1_u64 << shift) as f64),
        None => format!("{bytes} bytes"),
    }
}
