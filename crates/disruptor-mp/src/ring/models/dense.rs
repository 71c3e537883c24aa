//! Dense slots: a reader reads only written slots, even if the cursor is forged or a producer dies between any two
//! stores.

use super::park::two_publishes_to_a_sleeper;
use super::stream::{events_in_batches, events_one_by_one};
use super::tap::tap_beside_a_producer;
use super::*;
use crate::ring::protocol::form::Dense;
use loom::thread::spawn;

#[test]
pub(super) fn dense_events_arrive_whole_and_in_order_across_wraps() {
    explore(Some(3), 4, events_one_by_one::<Dense>);
}

#[test]
pub(super) fn dense_batches_arrive_whole_and_in_order_across_wraps() {
    explore(Some(3), 4, events_in_batches::<Dense>);
}

#[test]
pub(super) fn accepted_copy_of_a_dense_event_is_never_torn() {
    explore(Some(3), 2, tap_beside_a_producer::<Dense>);
}

#[test]
pub(super) fn parked_reader_is_woken_by_a_dense_publish() {
    explore(Some(3), 2, two_publishes_to_a_sleeper::<Dense>);
}

/// Another process has stored a cursor that is a lap too high. The reader gets only what is written, as it was written.
#[test]
pub(super) fn a_forged_cursor_shows_nothing_that_is_not_written() {
    explore(Some(3), 2, || {
        let ring = ring_of::<Dense>(1);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let mut reader = consumer(&ring, 0, Announce::Registered);
        ring.control().cursor.publish(CAPACITY as i64);
        let reading = spawn(move || {
            attempts(3, || try_read(&mut reader));
            reader
        });
        attempts(2, || try_write(&mut producer));
        let mut reader = reading.join().unwrap();
        while try_read(&mut reader) {}
        assert_eq!(reader.next(), producer.next(), "{LOST}");
        reader.next()
    });
}

/// Where the last producer stopped. Its lock byte orders its stores before those of its successor, so one thread plays
/// both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    PayloadWritten,
    Written,
    CursorStored,
}

/// The dead producer has published two events and dies in the third, on a slot that has been used. A reader, asleep or
/// not, gets three events: the third is the dead one's if the word *written* covers it, and its successor's if not.
fn survive(death: Death) {
    explore(Some(3), 3, move || {
        let ring = ring_of::<Dense>(1);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Fenced);
        let mut reader = consumer(&ring, 0, Announce::Fenced);
        attempts(2, || try_write(&mut producer));
        assert!(try_read(&mut reader) && try_read(&mut reader));
        producer.rescan();
        assert!(producer.claim(1));
        let reading = spawn(move || {
            assert!(wait_for_event(&mut reader));
            take(&mut reader);
            reader
        });
        ring.with_mut(2, |place| fill(place, 2));
        if death != Death::PayloadWritten {
            ring.control().cursor.write(3);
        }
        if death == Death::CursorStored {
            ring.control().cursor.publish(3);
        }
        let mut next = Sequencer::take_over(ring, Announce::Fenced);
        let kept = death != Death::PayloadWritten;
        assert_eq!(next.next(), if kept { 3 } else { 2 }, "another end than what is written");
        if !kept {
            assert!(try_write(&mut next));
        }
        let mut reader = reading.join().unwrap();
        assert!(try_write(&mut next) && try_read(&mut reader), "{LOST}");
        assert_eq!(next.take_forged(), 0, "an honest position was not believed");
        reader.next() - 1
    });
}

#[test]
pub(super) fn reader_survives_a_producer_that_died_before_it_said_what_is_written() {
    survive(Death::PayloadWritten);
}

#[test]
pub(super) fn sleeping_reader_gets_the_event_that_was_written_and_not_published() {
    survive(Death::Written);
}

#[test]
pub(super) fn sleeping_reader_gets_the_dense_event_whose_producer_died_before_the_wake() {
    survive(Death::CursorStored);
}
