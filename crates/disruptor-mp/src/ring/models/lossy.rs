//! Taps of records: an accepted copy is never torn and never of another record, and every record is copied or counted
//! as missed.

use super::tap::RacingMemory;
use super::*;
use crate::ring::protocol::form::Lines;
use crate::ring::protocol::memory::LineMemory;
use crate::ring::protocol::records::word::{bytes_in, lines_of};
use crate::ring::protocol::tap::TapReader;
use loom::thread::{JoinHandle, spawn};

type Racing = Arc<RacingMemory<Lines>>;

/// Lines of the ring: the fewest in which the third record lies over the payload of the first, and not where the first
/// begins.
const LINES: usize = 4;

impl LineMemory for Racing {
    type Copy = Vec<[u64; 2]>;

    fn racing_copy(&self, position: i64, len: usize, into: &mut Vec<[u64; 2]>) {
        into.clear();
        into.extend((position..position + lines_of(len)).map(|line| self.read(line)));
    }
}

/// Lines of record `number`.
fn lines(number: i64) -> i64 {
    [2, 1, 2][number as usize]
}

/// Claims the next record's lines. Nothing gates, so there is room.
fn claim(producer: &mut Sequencer<Racing>, lines: i64) {
    if !producer.claim(lines + 1) {
        producer.rescan_for(lines + 1);
    }
}

fn write_record(producer: &mut Sequencer<Racing>) {
    let (next, number) = (producer.next(), producer.next_number());
    let lines = lines(number);
    claim(producer, lines);
    producer.note_begin();
    (next..next + lines).for_each(|line| producer.memory().write(line, number));
    producer.commit(number, bytes_in(lines), 0, 0, 0);
    producer.publish();
}

/// A ring with two records, its producer, and a tap that has not looked at them yet.
fn lagging() -> (Racing, Sequencer<Racing>, TapReader<Racing>) {
    let memory = Arc::new(RacingMemory::new(LINES));
    let mut producer = Sequencer::create(Arc::clone(&memory), Announce::Registered);
    let tap = TapReader::new(Arc::clone(&memory));
    write_record(&mut producer);
    write_record(&mut producer);
    (memory, producer, tap)
}

/// The tap looks twice, and each copy is checked. Returns the number of copied records.
fn tapping(mut tap: TapReader<Racing>) -> JoinHandle<i64> {
    spawn(move || {
        let (mut copy, mut copied) = (vec![], 0);
        attempts(2, || {
            let Some(record) = tap.copy_next_record(&mut copy) else { return false };
            assert_eq!(copy, vec![[value(record.number); 2]; copy.len()], "{WRONG}");
            copied += 1;
            assert_eq!(copied + tap.missed() as i64, tap.number(), "a record was neither copied nor missed");
            true
        });
        copied
    })
}

#[test]
pub(super) fn accepted_copy_of_a_record_is_never_torn() {
    explore(Some(2), 2, || {
        let (_, mut producer, tap) = lagging();
        let tapping = tapping(tap);
        write_record(&mut producer);
        tapping.join().unwrap()
    });
}

/// A producer died in the payload of its third record, over the first. The next producer goes on where the second ends.
#[test]
pub(super) fn copy_of_a_record_is_never_torn_by_a_producer_that_died_writing() {
    explore(Some(2), 1, || {
        let (memory, mut dead, tap) = lagging();
        claim(&mut dead, lines(2));
        memory.write(dead.next() + 1, 7);
        let tapping = tapping(tap);
        let mut next = Sequencer::take_over(memory, Announce::Registered);
        assert_eq!(next.take_forged(), 0, "an honest position was not believed");
        write_record(&mut next);
        tapping.join().unwrap()
    });
}
