//! Groups: a reader sees a whole group or nothing of it, even if the producer dies between two stamps.

use super::*;
use loom::thread::spawn;

/// Publishes a group of two if there is room for it.
fn try_write_group(producer: &mut Sequencer<Ring>) -> bool {
    if !producer.has_room(2) {
        producer.rescan();
    }
    if !producer.has_room(2) {
        return false;
    }
    let first = producer.next();
    let written = producer.write_group(2, |place, i| {
        fill(place, first + i as i64);
        Ok::<(), ()>(())
    });
    written.is_ok()
}

/// Reads a group of two if there is one. A reader that finds its first event finds the other one without waiting.
fn try_read_group(reader: &mut Reader<Ring>) -> bool {
    if !reader.look() {
        return false;
    }
    assert!(reader.readable() - reader.next() == 2 || reader.look_further(), "{TORN_GROUP}");
    take(reader);
    take(reader);
    true
}

#[test]
pub(super) fn a_group_is_whole_or_absent() {
    explore(Some(3), 4, || {
        let (_, mut producer, mut reader) = pair(Announce::Registered);
        let reading = spawn(move || {
            attempts(2, || try_read_group(&mut reader));
            reader
        });
        attempts(2, || try_write_group(&mut producer));
        let mut reader = reading.join().unwrap();
        while try_read_group(&mut reader) {}
        assert_eq!(reader.next(), producer.next(), "{LOST}");
        producer.next()
    });
}

/// A producer has died with the second stamp of its group stored, on slots that have been used. Its successor writes
/// single events.
#[test]
pub(super) fn what_a_dead_producer_left_of_a_group_stays_dead() {
    explore(Some(3), 3, || {
        let (ring, mut producer, mut reader) = pair(Announce::Fenced);
        assert!(try_write_group(&mut producer) && try_read_group(&mut reader));
        let reading = spawn(move || {
            attempts(2, || try_read(&mut reader));
            reader
        });
        for sequence in 2..4 {
            ring.word(sequence).store(0, Ordering::Relaxed);
            ring.with_mut(sequence, |place| fill(place, sequence));
        }
        ring.word(3).store(4, Ordering::Release);
        let mut next = Sequencer::take_over(ring, Announce::Fenced);
        assert_eq!(next.next(), 2, "another end of the unbroken run of stamps");
        assert!(try_write(&mut next));
        let mut reader = reading.join().unwrap();
        while try_read(&mut reader) {}
        assert_eq!(reader.next(), 3, "{LEFTOVER}");
        reader.next()
    });
}
