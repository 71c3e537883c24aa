//! What sending and receiving cost beside the bytes: no allocation once a message of that size has passed, and little
//! stack.
//!
//! It is a test binary of its own, because it counts with a global allocator.

use myelon::transport::{
    AlignedFixedFrame, Format, FramedTransportConsumer, FramedTransportProducer, TransportBuilder,
};
use myelon::{Patience, Place};
use testkit::alloc::{CountingAllocator, allocations_in};
use testkit::watchdog::Watchdog;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

fn pair<F: Format>() -> (FramedTransportProducer<F>, FramedTransportConsumer<F>) {
    let place = Place::heap();
    let producer = TransportBuilder::new(&place, 8).with_send_time(true).build_producer().unwrap();
    (producer, TransportBuilder::new(&place, 8).build_consumer().unwrap())
}

#[test]
fn messages_are_sent_and_received_without_allocating() {
    let _watchdog = Watchdog::new(std::time::Duration::from_secs(60), "the test");
    let (mut producer, mut consumer) = pair::<AlignedFixedFrame<1024>>();
    let message = [7; 5000];
    let mut turn = |len: usize| {
        producer.publish(&message[..len], 1).unwrap();
        assert!(consumer.next(Patience::Endless).unwrap().unwrap()[..] == message[..len]);
        let encode = |into: &mut [u8]| {
            let place = into.get_mut(..len).ok_or(myelon::codec::EncodeShort::TooSmall)?;
            place.copy_from_slice(&message[..len]);
            Ok(len)
        };
        producer.send_with(1, len, Patience::Endless, encode).unwrap();
        consumer.process_available(|meta| assert!(*meta.data == message[..len])).unwrap();
    };
    turn(message.len());
    let count = allocations_in(|| (0..2000).for_each(|i| turn(i * 2)));
    assert_eq!(count, 0);
}

#[test]
fn large_frames_do_not_pass_through_the_stack() {
    const STACK_BYTES: usize = 128 << 10;
    type Large = AlignedFixedFrame<{ 1 << 20 }>;
    let _watchdog = Watchdog::new(std::time::Duration::from_secs(60), "the test");
    let message = vec![3; 3 << 20];
    let both = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(move || {
        let (mut producer, mut consumer) = pair::<Large>();
        for len in [0, 1 << 19, 3 << 20, 1, 2 << 20] {
            producer.publish(&message[..len], 1).unwrap();
            assert!(consumer.next(Patience::Endless).unwrap().unwrap()[..] == message[..len]);
            let encode = |into: &mut [u8]| {
                into[..len].copy_from_slice(&message[..len]);
                Ok(len)
            };
            producer.send_with(1, len, Patience::Endless, encode).unwrap();
            assert_eq!(consumer.receive_owned(Patience::Endless).unwrap().unwrap().1.len(), len);
        }
    });
    both.unwrap().join().unwrap();
}
