//! Compares what a ring says of itself with what this program asks for: events, slots and messages, and for a producer
//! also the table.

use super::ProducerRequest;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::ring::memory::layout::{Carries, PLACES_FOR_OTHERS, TABLE_LEN_MAX, blueprint};
use crate::schema::Schema;
use crate::segment::Segment;

/// The schema of a ring, with what the events carry.
pub(super) fn schema_with<S: Carries>(content_tag: Option<&str>) -> MultiProcessResult<Schema> {
    match content_tag {
        None => Ok(S::schema()),
        Some(tag) if Schema::is_content_tag(tag) => Ok(S::schema().with_content_tag(tag)),
        Some(tag) => Err(MultiProcessError::InvalidContentTag { tag: tag.to_owned() }),
    }
}

/// Compares what the events of a ring carry with what this program expects.
pub(super) fn check_content(segment: &Segment, found: &Schema, wanted: Option<&str>) -> MultiProcessResult<()> {
    if found.content_tag() == wanted {
        return Ok(());
    }
    let (found, wanted) = (found.content_tag().map(str::to_owned), wanted.map(str::to_owned));
    Err(MultiProcessError::IncompatibleContent { place: segment.called(), found, wanted })
}

/// Compares the ring's events and slots with ours, and returns the schema that it has.
pub(crate) fn check_shape<S: Carries>(segment: &Segment, capacity: usize) -> MultiProcessResult<Schema> {
    let place = || segment.called();
    let schema = Schema::decode(segment.schema())
        .map_err(|source| MultiProcessError::DamagedSchema { place: place(), source })?;
    if let Some(difference) = S::schema().first_difference(&schema) {
        return Err(MultiProcessError::IncompatibleEvent { place: place(), difference: Box::new(difference) });
    }
    let header = segment.header();
    let capacity = if capacity == 0 { header.capacity as usize } else { capacity };
    let ours = blueprint::<S>(capacity, (header.places as usize).max(1))?;
    if header.capacity != ours.capacity {
        let unit = S::SIZE_UNIT;
        let [found, wanted] =
            [header.capacity, ours.capacity].map(|slots| slots.saturating_mul(unit.per_slot() as u64));
        return Err(MultiProcessError::OtherSize { place: place(), unit, found, wanted });
    }
    for (field, found, wanted) in [
        ("slot stride", header.slot_stride, ours.slot_stride),
        ("slot alignment", header.slot_align, ours.slot_align),
        ("payload offset", header.payload_offset, ours.payload_offset),
        ("payload length", header.payload_len, ours.payload_len),
        ("control section", header.plan.control.len, ours.control_len),
        ("consumer table", header.table_len.into(), ours.table_len.into()),
        ("consumer table section", header.plan.table.len, ours.table_bytes),
        ("counters section", header.plan.counters.len, ours.counters_len),
        ("slots section", header.plan.slots.len, ours.slots_len),
    ] {
        if found != wanted {
            return Err(MultiProcessError::IncompatibleLayout { place: place(), field, found, wanted });
        }
    }
    Ok(schema)
}

/// A producer goes on only in a ring with the entries that it asks for, kept for the consumers that it asks for.
pub(super) fn check_table(segment: &Segment, request: &ProducerRequest) -> MultiProcessResult<()> {
    let place = segment.called();
    let (found, wanted) = (u64::from(segment.header().places), request.places as u64);
    if found != wanted {
        return Err(MultiProcessError::IncompatibleLayout {
            place,
            field: "number of entries for consumers",
            found,
            wanted,
        });
    }
    let (found, wanted) = (segment.header().prefix.as_str(), request.selection.prefix());
    if found != wanted {
        let (found, wanted) = (found.to_owned(), wanted.to_owned());
        return Err(MultiProcessError::IncompatiblePrefix { place, found, wanted });
    }
    Ok(())
}

/// Whether the ring has the same events as this program. Then other programs that know these events can read the ring,
/// whatever else differs.
pub(super) fn carries_same_events<S: Carries>(segment: &Segment) -> bool {
    let Ok(schema) = Schema::decode(segment.schema()) else { return false };
    let has_table = segment.header().table_len as usize <= TABLE_LEN_MAX + PLACES_FOR_OTHERS;
    has_table && S::schema().first_difference(&schema).is_none()
}

/// Whether both the ring and this program say what their messages are.
pub(super) fn say_what_they_carry(segment: &Segment, request: &ProducerRequest) -> bool {
    request.content_tag.is_some() && Schema::content_tag_in(segment.schema()).is_some()
}
