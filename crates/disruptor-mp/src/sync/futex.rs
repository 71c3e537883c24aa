//! The kernel's part of a bell: compare-and-sleep on a shared word.
//!
//! It is the process-shared futex of Linux; on other systems a sleeper polls.

use super::bell::Woken;
use super::primitive::AtomicU32;
use std::time::Duration;

/// Sleeps while `word` holds `expected`, for at most `timeout`.
#[cfg(target_os = "linux")]
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Duration) -> Woken {
    use rustix::thread::futex;
    // Not PRIVATE: the word is shared between processes.
    let timeout = rustix::time::Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: timeout.subsec_nanos().into() };
    match futex::wait(word, futex::Flags::empty(), expected, Some(&timeout)) {
        Err(rustix::io::Errno::TIMEDOUT) => Woken::TimedOut,
        // Rung, the value had changed, or a signal came: the caller looks again in every case.
        _ => Woken::Rung,
    }
}

/// Sleeps while each of `words` holds the value given with it, for at most `timeout`. A signal also ends the sleep. At
/// most 128 words.
///
/// # Errors
/// The kernel has no such wait (it came with Linux 5.16), or a seccomp filter refuses it.
#[cfg(target_os = "linux")]
pub(crate) fn wait_for_any(words: &[(&AtomicU32, u32)], timeout: Option<Duration>) -> std::io::Result<()> {
    use rustix::io::Errno;
    use rustix::thread::futex::{Wait, WaitFlags, WaitPtr, WaitvFlags, waitv};
    use rustix::time::{ClockId, Timespec, clock_gettime};
    let waits: Vec<Wait> = words
        .iter()
        .map(|(word, expected)| {
            let mut wait = Wait::new();
            wait.val = (*expected).into();
            wait.uaddr = WaitPtr::new(word.as_ptr().cast());
            wait.flags = WaitFlags::SIZE_U32;
            wait
        })
        .collect();
    // This call, unlike the one above, takes a point in time and not a duration.
    let until = timeout.map(|timeout| {
        let now = clock_gettime(ClockId::Monotonic);
        let nanos = now.tv_nsec as u64 + u64::from(timeout.subsec_nanos());
        Timespec {
            tv_sec: now.tv_sec + timeout.as_secs() as i64 + (nanos / 1_000_000_000) as i64,
            tv_nsec: (nanos % 1_000_000_000) as _,
        }
    });
    match waitv(&waits, WaitvFlags::empty(), until.as_ref(), ClockId::Monotonic) {
        // A value had changed, the time is over, or a signal came: the caller looks again in every case.
        Ok(_) | Err(Errno::AGAIN | Errno::TIMEDOUT | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Wakes all threads that sleep on `word`, in every process.
#[cfg(target_os = "linux")]
pub(crate) fn wake_all(word: &AtomicU32) {
    // The call cannot fail for a mapped word; and if it did, each sleeper would still wake at the end of its slice.
    let _ = rustix::thread::futex::wake(word, rustix::thread::futex::Flags::empty(), i32::MAX as u32);
}

/// On other systems a sleeper looks once a millisecond, because there is no shared wait.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wait(word: &AtomicU32, expected: u32, timeout: Duration) -> Woken {
    use super::primitive::Ordering;
    let end = std::time::Instant::now() + timeout;
    while word.load(Ordering::Acquire) == expected {
        if std::time::Instant::now() >= end {
            return Woken::TimedOut;
        }
        std::thread::sleep(Duration::from_millis(1).min(timeout));
    }
    Woken::Rung
}

/// On other systems no thread sleeps in the kernel.
#[cfg(not(target_os = "linux"))]
pub(crate) fn wake_all(_word: &AtomicU32) {}

/// Lets this thread's timers fire when they are due instead of up to 50 µs later. Once per thread, and only for threads
/// that sleep until a moment; it changes nothing else about the thread.
#[cfg(target_os = "linux")]
pub(crate) fn lower_timer_slack() {
    thread_local! {
        static LOWERED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
    }
    if !LOWERED.replace(true) {
        // SAFETY: PR_SET_TIMERSLACK takes one integer and touches no memory. If it fails, timers are late, as they were
        // before.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64, 0_u64, 0_u64, 0_u64) };
    }
}

/// Other systems have no such setting.
#[cfg(not(target_os = "linux"))]
pub(crate) fn lower_timer_slack() {}
