//! The one place of this crate with `unsafe`: forking, leaving a namespace, running code before `exec`, sending a
//! signal with a value, filtering system calls, and being the allocator.
//!
//! Each is one small function or type with a safe interface.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::process::{Pid, Signal, set_parent_process_death_signal};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::alloc::count;

/// The system's allocator, with counts per thread; see [`allocations_in`](crate::alloc::allocations_in).
#[derive(Debug, Clone, Copy)]
pub struct CountingAllocator;

// SAFETY: every call goes to `System` unchanged, and `System` keeps the trait's promises. Counting neither allocates
// nor unwinds.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: our caller's duties are those of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: our caller's duties are those of `System`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(new_size);
        // SAFETY: `place` came from us, so from `System`; the rest are our caller's duties.
        unsafe { System.realloc(place, layout, new_size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: `place` came from us, so from `System`.
        unsafe { System.dealloc(place, layout) }
    }
}

/// Forks. Returns the child's pid in the parent and `None` in the child, which must end with [`exit_now`].
pub(crate) fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the call touches no memory of ours. The child is a copy in which only this thread continues; `fork_then`
    // passes the duty of what it may do there to its caller. Breaking that duty ends in a hang (a lock whose holder
    // does not exist), not in a memory error, because every lock and its data were copied together.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Closes every descriptor above `last` in this process, also those that belong to values. Such a value must not be
/// dropped any more.
pub fn close_descriptors_above(last: u32) {
    // SAFETY: the call touches no memory. Code that uses a closed descriptor gets an error, which is what the caller
    // wants to see; no descriptor is opened afterwards whose number other code could close.
    unsafe { libc::syscall(libc::SYS_close_range, last + 1, u32::MAX, 0) };
}

/// Sends a signal with a value. The kernel queues real-time signals, up to a limit.
///
/// # Errors
/// `WouldBlock` (EAGAIN): the queue is full.
pub fn queue_signal(pid: Pid, number: i32, value: i32) -> io::Result<()> {
    // The integer is the first member of the union, so it is in the low bytes of the pointer on a little-endian
    // machine.
    let value = libc::sigval { sival_ptr: std::ptr::without_provenance_mut(value.cast_unsigned() as usize) };
    // SAFETY: the call takes numbers; the receiver gets the value as a number and does not follow it.
    match unsafe { libc::sigqueue(pid.as_raw_nonzero().get(), number, value) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Ends the process without running any of its code.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: `_exit` takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// Makes the kernel kill the child when the thread that spawns it ends, in any way.
pub(crate) fn die_with_spawning_thread(command: &mut Command) {
    // SAFETY: between fork and exec this makes one `prctl` system call and builds an error from a number; it takes no
    // lock and does not allocate.
    unsafe { command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
}

/// Gives the child a seccomp filter, which it cannot take off. `program` is in the kernel's language for filters.
pub(crate) fn filter_calls(command: &mut Command, program: Vec<libc::sock_filter>) {
    let filter_calls = move || {
        let len = program.len().try_into().map_err(|_| io::ErrorKind::InvalidInput)?;
        let program = libc::sock_fprog { len, filter: program.as_ptr().cast_mut() };
        // SAFETY: the calls take integers and the program above, which the kernel copies.
        let done = unsafe {
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
                && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
        };
        if done { Ok(()) } else { Err(io::Error::last_os_error()) }
    };
    // SAFETY: between fork and exec this makes two `prctl` system calls and builds an error from a number; it takes no
    // lock and does not allocate.
    unsafe { command.pre_exec(filter_calls) };
}

/// Makes the kernel reap every child of this process when it ends, without a report.
pub(crate) fn ignore_children() {
    // SAFETY: no handler is installed, so no code of ours runs in a signal's context.
    unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) };
}

/// Puts the future children of this thread into a new pid namespace, and this thread and them into a new mount
/// namespace in which their mounts are invisible to other processes. This cannot be undone: call it in a thread that
/// ends soon.
pub(crate) fn enter_new_pid_namespace() -> rustix::io::Result<()> {
    // SAFETY: the call is dangerous if it unshares the table of file descriptors, because a descriptor would then mean
    // different files in different threads. These two flags leave that table shared.
    unsafe { unshare_unsafe(UnshareFlags::NEWPID | UnshareFlags::NEWNS)? };
    // The copied mounts still propagate changes to the originals, until they are made private.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
}
