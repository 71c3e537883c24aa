//! Join beside a running producer: a consumer that has joined reads consecutive events from its start and is never
//! lapped.

use super::*;
use crate::ring::protocol::control::State;
use crate::ring::protocol::join::free;
use loom::thread::spawn;

#[test]
pub(super) fn late_consumer_at_the_tail_is_never_lapped() {
    explore(Some(3), 4, || join_late(&ring(1), StartAt::Tail, |_| ()));
}

#[test]
pub(super) fn late_consumer_at_the_oldest_event_is_never_lapped() {
    explore(Some(3), 4, || join_late(&ring(1), StartAt::Oldest, |_| ()));
}

#[test]
pub(super) fn consumer_that_joins_while_the_sentinel_is_lifted_is_never_lapped() {
    explore(Some(2), 4, || {
        let ring = Arc::new(HeapMemory::new(CAPACITY, 1, Some(CAPACITY as i64)));
        join_late(&ring, StartAt::Tail, |producer| {
            assert!(producer.has_sentinel() && !try_write(producer), "wrote beyond the sentinel");
            producer.lift_sentinel();
        })
    });
}

/// The ring opens by eighths as long as nothing gates, so that events wait for the first consumer.
#[test]
pub(super) fn first_reader_of_a_running_producer_is_never_lapped() {
    explore(Some(3), 4, || join_late(&ring(1), StartAt::Unread, |_| ()));
}

/// A consumer that finds the entry of the first reader free knows that the ring was read, and does not start with
/// events that the first one had read.
#[test]
pub(super) fn who_comes_after_the_first_reader_has_left_does_not_start_with_its_events() {
    explore(Some(3), 1, || {
        let ring = ring(2);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let mut first = consumer(&ring, 0, Announce::Registered);
        attempts(1, || try_write(&mut producer));
        let joining = {
            let ring = Arc::clone(&ring);
            spawn(move || {
                let has_left = !ring.entry(0).status().gates();
                let second = join(&ring, 1, StartAt::Unread);
                assert!(second.next() == 1 || !has_left, "{READ_AGAIN}");
                i64::from(has_left)
            })
        };
        assert!(try_read(&mut first));
        free(&ring, 0, 0);
        joining.join().unwrap()
    });
}

/// A consumer joins at `start` while the producer writes four events; after the second one it does `halfway`.
fn join_late(ring: &Ring, start: StartAt, halfway: fn(&mut Sequencer<Ring>)) -> i64 {
    let mut producer = Sequencer::create(Arc::clone(ring), Announce::Registered);
    let joining = {
        let ring = Arc::clone(ring);
        spawn(move || {
            let mut reader = join(&ring, 0, start);
            attempts(2, || try_read(&mut reader));
            reader
        })
    };
    attempts(2, || try_write(&mut producer));
    halfway(&mut producer);
    attempts(2, || try_write(&mut producer));
    finish(&mut producer, joining.join().unwrap())
}

/// A tail joiner read the cursor long ago and shows that old gate for a while. Meanwhile another consumer joins at the
/// oldest event. The old gate must not lower the claim limit: then the second look at it would come out before the
/// first.
#[test]
pub(super) fn late_consumer_at_the_oldest_event_is_never_lapped_beside_an_old_first_gate() {
    explore(Some(3), 4, || {
        let ring = ring(2);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        attempts(2, || try_write(&mut producer));
        producer.rescan();
        let joining = {
            let ring = Arc::clone(&ring);
            spawn(move || join(&ring, 0, StartAt::Oldest))
        };
        let old = ring.entry(1);
        old.position.store(0, Ordering::Relaxed);
        ring.control().gate.high_water.fetch_max(2, Ordering::AcqRel);
        old.set_state(State::Joining);
        attempts(1, || try_write(&mut producer));
        // Two do not fit, so the producer looks at all consumers although it could write one.
        assert!(!try_write_two(&mut producer));
        old.position.store(producer.next(), Ordering::Release);
        old.set_state(State::Active);
        attempts(1, || try_write(&mut producer));
        finish(&mut producer, joining.join().unwrap())
    });
}

/// A consumer joins, reads and leaves between the two looks of a rescan. It was never seen gating. Its slots must still
/// not be written before it has read them.
#[test]
pub(super) fn consumer_that_comes_and_goes_is_never_overrun() {
    explore(Some(3), 4, || {
        let ring = ring(1);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let passing = {
            let ring = Arc::clone(&ring);
            spawn(move || {
                let mut reader = join(&ring, 0, StartAt::Tail);
                if reader.look() {
                    read(&reader, reader.next());
                }
                ring.entry(0).set_free_after(0);
            })
        };
        attempts(4, || try_write(&mut producer));
        passing.join().unwrap();
        producer.next()
    });
}

fn join(ring: &Ring, index: usize, start: StartAt) -> Reader<Ring> {
    let position = handshake(ring, index, start).expect("only the beginning can be gone");
    Reader::new(Arc::clone(ring), index, position, Announce::Registered)
}

/// Both sides have stopped: everything from the start on is there.
fn finish(producer: &mut Sequencer<Ring>, mut reader: Reader<Ring>) -> i64 {
    while try_read(&mut reader) {}
    assert_eq!(reader.next(), producer.next(), "{LAPPED}");
    assert_eq!(producer.take_forged(), 0, "an honest position was not believed");
    producer.next()
}
