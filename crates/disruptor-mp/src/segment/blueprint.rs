//! How many bytes a segment needs, and where each of its sections begins.
//!
//! Creation and opening use the same function, so they cannot disagree.
//!
//! The sections in their order. Each begins on a boundary of 128 bytes, the slots on a page:
//!
//! ```text
//! 0           4096                                                                                 total_len
//! | header page | schema | control lines | consumer table | counters | errors | (gap) | slots | (gap) |
//!               128      128             128              128        128              4096    4096
//! ```

/// The first page of every segment. It is 4096 bytes on every machine: the layout may not depend on who created it.
pub const HEADER_BYTES: u64 = 4096;

/// Sections begin on this boundary: two cache lines, because adjacent lines are fetched in pairs.
pub(super) const SECTION_ALIGN: u64 = 128;

/// The slots begin on this boundary, so that any event's alignment up to a page holds in every mapping.
pub(super) const SLOTS_ALIGN: u64 = 4096;

/// The longest segment, 64 TiB: it fits into a process's address space with room to spare, and is far below the range
/// of the lock bytes.
pub const MAX_TOTAL_LEN: u64 = 1 << 46;

/// The longest prefix of consumer ids that a segment can hold: as long as an id.
pub(crate) const PREFIX_BYTES_MAX: usize = 128;

/// What a segment is for. Opening names the kind that is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
#[non_exhaustive]
pub enum Kind {
    /// A ring of events, or of frames, in slots with stamps.
    Ring = 1,
    /// One cursor on its own, without slots.
    Cursor = 2,
    /// A file of counters.
    Counters = 3,
    /// A ring of records.
    Records = 4,
    /// A ring of events in dense slots.
    Dense = 5,
}

impl Kind {
    /// Whether it is a ring, whatever it carries.
    pub const fn is_ring(self) -> bool {
        matches!(self, Self::Ring | Self::Records | Self::Dense)
    }

    /// The kind with that number on the wire, if there is one.
    pub const fn from_wire(number: u32) -> Option<Self> {
        match number {
            1 => Some(Self::Ring),
            2 => Some(Self::Cursor),
            3 => Some(Self::Counters),
            4 => Some(Self::Records),
            5 => Some(Self::Dense),
            _ => None,
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ring => "a ring of events or frames",
            Self::Cursor => "a cursor",
            Self::Counters => "a counters file",
            Self::Records => "a ring of records",
            Self::Dense => "a ring of events in dense slots",
        })
    }
}

/// The description of a new segment. All lengths are bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blueprint {
    /// What the segment is for.
    pub kind: Kind,
    /// Number of slots.
    pub capacity: u64,
    /// Distance between two slots in bytes, a multiple of `slot_align`.
    pub slot_stride: u64,
    /// Alignment of a slot in bytes: a power of two up to 4096; 0 only where there are no slots.
    pub slot_align: u64,
    /// Where in a slot the payload begins, in bytes from the beginning of the slot.
    pub payload_offset: u64,
    /// Length of the payload in bytes; it ends within the slot.
    pub payload_len: u64,
    /// Number of entries of the consumer table.
    pub table_len: u32,
    /// How many of them are for the expected consumers: those whose ids begin with `prefix`.
    pub places: u32,
    /// The prefix of the expected consumers' ids; empty if any id will do. At most 128 bytes.
    pub prefix: String,
    /// Distinguishes the content of the segment from any other content; 0: it does not say.
    pub fingerprint: u64,
    /// The generation of the segment that this one replaces, if that still has unread content; 0: none.
    pub predecessor: u64,
    /// The description of what is in a slot; readers compare it byte by byte.
    pub schema: Vec<u8>,
    /// Length of the control lines in bytes.
    pub control_len: u64,
    /// Length of the consumer table in bytes.
    pub table_bytes: u64,
    /// Length of the counters in bytes.
    pub counters_len: u64,
    /// Length of the error slots in bytes.
    pub errors_len: u64,
    /// Length of all slots in bytes: `capacity * slot_stride`.
    pub slots_len: u64,
}

/// Where a section is in its segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Section {
    /// Offset of its first byte, in bytes from the beginning of the segment.
    pub offset: u64,
    /// Length in bytes, without the gap after it.
    pub len: u64,
}

/// The answer to "how many bytes would this need?", with every section's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentPlan {
    /// The description of what lives in a slot.
    pub schema: Section,
    /// Cursors, and the words that waiters use.
    pub control: Section,
    /// The consumer table.
    pub table: Section,
    /// The counters: the blocks of all ends, and the records of the application.
    pub counters: Section,
    /// The slots for the last errors.
    pub errors: Section,
    /// The slots with the events, or the lines with the records.
    pub slots: Section,
    /// Length of the whole segment in bytes, a multiple of 4096: what creation reserves.
    pub total_len: u64,
    /// Entries in the consumer table for the expected consumers.
    pub places: u32,
    /// Further entries in the consumer table, for other consumers.
    pub places_for_others: u32,
}

/// Why a blueprint cannot become a segment. Nothing was created; change the blueprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The sum of the sections is larger than any segment may be. `wanted_bytes` is `u64::MAX` if the sum does not fit
    /// in it.
    #[error("the segment would need {wanted_bytes} bytes, at most {max_bytes} are possible; make the ring smaller")]
    TooLarge {
        /// How many bytes it would need.
        wanted_bytes: u64,
        /// The limit of this build on this target.
        max_bytes: u64,
    },
    /// Two numbers of the blueprint contradict each other.
    #[error("the blueprint contradicts itself: {field} is {found}, but {rule}")]
    Inconsistent {
        /// The number that is wrong.
        field: &'static str,
        /// Its value.
        found: u64,
        /// What it has to be.
        rule: &'static str,
    },
}

impl Blueprint {
    /// A segment without slots and consumers: control lines and counters of these lengths in bytes.
    pub(crate) fn without_slots(kind: Kind, control_len: u64, counters_len: u64) -> Self {
        Self {
            kind,
            capacity: 0,
            slot_stride: 0,
            slot_align: 0,
            payload_offset: 0,
            payload_len: 0,
            table_len: 0,
            places: 0,
            prefix: String::new(),
            fingerprint: 0,
            predecessor: 0,
            schema: vec![],
            control_len,
            table_bytes: 0,
            counters_len,
            errors_len: 0,
            slots_len: 0,
        }
    }

    /// Lays out the sections one after the other, with arithmetic that cannot overflow.
    ///
    /// # Errors
    /// [`PlanError`]: too large for any segment, or numbers that contradict each other.
    pub fn plan(&self) -> Result<SegmentPlan, PlanError> {
        check_slots(&SlotNumbers {
            kind: self.kind,
            capacity: self.capacity,
            slot_stride: self.slot_stride,
            slot_align: self.slot_align,
            payload_offset: self.payload_offset,
            payload_len: self.payload_len,
            slots_len: self.slots_len,
        })?;
        if self.prefix.len() > PREFIX_BYTES_MAX {
            return Err(PlanError::Inconsistent {
                field: "prefix",
                found: self.prefix.len() as u64,
                rule: "it has to be at most 128 bytes long",
            });
        }
        let lens = [self.schema.len() as u64, self.control_len, self.table_bytes, self.counters_len, self.errors_len];
        Ok(layout(lens, self.slots_len)?.with_places(self.places, self.table_len))
    }
}

impl SegmentPlan {
    /// The plan of a segment whose table has `table_len` entries, `places` of them for the expected consumers.
    pub(super) fn with_places(self, places: u32, table_len: u32) -> Self {
        Self { places, places_for_others: table_len.saturating_sub(places), ..self }
    }
}

/// The numbers that describe slots, in a blueprint and in a header.
pub(super) struct SlotNumbers {
    pub(super) kind: Kind,
    pub(super) capacity: u64,
    pub(super) slot_stride: u64,
    pub(super) slot_align: u64,
    pub(super) payload_offset: u64,
    pub(super) payload_len: u64,
    pub(super) slots_len: u64,
}

/// The slots must follow from capacity and stride, because every index into them is computed from these two.
pub(super) fn check_slots(slots: &SlotNumbers) -> Result<(), PlanError> {
    let wrong = |field, found, rule| Err(PlanError::Inconsistent { field, found, rule });
    match slots.capacity.checked_mul(slots.slot_stride) {
        None => return Err(PlanError::TooLarge { wanted_bytes: u64::MAX, max_bytes: max_total_len() }),
        Some(slots_len) if slots_len != slots.slots_len => {
            return wrong("slots_len", slots.slots_len, "it has to be capacity * slot_stride");
        }
        Some(_) => {}
    }
    if slots.slots_len > 0 {
        if !slots.slot_align.is_power_of_two() || slots.slot_align > SLOTS_ALIGN {
            return wrong("slot_align", slots.slot_align, "it has to be a power of two up to 4096");
        }
        if !slots.slot_stride.is_multiple_of(slots.slot_align) {
            return wrong("slot_stride", slots.slot_stride, "it has to be a multiple of slot_align");
        }
    }
    // The slots are mapped a second time right after the segment, so they must be its last section.
    if slots.kind == Kind::Records && (slots.slots_len == 0 || !slots.slots_len.is_multiple_of(SLOTS_ALIGN)) {
        return wrong("slots_len", slots.slots_len, "of records, it has to be a multiple of 4096, and not 0");
    }
    match slots.payload_offset.checked_add(slots.payload_len) {
        Some(end) if end <= slots.slot_stride => Ok(()),
        _ => wrong("payload_len", slots.payload_len, "payload_offset + payload_len has to be within slot_stride"),
    }
}

/// The longest segment that this target can map.
fn max_total_len() -> u64 {
    MAX_TOTAL_LEN.min(isize::MAX as u64)
}

/// The layout rule. A header is valid only if this function gives the section table that it holds; a change here is a
/// new major version.
pub(super) fn layout(lens: [u64; 5], slots_len: u64) -> Result<SegmentPlan, PlanError> {
    let max_bytes = max_total_len();
    let mut end = HEADER_BYTES;
    let mut place = |align: u64, len: u64| {
        let offset = end.checked_next_multiple_of(align)?;
        end = offset.checked_add(len)?;
        Some(Section { offset, len })
    };
    let sections = (|| {
        let [schema, control, table, counters, errors] = lens;
        Some([
            place(SECTION_ALIGN, schema)?,
            place(SECTION_ALIGN, control)?,
            place(SECTION_ALIGN, table)?,
            place(SECTION_ALIGN, counters)?,
            place(SECTION_ALIGN, errors)?,
            place(SLOTS_ALIGN, slots_len)?,
        ])
    })();
    let total_len = end.checked_next_multiple_of(SLOTS_ALIGN);
    match (sections, total_len) {
        (Some([schema, control, table, counters, errors, slots]), Some(total_len)) if total_len <= max_bytes => {
            let plan = SegmentPlan {
                schema,
                control,
                table,
                counters,
                errors,
                slots,
                total_len,
                places: 0,
                places_for_others: 0,
            };
            Ok(plan)
        }
        (Some(_), Some(wanted_bytes)) => Err(PlanError::TooLarge { wanted_bytes, max_bytes }),
        _ => Err(PlanError::TooLarge { wanted_bytes: u64::MAX, max_bytes }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring() -> Blueprint {
        Blueprint {
            kind: Kind::Ring,
            capacity: 8,
            slot_stride: 64,
            slot_align: 64,
            payload_offset: 8,
            payload_len: 48,
            table_len: 4,
            places: 4,
            prefix: String::new(),
            fingerprint: 5,
            predecessor: 6,
            schema: vec![7; 100],
            control_len: 256,
            table_bytes: 512,
            counters_len: 1000,
            errors_len: 0,
            slots_len: 512,
        }
    }

    #[test]
    fn sections_follow_each_other_on_their_boundaries() {
        let plan = ring().plan().unwrap();
        assert_eq!(plan.schema, Section { offset: 4096, len: 100 });
        assert_eq!(plan.control, Section { offset: 4096 + 128, len: 256 });
        assert_eq!(plan.table, Section { offset: 4096 + 384, len: 512 });
        assert_eq!(plan.counters, Section { offset: 4096 + 896, len: 1000 });
        assert_eq!(plan.slots, Section { offset: 8192, len: 512 });
        assert_eq!(plan.total_len, 12288);
    }

    #[test]
    fn a_segment_without_slots_is_its_header_and_what_it_has() {
        let empty = Blueprint::without_slots(Kind::Cursor, 0, 0);
        assert_eq!(empty.plan().unwrap().total_len, HEADER_BYTES);
    }

    #[test]
    fn no_number_makes_the_sum_wrap() {
        for huge in [u64::MAX, u64::MAX - 4096, 1 << 63, MAX_TOTAL_LEN] {
            for field in 0..5 {
                let mut blueprint = ring();
                match field {
                    4 => blueprint.errors_len = huge,
                    0 => blueprint.control_len = huge,
                    1 => blueprint.table_bytes = huge,
                    2 => blueprint.counters_len = huge,
                    _ => (blueprint.capacity, blueprint.slots_len) = (huge / 64, huge / 64 * 64),
                }
                let error = blueprint.plan().unwrap_err();
                assert!(matches!(error, PlanError::TooLarge { .. }), "{field} {huge}: {error}");
            }
        }
        let overflow = Blueprint { capacity: 1 << 62, slot_stride: 64, ..ring() };
        assert!(matches!(overflow.plan(), Err(PlanError::TooLarge { wanted_bytes: u64::MAX, .. })));
    }

    #[test]
    fn contradicting_numbers_are_named() {
        let field = |blueprint: Blueprint| match blueprint.plan().unwrap_err() {
            PlanError::Inconsistent { field, .. } => field,
            other => panic!("{other}"),
        };
        assert_eq!(field(Blueprint { prefix: "p".repeat(PREFIX_BYTES_MAX + 1), ..ring() }), "prefix");
        assert_eq!(field(Blueprint { slots_len: 511, ..ring() }), "slots_len");
        assert_eq!(field(Blueprint { slot_align: 48, ..ring() }), "slot_align");
        assert_eq!(field(Blueprint { slot_align: 128, ..ring() }), "slot_stride");
        assert_eq!(field(Blueprint { payload_offset: 32, ..ring() }), "payload_len");
        assert_eq!(field(Blueprint { payload_offset: u64::MAX, ..ring() }), "payload_len");
    }
}
