//! Plays in which a producer of records dies.

use super::survivor::LockWatch;
use super::victim::{Doomed, Role};
use super::{Log, Scenario, Stage, Stamped, Visible, WaitStrategy};
use crate::step;
use crate::{ConsumeError, Patience, RecordClaim, RecordConsumer, RecordProducer, RecordTap, SharedDisruptorBuilder};

/// Bytes of the ring: few, so that records are soon written over older ones, and across its end.
const RING_BYTES: usize = 4096;

/// Records that the producer after the victim publishes: several laps.
const AFTERWARDS: i64 = 40;

pub(super) fn ring(name: &str) -> SharedDisruptorBuilder<(), crate::Lines> {
    SharedDisruptorBuilder::records(name, RING_BYTES).with_wait_strategy(WaitStrategy::Block)
}

/// Length of record `sequence`: nothing, less than a line, several lines.
fn len_of(sequence: i64) -> usize {
    (sequence * 97 % 311) as usize
}

/// Byte `i` of record `sequence`; no two records, nor the records of two authors, share a run of them.
fn byte(sequence: i64, author: u64, i: usize) -> u8 {
    let word =
        (sequence as u64 ^ author.rotate_left(32)).wrapping_add(i as u64 / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word.to_le_bytes()[i % 8]
}

/// Publishes the next record, alone or in a batch of one.
pub(super) fn publish(producer: &mut RecordProducer, batched: bool) {
    if batched {
        return publish_batch(producer, 1);
    }
    let sequence = producer.last_published_sequence() + 1;
    write(sequence, producer.claim(len_of(sequence), Patience::Endless).unwrap());
}

/// Publishes the next `count` records as a batch.
pub(super) fn publish_batch(producer: &mut RecordProducer, count: i64) {
    let first = producer.last_published_sequence() + 1;
    let mut batch = producer.batch();
    for sequence in first..first + count {
        write(sequence, batch.claim(len_of(sequence), Patience::Endless).unwrap());
    }
}

/// Writes record `sequence`, with a step in the middle of its payload.
fn write(sequence: i64, mut claim: RecordClaim<'_>) {
    let (author, len) = (u64::from(std::process::id()), len_of(sequence));
    let half = len / 2;
    (0..half).for_each(|i| claim[i] = byte(sequence, author, i));
    step!(PayloadHalfWritten);
    (half..len).for_each(|i| claim[i] = byte(sequence, author, i));
    claim.commit(len, sequence as u8, 0);
}

/// Reads to the end, checks that every record is whole and by `author`, and returns with how many records and how the
/// stream ended.
fn read(consumer: &mut RecordConsumer, first: i64, author: u64) -> (i64, ConsumeError) {
    let mut sequence = first;
    loop {
        match consumer.next(Patience::Endless) {
            Ok(record) => {
                let record = record.expect("an endless wait");
                assert_eq!(
                    (record.sequence(), record.kind(), record.len()),
                    (sequence, sequence as u8, len_of(sequence))
                );
                let whole = record.iter().enumerate().all(|(i, found)| *found == byte(sequence, author, i));
                assert!(whole, "record {sequence} is torn");
                sequence += 1;
            }
            Err(end) => return (sequence, end),
        }
    }
}

/// Copies what is there. Each record is whole, and each is copied or counted as missed.
fn watch_by_tap(tap: &mut RecordTap, author: impl Fn(i64) -> u64) {
    let (mut next, mut missed) = (tap.next_sequence(), tap.missed());
    while let Some(record) = tap.next(Patience::Now).unwrap() {
        let sequence = record.sequence();
        let is_whole = record.iter().enumerate().all(|(i, found)| *found == byte(sequence, author(sequence), i));
        assert!(is_whole && record.len() == len_of(sequence), "record {sequence} is torn");
        let skipped = (sequence - next) as u64;
        assert_eq!(tap.missed(), missed + skipped, "records that were neither copied nor counted");
        (next, missed) = (sequence + 1, missed + skipped);
    }
}

pub(super) fn publishing(scenario: &Scenario, role: Role, visible: Visible, log: &mut Log) {
    let stage = Stage::<Stamped>::new();
    let mut doomed: Doomed = stage.doomed(scenario, role, None);
    let mut consumer = ring(&stage.name).build_record_consumer().unwrap();
    let mut tap = ring(&stage.name).build_tap().unwrap();
    let watch = LockWatch::on_producer(&stage.name);
    doomed.go();
    let (read_by_now, end) = read(&mut consumer, 0, doomed.author());
    let ended = std::time::Instant::now();
    doomed.wait_dead();
    log.killed();
    log.waited(ended.saturating_duration_since(watch.last_held()));
    assert!(matches!(end, ConsumeError::ProducerDied { .. }), "{end}");
    match visible {
        Visible::Exactly(count) => assert_eq!(read_by_now as usize, count),
        Visible::AtLeast(count) => assert!(read_by_now as usize >= count, "{read_by_now} of {count}"),
    }
    watch_by_tap(&mut tap, |_| doomed.author());
    // The next producer goes on after what was seen, and nothing of the dead one's unfinished record appears.
    let mut next = ring(&stage.name).take_over().build_record_producer().unwrap();
    assert_eq!(next.last_published_sequence() + 1, read_by_now);
    let reading = std::thread::spawn(move || {
        let (end, reason) = read(&mut consumer, read_by_now, std::process::id().into());
        assert!(matches!(reason, ConsumeError::Closed), "{reason}");
        end
    });
    for _ in 0..AFTERWARDS {
        publish(&mut next, false);
    }
    let dead = doomed.author();
    watch_by_tap(&mut tap, |sequence| if sequence < read_by_now { dead } else { std::process::id().into() });
    assert_eq!(tap.next_sequence(), read_by_now + AFTERWARDS);
    drop(next);
    assert_eq!(reading.join().unwrap(), read_by_now + AFTERWARDS);
    stage.strike();
}
