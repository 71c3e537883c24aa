//! Pinning a thread to a core.
//!
//! **Lives here:** [`pin_to`]. **May touch it:** builders that were asked to.

/// Pins the calling thread to core `core`.
///
/// # Errors
/// The operating system's answer: there is no such core, or this process may not use it.
#[cfg(target_os = "linux")]
pub(crate) fn pin_to(core: usize) -> std::io::Result<()> {
    use rustix::thread::CpuSet;
    if core >= CpuSet::MAX_CPU {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &cores)?)
}

/// Other systems have no such call.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_to(_core: usize) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
