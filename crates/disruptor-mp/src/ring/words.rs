//! The words of a ring, or of a separate cursor, for views that do not know the event type. They only read; the creator
//! of a separate cursor also moves it.

use super::membership::PRODUCER_BYTE;
use super::roster::{self, ConsumerInfo};
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::ring::memory::sections;
use crate::ring::protocol::control::{Control, Entry, NOTHING_DELIVERED};
use crate::segment::{Access, Blueprint, CreateOptions, Fate, Kind, OpenError, Place, Segment, Sole};
use crate::sync::cursor::{Cursor, POSITION_MAX};
use crate::sync::primitive::{Ordering, fence};
use std::sync::Arc;

/// A segment of kind *ring* or *cursor*. The control section of both begins with a [`Cursor`].
#[derive(Clone)]
pub(crate) struct Words {
    segment: Arc<Segment>,
}

/// Why a view's wait is pointless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Replaced,
    OwnerDied { pid: u32 },
}

impl Words {
    /// Maps the ring, or the cursor, at `place` read-only.
    pub(crate) fn open(place: &Place) -> MultiProcessResult<Self> {
        let segment = match Segment::open_ring(place, Access::ReadOnly) {
            Err(OpenError::WrongKind { found: Kind::Cursor, .. }) => {
                Segment::open(place, Kind::Cursor, Access::ReadOnly)
            }
            other => other,
        };
        Self::new(Arc::new(segment.map_err(|error| MultiProcessError::from_open(place, error))?))
    }

    /// Maps the ring at `place` read-only.
    pub(crate) fn open_ring(place: &Place) -> MultiProcessResult<Self> {
        let segment = Segment::open_ring(place, Access::ReadOnly);
        Self::new(Arc::new(segment.map_err(|error| MultiProcessError::from_open(place, error))?))
    }

    /// Creates a separate cursor at `position`.
    pub(crate) fn create_cursor(place: &Place, position: i64) -> MultiProcessResult<(Self, Sole)> {
        let blueprint = Blueprint::without_slots(Kind::Cursor, size_of::<Cursor>() as u64, 0);
        let init = |segment: &Segment| sections::cursor(segment).publish(position);
        let sole = Sole::create(place, &blueprint, &CreateOptions::default(), init)
            .map_err(|error| MultiProcessError::from_create(place, error))?;
        Ok((Self::new(Arc::clone(sole.segment()))?, sole))
    }

    /// The words in `segment`, if its sections have room for them.
    pub(crate) fn new(segment: Arc<Segment>) -> MultiProcessResult<Self> {
        let plan = segment.header().plan;
        let (control_len, table_bytes) = match segment.header().kind {
            kind if kind.is_ring() => (size_of::<Control>(), segment.header().table_len as usize * size_of::<Entry>()),
            _ => (size_of::<Cursor>(), 0),
        };
        for (field, found, wanted) in [
            ("control section", plan.control.len, control_len as u64),
            ("consumer table section", plan.table.len, table_bytes as u64),
        ] {
            if found < wanted {
                let place = segment.called();
                return Err(MultiProcessError::IncompatibleLayout { place, field, found, wanted });
            }
        }
        Ok(Self { segment })
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The published position.
    pub(crate) fn cursor(&self) -> &Cursor {
        sections::cursor(&self.segment)
    }

    /// The ring's lines; `None` for a separate cursor.
    pub(crate) fn control(&self) -> Option<&Control> {
        if self.segment.header().kind.is_ring() { sections::control(&self.segment) } else { None }
    }

    /// All entries, used or not; none for a separate cursor. The high water does not say where to stop: see
    /// `Memory::entries`.
    fn entries(&self) -> impl Iterator<Item = (usize, &Entry)> {
        (0..).map_while(|index| Some((index, self.entry(index)?)))
    }

    /// The entry of that index, used or not; `None` beyond the table, and for a separate cursor.
    pub(crate) fn entry(&self, index: usize) -> Option<&Entry> {
        if self.segment.header().kind.is_ring() { sections::entry(&self.segment, index) } else { None }
    }

    /// The published position as users count: the sequence of the next event.
    pub(crate) fn published(&self) -> i64 {
        self.number_of(|| self.cursor().acquire())
    }

    /// The number at the position that `look` finds. We gate nothing: the position may move on while we look, and a lap
    /// later payload bytes are where the number was. So the number is believed only if the position has stayed, which
    /// keeps the producer off its line.
    fn number_of(&self, mut look: impl FnMut() -> i64) -> i64 {
        loop {
            let position = look();
            let number = self.number_at(position);
            // The number before the second look, on any processor.
            fence(Ordering::Acquire);
            if self.segment.header().kind != Kind::Records || look() == position {
                return number;
            }
        }
    }

    /// The smallest position of the consumers that gate, as users count; `None` if none does. No correct consumer is
    /// beyond what is published, so such a position is not believed.
    pub(crate) fn slowest_number(&self) -> Option<i64> {
        self.slowest()?;
        // If the last one leaves meanwhile, the published position is left.
        Some(self.number_of(|| {
            let published = self.cursor().acquire();
            self.slowest().map_or(published, |slowest| slowest.min(published))
        }))
    }

    /// What users call the event that begins, or will begin, at `position`: in a ring of records the number that is
    /// stored there.
    pub(crate) fn number_at(&self, position: i64) -> i64 {
        let header = self.segment.header();
        if header.kind != Kind::Records || header.capacity == 0 {
            return position;
        }
        let line = position.rem_euclid(header.capacity as i64) as usize;
        let Some(header) = sections::line_header(&self.segment, line) else { return position };
        header.number.load(Ordering::Relaxed).clamp(0, POSITION_MAX)
    }

    /// All consumers that gate, alive or dead, with positions as users count.
    pub(crate) fn roster(&self) -> Vec<ConsumerInfo> {
        let described = |(index, entry): (usize, &Entry)| {
            if !entry.status().gates() {
                return None;
            }
            let info = roster::describe_in(&self.segment, entry, index);
            let mut delivered = 0;
            let position = self.number_of(|| {
                // Before the position, so that the second of two looks at it confirms this number too.
                let end = entry.delivered.load(Ordering::Relaxed);
                delivered = if end == NOTHING_DELIVERED { end } else { self.number_at(end) };
                fence(Ordering::Acquire);
                entry.position.load(Ordering::Acquire)
            });
            Some(ConsumerInfo { position, delivered: delivered.max(position), ..info })
        };
        self.entries().filter_map(described).collect()
    }

    /// The smallest position of the consumers that gate; `None` if none does.
    pub(crate) fn slowest(&self) -> Option<i64> {
        let gating = self.entries().filter(|(_, entry)| entry.status().gates());
        gating.map(|(_, entry)| entry.position.load(Ordering::Acquire)).min()
    }

    /// Whether the owner lives: the ring's producer, or the cursor's creator.
    pub(crate) fn owner_is_alive(&self) -> std::io::Result<bool> {
        self.segment.is_held(PRODUCER_BYTE)
    }

    /// Whether nothing will move any more. What moved before that is seen by the next look. An error of the kernel
    /// proves no death.
    pub(crate) fn end(&self) -> std::io::Result<Option<End>> {
        let said = || match self.segment.fate() {
            _ if self.control().is_some_and(|control| control.gate.is_closed()) => Some(End::Closed),
            Fate::Live if self.control().is_some_and(|control| control.gate.is_abandoned()) => {
                Some(End::OwnerDied { pid: self.owner_pid() })
            }
            Fate::Live => None,
            Fate::Replaced => Some(End::Replaced),
            // The creator of a cursor marks the cursor when it drops it. A ring that a collector removed has no process
            // in it.
            Fate::Removed => Some(End::Closed),
        };
        if let Some(end) = said() {
            return Ok(Some(end));
        }
        if self.owner_is_alive()? {
            return Ok(None);
        }
        // The flags again after the lock: an owner that closed and left in between has set them.
        Ok(said().or_else(|| Some(End::OwnerDied { pid: self.owner_pid() })))
    }

    fn owner_pid(&self) -> u32 {
        self.control().map_or(self.segment.header().creator.pid, |control| control.producer.identity.load().pid)
    }
}
