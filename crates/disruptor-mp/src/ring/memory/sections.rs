//! The words of a ring in a segment of any shape, where the segment has room for them.
//!
//! For the process that makes or checks a segment, and for views. The ends use `Mapped`, which has checked once.

use super::layout::COUNTERS_OF_APPLICATION;
use crate::counters::CountersFile;
use crate::ring::protocol::control::{Control, Entry, SENTINEL_LIFTED};
use crate::ring::protocol::records::line::LineHeader;
use crate::ring::protocol::records::word::LINE_BYTES;
use crate::segment::Segment;
use crate::sync::cursor::Cursor;

/// The control lines of a ring of any shape, if it has room for them.
pub(crate) fn control(segment: &Segment) -> Option<&Control> {
    let (control, len) = segment.control();
    // SAFETY: the section is mapped as long as `segment` lives, page- and line-aligned by its plan, and long enough.
    // `Control` is atomic words only: every bit pattern is valid, and any process may write them.
    (len >= size_of::<Control>()).then(|| unsafe { control.cast::<Control>().as_ref() })
}

/// The entry of that index, used or not; `None` beyond the table.
pub(crate) fn entry(segment: &Segment, index: usize) -> Option<&Entry> {
    let (table, len) = segment.table();
    let is_in_table = index < segment.header().table_len as usize && index < len / size_of::<Entry>();
    // SAFETY: as in `control`; the index was checked in the line above.
    is_in_table.then(|| unsafe { table.cast::<Entry>().add(index).as_ref() })
}

/// The words in front of line `line`; `None` beyond the lines.
pub(crate) fn line_header(segment: &Segment, line: usize) -> Option<&LineHeader> {
    let (slots, len) = segment.slots();
    // SAFETY: by the comparison below, the line is inside the section, which is mapped as long as `segment` lives.
    // Sections are aligned to a page and lines to 64 bytes, and the first two words of a line are only used as atomics.
    (line < len / LINE_BYTES).then(|| unsafe { slots.add(line * LINE_BYTES).cast::<LineHeader>().as_ref() })
}

/// The cursor at the beginning of the control section. The caller knows the length of that section.
pub(crate) fn cursor(segment: &Segment) -> &Cursor {
    let (control, len) = segment.control();
    assert!(len >= size_of::<Cursor>(), "the section is shorter than a cursor");
    // SAFETY: mapped as long as the segment lives, which the reference borrows; aligned to 128 bytes and long enough;
    // one atomic word.
    unsafe { control.cast::<Cursor>().as_ref() }
}

/// Writes the control lines and counters of a new ring. Everything else must be zero, and is.
pub(crate) fn initialise(segment: &Segment, capacity: usize, max_buffer: Option<usize>) {
    let (control, len) = segment.control();
    assert!(len >= size_of::<Control>(), "the blueprint is ours");
    let sentinel = max_buffer.map_or(SENTINEL_LIFTED, |max_buffer| max_buffer as i64);
    // SAFETY: the section is mapped, writable, aligned and long enough, and no other process can know the segment yet.
    unsafe { control.cast::<Control>().write(Control::new((capacity as i64).min(sentinel), sentinel)) };
    CountersFile::initialise_in(segment, COUNTERS_OF_APPLICATION);
}
