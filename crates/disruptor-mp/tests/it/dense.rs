//! Rings of dense slots: where they differ from slots with stamps.

use crate::stage::{Step, TempDir, drain, everywhere, publish, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    DEFAULT_MAX_CONSUMERS, Dense, Event, Origin, Patience, SharedConsumer, SharedDisruptorBuilder, SharedProducer,
    StartAt, attach_shared_consumer, build_shared_single_producer, plan, plan_dense,
};
use rustix::process::{Signal, getpid, kill_process};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use testkit::fork::fork_then;
use testkit::watchdog::PATIENCE;

/// Slots of the ring.
const SLOTS: usize = 8;

fn dense(place: &Place) -> SharedDisruptorBuilder<Step, Dense> {
    ring(place, SLOTS).dense()
}

#[test]
fn a_batch_is_visible_as_a_whole() {
    everywhere(|place| {
        let mut producer = dense(&place).build_producer(step).unwrap();
        let mut consumer = dense(&place).build_consumer().unwrap();
        let publish = |producer: &mut SharedProducer<Step, Dense>, consumer: &mut SharedConsumer<Step, Dense>| {
            let first = producer.last_published_sequence() + 1;
            let fill = |event: &mut Step, index: usize| {
                assert!(consumer.try_consume_next_leased().is_none(), "a part of a batch is visible");
                event.sequence = first as u64 + index as u64;
            };
            producer.publish_batch(6, fill).unwrap();
        };
        for lap in 0..5 {
            publish(&mut producer, &mut consumer);
            assert_eq!(drain(&mut consumer), Vec::from_iter(6 * lap..6 * lap + 6));
        }
    });
}

#[test]
fn a_batch_is_lent_as_it_lies() {
    everywhere(|place| {
        let mut producer = dense(&place).build_producer(step).unwrap();
        let mut consumer = dense(&place).build_consumer().unwrap();
        publish(&mut producer, 5);
        drain(&mut consumer);
        publish(&mut producer, SLOTS);
        let batch = consumer.next_batch(usize::MAX, Patience::Now).unwrap().unwrap();
        let numbers = |events: &[Step]| events.iter().map(|event| event.sequence).collect::<Vec<_>>();
        let (first, rest) = batch.as_slices();
        assert_eq!((numbers(first), numbers(rest)), (vec![5, 6, 7], vec![8, 9, 10, 11, 12]));
        batch.release_first(4);
        let batch = consumer.next_batch(2, Patience::Now).unwrap().unwrap();
        assert_eq!((numbers(batch.as_slices().0), batch.as_slices().1.len()), (vec![9, 10], 0));
    });
}

#[test]
fn a_ring_takes_no_more_than_its_events_and_the_words_of_any_ring() {
    let slots = |plan: disruptor_mp::segment::SegmentPlan| plan.slots.len;
    assert_eq!(slots(plan_dense::<[u64; 8]>(4096, 1).unwrap()), 4096 * 64);
    assert_eq!(slots(plan::<[u64; 8]>(4096, 1).unwrap()), 4096 * 128);
}

/// Neither end waits for the other: the tap is lapped again and again, and is in the middle of a copy when it is.
fn copies_are_whole<E: Event + Copy + PartialEq + std::fmt::Debug>(make: fn(i64) -> E) {
    const EVENTS: i64 = 30_000;
    everywhere(|place| {
        let mut producer =
            build_shared_single_producer(place.clone(), 64).dense().build_producer(move || make(0)).unwrap();
        let mut tap = attach_shared_consumer::<E>(place.clone(), 64).dense().build_tap().unwrap();
        let publishing = std::thread::spawn(move || {
            for number in 0..EVENTS {
                producer.publish(|event| *event = make(number)).unwrap();
            }
            producer
        });
        let (mut copied, mut is_over) = (0, false);
        while !is_over {
            is_over = publishing.is_finished();
            while let Some((number, event)) = tap.try_next() {
                assert_eq!(event, make(number), "event {number} is torn, or another");
                copied += 1;
            }
        }
        drop(publishing.join().unwrap());
        assert_eq!(copied + tap.missed() as i64, EVENTS, "events that were neither copied nor counted");
    });
}

#[test]
fn every_copy_that_a_tap_hands_out_beside_a_running_producer_is_whole() {
    copies_are_whole::<u8>(|number| number as u8);
    copies_are_whole::<[u32; 3]>(|number| [number as u32; 3]);
    copies_are_whole::<[u8; 37]>(|number| [number as u8; 37]);
    copies_are_whole::<[u64; 128]>(|number| [number as u64; 128]);
}

#[test]
fn a_panic_in_a_batch_publishes_what_was_finished() {
    everywhere(|place| {
        let mut producer = dense(&place).build_producer(step).unwrap();
        let mut consumer = dense(&place).build_consumer().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            producer.publish_batch(5, |event, index| match index {
                3 => resume_unwind(Box::new(())),
                _ => event.sequence = index as u64,
            })
        }));
        assert!(panicked.is_err());
        assert_eq!(drain(&mut consumer), [0, 1, 2]);
        publish(&mut producer, 2);
        assert_eq!(drain(&mut consumer), [3, 4]);
    });
}

#[test]
fn a_ring_of_another_form_is_refused_by_name() {
    everywhere(|place| {
        let producer = dense(&place).build_producer(step).unwrap();
        let error = ring(&place, SLOTS).build_consumer().map(drop).unwrap_err().to_string();
        let said = "is a ring of events in dense slots";
        assert!(error.contains(said) && error.contains("a ring of events"), "{error}");
        drop(producer);
        let _producer = ring(&place, SLOTS).build_producer(step).unwrap();
        let error = dense(&place).build_consumer().map(drop).unwrap_err();
        assert!(error.to_string().contains("dense"), "{error:?}: {error}");
    });
}

// Offsets in the control lines. Source: RFC 0017.
const PUBLISHED: u64 = 0;
const WRITTEN: u64 = 8;
const CLAIMED: u64 = 512;

/// A ring in a file, and a way to write its words.
struct Scene {
    _dir: TempDir,
    place: Place,
    file: File,
    control: u64,
}

impl Scene {
    fn new() -> Self {
        let dir = TempDir::new();
        let path = dir.path().join("ring");
        // Made by the first producer; the hand comes after it.
        let place = Place::from(path.as_path());
        drop(File::create(&path).unwrap());
        let file = File::options().read(true).write(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        let control = plan_dense::<Step>(SLOTS, DEFAULT_MAX_CONSUMERS).unwrap().control.offset;
        Self { _dir: dir, place, file, control }
    }

    /// Opens what the producer has made.
    fn open(&mut self) {
        let path = self._dir.path().join("ring");
        self.file = File::options().read(true).write(true).open(path).unwrap();
    }

    fn forge(&self, word: u64, value: i64) {
        self.file.write_all_at(&value.to_ne_bytes(), self.control + word).unwrap();
    }
}

/// One word at a time, with what no producer has stored there: below, above, a lap further, and nonsense.
fn lies(truth: i64) -> impl Iterator<Item = (u64, i64)> {
    let values = [i64::MIN, -1, 0, truth - 3, truth - 1, truth + 1, truth + 3, truth + SLOTS as i64, 1 << 40, i64::MAX];
    [PUBLISHED, WRITTEN, CLAIMED].into_iter().flat_map(move |word| values.map(|value| (word, value)))
}

#[test]
fn no_single_word_shows_a_reader_what_is_not_written_and_the_next_publish_puts_it_right() {
    let _watchdog = watchdog();
    for (word, value) in lies(10) {
        let mut scene = Scene::new();
        let mut producer = dense(&scene.place).build_producer(step).unwrap();
        scene.open();
        let mut consumer = dense(&scene.place).build_consumer().unwrap();
        publish(&mut producer, 7);
        let mut read = drain(&mut consumer);
        publish(&mut producer, 3);
        scene.forge(word, value);
        read.extend(drain(&mut consumer));
        assert!(read.len() <= 10, "{word} {value}");
        publish(&mut producer, 1);
        read.extend(drain(&mut consumer));
        assert_eq!(read, Vec::from_iter(0..11), "word {word} forged to {value}");
    }
}

#[test]
fn no_single_word_hides_the_end_of_a_dead_producers_events_from_its_successor() {
    let _watchdog = watchdog();
    for (word, value) in lies(10) {
        let mut scene = Scene::new();
        let mut child = fork_then(|| {
            let mut producer = dense(&scene.place).build_producer(step).unwrap();
            let mut consumer = dense(&scene.place).with_consumer_id("w").build_consumer().unwrap();
            publish(&mut producer, 7);
            drain(&mut consumer);
            consumer.keep_place();
            drop(consumer);
            publish(&mut producer, 3);
            kill_process(getpid(), Signal::KILL).unwrap();
            0
        });
        child.wait_exit(PATIENCE);
        scene.open();
        let mut consumer = dense(&scene.place).with_consumer_id("w").build_consumer().unwrap();
        scene.forge(word, value);
        let mut next = dense(&scene.place).build_producer(step).unwrap();
        assert_eq!(next.origin(), Origin::TookOver);
        let end = next.last_published_sequence() + 1;
        // A cursor that is too high, or a written word that is too low: the two contradict each other, and everything
        // that is certain was read.
        let told = if word == CLAIMED { 10 } else { end };
        assert!(end == told && (7..=10).contains(&end), "{end}: word {word} forged to {value}");
        if word == PUBLISHED {
            assert_eq!(end, 10, "the other word says it: forged to {value}");
        }
        publish(&mut next, 2);
        assert_eq!(drain(&mut consumer), Vec::from_iter(7..end + 2), "word {word} forged to {value}");
        let late = dense(&scene.place).start_at(StartAt::Oldest).build_consumer().unwrap();
        assert!(late.current_sequence() < end + 2);
    }
}
