//! The first page of a segment: what it is, which process made it, and where its sections are.
//!
//! `segment` writes and parses it. The words `ready` and `fate` are atomics in the mapping and belong to `segment`.
//!
//! All numbers are in the byte order of the machine, which the mark at 8 shows. Bytes 0..24 keep their meaning in every
//! version, so that any build can tell an object of ours, its version and whether it is finished.
//!
//! ```text
//! byte  0       4       8       12      16      20      24      28      32
//!   0   | magic "MYELONSG" | order | maj,min | ready* | fate*  |   checksum    |
//!  32   | kind  | page  |   total_len   |  generation   |   capacity    |
//!  64   |  slot_stride  |  slot_align   |payload_offset |  payload_len  |
//!  96   |table  | pid   | pid start time| pid namespace |  schema offset|
//! 128   |  schema len   | control offset|  control len  |  table offset |
//! 160   |  table len    |counters offset| counters len  |  slots offset |
//! 192   |  slots len    | errors offset |  errors len   |  fingerprint  |
//! 224   | form R|places |  predecessor  |rank+1 |label n| label, 64 bytes
//! 312   |prefix n| 0    | prefix, 128 bytes                  448 |
//! 448   |    device     |     inode     |  checksum 2   | zero ... 4096 |
//! ```
//! R: reserved, zero. RFC 0011 says what each is for.
//!
//! `*` are the only words that change after creation; the checksum covers all others before byte 448. `ready` is stored
//! last, with Release.
//!
//! Bytes 448 to 472 exist since 2.3. Builds of 2.0 to 2.2 compute the checksum of the first 448 bytes. So these words
//! have a checksum of their own, which continues the first one.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::blueprint::{self, Blueprint, HEADER_BYTES, Kind, PREFIX_BYTES_MAX, Section, SegmentPlan};
use super::owner::ProcessIdentity;
use super::title::{LABEL_BYTES_MAX, Title};
use crate::text::disguises;

/// The first eight bytes of every object of ours.
const MAGIC: [u8; 8] = *b"MYELONSG";

/// Reads differently on a machine of the other byte order.
const BYTE_ORDER_MARK: u32 = 0x0102_0304;

/// The version of the layout that this build writes. Builds of equal `major` understand each other.
pub const ABI: AbiVersion = AbiVersion { major: 2, minor: 3 };

/// The minor version since which a header has the device and the inode of its object.
const OBJECT_SINCE_MINOR: u16 = 3;

/// The value of the `ready` word of a finished segment.
pub(super) const READY: u32 = 1;

/// The offset of the `ready` word, fixed for all versions.
pub(super) const READY_OFFSET: usize = core::mem::offset_of!(WireHeader, ready);

/// The offset of the `fate` word, fixed for all versions.
pub(super) const FATE_OFFSET: usize = core::mem::offset_of!(WireHeader, fate);

const HEADER_PAGE: usize = HEADER_BYTES as usize;

/// A version of the segment's layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AbiVersion {
    /// Changes when builds before and after cannot share a segment.
    pub major: u16,
    /// Changes when something was added that the other side may ignore.
    pub minor: u16,
}

impl std::fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// What every build can tell of a segment: its kind, the version of its layout, and its byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SegmentMake {
    /// Its kind. `None` if the segment has another version, in which the kinds may differ, or if this build does not
    /// know the kind.
    pub kind: Option<Kind>,
    /// The version of its layout.
    pub abi: AbiVersion,
    /// Whether it was written in the byte order of this machine.
    pub is_native: bool,
}

impl SegmentMake {
    /// The make of segments of this build.
    pub(crate) fn ours(kind: Kind) -> Self {
        Self { kind: Some(kind), abi: ABI, is_native: true }
    }

    /// Whether both have the same kind, and the same builds can use both.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        (self.kind, self.abi.major, self.is_native) == (other.kind, other.abi.major, other.is_native)
    }
}

impl std::fmt::Display for SegmentMake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "{kind}")?,
            None => f.write_str("something of a kind that is not known here")?,
        }
        write!(f, ", layout version {}", self.abi)?;
        if self.is_native { Ok(()) } else { f.write_str(", the other byte order") }
    }
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct WireSection {
    offset: u64,
    len: u64,
}

#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct WireHeader {
    magic: [u8; 8],
    byte_order: u32,
    abi_major: u16,
    abi_minor: u16,
    ready: u32,
    fate: u32,
    checksum: u64,
    kind: u32,
    page_bytes: u32,
    total_len: u64,
    generation: u64,
    capacity: u64,
    slot_stride: u64,
    slot_align: u64,
    payload_offset: u64,
    payload_len: u64,
    table_len: u32,
    creator_pid: u32,
    creator_start_time: u64,
    creator_pid_namespace: u64,
    schema: WireSection,
    control: WireSection,
    table: WireSection,
    counters: WireSection,
    slots: WireSection,
    errors: WireSection,
    fingerprint: u64,
    form: u32,
    places: u32,
    predecessor: u64,
    rank_plus_one: u32,
    label_len: u32,
    label: [u8; LABEL_BYTES_MAX],
    prefix_len: u32,
    reserved: u32,
    prefix: [u8; PREFIX_BYTES_MAX],
    device: u64,
    inode: u64,
    object_checksum: u64,
}

/// The length of what the first checksum covers: the header of 2.0.
const CHECKED_BYTES: usize = core::mem::offset_of!(WireHeader, device);

const _: () = {
    assert!(core::mem::offset_of!(WireHeader, byte_order) == 8);
    assert!(core::mem::offset_of!(WireHeader, abi_major) == 12);
    assert!(READY_OFFSET == 16 && FATE_OFFSET == 20);
    assert!(core::mem::offset_of!(WireHeader, checksum) == 24);
    assert!(core::mem::offset_of!(WireHeader, total_len) == 40);
    assert!(core::mem::offset_of!(WireHeader, table_len) == 96);
    assert!(core::mem::offset_of!(WireHeader, schema) == 120);
    assert!(core::mem::offset_of!(WireHeader, errors) == 200);
    assert!(core::mem::offset_of!(WireHeader, prefix) == 320);
    assert!(CHECKED_BYTES == 448 && size_of::<WireHeader>() == 472);
    assert!(size_of::<WireHeader>() <= HEADER_PAGE);
};

/// Everything a segment says about itself. Copied once and checked; later changes of the original do not affect it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) abi: AbiVersion,
    pub(crate) kind: Kind,
    /// Random; differs between any two segments, even of the same name.
    pub(crate) generation: u64,
    pub(crate) capacity: u64,
    pub(crate) slot_stride: u64,
    pub(crate) slot_align: u64,
    pub(crate) payload_offset: u64,
    pub(crate) payload_len: u64,
    pub(crate) table_len: u32,
    /// How many entries are for the expected consumers.
    pub(crate) places: u32,
    /// The prefix of their ids; empty if any id will do.
    pub(crate) prefix: String,
    /// Its title.
    pub(crate) title: Title,
    /// Distinguishes the content of the segment from any other content; 0 if it does not say.
    pub(crate) fingerprint: u64,
    /// The generation of the segment that this one replaced, if that still has unread content; 0 if there is none.
    pub(crate) predecessor: u64,
    /// The creator's page size in bytes; only for the reader of a report.
    pub(crate) page_bytes: u32,
    /// The process that created it; not necessarily the producer of now.
    pub(crate) creator: ProcessIdentity,
    /// Device and inode of the object that it was written for; `None` if it has none, or if an older build wrote it. An
    /// object with other numbers is a copy.
    pub(crate) object: Option<(u64, u64)>,
    /// Where the sections are. They are within `total_len`, aligned, and do not overlap.
    pub(crate) plan: SegmentPlan,
}

/// What is wrong with the first page of an object; `OpenError` adds the place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// The object ends within the header page.
    TooShort { len_bytes: u64 },
    /// It does not start with the magic. `blank`: it starts with zeros instead, perhaps because its creator has just
    /// begun.
    WrongMagic { blank: bool },
    /// Its creator has not finished; the pid is 0 if it has not been written yet.
    NotReady { pid: u32 },
    /// Written by a machine of the other byte order.
    ByteOrder,
    /// Another major version of the layout.
    Version { found: AbiVersion },
    /// The segment claims more bytes than the object has.
    Length { header_bytes: u64, object_bytes: u64 },
    /// A number that no creator writes.
    Corrupt { field: &'static str, found: u64 },
}

impl Header {
    /// The header of a new segment.
    pub(super) fn new(
        blueprint: &Blueprint,
        title: Title,
        plan: SegmentPlan,
        generation: u64,
        creator: ProcessIdentity,
        object: Option<(u64, u64)>,
    ) -> Self {
        Self {
            abi: ABI,
            kind: blueprint.kind,
            generation,
            capacity: blueprint.capacity,
            slot_stride: blueprint.slot_stride,
            slot_align: blueprint.slot_align,
            payload_offset: blueprint.payload_offset,
            payload_len: blueprint.payload_len,
            table_len: blueprint.table_len,
            places: blueprint.places,
            prefix: blueprint.prefix.clone(),
            title,
            fingerprint: blueprint.fingerprint,
            predecessor: blueprint.predecessor,
            page_bytes: page_bytes(),
            creator,
            object,
            plan,
        }
    }

    /// The header page as it is first written: not ready, and live.
    pub(super) fn to_page(&self) -> Vec<u8> {
        let section = |section: Section| WireSection { offset: section.offset, len: section.len };
        let mut wire = WireHeader {
            magic: MAGIC,
            byte_order: BYTE_ORDER_MARK,
            abi_major: self.abi.major,
            abi_minor: self.abi.minor,
            ready: 0,
            fate: 0,
            checksum: 0,
            kind: self.kind as u32,
            page_bytes: self.page_bytes,
            total_len: self.plan.total_len,
            generation: self.generation,
            capacity: self.capacity,
            slot_stride: self.slot_stride,
            slot_align: self.slot_align,
            payload_offset: self.payload_offset,
            payload_len: self.payload_len,
            table_len: self.table_len,
            creator_pid: self.creator.pid,
            creator_start_time: self.creator.start_time_ticks,
            creator_pid_namespace: self.creator.pid_namespace,
            schema: section(self.plan.schema),
            control: section(self.plan.control),
            table: section(self.plan.table),
            counters: section(self.plan.counters),
            slots: section(self.plan.slots),
            errors: section(self.plan.errors),
            fingerprint: self.fingerprint,
            form: 0,
            places: self.places,
            predecessor: self.predecessor,
            rank_plus_one: self.title.rank().map_or(0, |rank| rank.saturating_add(1)),
            label_len: self.title.label().len() as u32,
            label: [0; LABEL_BYTES_MAX],
            prefix_len: self.prefix.len() as u32,
            reserved: 0,
            prefix: [0; PREFIX_BYTES_MAX],
            device: self.object.map_or(0, |(device, _)| device),
            inode: self.object.map_or(0, |(_, inode)| inode),
            object_checksum: 0,
        };
        wire.prefix[..self.prefix.len()].copy_from_slice(self.prefix.as_bytes());
        wire.label[..self.title.label().len()].copy_from_slice(self.title.label().as_bytes());
        seal(&mut wire);
        let mut page = wire.as_bytes().to_vec();
        page.resize(HEADER_PAGE, 0);
        page
    }
}

/// Reads and checks a header. `bytes` is the beginning of an object of `object_len` bytes, at most a page of it is
/// looked at.
///
/// Everything in an `Ok` is consistent and within the object. The content of the schema is not checked.
pub(crate) fn parse_header(bytes: &[u8], object_len: u64) -> Result<Header, HeaderError> {
    let wire = match WireHeader::read_from_prefix(bytes) {
        Ok((wire, _)) if object_len >= HEADER_BYTES && bytes.len() >= HEADER_PAGE => wire,
        _ => return Err(HeaderError::TooShort { len_bytes: object_len.min(bytes.len() as u64) }),
    };
    if wire.magic != MAGIC {
        return Err(HeaderError::WrongMagic { blank: wire.magic == [0; 8] });
    }
    if wire.ready == 0 {
        return Err(HeaderError::NotReady { pid: wire.creator_pid });
    }
    if wire.byte_order != BYTE_ORDER_MARK {
        return Err(match wire.byte_order == BYTE_ORDER_MARK.swap_bytes() {
            true => HeaderError::ByteOrder,
            false => corrupt("byte order mark", wire.byte_order),
        });
    }
    let abi = AbiVersion { major: wire.abi_major, minor: wire.abi_minor };
    if abi.major != ABI.major {
        return Err(HeaderError::Version { found: abi });
    }
    if wire.ready != READY {
        return Err(corrupt("ready", wire.ready));
    }
    if wire.checksum != checksum(&wire) {
        return Err(corrupt("checksum", wire.checksum));
    }
    if has_object(&wire) && wire.object_checksum != object_checksum(&wire) {
        return Err(corrupt("checksum of device and inode", wire.object_checksum));
    }
    let kind = Kind::from_wire(wire.kind).ok_or(corrupt("kind", wire.kind))?;
    let plan = check_sections(&wire, kind)?.with_places(wire.places, wire.table_len);
    if wire.places > wire.table_len {
        return Err(corrupt("places", wire.places));
    }
    let prefix = wire.prefix.get(..wire.prefix_len as usize).and_then(|bytes| std::str::from_utf8(bytes).ok());
    // The prefix is printed, and no id can begin with such a character.
    let prefix = prefix.filter(|prefix| !prefix.chars().any(disguises));
    let prefix = prefix.ok_or(corrupt("prefix", wire.prefix_len))?.to_owned();
    let label = wire.label.get(..wire.label_len as usize);
    let title = label.and_then(|label| Title::of_header(label, wire.rank_plus_one));
    let title = title.ok_or(corrupt("label", wire.label_len))?;
    if plan.total_len > object_len {
        return Err(HeaderError::Length { header_bytes: plan.total_len, object_bytes: object_len });
    }
    Ok(Header {
        abi,
        kind,
        generation: wire.generation,
        capacity: wire.capacity,
        slot_stride: wire.slot_stride,
        slot_align: wire.slot_align,
        payload_offset: wire.payload_offset,
        payload_len: wire.payload_len,
        table_len: wire.table_len,
        places: wire.places,
        prefix,
        title,
        fingerprint: wire.fingerprint,
        predecessor: wire.predecessor,
        page_bytes: wire.page_bytes,
        creator: ProcessIdentity {
            pid: wire.creator_pid,
            start_time_ticks: wire.creator_start_time,
            pid_namespace: wire.creator_pid_namespace,
        },
        object: object_of(bytes),
        plan,
    })
}

/// Whether these first bytes of an object say that it is ours, in any state and version.
pub(super) fn is_ours(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// Device and inode of the object for which the header in `bytes` was written; `None` if it does not say. The rest of
/// the header may be unfinished or damaged: these words have a checksum of their own.
pub(super) fn object_of(bytes: &[u8]) -> Option<(u64, u64)> {
    let (wire, _) = WireHeader::read_from_prefix(bytes).ok()?;
    let is_readable = wire.magic == MAGIC
        && wire.byte_order == BYTE_ORDER_MARK
        && wire.abi_major == ABI.major
        && has_object(&wire)
        && wire.object_checksum == object_checksum(&wire);
    (is_readable && (wire.device, wire.inode) != (0, 0)).then_some((wire.device, wire.inode))
}

/// Whether the build that wrote the header knew the words of the object.
fn has_object(wire: &WireHeader) -> bool {
    wire.abi_minor >= OBJECT_SINCE_MINOR
}

/// The make of the object that begins with `bytes`, if it is ours. Looks at bytes that are the same in every version,
/// and at the kind only if the version is ours.
pub(super) fn make_of(bytes: &[u8]) -> Option<SegmentMake> {
    let word = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let half = |at: usize| Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let is_native = match word(core::mem::offset_of!(WireHeader, byte_order))? {
        BYTE_ORDER_MARK => true,
        mark if mark == BYTE_ORDER_MARK.swap_bytes() => false,
        _ => return None,
    };
    let number = |at| half(at).map(|number| if is_native { number } else { number.swap_bytes() });
    let (major, minor) = (core::mem::offset_of!(WireHeader, abi_major), core::mem::offset_of!(WireHeader, abi_minor));
    let abi = AbiVersion { major: number(major)?, minor: number(minor)? };
    let is_readable = is_native && abi.major == ABI.major;
    let kind = is_readable.then(|| word(core::mem::offset_of!(WireHeader, kind)).and_then(Kind::from_wire)).flatten();
    is_ours(bytes).then_some(SegmentMake { kind, abi, is_native })
}

/// The section table is right if the layout rule gives the same table for the same lengths. This rejects sections that
/// overlap, are outside, are misaligned or overflow, without a separate rule for each.
fn check_sections(wire: &WireHeader, kind: Kind) -> Result<SegmentPlan, HeaderError> {
    let lens = [wire.schema.len, wire.control.len, wire.table.len, wire.counters.len, wire.errors.len];
    let plan = blueprint::layout(lens, wire.slots.len).map_err(|_| corrupt("section lengths", wire.total_len))?;
    let pairs = [
        ("schema section", wire.schema, plan.schema),
        ("control section", wire.control, plan.control),
        ("consumer table section", wire.table, plan.table),
        ("counters section", wire.counters, plan.counters),
        ("errors section", wire.errors, plan.errors),
        ("slots section", wire.slots, plan.slots),
    ];
    for (field, found, wanted) in pairs {
        if found.offset != wanted.offset {
            return Err(corrupt(field, found.offset));
        }
    }
    if wire.total_len != plan.total_len {
        return Err(corrupt("total_len", wire.total_len));
    }
    blueprint::check_slots(&blueprint::SlotNumbers {
        kind,
        capacity: wire.capacity,
        slot_stride: wire.slot_stride,
        slot_align: wire.slot_align,
        payload_offset: wire.payload_offset,
        payload_len: wire.payload_len,
        slots_len: wire.slots.len,
    })
    .map_err(|error| match error {
        blueprint::PlanError::Inconsistent { field, found, .. } => HeaderError::Corrupt { field, found },
        blueprint::PlanError::TooLarge { .. } => corrupt("capacity", wire.capacity),
    })?;
    Ok(plan)
}

fn corrupt(field: &'static str, found: impl Into<u64>) -> HeaderError {
    HeaderError::Corrupt { field, found: found.into() }
}

/// FNV-1a, 64 bit, over all before byte 448 that never changes. It detects damage and stray writes, not intentional
/// changes.
fn checksum(wire: &WireHeader) -> u64 {
    let immutable = WireHeader { ready: 0, fate: 0, checksum: 0, ..*wire };
    hash_on(0xcbf2_9ce4_8422_2325, &immutable.as_bytes()[..CHECKED_BYTES])
}

/// The same over device and inode, beginning with the checksum in the header: the words of another header do not fit.
fn object_checksum(wire: &WireHeader) -> u64 {
    let object = [wire.device, wire.inode];
    hash_on(wire.checksum, object.as_bytes())
}

fn hash_on(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Writes both checksums.
fn seal(wire: &mut WireHeader) {
    wire.checksum = checksum(wire);
    wire.object_checksum = object_checksum(wire);
}

/// Writes the checksums that fit a header page that a mutation has changed.
#[cfg(any(test, fuzzing))]
pub(crate) fn restamp(page: &mut [u8]) {
    if let Ok((mut wire, _)) = WireHeader::read_from_prefix(page) {
        seal(&mut wire);
        page[..size_of::<WireHeader>()].copy_from_slice(wire.as_bytes());
    }
}

/// The size of a page of this machine in bytes. Miri has no system call for it.
fn page_bytes() -> u32 {
    match cfg!(miri) {
        true => 4096,
        false => rustix::param::page_size() as u32,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn blueprint() -> Blueprint {
        Blueprint {
            kind: Kind::Ring,
            capacity: 4,
            slot_stride: 128,
            slot_align: 128,
            payload_offset: 64,
            payload_len: 64,
            table_len: 2,
            places: 1,
            prefix: "wk_".to_owned(),
            fingerprint: 3,
            predecessor: 4,
            schema: b"tokens".to_vec(),
            control_len: 512,
            table_bytes: 256,
            counters_len: 300,
            errors_len: 200,
            slots_len: 512,
        }
    }

    fn header() -> Header {
        let creator = ProcessIdentity { pid: 7, start_time_ticks: 8, pid_namespace: 9 };
        let title = Title::new("tp-engine", Some(1));
        Header::new(&blueprint(), title, blueprint().plan().unwrap(), 0xfeed, creator, Some((0x801, 12)))
    }

    /// A finished page with `change` made to it; the checksum fits again if `resum`.
    fn page_with(resum: bool, change: impl FnOnce(&mut WireHeader)) -> Vec<u8> {
        let mut page = header().to_page();
        let (mut wire, _) = WireHeader::read_from_prefix(&page).unwrap();
        wire.ready = READY;
        change(&mut wire);
        if resum {
            seal(&mut wire);
        }
        page[..size_of::<WireHeader>()].copy_from_slice(wire.as_bytes());
        page
    }

    fn parse(page: &[u8]) -> Result<Header, HeaderError> {
        parse_header(page, header().plan.total_len)
    }

    #[test]
    fn what_was_written_is_what_is_read() {
        assert_eq!(parse(&page_with(false, |_| {})), Ok(header()));
        assert_eq!(parse(&page_with(false, |wire| wire.fate = 2)), Ok(header()));
        assert_eq!(parse(&header().to_page()), Err(HeaderError::NotReady { pid: 7 }));
    }

    #[test]
    fn every_truncation_of_the_header_page_is_too_short() {
        let page = page_with(false, |_| {});
        for len in 0..page.len() {
            assert_eq!(parse_header(&page[..len], len as u64), Err(HeaderError::TooShort { len_bytes: len as u64 }));
        }
    }

    #[test]
    fn each_kind_of_damage_has_its_own_answer() {
        use HeaderError as E;
        let total_len = header().plan.total_len;
        assert_eq!(parse(&page_with(true, |w| w.magic[3] ^= 1)), Err(E::WrongMagic { blank: false }));
        assert_eq!(parse(&vec![0; 8192]), Err(E::WrongMagic { blank: true }));
        assert_eq!(parse(&page_with(true, |w| w.byte_order = w.byte_order.swap_bytes())), Err(E::ByteOrder));
        let other = AbiVersion { major: ABI.major + 1, minor: 3 };
        let changed = page_with(true, |w| (w.abi_major, w.abi_minor) = (other.major, other.minor));
        assert_eq!(parse(&changed), Err(E::Version { found: other }));
        assert!(parse(&page_with(true, |w| w.abi_minor = 77)).is_ok(), "a newer minor version attaches");
        let short = parse_header(&page_with(false, |_| {}), total_len - 1);
        assert_eq!(short, Err(E::Length { header_bytes: total_len, object_bytes: total_len - 1 }));
        let field = |resum, change: fn(&mut WireHeader)| match parse(&page_with(resum, change)) {
            Err(E::Corrupt { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        assert_eq!(field(false, |w| w.generation ^= 1), "checksum");
        assert_eq!(field(false, |w| w.inode ^= 1), "checksum of device and inode");
        assert_eq!(field(true, |w| w.ready = 2), "ready");
        assert_eq!(field(true, |w| w.kind = 9), "kind");
        assert_eq!(field(true, |w| w.total_len = u64::MAX), "total_len");
        assert_eq!(field(true, |w| w.slots.offset = 0), "slots section");
        assert_eq!(field(true, |w| w.errors.offset = 0), "errors section");
        assert_eq!(field(true, |w| w.places = 3), "places");
        assert_eq!(field(true, |w| w.prefix_len = 129), "prefix");
        assert_eq!(field(true, |w| w.prefix[0] = 0xff), "prefix");
        assert_eq!(field(true, |w| w.prefix[0] = 0x1b), "prefix");
        assert_eq!(field(true, |w| w.prefix[..3].copy_from_slice("\u{202e}".as_bytes())), "prefix");
        assert_eq!(field(true, |w| w.label_len = 65), "label");
        assert_eq!(field(true, |w| w.label[0] = 0xff), "label");
        assert_eq!(field(true, |w| w.label[0] = 0x1b), "label");
        assert_eq!(field(true, |w| w.table.offset = w.control.offset), "consumer table section");
        assert_eq!(field(true, |w| w.slots.len = u64::MAX - 100), "section lengths");
        assert_eq!(field(true, |w| w.capacity = u64::MAX), "capacity");
        assert_eq!(field(true, |w| w.capacity = 5), "slots_len");
        assert_eq!(field(true, |w| w.slot_align = 0), "slot_align");
        assert_eq!(field(true, |w| w.payload_offset = u64::MAX), "payload_len");
    }

    #[test]
    fn a_header_of_2_2_says_nothing_about_its_object() {
        let mut of_2_2 = page_with(false, |_| {});
        of_minor_2(&mut of_2_2);
        let abi = AbiVersion { major: 2, minor: 2 };
        assert_eq!(parse(&of_2_2), Ok(Header { abi, object: None, ..header() }));
        assert_eq!(object_of(&of_2_2), None);
    }

    #[test]
    fn a_build_of_2_2_finds_its_checksum_in_a_header_of_2_3() {
        let mut page = page_with(false, |_| {});
        let found = u64::from_ne_bytes(page[24..32].try_into().unwrap());
        page[16..32].fill(0); // ready, fate, checksum
        let of_2_2 = page[..448]
            .iter()
            .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        assert_eq!(found, of_2_2);
    }

    #[test]
    fn device_and_inode_are_told_of_an_unfinished_and_of_a_damaged_header() {
        let object = Some((0x801, 12));
        assert_eq!(object_of(&page_with(false, |wire| wire.ready = 0)), object);
        assert_eq!(object_of(&page_with(false, |wire| wire.slots.len ^= 1)), object);
        assert_eq!(object_of(&page_with(false, |wire| wire.inode ^= 1)), None);
        assert_eq!(object_of(&page_with(true, |wire| (wire.device, wire.inode) = (0, 0))), None);
        assert_eq!(object_of(&page_with(true, |wire| wire.abi_major += 1)), None);
        assert_eq!(object_of(&page_with(false, |_| {})[..471]), None);
    }

    proptest! {
        #[test]
        fn no_page_makes_the_parser_panic_or_lie(
            changes in prop::collection::vec((0usize..size_of::<WireHeader>(), any::<u8>()), 0..12), resum: bool, object_len in 0u64..20_000,
        ) {
            let mut page = page_with(false, |_| {});
            for (at, byte) in changes {
                page[at] = byte;
            }
            let (mut wire, _) = WireHeader::read_from_prefix(&page).unwrap();
            if resum {
                seal(&mut wire);
                page[..size_of::<WireHeader>()].copy_from_slice(wire.as_bytes());
            }
            if let Ok(header) = parse_header(&page, object_len) {
                prop_assert!(header.plan.total_len <= object_len);
                let mut end = HEADER_BYTES;
                let plan = header.plan;
                for section in [plan.schema, plan.control, plan.table, plan.counters, plan.errors, plan.slots] {
                    prop_assert!(section.offset >= end);
                    end = section.offset + section.len;
                }
                prop_assert!(end <= header.plan.total_len);
                prop_assert_eq!(header.capacity * header.slot_stride, header.plan.slots.len);
            }
        }
    }

    /// Turns the header at the beginning of `bytes` into one that a build of 2.2 wrote.
    pub(in crate::segment) fn of_minor_2(bytes: &mut [u8]) {
        let (mut wire, _) = WireHeader::read_from_prefix(bytes).unwrap();
        wire.abi_minor = 2;
        wire.checksum = checksum(&wire);
        (wire.device, wire.inode, wire.object_checksum) = (0, 0, 0);
        bytes[..size_of::<WireHeader>()].copy_from_slice(wire.as_bytes());
    }

    /// A finished page of another make, for tests of whole objects.
    pub(in crate::segment) fn damaged_page(page: &[u8], damage: Damage) -> Vec<u8> {
        let mut page = page.to_vec();
        let (mut wire, _) = WireHeader::read_from_prefix(&page).unwrap();
        match damage {
            Damage::Magic => wire.magic[0] ^= 0xff,
            Damage::ByteOrder => wire.byte_order = wire.byte_order.swap_bytes(),
            Damage::Version => wire.abi_major += 1,
            Damage::Sum => wire.generation ^= 1,
            Damage::SectionPastEnd => wire.slots.len += 4096,
            Damage::Overflow => wire.slots.len = u64::MAX - 4095,
            Damage::Unready => wire.ready = 0,
        }
        if damage != Damage::Sum {
            seal(&mut wire);
        }
        page[..size_of::<WireHeader>()].copy_from_slice(wire.as_bytes());
        page
    }

    #[derive(Clone, Copy, PartialEq)]
    pub(in crate::segment) enum Damage {
        Magic,
        ByteOrder,
        Version,
        Sum,
        SectionPastEnd,
        Overflow,
        Unready,
    }
}
