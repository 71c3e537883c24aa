//! Copying ahead: a copy of a group that is confirmed is equal to the group that is shown.

use super::tap::RacingMemory;
use super::*;
use crate::ring::protocol::ahead::Ahead;
use loom::thread::spawn;

type Racing = Arc<RacingMemory<Stamped>>;

/// What event `sequence` carries in the group of that attempt.
fn payload(sequence: i64, attempt: u64) -> [u64; 2] {
    [value(sequence) + 1000 * attempt; 2]
}

/// A ring of four slots with its consumer.
fn ring() -> (Racing, Reader<Racing>) {
    let ring = Arc::new(RacingMemory::<Stamped>::new(4));
    let start = handshake(&ring, 0, StartAt::Beginning).expect("nothing was published yet");
    let reader = Reader::new(Arc::clone(&ring), 0, start, Announce::Registered);
    (ring, reader)
}

/// Writes a group of `count` events, and gives it up before event `end` if the group has that event.
fn write_group(producer: &mut Sequencer<Racing>, count: usize, end: usize, attempt: u64) {
    assert!(producer.has_room(count as i64));
    let first = producer.next();
    let written = producer.write_group(count, |place, index| {
        if index == end {
            return Err(());
        }
        // SAFETY: a place of the memory's own.
        unsafe { *place = payload(first + index as i64, attempt) };
        Ok(())
    });
    assert_eq!(written.is_ok(), end >= count);
}

/// The first events of a group, copied before it was shown.
type Copied = Option<(Ahead, Vec<[u64; 2]>)>;

/// The payload `index` places after the reader.
fn copy_of(reader: &Reader<Racing>, index: usize) -> [u64; 2] {
    reader.memory().racing_copy(reader.next() + index as i64)
}

/// Copies what is written of the first two events of the group that is being written, and looks whether the group is
/// shown.
fn try_read(reader: &mut Reader<Racing>, copied: &mut Copied) -> bool {
    if copied.is_none() {
        *copied = reader.begin_ahead().map(|ahead| (ahead, Vec::new()));
    }
    if let Some((_, copies)) = copied {
        while copies.len() < 2 && reader.is_ahead(copies.len() as i64) {
            copies.push(copy_of(reader, copies.len()));
        }
    }
    reader.look()
}

/// If the ring confirms the copy, it must equal what is there. Returns whether it was confirmed.
fn confirm(reader: &Reader<Racing>, copied: Copied) -> bool {
    let Some((_, copies)) = copied.filter(|(ahead, _)| reader.is_confirmed(*ahead)) else { return false };
    for (index, copy) in copies.iter().enumerate() {
        assert_eq!(*copy, copy_of(reader, index), "{COPIED_OTHERS}");
    }
    !copies.is_empty()
}

/// A reader that copies in a thread of its own. The thread returns whether the group was shown to it and whether its
/// copy was confirmed.
fn reading(mut reader: Reader<Racing>) -> loom::thread::JoinHandle<(bool, bool)> {
    spawn(move || {
        let mut copied = None;
        let mut is_shown = false;
        attempts(2, || {
            is_shown = is_shown || try_read(&mut reader, &mut copied);
            is_shown
        });
        (is_shown, is_shown && confirm(&reader, copied))
    })
}

#[test]
pub(super) fn what_is_copied_ahead_is_what_is_shown() {
    explore(Some(3), 1, || {
        let (ring, reader) = ring();
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let reading = reading(reader);
        write_group(&mut producer, 3, 3, 1);
        let (_, is_confirmed) = reading.join().unwrap();
        i64::from(is_confirmed)
    });
}

/// A closure fails when two events are written and stamped. Then the same places are used again.
#[test]
pub(super) fn a_copy_of_a_group_that_was_given_up_is_not_believed() {
    explore(Some(3), 1, || {
        let (ring, reader) = ring();
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let reading = reading(reader);
        write_group(&mut producer, 3, 2, 1);
        write_group(&mut producer, 2, 2, 2);
        let (is_shown, _) = reading.join().unwrap();
        i64::from(is_shown)
    });
}

/// A producer has died with two stamps of its group stored. Its successor uses the same places.
#[test]
pub(super) fn a_copy_of_a_group_whose_producer_died_is_not_believed() {
    explore(Some(3), 1, || {
        let (ring, reader) = ring();
        for sequence in 0..2 {
            ring.with_mut(sequence, |place| {
                // SAFETY: a place of the memory's own.
                unsafe { *place = payload(sequence, 1) };
            });
        }
        ring.word(0).store(-1, Ordering::Release);
        ring.word(1).store(2, Ordering::Release);
        let reading = reading(reader);
        let mut producer = Sequencer::take_over(Arc::clone(&ring), Announce::Registered);
        write_group(&mut producer, 2, 2, 2);
        let (is_shown, _) = reading.join().unwrap();
        i64::from(is_shown)
    });
}
