//! Pinning a thread to a core.

/// Pins the calling thread to core `core`.
///
/// # Errors
/// The operating system's answer: there is no such core, or this process may not use it.
#[cfg(target_os = "linux")]
pub(crate) fn pin_to(core: usize) -> std::io::Result<()> {
    use rustix::thread::CpuSet;
    if core >= CpuSet::MAX_CPU {
        // What the system answers for a core that it does not have.
        return Err(rustix::io::Errno::INVAL.into());
    }
    let mut cores = CpuSet::new();
    cores.set(core);
    Ok(rustix::thread::sched_setaffinity(None, &cores)?)
}

/// The cores that the calling thread may use.
#[cfg(target_os = "linux")]
pub(crate) fn usable_cores() -> Vec<usize> {
    use rustix::thread::CpuSet;
    let Ok(cores) = rustix::thread::sched_getaffinity(None) else { return Vec::new() };
    (0..CpuSet::MAX_CPU).filter(|&core| cores.is_set(core)).collect()
}

/// On other systems nothing is known of them.
#[cfg(not(target_os = "linux"))]
pub(crate) fn usable_cores() -> Vec<usize> {
    Vec::new()
}

/// Other systems have no such call.
///
/// # Errors
/// Always `Unsupported`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn pin_to(_core: usize) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}
