//! Publish, consume, wrap: values are right, in order, whole, and none is missing.

use super::*;
use loom::thread::spawn;

#[test]
pub(super) fn events_arrive_whole_and_in_order_across_wraps() {
    explore(Some(3), 4, events_one_by_one::<Stamped>);
}

#[test]
pub(super) fn batches_arrive_whole_and_in_order_across_wraps() {
    explore(Some(3), 4, events_in_batches::<Stamped>);
}

pub(super) fn events_one_by_one<F: SlotForm>() -> i64 {
    let (_, mut producer, mut reader) = pair_of::<F>(Announce::Registered);
    let reading = spawn(move || {
        attempts(3, || try_read(&mut reader));
        reader
    });
    attempts(4, || try_write(&mut producer));
    finish(&mut producer, reading.join().unwrap())
}

pub(super) fn events_in_batches<F: SlotForm>() -> i64 {
    let (_, mut producer, mut reader) = pair_of::<F>(Announce::Registered);
    let reading = spawn(move || {
        attempts(3, || try_read_all(&mut reader));
        reader
    });
    attempts(3, || try_write_two(&mut producer));
    finish(&mut producer, reading.join().unwrap())
}

#[test]
pub(super) fn the_slowest_of_two_consumers_gates() {
    explore(Some(2), 3, || {
        let ring = ring(2);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let reading = [0, 1].map(|index| {
            let mut reader = consumer(&ring, index, Announce::Registered);
            spawn(move || {
                attempts(1, || try_read(&mut reader));
                reader
            })
        });
        attempts(3, || try_write(&mut producer));
        reading.map(|thread| finish(&mut producer, thread.join().unwrap()))[0]
    });
}

/// Reads everything that is there, and gives it back at once.
fn try_read_all<F: SlotForm>(reader: &mut Reader<Ring<F>>) -> bool {
    if !reader.look_for_all() {
        return false;
    }
    for sequence in reader.next()..reader.readable() {
        read(reader, sequence);
    }
    reader.deliver_to(reader.readable());
    reader.advance_to(reader.readable());
    true
}

/// Both sides have stopped: everything that is left can be read, and nothing is missing.
fn finish<F: SlotForm>(producer: &mut Sequencer<Ring<F>>, mut reader: Reader<Ring<F>>) -> i64 {
    while try_read(&mut reader) {}
    assert_eq!(reader.next(), producer.next(), "{LOST}");
    assert_eq!(producer.take_forged(), 0, "an honest position was not believed");
    producer.next()
}
