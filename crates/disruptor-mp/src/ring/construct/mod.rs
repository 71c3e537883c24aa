//! Makes ends: a producer creates, takes over or replaces a ring; a consumer opens and joins it; a tap opens it
//! read-only.
//!
//! ```text
//! attach      a consumer or a tap of an existing ring
//! possess     how a producer gets its segment: a new one, that of a dead producer, or a replacement
//! agreement   whether an existing ring is what this program asks for
//! ```

mod agreement;
mod attach;
mod possess;

pub(crate) use agreement::check_shape;
pub(crate) use attach::{ConsumerRequest, RingRequest, consumer, tap};
pub use possess::Existing;

use super::selection::Selection;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::liveness::ProcessIdentity;
use crate::ring::ends::producer_end::{Origin, ProducerBase};
use crate::ring::memory::layout::{Carries, blueprint};
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::form::Form;
use crate::ring::protocol::memory::Memory;
use crate::ring::protocol::sequencer::Sequencer;
use crate::schema::fnv1a;
use crate::segment::{Access, Blueprint, CreateOptions, Place, Segment};
use crate::sync::announce::Announce;
use crate::sync::primitive::Ordering;
use crate::sync::wait::WaitStrategy;
use agreement::schema_with;
use possess::{Possession, possess};
use std::sync::Arc;

pub(crate) struct ProducerRequest {
    pub(crate) place: Place,
    pub(crate) capacity: usize,
    /// Entries in the table for the consumers that the program expects.
    pub(crate) places: usize,
    pub(crate) max_buffer: Option<usize>,
    pub(crate) content_tag: Option<String>,
    pub(crate) options: CreateOptions,
    pub(crate) existing: Existing,
    pub(crate) wait: WaitStrategy,
    pub(crate) selection: Selection,
}

pub(crate) fn producer<S: Carries>(request: ProducerRequest) -> MultiProcessResult<ProducerBase<S>> {
    let blueprint = Blueprint {
        schema: schema_with::<S>(request.content_tag.as_deref())?.encode(),
        fingerprint: request.content_tag.as_ref().map_or(0, |tag| fnv1a(tag.as_bytes())),
        prefix: request.selection.prefix().to_owned(),
        ..blueprint::<S>(request.capacity, request.places)?
    };
    let Possession { segment, claim, origin } = possess::<S>(&request, &blueprint)?;
    let spare = match segment.spare() {
        Ok(spare) => spare,
        Err(source) => {
            // A new ring is removed again; a ring that was taken over stays as it was.
            if origin != Origin::TookOver {
                let _ = segment.unlink_if_same();
            }
            let place = segment.called();
            return Err(MultiProcessError::Os { place, call: "opening a descriptor for locks", source });
        }
    };
    let memory = Mapped::new(segment);
    let announce = Announce::best();
    memory.control().producer.identity.store(ProcessIdentity::current());
    let core = if origin == Origin::TookOver {
        // The number of reigns is only for people, so it does no harm if it wraps.
        memory.control().producer.reign.fetch_add(1, Ordering::Relaxed);
        Sequencer::take_over(memory, announce)
    } else {
        Sequencer::create(memory, announce)
    };
    Ok(ProducerBase::new(core, claim, spare, origin, request.wait, request.selection))
}

/// The existing ring at `place`, mapped read-only, if it carries `S` and has this capacity (0: any).
pub(crate) fn observed<S: Carries>(place: &Place, capacity: usize) -> MultiProcessResult<Mapped<S>> {
    let segment = Segment::open(place, S::Form::KIND, Access::ReadOnly)
        .map_err(|error| MultiProcessError::from_open(place, error))?;
    check_shape::<S>(&segment, capacity)?;
    Ok(Mapped::new(Arc::new(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SharedDisruptorBuilder;
    use crate::segment;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_ring_of_records_of_a_build_that_does_not_say_how_far_it_writes_has_readers_and_no_taps() {
        let dir = std::env::temp_dir().join(testkit::names::unique("minor"));
        std::fs::create_dir(&dir).unwrap();
        let path = dir.join("ring");
        let _producer = SharedDisruptorBuilder::records(path.as_path(), 4096).build_record_producer().unwrap();
        let file = std::fs::File::options().read(true).write(true).open(&path).unwrap();
        let mut page = [0; 4096];
        file.read_exact_at(&mut page, 0).unwrap();
        page[14..16].copy_from_slice(&0_u16.to_ne_bytes());
        segment::restamp(&mut page);
        file.write_all_at(&page, 0).unwrap();
        match SharedDisruptorBuilder::records(path.as_path(), 0).build_tap().map(drop) {
            Err(MultiProcessError::IncompatibleLayout { field: "minor version", found: 0, wanted: 1, .. }) => {}
            other => panic!("{other:?}"),
        }
        assert!(SharedDisruptorBuilder::records(path.as_path(), 0).build_record_consumer().is_ok());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
