//! Running the command, and what it says.

use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A user without anything.
pub(crate) const USER: u32 = 54_321;

/// What `myelon doctor --json` printed.
pub(crate) struct Report(Vec<Value>);

impl Report {
    /// Runs `command`, which ends in the command and its arguments.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().expect("the command starts");
        let text = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        let findings: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}\n{error}"))).collect();
        assert!(!findings.is_empty(), "{error}");
        let is_bad = findings.iter().any(|finding| matches!(finding["level"].as_str(), Some("warning" | "problem")));
        assert_eq!(output.status.code(), Some(i32::from(is_bad)), "{text}{error}");
        for finding in &findings {
            let is_fine = matches!(finding["level"].as_str(), Some("ok" | "not_known"));
            assert_eq!(is_fine, finding.get("means").is_none(), "{finding}");
            assert_eq!(is_fine, finding.get("fixes").is_none(), "{finding}");
        }
        Self(findings)
    }

    /// The level of a check, and what was found.
    #[track_caller]
    fn check(&self, check: &str, directory: Option<&Path>) -> (&str, &str) {
        let directory = directory.map(|directory| directory.to_str().unwrap());
        let finding = self
            .0
            .iter()
            .find(|finding| finding["check"] == check && directory.is_none_or(|it| finding["directory"] == it))
            .unwrap_or_else(|| panic!("no {check} for {directory:?} in {:#?}", self.0));
        (finding["level"].as_str().unwrap(), finding["found"].as_str().unwrap())
    }

    /// The check has that level, and found what contains `text`.
    #[track_caller]
    pub(crate) fn says(&self, check: &str, level: &str, text: &str) {
        self.compare(check, None, level, text);
    }

    /// As [`says`](Self::says), about one of several directories.
    #[track_caller]
    pub(crate) fn says_of(&self, directory: &Path, check: &str, level: &str, text: &str) {
        self.compare(check, Some(directory), level, text);
    }

    /// The finding of a check; if it is about directories, of that one.
    #[track_caller]
    fn finding(&self, directory: &Path, check: &str) -> Option<&Value> {
        let directory = directory.to_str().unwrap();
        self.0.iter().find(|finding| {
            finding["check"] == check && finding.get("directory").is_none_or(|found| found == directory)
        })
    }

    /// Whether one of the fixes of a check begins with that command.
    pub(crate) fn fixed_by(&self, directory: &Path, check: &str, command: &str) -> bool {
        let fixes = self.finding(directory, check).and_then(|finding| finding["fixes"].as_array());
        fixes.into_iter().flatten().any(|fix| fix["do"].as_str().is_some_and(|what| what.starts_with(command)))
    }

    /// There is nothing to fix: the check is fine, or is not even made.
    pub(crate) fn is_fixed(&self, directory: &Path, check: &str) -> bool {
        self.finding(directory, check).is_none_or(|finding| finding["level"] == "ok")
    }

    #[track_caller]
    fn compare(&self, check: &str, directory: Option<&Path>, level: &str, text: &str) {
        let (found_level, found) = self.check(check, directory);
        assert!(
            found_level == level && found.contains(text),
            "{check}: {found_level}: {found}; wanted {level}: {text}"
        );
    }
}

/// `tool ARGUMENTS.. myelon --json doctor`, to which directories can be added.
pub(crate) fn doctor_under(tool: &[&str]) -> Command {
    let mut words = tool.iter().copied().chain([env!("CARGO_BIN_EXE_myelon"), "--json", "doctor"]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words);
    command
}

pub(crate) fn doctor() -> Command {
    doctor_under(&[])
}

/// The command after a script that runs as root in a mount namespace of its own. `$D` is `directory`.
pub(crate) fn doctor_after(script: &str, directory: &Path) -> Command {
    let script = format!("{script}\nexec \"$@\"");
    let mut command = doctor_under(&["unshare", "--mount", "--propagation", "private", "sh", "-ec", &script, "sh"]);
    command.env("D", directory);
    command
}

/// What is put before the command so that another user without capabilities runs it.
pub(crate) const AS_USER: [&str; 6] =
    ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", "--inh-caps=-all", "--"];

/// Whether a command works here: otherwise why the test is skipped.
pub(crate) fn can(words: &[&str]) -> Result<(), String> {
    match Command::new(words[0]).args(&words[1..]).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("`{}`: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("`{}`: {error}", words.join(" "))),
    }
}

/// Whether this test may mount in a namespace of its own.
pub(crate) fn can_mount() -> Result<(), String> {
    can(&["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"])
}

/// Whether another user can run the command.
pub(crate) fn can_be_user() -> Result<(), String> {
    let words: Vec<&str> = AS_USER.into_iter().chain([env!("CARGO_BIN_EXE_myelon"), "--version"]).collect();
    can(&words)
}

/// Returns from the test if a condition is not met.
#[macro_export]
macro_rules! need {
    ($($condition:expr),+) => {
        $(if let Err(reason) = $condition {
            testkit::skip!("{reason}");
        })+
    };
}

/// A directory that every user may enter; removed at the end.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(testkit::names::unique("doctor"));
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file below it.
    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.0.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
