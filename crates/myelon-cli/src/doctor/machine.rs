//! Where the facts come from: the files of the kernel and of systemd, below a root that can be chosen.

use std::fs;
use std::path::{Path, PathBuf};

use procfs::FromRead;
use procfs::process::MountInfos;

/// The files of a machine.
#[derive(Debug)]
pub(crate) struct Machine {
    root: PathBuf,
}

impl Machine {
    /// The machine whose `proc`, `sys`, `etc` and `run` are in `root`.
    pub(crate) fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a path of the machine is for us.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The content of a file. The error says which file, as the machine calls it.
    pub(crate) fn read(&self, path: impl AsRef<Path>) -> Result<String, String> {
        let bytes = fs::read(self.path(&path)).map_err(|error| unreadable(path.as_ref(), &error))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Where a symbolic link points.
    pub(crate) fn link(&self, path: impl AsRef<Path>) -> Result<String, String> {
        let target = fs::read_link(self.path(&path)).map_err(|error| unreadable(path.as_ref(), &error))?;
        Ok(target.to_string_lossy().into_owned())
    }

    pub(crate) fn has(&self, path: impl AsRef<Path>) -> bool {
        self.path(path).exists()
    }

    /// The names in a directory, sorted; none if there is no such directory.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The mounts that this process sees, in the order in which they were made.
    pub(crate) fn mounts(&self) -> Result<MountInfos, String> {
        let text = self.read("/proc/self/mountinfo")?;
        MountInfos::from_read(text.as_bytes()).map_err(|_| "/proc/self/mountinfo could not be understood".to_owned())
    }

    /// The value of a line `NAME: VALUE` of `/proc/self/status`.
    pub(crate) fn status(&self, name: &str) -> Result<String, String> {
        let status = self.read("/proc/self/status")?;
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        Ok(value.ok_or_else(|| format!("/proc/self/status has no {name}"))?.trim().to_owned())
    }

    /// Whether this process has a capability, by its number.
    pub(crate) fn can(&self, capability: u32) -> Result<bool, String> {
        let bits = self.status("CapEff")?;
        let bits = u64::from_str_radix(&bits, 16).map_err(|_| format!("CapEff is {bits}"))?;
        Ok(bits >> capability & 1 == 1)
    }

    /// The effective user.
    pub(crate) fn user(&self) -> Result<u32, String> {
        let ids = self.status("Uid")?;
        ids.split_ascii_whitespace().nth(1).and_then(|id| id.parse().ok()).ok_or_else(|| format!("Uid is {ids}"))
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> String {
    let path = path.display();
    match error.raw_os_error() {
        Some(number) => format!("{path} could not be read: {}", message(number)),
        None => format!("{path} could not be read: {error}"),
    }
}

/// The system's text for an error, without its number.
pub(crate) fn message(number: i32) -> String {
    let text = std::io::Error::from_raw_os_error(number).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
