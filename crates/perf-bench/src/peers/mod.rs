//! Other libraries with the same function as our ring and our messages, in the same run. Only with the feature `peers`.

#[cfg(feature = "aeron")]
pub(crate) mod aeron;
pub(crate) mod alpha;
pub(crate) mod alpha_framed;
pub(crate) mod crossbar;
pub(crate) mod crossbar_bus;
pub(crate) mod iceoryx2;
pub(crate) mod zeromq;

use std::fs;
use std::path::{Path, PathBuf};

use crate::limits::reserve::SHARED_MEMORY_DIR;

/// What the roles of a measurement find in their environment. Crossbar keeps a registry of all topics of a machine,
/// which no process removes. So every measurement has its own, with a name that begins like those of its segments.
pub(crate) fn environment(prefix: &str) -> [(&'static str, PathBuf); 1] {
    [("CROSSBAR_REGISTRY", Path::new(SHARED_MEMORY_DIR).join(format!("{prefix}-registry")))]
}

/// Removes what peers have left in shared memory: files and directories whose names contain the `prefix` of the
/// measurement's segments, which no other measurement's do. All processes of the measurement have ended.
pub(crate) fn remove(prefix: &str) {
    let Ok(entries) = fs::read_dir(SHARED_MEMORY_DIR) else { return };
    let mark = format!("{prefix}-");
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().contains(&mark)) {
        // What cannot be removed stays until another process collects it; this does not affect the measurement.
        let _ = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(entry.path()),
            _ => fs::remove_file(entry.path()),
        };
    }
}
