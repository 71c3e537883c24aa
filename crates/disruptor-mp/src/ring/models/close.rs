//! Close: a reader gets every event that was published before the end, and then the end.

use super::*;
use loom::thread::spawn;

#[test]
pub(super) fn polling_reader_gets_everything_before_the_end() {
    explore(Some(3), 2, || {
        let (ring, mut producer, mut reader) = pair(Announce::Registered);
        let reading = spawn(move || {
            loop {
                while try_read(&mut reader) {}
                if reader.is_finished() {
                    return reader.next();
                }
                if !reader.look() {
                    yield_now();
                }
            }
        });
        attempts(2, || try_write(&mut producer));
        producer.close(crate::ring::protocol::control::CLOSED);
        assert_eq!(reading.join().unwrap(), producer.next(), "{LOST}");
        producer.next()
    });
}

#[test]
pub(super) fn parked_reader_is_woken_by_the_end_and_has_got_everything() {
    explore(Some(3), 1, || {
        let (ring, mut producer, mut reader) = pair(Announce::Fenced);
        let reading = spawn(move || {
            while wait_for_event(&mut reader) {
                take(&mut reader);
            }
            reader.next()
        });
        attempts(1, || try_write(&mut producer));
        producer.close(crate::ring::protocol::control::CLOSED);
        assert_eq!(reading.join().unwrap(), producer.next(), "{LOST}");
        producer.next()
    });
}
