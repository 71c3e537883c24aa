//! Records: whole, in order and without repeats, across wraps over lines with older records, and when the producer
//! dies.

use super::*;
use crate::ring::protocol::form;
use crate::ring::protocol::records::walk::is_numbered;
use crate::ring::protocol::records::word::{Word, bytes_in};
use loom::thread::spawn;

/// A ring of lines, each of which carries a number.
type Lines = Heap<form::Lines>;

/// Lines of the ring: the fewest in which a record of two and the header after it are at other places in each lap, and
/// across its end.
const LINES: usize = 4;

fn ring_of_records() -> Lines {
    Arc::new(HeapMemory::new(LINES, 1, None))
}

/// Publishes a record of `lines` lines if there is room for it.
fn try_write_record(producer: &mut Sequencer<Lines>, lines: i64) -> bool {
    if !producer.has_room(lines + 1) {
        producer.rescan_for(lines + 1);
    }
    if !producer.has_room(lines + 1) {
        return false;
    }
    producer.note_begin();
    let (first, number) = (producer.next(), producer.next_number());
    for line in first..first + lines {
        producer.memory().with_mut(line, |place| fill(place, number));
    }
    producer.commit(number, bytes_in(lines), 0, 0, 0);
    producer.publish();
    producer.fetch_next_lines(first, producer.next());
    true
}

/// Reads record `number` if it is there.
fn try_read_record(reader: &mut Reader<Lines>, number: &mut i64) -> bool {
    while reader.look() {
        let (begin, memory) = (reader.next(), reader.memory());
        let word = memory.word(begin).load(Ordering::Relaxed);
        let (word, end) = Word::unpack(word, begin, memory.capacity()).expect("what was found is a word");
        if matches!(word, Word::Padding { .. }) {
            reader.give_back(end, 0, begin);
            assert_eq!(reader.next(), end, "{OLD_RECORD}");
            continue;
        }
        assert!(is_numbered(memory, begin, *number), "{OLD_RECORD}");
        for line in begin..end {
            // SAFETY: the place is valid; loom checks that no thread writes it meanwhile.
            let found = memory.with(line, |place| unsafe { *place });
            assert_eq!(found, value(*number), "{WRONG}");
        }
        reader.give_back(end, 1, begin);
        assert_eq!(reader.next(), end, "{OLD_RECORD}");
        *number += 1;
        return true;
    }
    false
}

/// Lines of record `number`: they end at different places in every lap.
fn lines(number: i64) -> i64 {
    [2, 1, 2, 2, 1][number as usize % 5]
}

#[test]
pub(super) fn records_arrive_whole_and_in_order_over_the_remains_of_others() {
    explore(Some(2), 4, || {
        let ring = ring_of_records();
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let mut reader = consumer(&ring, 0, Announce::Registered);
        let reading = spawn(move || {
            let mut number = 0;
            attempts(4, || try_read_record(&mut reader, &mut number));
            (reader, number)
        });
        let mut written = 0;
        attempts(5, || {
            let done = try_write_record(&mut producer, lines(written));
            written += i64::from(done);
            done
        });
        let (mut reader, mut number) = reading.join().unwrap();
        while try_read_record(&mut reader, &mut number) {}
        assert_eq!((number, producer.next_number()), (written, written), "{LOST}");
        assert_eq!(producer.take_forged(), 0, "an honest position was not believed");
        written
    });
}

/// A producer that starts over leads its reader to the beginning of the ring by padding.
#[test]
pub(super) fn records_arrive_whole_and_in_order_behind_padding() {
    explore(Some(2), 4, || {
        let ring = ring_of_records();
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        let mut reader = consumer(&ring, 0, Announce::Registered);
        let reading = spawn(move || {
            let mut number = 0;
            attempts(3, || try_read_record(&mut reader, &mut number));
            (reader, number)
        });
        let mut written = 0;
        attempts(4, || {
            if written == 1
                && producer.lines_to_wrap() < LINES as i64
                && producer.has_room(producer.lines_to_wrap() + 1)
            {
                producer.pad(written);
                producer.publish();
            }
            let done = try_write_record(&mut producer, 1);
            written += i64::from(done);
            done
        });
        let (mut reader, mut number) = reading.join().unwrap();
        while try_read_record(&mut reader, &mut number) {}
        assert_eq!((number, producer.next_number()), (written, written), "{LOST}");
        written
    });
}

/// Records wait in a ring that nothing gates. The first consumer, beside a producer that goes on, finds at once where
/// one of them begins, and every record after it.
#[test]
pub(super) fn first_reader_of_records_starts_with_one_that_waits_for_it_and_is_never_lapped() {
    explore(Some(2), 5, || {
        let ring = ring_of_records();
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Registered);
        for _ in 0..3 {
            assert!(try_write_record(&mut producer, 1));
        }
        let joining = {
            let ring = Arc::clone(&ring);
            spawn(move || {
                let start = handshake(&ring, 0, StartAt::Unread).expect("only the beginning can be gone");
                let mut number = ring.number_at(start);
                let mut reader = Reader::new(ring, 0, start, Announce::Registered);
                assert!(reader.look(), "{NOTHING_KEPT}");
                attempts(2, || try_read_record(&mut reader, &mut number));
                (reader, number)
            })
        };
        attempts(2, || try_write_record(&mut producer, 1));
        let (mut reader, mut number) = joining.join().unwrap();
        while try_read_record(&mut reader, &mut number) {}
        assert_eq!((number, reader.next()), (producer.next_number(), producer.next()), "{LAPPED}");
        assert_eq!(producer.take_forged(), 0, "an honest position was not believed");
        number
    });
}

/// The producer has died somewhere in its third record; the next one goes on after what a reader may have seen.
fn survive(stores: usize) {
    explore(Some(2), 4, move || {
        let ring = ring_of_records();
        let mut producer = Sequencer::create(Arc::clone(&ring), Announce::Fenced);
        let mut reader = consumer(&ring, 0, Announce::Fenced);
        let mut number = 0;
        for written in 0..2 {
            assert!(try_write_record(&mut producer, 1) && try_read_record(&mut reader, &mut number), "{written}");
        }
        let reading = spawn(move || {
            attempts(2, || try_read_record(&mut reader, &mut number));
            (reader, number)
        });
        // Record 2 takes the line at position 2, and the header after it is at 3: what `commit_word` and then
        // `publish` store, one by one.
        ring.with_mut(2, |place| fill(place, 2));
        let word = Word::Record { len: bytes_in(1) as u32, gap_lines: 0, kind: 0, flags: 0 };
        let commit: [&dyn Fn(); 4] = [
            &|| ring.word(3).store(0, Ordering::Relaxed),
            &|| ring.header(3).number.store(3, Ordering::Relaxed),
            &|| ring.word(2).store(word.pack(), Ordering::Release),
            &|| ring.control().cursor.publish(3),
        ];
        commit.iter().take(stores).for_each(|store| store());
        let mut next = Sequencer::take_over(Arc::clone(&ring), Announce::Fenced);
        assert_eq!(next.next(), if stores >= 3 { 3 } else { 2 }, "another end of the committed records");
        assert_eq!(next.take_forged(), 0, "an honest position was not believed");
        let mut attempt = 0;
        while next.next_number() < 4 {
            if !try_write_record(&mut next, 1) {
                yield_now();
            }
            attempt += 1;
            if attempt > 3 {
                break;
            }
        }
        let (mut reader, mut number) = reading.join().unwrap();
        while try_read_record(&mut reader, &mut number) {}
        assert_eq!(number, next.next_number(), "{LOST}");
        number
    });
}

#[test]
pub(super) fn records_go_on_behind_a_producer_that_died_before_the_header() {
    survive(0);
}

#[test]
pub(super) fn records_go_on_behind_a_producer_that_died_before_the_commit() {
    survive(2);
}

#[test]
pub(super) fn records_go_on_behind_a_producer_that_died_before_the_cursor() {
    survive(3);
}
