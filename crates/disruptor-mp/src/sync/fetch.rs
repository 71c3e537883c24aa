//! Asking for a cache line that will be written soon.
//!
//! For writers of rings, and for lines that no thread reads at the moment.

/// Asks the processor to bring the line at `line` into this core's cache, to be written: the line was last in a
/// reader's cache, and moving it takes as long as a message. Changes nothing that a program can see. Where there is no
/// instruction for it, nothing happens.
#[inline(always)]
pub(crate) fn fetch_for_write(line: *const u8) {
    // Rust's own prefetch has no form for writing unless the whole program is built for processors that have it; on
    // others the instruction does nothing.
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads and writes nothing, touches no register or flag, and does not fault, whatever the
    // address.
    unsafe {
        core::arch::asm!("prefetchw [{line}]", line = in(reg) line, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}
