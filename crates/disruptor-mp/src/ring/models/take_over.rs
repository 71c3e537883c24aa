//! Take-over: the next producer keeps what a reader may have seen, reuses what was unfinished, and wakes every
//! consumer.

use super::*;
use loom::thread::spawn;

/// Where the last producer stopped. Its lock byte orders its stores before those of its successor, so one thread plays
/// both.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Death {
    Invalidated,
    PayloadWritten,
    Stamped,
    CursorStored,
}

/// Stores what the producer stores for event `sequence`, up to its death.
fn die(ring: &Ring, sequence: i64, death: Death) {
    ring.word(sequence).store(0, Ordering::Relaxed);
    if death == Death::Invalidated {
        return;
    }
    ring.with_mut(sequence, |place| fill(place, sequence));
    if death == Death::PayloadWritten {
        return;
    }
    ring.word(sequence).store(sequence + 1, Ordering::Release);
    if death == Death::CursorStored {
        ring.control().cursor.publish(sequence + 1);
    }
}

/// The dead producer has published two events and dies in the third, on a slot that has been used. A reader, asleep or
/// not, gets three events: the third is the dead one's if it was stamped, and its successor's if not.
fn survive(death: Death) {
    explore(Some(3), 3, move || {
        let (ring, mut producer, mut reader) = pair(Announce::Fenced);
        attempts(2, || try_write(&mut producer));
        assert!(try_read(&mut reader) && try_read(&mut reader));
        let reading = spawn(move || {
            assert!(wait_for_event(&mut reader));
            take(&mut reader);
            reader
        });
        die(&ring, 2, death);
        let mut next = Sequencer::take_over(ring, Announce::Fenced);
        let kept = matches!(death, Death::Stamped | Death::CursorStored);
        assert_eq!(next.next(), if kept { 3 } else { 2 }, "another end of the unbroken run of stamps");
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
pub(super) fn reader_survives_a_producer_that_died_before_the_payload() {
    survive(Death::Invalidated);
}

#[test]
pub(super) fn reader_survives_a_producer_that_died_before_the_stamp() {
    survive(Death::PayloadWritten);
}

#[test]
pub(super) fn sleeping_reader_gets_the_event_that_was_stamped_and_not_announced() {
    survive(Death::Stamped);
}

#[test]
pub(super) fn sleeping_reader_gets_the_event_whose_producer_died_before_the_wake() {
    survive(Death::CursorStored);
}

/// The slot in which the last producer died no longer holds its old event. A consumer that joins at the oldest event
/// must not start there.
#[test]
pub(super) fn late_consumer_at_the_oldest_event_does_not_start_in_the_slot_of_a_death() {
    explore(Some(3), 3, || {
        let ring = ring(1);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        attempts(2, || try_write(&mut producer));
        let joining = {
            let ring = Arc::clone(&ring);
            spawn(move || {
                let position = handshake(&ring, 0, StartAt::Oldest).expect("only the beginning can be gone");
                Reader::new(ring, 0, position, Announce::Registered)
            })
        };
        producer.rescan();
        if producer.has_room(1) {
            die(&ring, 2, Death::Invalidated);
        }
        let mut next = Sequencer::take_over(ring, Announce::Registered);
        attempts(1, || try_write(&mut next));
        let mut reader = joining.join().unwrap();
        while try_read(&mut reader) {}
        assert_eq!(reader.next(), next.next(), "{LAPPED}");
        next.next()
    });
}
