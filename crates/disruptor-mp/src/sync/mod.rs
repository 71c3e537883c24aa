//! Words that several processes share, and how to wait for one of them to change.

#[cfg(not(loom))]
pub(crate) mod affinity;
pub(crate) mod announce;
pub(crate) mod bell;
#[cfg(not(loom))]
pub(crate) mod companion;
pub(crate) mod cursor;
#[cfg(not(loom))]
pub(crate) mod fetch;
#[cfg(not(loom))]
pub(crate) mod futex;
#[cfg(not(loom))]
pub(crate) mod pause;
pub(crate) mod primitive;
#[cfg(not(loom))]
pub(crate) mod racing;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) mod readable;
#[cfg(not(loom))]
pub(crate) mod rhythm;
#[cfg(not(loom))]
pub(crate) mod settled;
pub(crate) mod several;
#[cfg(not(loom))]
pub(crate) mod spin_gap;
#[cfg(not(loom))]
pub(crate) mod wait;
#[cfg(any(target_os = "linux", loom))]
pub(crate) mod watched;
#[cfg(all(target_os = "linux", not(loom)))]
pub(crate) mod watcher;
