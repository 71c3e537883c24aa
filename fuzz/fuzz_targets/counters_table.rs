//! Any bytes as a table of counters: refused, or read and registered in without leaving the table.
#![no_main]

use disruptor_mp::CountersFile;
use libfuzzer_sys::fuzz_target;
use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ptr::NonNull;

/// Exactly as long as the input, so that the sanitizer detects an access to the first byte after it.
struct Bytes {
    start: NonNull<u8>,
    layout: Layout,
}

impl Bytes {
    fn new(content: &[u8]) -> Self {
        let layout = Layout::from_size_align(content.len().max(1), 128).expect("an input is small");
        // SAFETY: the layout has a size.
        let start = NonNull::new(unsafe { alloc_zeroed(layout) }).expect("there is memory for an input");
        // SAFETY: both have `content.len()` bytes, and the new ones are not shared.
        unsafe { start.copy_from_nonoverlapping(NonNull::from(content).cast(), content.len()) };
        Self { start, layout }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; every table over the bytes was dropped before.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

fuzz_target!(|input: &[u8]| {
    let Some((&label_len, rest)) = input.split_first() else { return };
    let (label, content) = rest.split_at(rest.len().min(label_len.into()));
    let label = String::from_utf8_lossy(label);
    let mut content = content.to_vec();
    // The fuzzer should not spend its time on finding these eight bytes.
    if content.len() >= 8 && content[0] & 1 == 0 {
        content[..8].copy_from_slice(b"MYELCNTR");
    }
    let bytes = Bytes::new(&content);
    let start = bytes.start;
    // SAFETY: the bytes outlive the table, no other code knows them, and after this they are accessed only through it.
    match unsafe { CountersFile::attach_read_only(start, content.len()) } {
        Ok(table) => {
            let _ = table.snapshot();
            assert!(table.register(1, 2, &label).is_none(), "registered in a table that is open for reading");
        }
        Err(error) => {
            let _ = error.to_string();
        }
    }
    // SAFETY: as above; the first table is gone.
    if let Ok(table) = unsafe { CountersFile::attach(start, content.len()) } {
        let before = table.snapshot().len();
        if let Some(counter) = table.register(0x1000, 7, &label) {
            counter.add(u64::MAX);
            counter.inc();
            counter.record_max(3);
            assert!(table.snapshot().iter().any(|seen| seen.id == 0x1000), "a registered counter is not shown");
        }
        assert!(table.snapshot().len() >= before, "registering hid a counter");
    }
});
