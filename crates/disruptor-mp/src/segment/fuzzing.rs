//! Entry points for the fuzz targets: the parser, and the words of a segment as a faulty peer would write them.
//!
//! It exists only under `cfg(fuzzing)`.

use super::backend::Access;
use super::{Kind, Place, Section, Segment, header};
use crate::sync::primitive::{AtomicU64, Ordering};
use std::ops::Range;

/// Parses a header page of an object of `object_len` bytes and says whether it would be accepted.
pub fn parse_header(bytes: &[u8], object_len: u64) -> bool {
    header::parse_header(bytes, object_len).is_ok()
}

/// Makes the checksum of a header page right again, so that a mutated number itself is checked. A page that is too
/// short stays as it is.
pub fn restamp_header(page: &mut [u8]) {
    header::restamp(page);
}

/// The words of a ring's segment, to be overwritten while its handles are in use.
#[derive(Debug)]
pub struct Words {
    segment: Segment,
}

impl Words {
    /// The words of the ring at `place`; `None` if it cannot be opened.
    pub fn open(place: &Place) -> Option<Self> {
        Segment::open_ring(place, Access::ReadWrite).ok().map(|segment| Self { segment })
    }

    /// Number of words of eight bytes.
    #[expect(clippy::len_without_is_empty, reason = "a segment has a header page at least")]
    pub fn len(&self) -> usize {
        self.segment.total_len() as usize / 8
    }

    /// The words of the control lines, the consumer table, the counters and the slots.
    pub fn sections(&self) -> [Range<usize>; 4] {
        let plan = &self.segment.header().plan;
        [plan.control, plan.table, plan.counters, plan.slots].map(|section| {
            let first = section.offset as usize / 8;
            first..first + section.len as usize / 8
        })
    }

    fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.len(), "word {index} of {}", self.len());
        let (start, _) = self.segment.section(Section { offset: 0, len: self.segment.total_len() });
        let start = start.cast::<AtomicU64>();
        // SAFETY: the mapping is `len` words long, aligned to a page, initialised, and lives as long as the segment;
        // the targets run one thread, so no access of another size happens at the same time.
        unsafe { start.add(index).as_ref() }
    }

    /// Reads a word.
    pub fn load(&self, index: usize) -> u64 {
        self.word(index).load(Ordering::Relaxed)
    }

    /// Overwrites a word.
    pub fn store(&self, index: usize, value: u64) {
        self.word(index).store(value, Ordering::Relaxed);
    }

    /// Makes the checksum of the header right again.
    pub fn restamp_header(&self) {
        let mut page: Vec<u8> = (0..512).flat_map(|index| self.load(index).to_ne_bytes()).collect();
        header::restamp(&mut page);
        for (index, bytes) in page.as_chunks().0.iter().enumerate() {
            self.store(index, u64::from_ne_bytes(*bytes));
        }
    }
}
