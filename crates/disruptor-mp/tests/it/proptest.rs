//! Any operations on a ring: each consumer gets exactly the events that it is entitled to, in order.
//!
//! The model is a queue per consumer: a publish appends to all of them, and the longest one limits the room.

use crate::stage::{Step, drain, publish, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, MissingFreeSlots, Origin, RingBufferFull, SharedConsumer, SharedDisruptorBuilder, SharedProducer,
    SlotForm, StartAt, attach_shared_consumer,
};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use testkit::names::ShmGuard;

/// One operation. `who` is taken modulo the number of consumers, and nothing happens if there is none.
#[derive(Clone, Debug)]
enum Act {
    Publish,
    PublishBatch {
        count: usize,
    },
    /// The closure panics at `at` of `count`.
    PublishPanics {
        count: usize,
        at: usize,
    },
    Read {
        who: usize,
        how: Reading,
    },
    Join {
        start: StartAt,
        named: bool,
    },
    Leave {
        who: usize,
    },
    /// Leaves and comes back under the same id at once.
    Return {
        who: usize,
        start: StartAt,
    },
    /// The producer closes the ring, every consumer reads the rest, and another ring takes its name.
    Reopen,
}

/// An operation of a consumer.
#[derive(Clone, Debug)]
enum Reading {
    Next,
    /// Takes a lease and gives the event back unread.
    Peek,
    /// Panics while it holds a lease.
    NextPanics,
    Batch {
        max: usize,
        released: usize,
    },
    Process,
    /// The handler panics at its event number `at`.
    ProcessPanics {
        at: usize,
    },
    Skip,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = || 0..4_usize;
    let start = || prop_oneof![Just(StartAt::Tail), Just(StartAt::Oldest), Just(StartAt::Beginning)];
    let reading = prop_oneof![
        6 => Just(Reading::Next),
        1 => Just(Reading::Peek),
        1 => Just(Reading::NextPanics),
        4 => (0..6_usize, 0..6_usize).prop_map(|(max, released)| Reading::Batch { max, released }),
        3 => Just(Reading::Process),
        1 => (0..4_usize).prop_map(|at| Reading::ProcessPanics { at }),
        1 => Just(Reading::Skip),
    ];
    let act = prop_oneof![
        8 => Just(Act::Publish),
        4 => (1..6_usize).prop_map(|count| Act::PublishBatch { count }),
        1 => (1..6_usize, 0..6_usize).prop_map(|(count, at)| Act::PublishPanics { count, at: at % count }),
        16 => (who(), reading).prop_map(|(who, how)| Act::Read { who, how }),
        2 => (start(), any::<bool>()).prop_map(|(start, named)| Act::Join { start, named }),
        1 => who().prop_map(|who| Act::Leave { who }),
        1 => (who(), start()).prop_map(|(who, start)| Act::Return { who, start }),
        1 => Just(Act::Reopen),
    ];
    prop::collection::vec(act, 0..120)
}

/// A consumer, and the numbers of the events that it must get.
struct Reader<F: SlotForm> {
    consumer: SharedConsumer<Step, F>,
    due: VecDeque<i64>,
    /// How often it has panicked in the first of these events.
    panics: u32,
}

impl<F: SlotForm> Reader<F> {
    fn check_next(&mut self) {
        let due = self.due.front().copied();
        let got = self.consumer.try_consume_next_leased().map(|event| {
            assert_eq!(event.redeliveries(), self.panics);
            (event.sequence(), event.sequence as i64)
        });
        assert_eq!(got, due.map(|due| (due, due)));
        self.passed(usize::from(due.is_some()));
    }

    /// The first `count` events are acknowledged.
    fn passed(&mut self, count: usize) {
        self.due.drain(..count);
        if count > 0 {
            self.panics = 0;
        }
    }

    fn read(&mut self, how: &Reading) {
        let Self { consumer, due, panics } = self;
        match *how {
            Reading::Next => self.check_next(),
            Reading::Peek => {
                let lease = consumer.try_consume_next_leased();
                assert_eq!(lease.as_ref().map(|event| event.sequence()), due.front().copied());
                if let Some(lease) = lease {
                    lease.release_unread();
                }
            }
            Reading::NextPanics => {
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    if let Some(_lease) = consumer.try_consume_next_leased() {
                        resume_unwind(Box::new(()));
                    }
                }));
                assert_eq!(panicked.is_err(), !due.is_empty());
                *panics += u32::from(panicked.is_err());
            }
            Reading::Batch { max, released } => {
                // An event that a consumer had during a panic comes alone.
                let expected = due.len().min(max).min(if *panics > 0 { 1 } else { max });
                let Some(batch) = consumer.try_consume_batch_leased(max) else { return assert_eq!(expected, 0) };
                assert_eq!((batch.len(), Some(&batch.first_sequence())), (expected, due.front()));
                assert!(batch.iter().map(|event| event.sequence as i64).eq(due.iter().copied().take(expected)));
                assert_eq!(batch.redeliveries(0), *panics);
                let released = released.min(expected);
                batch.release_first(released);
                self.passed(released);
            }
            Reading::Process => {
                assert!(drain(consumer).into_iter().eq(due.iter().copied()));
                self.passed(self.due.len());
            }
            Reading::ProcessPanics { at } => {
                let mut seen = vec![];
                let panicked = catch_unwind(AssertUnwindSafe(|| {
                    consumer.process_available(|_, sequence| {
                        if seen.len() == at {
                            resume_unwind(Box::new(()));
                        }
                        seen.push(sequence);
                    })
                }));
                assert_eq!(panicked.is_err(), due.len() > at);
                // Handled events do not come again, and the others do.
                let handled = due.len().min(at);
                assert!(seen.into_iter().eq(due.iter().copied().take(handled)));
                self.passed(handled);
                self.panics += u32::from(panicked.is_err());
            }
            Reading::Skip => {
                assert_eq!(consumer.skip(), !due.is_empty());
                self.passed(self.due.len().min(1));
            }
        }
    }
}

/// The ring and its model.
struct World<F: SlotForm> {
    place: Place,
    capacity: usize,
    form: InForm<F>,
    producer: SharedProducer<Step, F>,
    readers: Vec<Reader<F>>,
    names: usize,
}

/// Turns a builder into one for a ring of that form.
type InForm<F> = fn(SharedDisruptorBuilder<Step>) -> SharedDisruptorBuilder<Step, F>;

fn stamped(builder: SharedDisruptorBuilder<Step>) -> SharedDisruptorBuilder<Step> {
    builder
}

impl<F: SlotForm> World<F> {
    fn new(place: Place, capacity: usize, form: InForm<F>) -> Self {
        let producer = form(ring(&place, capacity)).build_producer(step).unwrap();
        Self { place, capacity, form, producer, readers: vec![], names: 0 }
    }

    fn room(&self) -> usize {
        self.capacity - self.readers.iter().map(|reader| reader.due.len()).max().unwrap_or(0)
    }

    fn published(&self) -> i64 {
        self.producer.last_published_sequence() + 1
    }

    fn published_more(&mut self, count: usize) {
        let end = self.published();
        for reader in &mut self.readers {
            reader.due.extend(end - count as i64..end);
        }
    }

    fn publish_batch(&mut self, count: usize, panics_at: Option<usize>) {
        let (first, room) = (self.published(), self.room());
        let producer = &mut self.producer;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            producer.try_publish_batch(count, |slot, i| {
                if panics_at == Some(i) {
                    resume_unwind(Box::new(()));
                }
                slot.sequence = first as u64 + i as u64;
            })
        }));
        let finished = match (outcome, panics_at) {
            (Ok(outcome), _) if room < count => {
                assert_eq!(outcome, Err(MissingFreeSlots { missing: (count - room) as u64 }));
                0
            }
            (Ok(outcome), None) => {
                assert_eq!(outcome, Ok(first + count as i64 - 1));
                count
            }
            // Events that were finished before the panic are published.
            (Err(_), Some(at)) => at,
            (outcome, _) => panic!("{outcome:?}"),
        };
        assert_eq!(self.published(), first + finished as i64);
        self.published_more(finished);
    }

    fn join(&mut self, start: StartAt, id: Option<String>) {
        let mut builder = (self.form)(attach_shared_consumer(self.place.clone(), self.capacity)).start_at(start);
        if let Some(id) = id {
            builder = builder.with_consumer_id(id);
        }
        let end = self.published();
        let oldest = (end - self.capacity as i64).max(0);
        match builder.build_consumer() {
            Ok(consumer) => {
                assert!(!consumer.has_rejoined(), "who has left does not come back to anything");
                let from = consumer.current_sequence() + 1;
                match start {
                    StartAt::Tail => assert_eq!(from, end),
                    StartAt::Oldest => assert!((oldest..=end).contains(&from), "{from} of {oldest}..={end}"),
                    _ => assert_eq!(from, 0),
                }
                self.readers.push(Reader { consumer, due: (from..end).collect(), panics: 0 });
            }
            Err(error) => assert!(start == StartAt::Beginning && end > 0, "{error}"),
        }
    }

    fn reopen(&mut self) {
        let placeholder = (self.form)(ring(&Place::heap(), 1)).build_producer(step).unwrap();
        drop(std::mem::replace(&mut self.producer, placeholder));
        for mut reader in self.readers.drain(..) {
            while !reader.due.is_empty() {
                reader.consumer.check_producer().unwrap();
                reader.check_next();
            }
            assert!(matches!(reader.consumer.wait_until_available(None), Err(ConsumeError::Closed)));
        }
        self.producer = (self.form)(ring(&self.place, self.capacity)).build_producer(step).unwrap();
        assert_eq!((self.producer.origin(), self.published()), (Origin::Created, 0));
    }

    fn play(&mut self, act: &Act) {
        let count = self.readers.len();
        match *act {
            Act::Publish if self.room() > 0 => {
                publish(&mut self.producer, 1);
                self.published_more(1);
            }
            Act::Publish => assert_eq!(self.producer.try_publish(|_| panic!("must not run")), Err(RingBufferFull)),
            Act::PublishBatch { count } => self.publish_batch(count, None),
            Act::PublishPanics { count, at } => self.publish_batch(count, Some(at)),
            Act::Join { start, named } => {
                self.names += 1;
                let id = named.then(|| format!("reader-{}", self.names));
                self.join(start, id);
            }
            Act::Reopen => self.reopen(),
            Act::Read { .. } | Act::Leave { .. } | Act::Return { .. } if count == 0 => {}
            Act::Read { who, ref how } => self.readers[who % count].read(how),
            Act::Leave { who } => drop(self.readers.swap_remove(who % count)),
            Act::Return { who, start } => {
                let id = self.readers.swap_remove(who % count).consumer.consumer_id().to_owned();
                self.join(start, Some(id));
            }
        }
        assert_eq!(self.producer.get_consumer_count(), self.readers.len());
    }
}

fn each_consumer_gets_what_is_its_own<F: SlotForm>(place: Place, form: InForm<F>, log_capacity: u32, acts: &[Act]) {
    let mut world = World::new(place, 1 << log_capacity, form);
    for act in acts {
        world.play(act);
    }
    for reader in &mut world.readers {
        for _ in 0..=reader.due.len() {
            reader.check_next();
        }
    }
}

#[test]
fn each_consumer_gets_exactly_its_events_on_the_heap() {
    let _watchdog = watchdog();
    let config = ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(log_capacity in 0..4_u32, acts in acts())| {
        each_consumer_gets_what_is_its_own(Place::heap(), stamped, log_capacity, &acts);
        each_consumer_gets_what_is_its_own(Place::heap(), SharedDisruptorBuilder::dense, log_capacity, &acts);
    });
}

#[test]
fn each_consumer_gets_exactly_its_events_in_shared_memory() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let config = ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(log_capacity in 0..4_u32, acts in acts())| {
        each_consumer_gets_what_is_its_own(Place::from(shm.name("a")), stamped, log_capacity, &acts);
        each_consumer_gets_what_is_its_own(Place::from(shm.name("b")), SharedDisruptorBuilder::dense, log_capacity, &acts);
    });
    shm.assert_nothing_left();
}
