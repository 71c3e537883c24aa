//! Park and wake, in both directions: a sleeper that is not woken is a deadlock, which loom reports.

use super::*;
use loom::thread::spawn;

#[test]
pub(super) fn parked_reader_is_woken_by_a_publish() {
    explore(Some(3), 2, two_publishes_to_a_sleeper::<Stamped>);
}

pub(super) fn two_publishes_to_a_sleeper<F: SlotForm>() -> i64 {
    let (_, mut producer, mut reader) = pair_of::<F>(Announce::Fenced);
    let reading = spawn(move || {
        for _ in 0..2 {
            assert!(wait_for_event(&mut reader));
            take(&mut reader);
        }
    });
    attempts(2, || try_write(&mut producer));
    reading.join().unwrap();
    producer.next()
}

#[test]
pub(super) fn parked_reader_is_woken_by_a_batch() {
    explore(Some(3), 2, || {
        let (_, mut producer, mut reader) = pair(Announce::Fenced);
        let reading = spawn(move || {
            for _ in 0..2 {
                assert!(wait_for_event(&mut reader));
                take(&mut reader);
            }
        });
        assert!(try_write_two(&mut producer));
        reading.join().unwrap();
        producer.next()
    });
}

#[test]
pub(super) fn two_parked_readers_are_woken_by_one_publish() {
    explore(Some(2), 1, || {
        let ring = ring(2);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Fenced);
        let reading = [0, 1].map(|index| {
            let mut reader = consumer(&ring, index, Announce::Fenced);
            spawn(move || {
                assert!(wait_for_event(&mut reader));
                take(&mut reader);
            })
        });
        assert!(try_write(&mut producer));
        for thread in reading {
            thread.join().unwrap();
        }
        producer.next()
    });
}

#[test]
pub(super) fn parked_producer_is_woken_by_a_consumer() {
    explore(Some(3), 4, || {
        let (_, mut producer, mut reader) = pair(Announce::Fenced);
        attempts(2, || try_write(&mut producer));
        let reading = spawn(move || assert!(try_read(&mut reader) && try_read(&mut reader)));
        for _ in 0..2 {
            wait_for_room(&mut producer, 1);
            assert!(try_write(&mut producer));
        }
        reading.join().unwrap();
        producer.next()
    });
}

/// A wake can bring less room than the producer waits for. Then the producer sleeps again.
#[test]
pub(super) fn parked_producer_of_a_batch_is_woken_until_there_is_room() {
    explore(Some(3), 4, || {
        let (_, mut producer, mut reader) = pair(Announce::Fenced);
        assert!(try_write_two(&mut producer));
        let reading = spawn(move || assert!(try_read(&mut reader) && try_read(&mut reader)));
        wait_for_room(&mut producer, 2);
        assert!(try_write_two(&mut producer));
        reading.join().unwrap();
        producer.next()
    });
}

#[test]
pub(super) fn two_sides_that_both_sleep_are_both_woken() {
    explore(Some(2), 3, || {
        let (_, mut producer, mut reader) = pair(Announce::Fenced);
        let reading = spawn(move || {
            for _ in 0..3 {
                assert!(wait_for_event(&mut reader));
                take(&mut reader);
            }
        });
        for _ in 0..3 {
            if !producer.has_room(1) {
                wait_for_room(&mut producer, 1);
            }
            assert!(try_write(&mut producer));
        }
        reading.join().unwrap();
        producer.next()
    });
}

/// The consumer that the producer waits for may change between its decision to sleep and its second look.
#[test]
pub(super) fn parked_producer_is_woken_by_the_slower_of_two_consumers() {
    explore(Some(2), 3, || {
        let ring = ring(2);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Fenced);
        let readers = [0, 1].map(|index| consumer(&ring, index, Announce::Fenced));
        attempts(2, || try_write(&mut producer));
        let reading = readers.map(|mut reader| spawn(move || assert!(try_read(&mut reader))));
        wait_for_room(&mut producer, 1);
        assert!(try_write(&mut producer));
        for thread in reading {
            thread.join().unwrap();
        }
        producer.next()
    });
}

/// The producer has gone to sleep, or is about to, on the first gate of a consumer that is still joining.
#[test]
pub(super) fn parked_producer_is_woken_by_a_consumer_that_completes_its_join() {
    explore(Some(3), 3, || {
        let ring = ring(1);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Fenced);
        let joining = {
            let ring = Arc::clone(&ring);
            spawn(move || {
                let position = handshake(&ring, 0, StartAt::Tail).expect("only the beginning can be gone");
                let mut reader = Reader::new(Arc::clone(&ring), 0, position, Announce::Fenced);
                // The producer publishes one event more than the ring has slots. If this reader does not read, the
                // producer may rightly sleep.
                if position == 0 {
                    assert!(wait_for_event(&mut reader));
                    take(&mut reader);
                }
            })
        };
        attempts(2, || try_write(&mut producer));
        wait_for_room(&mut producer, 1);
        assert!(try_write(&mut producer));
        joining.join().unwrap();
        producer.next()
    });
}

/// After the producer rings the bell, it fences for a while. When no reader has slept for a while, it relies on the
/// sleeper's barrier. A reader that still finds it fencing sleeps without a barrier.
#[test]
pub(super) fn a_reader_is_woken_by_a_producer_that_stops_fencing() {
    explore(Some(3), 2, || {
        let (_, mut producer, mut reader) = pair(Announce::Registered);
        producer.begin_fenced();
        let reading = spawn(move || {
            for _ in 0..2 {
                while !reader.look() {
                    match reader.prepare_park() {
                        Some(park) if park.barrier => {
                            reader.memory().control().readers.0.sleep(park.ticket, Duration::MAX);
                        }
                        // A real reader sleeps in slices here.
                        Some(_) => yield_now(),
                        None => {}
                    }
                }
                take(&mut reader);
            }
        });
        attempts(2, || try_write(&mut producer));
        reading.join().unwrap();
        producer.next()
    });
}

/// The last owner of the entry announced with a fence. The next owner relies on the sleeper's barrier, and the sleeper
/// must learn that.
#[test]
pub(super) fn producer_does_not_sleep_on_a_consumer_that_has_become_registered() {
    explore(None, 3, || {
        let ring = ring(1);
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Fenced);
        let last = consumer(&ring, 0, Announce::Fenced);
        attempts(2, || try_write(&mut producer));
        let reading = spawn(move || {
            let mut reader = Reader::new(Arc::clone(last.memory()), last.index(), last.next(), Announce::Registered);
            assert!(try_read(&mut reader));
        });
        wait_for_room(&mut producer, 1);
        assert!(try_write(&mut producer));
        reading.join().unwrap();
        producer.next()
    });
}
