//! Taps of records: what they get, what they miss, and that they know how much they missed.

use crate::stage::{TempDir, everywhere, in_ms, watchdog};
use disruptor_mp::counters::{CountersFile, ids};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, DEFAULT_MAX_CONSUMERS, Patience, RecordProducer, RecordTap, SharedDisruptorBuilder, plan_records,
};
use proptest::prelude::*;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Bytes of the ring: the smallest size, 64 lines.
const RING_BYTES: usize = 4096;

/// The word *claimed* in the control lines. Source: RFC 0011.
const CLAIMED: u64 = 512;

fn producer(place: &Place) -> RecordProducer {
    SharedDisruptorBuilder::records(place.clone(), RING_BYTES).build_record_producer().unwrap()
}

fn tap(place: &Place) -> RecordTap {
    SharedDisruptorBuilder::records(place.clone(), 0).build_tap().unwrap()
}

/// Byte `i` of record `number`; no two records have the same run of bytes.
fn byte(number: i64, i: usize) -> u8 {
    (number as u64).wrapping_add(i as u64 / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes()[i % 8]
}

/// Publishes the next record, of `len` bytes.
fn publish(producer: &mut RecordProducer, len: usize) -> i64 {
    let number = producer.last_published_sequence() + 1;
    let mut claim = producer.claim(len, Patience::Endless).unwrap();
    claim.iter_mut().enumerate().for_each(|(i, into)| *into = byte(number, i));
    claim.commit(len, number as u8, 5)
}

/// Copies the next record, which must be whole. Its number and length.
#[track_caller]
fn copy(tap: &mut RecordTap) -> Option<(i64, usize)> {
    let record = tap.next(Patience::Now).unwrap()?;
    let number = record.sequence();
    assert_eq!((record.kind(), record.flags(), record.as_ptr() as usize % 16), (number as u8, 5, 0));
    let whole = record.iter().enumerate().all(|(i, found)| *found == byte(number, i));
    assert!(whole, "record {number} of {} bytes is torn", record.len());
    Some((number, record.len()))
}

/// Copies all published records; each is copied or counted as missed. Returns how many were copied.
#[track_caller]
fn drain(tap: &mut RecordTap) -> i64 {
    let (mut copied, mut next) = (0, tap.next_sequence());
    loop {
        let missed = tap.missed() as i64;
        let Some((number, _)) = copy(tap) else { return copied };
        assert_eq!(number - next, tap.missed() as i64 - missed, "records that were neither copied nor counted");
        (copied, next) = (copied + 1, number + 1);
    }
}

fn lines_of(len: usize) -> usize {
    (len + 16).div_ceil(64)
}

#[test]
fn a_tap_that_lags_by_less_than_seven_eighths_of_the_ring_misses_nothing() {
    for is_gated in [false, true] {
        everywhere(|place| {
            let mut producer = producer(&place);
            let mut consumer =
                is_gated.then(|| SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer().unwrap());
            let mut tap = tap(&place);
            let (mut published, mut copied) = (0, 0);
            for turn in 0..200_usize {
                // As many records as fit in seven eighths of 64 lines together with one more of the same length.
                let len = turn * 37 % 500;
                for _ in 0..(56 - lines_of(len) - 1) / lines_of(len) {
                    publish(&mut producer, len);
                    published += 1;
                }
                copied += drain(&mut tap);
                assert_eq!((copied, tap.missed()), (published, 0), "turn {turn}, {len} bytes");
                if let Some(consumer) = &mut consumer {
                    consumer.process_available(|_, _| ());
                }
            }
        });
    }
}

#[test]
fn a_tap_that_keeps_up_gets_records_as_long_as_the_ring() {
    everywhere(|place| {
        let mut producer = producer(&place);
        let mut tap = tap(&place);
        for number in 0..100 {
            let len = producer.max_record_bytes() - number as usize % 3 * 64;
            assert_eq!(publish(&mut producer, len), number);
            assert_eq!(copy(&mut tap), Some((number, len)));
        }
        assert_eq!(tap.missed(), 0);
    });
}

#[test]
fn claims_of_unknown_length_lap_no_tap_that_keeps_up() {
    everywhere(|place| {
        let mut producer = producer(&place);
        let mut tap = tap(&place);
        for number in 0..300_i64 {
            // Eight records of one line, each from a claim that could have taken the whole ring.
            let mut claim = producer.claim_at_least(40, usize::MAX, Patience::Now).unwrap();
            assert!(claim.len() >= 40);
            claim.iter_mut().take(40).enumerate().for_each(|(i, into)| *into = byte(number, i));
            claim.commit(40, number as u8, 5);
            if number % 8 == 7 {
                assert_eq!((drain(&mut tap), tap.missed()), (8, 0), "after record {number}");
            }
        }
    });
}

#[test]
fn a_tap_that_was_lapped_goes_on_at_a_record_and_counts_what_it_missed() {
    everywhere(|place| {
        let mut producer = producer(&place);
        let mut tap = tap(&place);
        for len in [0, 10, 48, 49, 200, 700, 1500] {
            for number in 0..300 {
                publish(&mut producer, (len + number) % 1600);
            }
            let last = producer.last_published_sequence();
            let copied = drain(&mut tap);
            assert_eq!(tap.next_sequence(), last + 1);
            assert_eq!(tap.producer_sequence(), last);
            // The newest records are there, from a known beginning in one of the eighths on.
            assert!(copied > 0 || len >= 700, "nothing of 300 records of {len} bytes and more");
        }
        assert!(tap.missed() > 1000);
    });
}

#[test]
fn what_a_tap_misses_is_counted_in_its_file() {
    let _watchdog = watchdog();
    let place = Place::heap();
    let mut producer = producer(&place);
    let mut tap = tap(&place);
    let file = CountersFile::boxed(8);
    tap.attach_counters(&file, "dashboard");
    for _ in 0..500 {
        publish(&mut producer, 100);
    }
    drain(&mut tap);
    let counted = file.snapshot().into_iter().find(|counter| counter.id == ids::TAP_MISSED);
    assert_eq!(counted.map(|counter| counter.value), Some(tap.missed()));
}

#[test]
fn a_tap_waits_for_the_next_record_and_for_the_end() {
    everywhere(|place| {
        let mut producer = producer(&place);
        let mut tap = tap(&place);
        assert!(matches!(tap.next(Patience::Until(in_ms(1))), Err(ConsumeError::TimedOut { .. })));
        let publishing = std::thread::spawn(move || {
            publish(&mut producer, 100);
        });
        assert_eq!(tap.next(Patience::Endless).unwrap().unwrap().sequence(), 0);
        publishing.join().unwrap();
        for patience in [Patience::Endless, Patience::Now] {
            assert!(matches!(tap.next(patience), Err(ConsumeError::Closed)));
            assert!(tap.next_or_end(patience).unwrap().is_none());
        }
    });
}

/// Neither end waits for the other: the tap is lapped again and again, and is in the middle of a copy when it is.
#[test]
fn every_copy_that_a_tap_hands_out_beside_a_running_producer_is_whole() {
    let records = if cfg!(miri) { 200 } else { 100_000 };
    everywhere(|place| {
        let mut producer = producer(&place);
        let mut tap = tap(&place);
        let mut seed = 1_u64;
        let publishing = std::thread::spawn(move || {
            for _ in 0..records {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                publish(&mut producer, (seed >> 33) as usize % 900);
            }
            producer
        });
        let (mut copied, mut is_over) = (0, false);
        while !is_over {
            is_over = publishing.is_finished();
            copied += drain(&mut tap);
        }
        drop(publishing.join().unwrap());
        assert_eq!(copied + tap.missed() as i64, records, "records that were neither copied nor counted");
    });
}

/// A ring in a file, and what is needed to write its words.
fn forged() -> (TempDir, Place, RecordProducer, File, u64, u64) {
    let dir = TempDir::new();
    let path = dir.path().join("ring");
    let place = Place::from(path.as_path());
    let producer = producer(&place);
    let file = File::options().read(true).write(true).open(path).unwrap();
    let plan = plan_records(RING_BYTES, DEFAULT_MAX_CONSUMERS).unwrap();
    (dir, place, producer, file, plan.control.offset, plan.slots.offset)
}

#[test]
fn a_forged_claimed_costs_a_tap_no_more_than_what_is_there_until_it_is_stored_again() {
    for lie in [i64::MIN, -1, 0, 1, 50, 1 << 40, i64::MAX] {
        let (_dir, place, mut producer, file, control, _) = forged();
        let mut tap = tap(&place);
        for _ in 0..30 {
            publish(&mut producer, 40);
        }
        file.write_all_at(&lie.to_ne_bytes(), control + CLAIMED).unwrap();
        while copy(&mut tap).is_some() {}
        // An eighth of the ring later the producer has stored it again.
        for _ in 0..16 {
            publish(&mut producer, 40);
        }
        let before = producer.last_published_sequence();
        while copy(&mut tap).is_some() {}
        publish(&mut producer, 40);
        assert_eq!(copy(&mut tap), Some((before + 1, 40)), "{lie}");
        assert!(tap.missed() <= 46, "{lie}: {} missed", tap.missed());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if cfg!(miri) { 2 } else { 64 }, ..ProptestConfig::default() })]

    /// With any values in the words of the ring: no panic, no hang, no record longer than the ring, and a count that
    /// only grows.
    #[test]
    fn forged_words_make_no_tap_panic_or_hang(
        words in prop::collection::vec((0_usize..3, 0_u64..64, any::<i64>(), 0_i64..4096, any::<bool>()), 1..40),
    ) {
        let _watchdog = watchdog();
        let (_dir, place, mut producer, file, control, slots) = forged();
        let mut tap = tap(&place);
        for (section, index, any, near, is_near) in words {
            publish(&mut producer, near as usize % 300);
            let number = if is_near { near } else { any };
            let at = match section {
                0 => control + [0, CLAIMED, 256, 312, 640, 648, 656, 664][index as usize % 8],
                // A real commit word, or a number.
                1 => slots + 64 * index,
                _ => slots + 64 * index + 8,
            };
            let number = if section == 1 && is_near { 1 << 56 | number } else { number };
            file.write_all_at(&number.to_ne_bytes(), at).unwrap();
            for _ in 0..70 {
                let missed = tap.missed();
                let len = tap.next(Patience::Now).unwrap().map(|record| record.len());
                prop_assert!(len.is_none_or(|len| len <= RING_BYTES - 16));
                prop_assert!(tap.missed() >= missed);
                let _ = (tap.next_sequence(), tap.producer_sequence());
            }
        }
    }
}

#[test]
fn a_tap_asks_for_read_permission_only() {
    use std::os::unix::fs::PermissionsExt;
    let (dir, place, mut producer, _, _, _) = forged();
    let path: &Path = &dir.path().join("ring");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o400)).unwrap();
    let mut tap = tap(&place);
    publish(&mut producer, 100);
    assert_eq!(copy(&mut tap), Some((0, 100)));
}
