//! Copying bytes that a producer may be writing.
//!
//! [`copy`] is the one function outside the language's memory model. Its caller is a reader that does not gate what it
//! copies, and that finds out afterwards whether the copy is valid.

use super::primitive::{AtomicU8, AtomicU64, Ordering};

/// From this many bytes on, the processor's own copy loop is faster than a loop over words.
#[cfg(all(target_arch = "x86_64", not(miri)))]
const MANY_BYTES: usize = 1024;

/// Copies `into.len()` bytes from `from`. Another process may write them meanwhile.
///
/// The language does not define this: the bytes are written with plain stores, and read here with relaxed atomic loads
/// of at most a word, or by an instruction that is opaque to the compiler. No reference to them is made, and the result
/// is only bytes.
///
/// # Safety
/// `into.len()` bytes from `from` on are mapped for reading.
pub(crate) unsafe fn copy(from: *const u8, into: &mut [u8]) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    if into.len() >= MANY_BYTES {
        // SAFETY: it loads and stores `into.len()` bytes, upwards, because the direction flag is always clear; the
        // caller promises that the loaded ones are mapped.
        unsafe {
            std::arch::asm!(
                "rep movsb",
                inout("rsi") from => _,
                inout("rdi") into.as_mut_ptr() => _,
                inout("rcx") into.len() => _,
                options(nostack, preserves_flags),
            );
        }
        return;
    }
    // SAFETY: as the caller promises.
    unsafe { copy_words(from, into) };
}

/// # Safety
/// As for [`copy`].
unsafe fn copy_words(from: *const u8, into: &mut [u8]) {
    let (before, into) = into.split_at_mut(from.align_offset(8).min(into.len()));
    // SAFETY: these bytes are among those that the caller promises.
    unsafe { copy_bytes(from, before) };
    let from = from.wrapping_add(before.len());
    let (words, rest) = into.as_chunks_mut::<8>();
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: the word is in the bytes that the caller promises, at a multiple of 8.
        let from = unsafe { AtomicU64::from_ptr(from.add(8 * i).cast_mut().cast()) };
        *word = from.load(Ordering::Relaxed).to_ne_bytes();
    }
    // SAFETY: these bytes are among those that the caller promises.
    unsafe { copy_bytes(from.wrapping_add(8 * words.len()), rest) };
}

/// # Safety
/// As for [`copy`].
unsafe fn copy_bytes(from: *const u8, into: &mut [u8]) {
    for (i, byte) in into.iter_mut().enumerate() {
        // SAFETY: the byte is in the bytes that the caller promises.
        let from = unsafe { AtomicU8::from_ptr(from.add(i).cast_mut()) };
        *byte = from.load(Ordering::Relaxed);
    }
}
