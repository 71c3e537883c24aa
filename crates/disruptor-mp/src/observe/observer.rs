//! One segment, seen from outside.

use super::life::{Life, ProducerInfo};
use super::tap::RawTap;
use crate::Sequence;
use crate::counters::CountersFile;
use crate::liveness::ProcessIdentity;
use crate::ring::memory::layout::SizeUnit;
use crate::ring::protocol::control::Control;
use crate::ring::protocol::records::word::LINE_BYTES;
use crate::ring::roster::ConsumerInfo;
use crate::ring::words::Words;
use crate::schema::{Schema, SchemaError};
use crate::segment::{AbiVersion, Fate, Kind, OpenError, Place, Segment, SegmentPlan, Title};
use crate::sync::primitive::Ordering;
use std::fmt;
use std::io;
use std::sync::Arc;

/// A segment of any kind and of any program, mapped read-only. Changing numbers are stale at once.
///
/// See the [module](super) for an example.
pub struct Observer {
    segment: Arc<Segment>,
    /// `None` for a counters file, and for a ring whose sections are too short for this build.
    words: Option<Words>,
}

impl Observer {
    /// Maps what is at `place`: a name in shared memory, a path, or a descriptor. It never waits, also not for a
    /// creator that has not finished.
    ///
    /// # Errors
    /// [`OpenError`]: `NotFound`, `WrongMagic` or `NotAFile` (it is none of ours), `NotReady` (its creator has not
    /// finished), `CreatorDied` (before it had), `Version`, `ByteOrder`, `Length` (truncated), `Corrupt`,
    /// `PermissionDenied`.
    pub fn open(place: impl Into<Place>) -> Result<Self, OpenError> {
        let segment = Arc::new(Segment::observe(&place.into())?);
        let words = match segment.header().kind {
            Kind::Counters => None,
            _ => Words::new(Arc::clone(&segment)).ok(),
        };
        Ok(Self { segment, words })
    }

    /// Its name for people: its session and rank, if it has a title, and its place.
    pub fn called(&self) -> String {
        self.segment.called()
    }

    /// Where it was opened, with its title.
    pub fn place(&self) -> &Place {
        self.segment.place()
    }

    /// Its title: its session, and the rank of the process that writes it.
    pub fn title(&self) -> Title {
        self.segment.header().title.clone()
    }

    /// What it is.
    pub fn kind(&self) -> Kind {
        self.segment.header().kind
    }

    /// The version of its layout.
    pub fn abi(&self) -> AbiVersion {
        self.segment.header().abi
    }

    /// A random number that no other segment has.
    pub fn generation(&self) -> u64 {
        self.segment.generation()
    }

    /// The generation of the ring that this one replaced, if that still has unread messages.
    pub fn predecessor(&self) -> Option<u64> {
        Some(self.segment.header().predecessor).filter(|generation| *generation != 0)
    }

    /// A hash of what the events carry (FNV-1a over the content tag); 0 if the ring does not say.
    pub fn fingerprint(&self) -> u64 {
        self.segment.header().fingerprint
    }

    /// The process that created it.
    pub fn creator(&self) -> ProcessIdentity {
        self.segment.header().creator
    }

    /// Bytes of the whole segment.
    pub fn total_len_bytes(&self) -> u64 {
        self.segment.total_len()
    }

    /// Where in the segment each section is.
    pub fn segment_plan(&self) -> SegmentPlan {
        self.segment.header().plan
    }

    /// The size of the ring in the unit in which users give it, and that unit; `None` if it is no ring.
    pub fn size(&self) -> Option<(u64, SizeUnit)> {
        let header = self.segment.header();
        match header.kind {
            Kind::Records => Some((header.capacity.saturating_mul(LINE_BYTES as u64), SizeUnit::RecordBytes)),
            kind => kind.is_ring().then_some((header.capacity, SizeUnit::EventSlots)),
        }
    }

    /// Bytes from one slot to the next, the offset of the payload in a slot, and the bytes of a payload. All 0 where
    /// there are no slots.
    pub fn slot_bytes(&self) -> (u64, u64, u64) {
        let header = self.segment.header();
        (header.slot_stride, header.payload_offset, header.payload_len)
    }

    /// The schema that stands in the segment: of its events, with what they carry as content tag.
    ///
    /// # Errors
    /// The bytes in the segment are no schema.
    pub fn schema(&self) -> Result<Schema, SchemaError> {
        Schema::decode(self.segment.schema())
    }

    /// Whether its object has all the bytes of which its header speaks. If another process has truncated it, reading on
    /// would be SIGBUS.
    ///
    /// # Errors
    /// The system refused to say.
    pub fn is_whole(&self) -> io::Result<bool> {
        self.segment.is_whole()
    }

    /// Whether its name still leads to it. `false` also for one that has no name.
    pub fn is_named(&self) -> bool {
        self.segment.still_named().unwrap_or(false)
    }

    /// Whether the process that writes it lives.
    pub fn life(&self) -> Life {
        // The lock is read before the flags: a producer that closed and released its lock in between has set them by
        // now.
        let is_held = self.segment.is_held(crate::segment::PRODUCER);
        let gate = self.control().map(|control| &control.gate);
        // Words of a copy are those of the moment at which it was made.
        if matches!(is_held, Ok(false)) && self.segment.is_copy().unwrap_or(false) {
            return Life::UnknownCopy;
        }
        match (self.segment.fate(), is_held) {
            (Fate::Replaced, _) => Life::Replaced,
            (Fate::Removed, _) => Life::Removed,
            _ if gate.is_some_and(|gate| gate.is_closed()) => Life::Closed,
            (_, Ok(true)) => Life::Alive,
            _ if gate.is_some_and(|gate| gate.is_abandoned()) => Life::Panicked,
            (_, Ok(false)) => Life::Dead,
            (_, Err(error)) => Life::Unknown(error.to_string()),
        }
    }

    /// The process that writes it, or wrote it last.
    pub fn producer(&self) -> ProducerInfo {
        let (process, reign) = match self.control() {
            Some(control) => (control.producer.identity.load(), control.producer.reign.load(Ordering::Relaxed)),
            None => (self.creator(), 1),
        };
        ProducerInfo { process, reign, life: self.life() }
    }

    /// All consumers in the table, with an owner or without. Positions are numbers of events or records.
    pub fn consumers(&self) -> Vec<ConsumerInfo> {
        self.words.as_ref().map_or_else(Vec::new, Words::roster)
    }

    /// How many entries its table has for consumers: for those that its program expects, and for others.
    pub fn places(&self) -> (u32, u32) {
        let plan = self.segment_plan();
        (plan.places, plan.places_for_others)
    }

    /// The sequence of the next event: how many were published. 0 for a counters file.
    pub fn published(&self) -> Sequence {
        self.words.as_ref().map_or(0, Words::published)
    }

    /// Slots, or lines of 64 bytes of records, that the slowest consumer has not released, of how many. `None` if it is
    /// no ring. 0 while there is no consumer.
    pub fn in_use(&self) -> Option<(u64, u64)> {
        let words = self.words.as_ref().filter(|_| self.kind().is_ring())?;
        let capacity = self.segment.header().capacity;
        // The slowest is read first: events that are published afterwards make the answer larger, never negative.
        let slowest = words.slowest();
        let published = words.cursor().acquire();
        let unread = slowest.map_or(0, |slowest| published.saturating_sub(slowest));
        Some((unread.clamp(0, capacity as i64) as u64, capacity))
    }

    /// The counters in it: those of its ends, and those of the application.
    pub fn counters(&self) -> CountersFile {
        CountersFile::of_ring(&self.segment)
    }

    /// A reader of the last `events` events that are still there, and of those that follow; 0 begins with the next one.
    /// In a ring of records it may begin earlier. `None` if it is no ring, or one whose layout this build does not
    /// know.
    pub fn tap(&self, events: u64) -> Option<RawTap> {
        RawTap::new(&self.segment, events)
    }

    fn control(&self) -> Option<&Control> {
        self.words.as_ref()?.control()
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observer")
            .field("place", &self.called())
            .field("kind", &self.kind())
            .field("life", &self.life())
            .finish_non_exhaustive()
    }
}
