//! A ring that was copied to another file: what a producer does that is built there.

use crate::stage::{Step, TempDir, drain, publish, ring, step, watchdog};
use disruptor_mp::segment::{OpenError, Place, is_copy};
use disruptor_mp::{GcOutcome, MultiProcessError, Origin, SharedDisruptorBuilder, attach_shared_consumer, gc};
use std::fs;

/// A copy of a ring with five events, of which a consumer that keeps its place has read two. The ring itself goes on.
fn copy_of_a_running_ring(dir: &TempDir, is_kept: bool) -> Place {
    let (original, copy) = (dir.path().join("ring"), dir.path().join("copy"));
    let mut producer = ring(&Place::from(original.as_path()), 8).build_producer(step).unwrap();
    let mut consumer = is_kept.then(|| worker(&Place::from(original.as_path())));
    publish(&mut producer, 5);
    if let Some(consumer) = &mut consumer {
        for _ in 0..2 {
            drop(consumer.consume_next_leased().unwrap());
        }
    }
    fs::copy(&original, &copy).unwrap();
    assert!(is_copy(copy.as_path()).unwrap());
    Place::from(copy.as_path())
}

fn worker(place: &Place) -> disruptor_mp::SharedConsumer<Step> {
    attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id("w").keep_place().build_consumer().unwrap()
}

#[test]
fn a_producer_takes_a_copy_over_that_a_consumer_needs_and_loses_nothing() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let copy = copy_of_a_running_ring(&dir, true);
    let producer = ring(&copy, 8).build_producer(step).unwrap();
    assert_eq!(producer.origin(), Origin::TookOver);
    assert_eq!(gc(copy.clone()).unwrap(), GcOutcome::InUse { byte: 0 }, "the locks of a copy count");
    assert_eq!(drain(&mut worker(&copy)), [2, 3, 4]);
    std::mem::forget(producer);
}

#[test]
fn a_producer_replaces_a_copy_that_no_consumer_needs_by_a_ring_of_its_own() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let copy = copy_of_a_running_ring(&dir, false);
    let producer = ring(&copy, 8).build_producer(step).unwrap();
    assert_eq!(producer.origin(), Origin::Replaced);
    assert!(!is_copy(copy.clone()).unwrap());
}

#[test]
fn a_copy_of_another_kind_is_in_the_way_of_a_producer_and_stays() {
    let (_watchdog, dir) = (watchdog(), TempDir::new());
    let copy = copy_of_a_running_ring(&dir, true);
    let before = fs::read(copy.path().unwrap()).unwrap();
    let records = SharedDisruptorBuilder::records(copy.clone(), 4096);
    let refused = records.build_record_producer().map(drop).unwrap_err();
    assert!(matches!(refused, MultiProcessError::Unusable { source: OpenError::WrongKind { .. }, .. }), "{refused:?}");
    assert_eq!(fs::read(copy.path().unwrap()).unwrap(), before);
}
