//! Encoding a scheduler's step allocates nothing once it is warm.

use crate::messages::{BincodeStep, RkyvStep, Step, aligned};
use myelon::codec::{Codec, ZeroCopyCodec};
use testkit::alloc::allocations_in;

/// Encodes a few times, so that kept buffers have grown, and then counts.
fn allocations_when_warm<T: Codec>(message: &T) -> u64 {
    let mut scratch = T::Scratch::default();
    let mut bytes = aligned(&[0; 64 << 10]);
    for _ in 0..3 {
        message.encode(&mut scratch, &mut bytes).unwrap();
    }
    allocations_in(|| {
        for _ in 0..10 {
            let len = message.encode(&mut scratch, &mut bytes).unwrap();
            assert!((25 << 10..28 << 10).contains(&len), "{len} bytes are not the step that was meant");
        }
    })
}

#[test]
fn a_step_is_encoded_without_the_heap() {
    let step = Step::typical();
    assert_eq!(allocations_when_warm(&BincodeStep(step.clone())), 0, "bincode");
    assert_eq!(allocations_when_warm(&RkyvStep(step)), 0, "rkyv");
}

#[test]
fn finding_out_that_there_is_too_little_room_takes_no_memory() {
    fn allocations_when_short<T: Codec>(message: &T) -> u64 {
        let mut scratch = T::Scratch::default();
        message.encode(&mut scratch, &mut aligned(&[0; 64 << 10])).unwrap();
        let mut bytes = aligned(&[0; 20 << 10]);
        allocations_in(|| assert!(message.encode(&mut scratch, &mut bytes).is_err()))
    }
    assert_eq!(allocations_when_short(&BincodeStep(Step::typical())), 0, "bincode");
    assert_eq!(allocations_when_short(&RkyvStep(Step::typical())), 0, "rkyv");
}

#[test]
fn an_archive_is_checked_and_read_without_the_heap() {
    let message = RkyvStep(Step::typical());
    let mut bytes = aligned(&[0; 64 << 10]);
    let len = message.encode(&mut Default::default(), &mut bytes).unwrap();
    assert_eq!(allocations_in(|| assert_eq!(RkyvStep::access(&bytes[..len]).unwrap().0.sequences.len(), 64)), 0);
}

#[test]
fn a_step_is_decoded_with_one_allocation_for_each_list() {
    let message = BincodeStep(Step::typical());
    let mut bytes = aligned(&[0; 64 << 10]);
    let len = message.encode(&mut (), &mut bytes).unwrap();
    assert_eq!(allocations_in(|| assert_eq!(BincodeStep::decode(&bytes[..len]).unwrap(), message)), 1 + 2 * 64);
}
