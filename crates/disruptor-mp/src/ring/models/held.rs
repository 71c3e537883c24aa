//! Held messages: two threads release in any order while the producer laps, and a successor finds the right state.

use super::*;
use crate::ring::protocol::control::RELEASED_WORDS;
use crate::ring::protocol::held::Held;
use loom::sync::Mutex;
use loom::thread::spawn;

/// Slots: as many as the messages that are held, so that the producer laps what is released too early.
const SLOTS: usize = 4;

type Keeper = Arc<Mutex<Held<Ring>>>;

/// A ring with three events, and a consumer that has taken them all.
fn three_taken() -> (Ring, Sequencer<Ring>, Keeper) {
    let ring = Arc::new(HeapMemory::new(SLOTS, 2, None));
    let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
    let mut reader = consumer(&ring, 0, Announce::Registered);
    let mut held = Held::new(Arc::clone(&ring), 0, 0, Announce::Registered);
    held.begin_at(reader.next());
    for sequence in 0..3 {
        assert!(try_write(&mut producer) && reader.look());
        reader.deliver_to(sequence + 1);
        held.take((sequence, sequence + 1), (), 1, 1);
        reader.leave_gate();
        reader.read_on(sequence + 1, 1, sequence);
    }
    (ring, producer, Arc::new(Mutex::new(held)))
}

/// Looks at a message in its slot, which must not change before, and releases it.
fn read_and_release(ring: &Ring, keeper: &Keeper, sequence: i64) {
    // SAFETY: the place is valid; loom checks that no thread writes it meanwhile.
    let found = ring.with(sequence, |place| unsafe { *place });
    assert_eq!(found, value(sequence), "{WRONG}");
    keeper.lock().unwrap().release(sequence as u64, sequence + 1);
}

/// Whichever thread releases last, and in whichever order: what is held is not written, and what is released makes
/// room.
#[test]
pub(super) fn what_two_threads_hold_is_not_overwritten_while_the_producer_laps() {
    for (mine, other) in [([0, 2], 1), ([2, 0], 1), ([1, 2], 0)] {
        explore(Some(2), 3 + SLOTS as i64, move || {
            let (ring, mut producer, keeper) = three_taken();
            let releasing = {
                let (ring, keeper) = (Arc::clone(&ring), Arc::clone(&keeper));
                spawn(move || read_and_release(&ring, &keeper, other))
            };
            let writing = spawn(move || {
                attempts(3, || try_write(&mut producer));
                producer
            });
            for sequence in mine {
                read_and_release(&ring, &keeper, sequence);
            }
            releasing.join().unwrap();
            let mut producer = writing.join().unwrap();
            attempts(SLOTS, || try_write(&mut producer));
            producer.next()
        });
    }
}

/// If the consumer dies after any of these releases, its successor hands out exactly what was not released.
#[test]
pub(super) fn a_successor_gets_what_was_not_released_and_nothing_else() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        explore(Some(2), 3, move || {
            let (ring, _producer, keeper) = three_taken();
            for done in 0..=3 {
                let released = &order[..done];
                if let Some(sequence) = released.last() {
                    keeper.lock().unwrap().release(*sequence as u64, sequence + 1);
                }
                assert_eq!(handed_out_again(&ring), left(released), "{RELEASED_AGAIN}");
            }
            3
        });
    }
}

/// In later laps, each word is used again for another message. Then, too, a successor hands out exactly what was not
/// released.
#[test]
pub(super) fn a_word_is_used_again_only_once_the_gate_has_passed_what_it_says() {
    explore(Some(2), 2, || {
        let (ring, mut producer, keeper) = three_taken();
        let mut held = keeper.lock().unwrap();
        held.release(2, 3);
        held.release(1, 2);
        assert_eq!(handed_out_again(&ring), [0], "{RELEASED_AGAIN}");
        held.release(0, 1);
        for sequence in 3..6 {
            assert!(try_write(&mut producer), "there is room");
            held.take((sequence, sequence + 1), (), 1, 1);
        }
        held.release(5, 6);
        assert_eq!(handed_out_again(&ring), [3, 4], "{RELEASED_AGAIN}");
        held.release(4, 5);
        assert_eq!(handed_out_again(&ring), [3], "{RELEASED_AGAIN}");
        2
    });
}

/// A thread that finds a word no longer saying that a message is released finds the gate after that message.
#[test]
pub(super) fn who_misses_a_word_finds_the_gate_beyond_it() {
    explore(Some(3), 1, || {
        let (ring, mut producer, keeper) = three_taken();
        keeper.lock().unwrap().release(1, 2);
        assert!(try_write(&mut producer));
        keeper.lock().unwrap().take((3, 4), (), 1, 1);
        let looking = {
            let ring = Arc::clone(&ring);
            spawn(move || {
                let words = [ring.entry(0).released(0).0, ring.entry(0).released(1).0];
                let gate = ring.entry(0).position.load(Ordering::Relaxed);
                assert!(words.contains(&1) || gate >= 2, "{RELEASED_AGAIN}");
                i64::from(gate >= 2)
            })
        };
        let mut held = keeper.lock().unwrap();
        held.release(0, 1);
        // Nothing but the ordering is between the two stores.
        held.release(3, 4);
        drop(held);
        looking.join().unwrap()
    });
}

/// A consumer of another id takes the entry, and starts before what was released in it.
#[test]
pub(super) fn a_joiner_of_another_id_steps_over_nothing() {
    explore(Some(2), 3, || {
        let (ring, _producer, keeper) = three_taken();
        keeper.lock().unwrap().release(2, 3);
        crate::ring::protocol::join::free(&ring, 0, 0);
        ring.entry(0).clear_released();
        handshake(&ring, 0, StartAt::Beginning).expect("nothing was overwritten");
        assert_eq!(handed_out_again(&ring), [0, 1, 2], "{STEPPED_OVER}");
        3
    });
}

/// The messages that a successor in entry 0 hands out: those after the position of which no word says that they are
/// released.
fn handed_out_again(ring: &Ring) -> Vec<i64> {
    let entry = ring.entry(0);
    let position = entry.position.load(Ordering::Acquire);
    let released: Vec<i64> = (0..RELEASED_WORDS).map(|at| entry.released(at).0).collect();
    (position..ring.control().cursor.acquire()).filter(|sequence| !released.contains(sequence)).collect()
}

/// Which of three messages are left.
fn left(released: &[i64]) -> Vec<i64> {
    (0..3).filter(|sequence| !released.contains(sequence)).collect()
}
