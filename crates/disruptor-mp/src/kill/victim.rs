//! The processes that die: this test binary, started again with a role and with a step at which it is killed.

use super::event::Event;
use super::{Dense, InForm, Stamped, versioned};
use crate::ring::ends::producer_face::HasProducer;
use crate::step::Step;
use crate::{CoordinationMode, Patience, SharedConsumer, SharedProducer, WaitStrategy, WriteVia};
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;
use testkit::process::{self, Respawn, Victim, is_victim, say};
use testkit::{Signal, test_name, watchdog::PATIENCE};

/// The environment variables that tell a victim its ring, its consumer id and the form of the ring.
const RING: &str = "KILL_TEST_RING";
const ID: &str = "KILL_TEST_ID";
const FORM: &str = "KILL_TEST_FORM";

/// How many events one batch has.
pub(super) const BATCH: usize = 4;

/// How many events the start-up buffer has.
pub(super) const BUFFER: usize = 3;

/// What a victim does. It is killed while it does this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Builds a ring that is not there.
    Create,
    /// Publishes events one by one, as fast as it can.
    Publish,
    /// Publishes events one by one. No consumer reads, so the producer waits as soon as the ring is full.
    PublishUnread,
    /// Publishes batches.
    PublishBatches,
    /// Publishes groups of [`BATCH`] events.
    PublishGroups,
    /// Publishes groups of [`BATCH`] events. It gives up each group once before it publishes that group.
    PublishGroupsAtSecondTry,
    /// Publishes events one by one. Each event is written in a buffer first.
    PublishBuffered,
    /// Publishes batches. Each event is written in a buffer first.
    PublishBufferedBatches,
    /// Publishes groups of [`BATCH`] events, two groups at a time.
    PublishGroupBatches,
    /// Publishes an event some time after every consumer has read the last one: its readers sleep.
    PublishToSleepers,
    /// Publishes records, every second one in a batch of its own.
    PublishRecords,
    /// Publishes batches of [`BATCH`] records.
    PublishRecordBatches,
    /// Publishes records that are written in a buffer first, every second one in a batch of its own.
    PublishBufferedRecords,
    /// Publishes into a start-up buffer for two consumers.
    PublishToBuffer,
    /// Publishes five events and closes.
    Close,
    /// Closes a ring in which nothing was published.
    CloseUnused,
    /// Takes a ring over.
    TakeOver,
    /// Replaces a ring.
    Replace,
    /// Removes a ring in which no process lives.
    Collect,
    /// Reads events one by one.
    Consume,
    /// Reads batches.
    ConsumeBatches,
    /// Takes six events, reads the next, and releases the six out of order.
    Hold,
    /// Takes six events, reads the next, and drops its consumer, whose entry is kept. Then it releases the six out of
    /// order.
    HoldOn,
    /// Reads three events and leaves.
    Leave,
    /// Leaves without reading.
    LeaveUnread,
    /// Reads three events and panics with the fourth in hand.
    Panic,
    /// Publishes five events and panics.
    PublishAndPanic,
    /// Joins a ring, or comes back to it under its id.
    Join,
    /// Asks for other events than the ring has.
    BeRefused,
    /// Publishes events of the first version.
    PublishFirst,
    /// Builds a producer of the second version.
    Upgrade,
}

impl Role {
    const ALL: [Self; 31] = [
        Self::Create,
        Self::Publish,
        Self::PublishUnread,
        Self::PublishBatches,
        Self::PublishGroups,
        Self::PublishGroupsAtSecondTry,
        Self::PublishBuffered,
        Self::PublishBufferedBatches,
        Self::PublishGroupBatches,
        Self::PublishToSleepers,
        Self::PublishToBuffer,
        Self::PublishRecords,
        Self::PublishRecordBatches,
        Self::PublishBufferedRecords,
        Self::Close,
        Self::CloseUnused,
        Self::TakeOver,
        Self::Replace,
        Self::Collect,
        Self::Consume,
        Self::ConsumeBatches,
        Self::Hold,
        Self::HoldOn,
        Self::Leave,
        Self::LeaveUnread,
        Self::Panic,
        Self::PublishAndPanic,
        Self::Join,
        Self::BeRefused,
        Self::PublishFirst,
        Self::Upgrade,
    ];
}

/// A victim that has reported that it is ready.
pub(super) struct Doomed(Victim);

impl Doomed {
    /// Starts a victim that ends itself when it passes `step` for the time after `passes`, and waits until it is ready.
    pub(super) fn spawn<F: InForm>(name: &str, role: Role, id: Option<&str>, step: Step, passes: u32) -> Self {
        let mut respawn = Respawn::test(test_name!(victim))
            .role(format!("{role:?}"))
            .env(RING, name)
            .env(FORM, F::NAME)
            .piped_stdin();
        respawn = respawn.env("MYELON_TEST_STEP", format!("{step:?}:{passes}"));
        if let Some(id) = id {
            respawn = respawn.env(ID, id);
        }
        let mut victim = respawn.spawn();
        victim.wait_line("READY");
        Self(victim)
    }

    /// Lets it begin.
    pub(super) fn go(&mut self) {
        self.0.send_line("GO");
    }

    /// The number with which it signs its events.
    pub(super) fn author(&self) -> u64 {
        self.0.pid().into()
    }

    /// Waits until it is dead, killed at its step and not otherwise.
    pub(super) fn wait_dead(&mut self) {
        let status = self.0.wait_exit(PATIENCE);
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "the victim ended with {status:?}");
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim() {
    if !is_victim() {
        return;
    }
    let role = process::role().expect("a victim has a role");
    let role = Role::ALL.into_iter().find(|known| format!("{known:?}") == role).expect("a known role");
    let name = std::env::var(RING).expect("a victim has a ring");
    match std::env::var(FORM).as_deref() {
        Ok(Dense::NAME) => perform::<Dense>(role, &name),
        _ => perform::<Stamped>(role, &name),
    }
    panic!("survived its step");
}

/// Reports that everything is prepared, and waits for the order to go.
fn ready() {
    say("READY");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the parent speaks");
    assert_eq!(line, "GO\n");
}

fn perform<F: InForm>(role: Role, name: &str) {
    let via = match role {
        Role::PublishBuffered | Role::PublishBufferedBatches | Role::PublishBufferedRecords => WriteVia::Buffer,
        _ => WriteVia::default(),
    };
    let blocking = || F::ring(name).with_wait_strategy(WaitStrategy::Block);
    let build = || blocking().write_via(via).build_producer(Event::blank).unwrap();
    match role {
        Role::Create => {
            ready();
            drop(F::ring(name).create().build_producer(Event::blank));
        }
        Role::TakeOver => {
            ready();
            drop(F::ring(name).take_over().build_producer(Event::blank));
        }
        Role::Replace => {
            ready();
            drop(F::ring(name).replace().build_producer(Event::blank));
        }
        Role::Collect => {
            ready();
            let _ = crate::gc(name);
        }
        Role::BeRefused => {
            ready();
            drop(crate::attach_shared_consumer::<u64>(name, 0).build_consumer());
        }
        Role::PublishFirst => publish(versioned(name, 1).build_producer(Event::blank).unwrap(), |_, _| ()),
        Role::Upgrade => {
            ready();
            drop(versioned(name, 2).build_producer(Event::blank));
        }
        Role::Publish | Role::PublishUnread | Role::PublishBuffered => publish(build(), |_, _| ()),
        Role::PublishToSleepers => publish(build(), |producer, sequence| {
            // Longer than a reader spins. Whether it sleeps by then does not matter: the next event gives it another
            // chance.
            producer.base().poll_until(Some(std::time::Instant::now() + PATIENCE), Duration::from_millis(1), || {
                producer.is_consumed(sequence)
            });
        }),
        Role::PublishToBuffer => {
            let buffer = CoordinationMode::BufferUntilConsumers { max_buffer: BUFFER };
            let builder = F::ring(name).with_coordination(buffer).with_expected_consumers(2);
            publish(builder.with_wait_strategy(WaitStrategy::Block).build_producer(Event::blank).unwrap(), |_, _| ());
        }
        Role::PublishBatches | Role::PublishBufferedBatches => {
            let mut producer = build();
            ready();
            loop {
                let first = producer.last_published_sequence() + 1;
                producer.publish_batch(BATCH, |event, i| event.fill(first + i as i64)).unwrap();
            }
        }
        Role::PublishGroups => {
            let mut producer = build();
            ready();
            loop {
                let first = producer.last_published_sequence() + 1;
                let fill = |event: &mut Event, i| {
                    event.fill(first + i as i64);
                    Ok::<(), ()>(())
                };
                producer.publish_group(BATCH, Patience::Endless, fill).unwrap().unwrap();
            }
        }
        Role::PublishGroupsAtSecondTry => {
            let mut producer = build();
            ready();
            for attempt in 0.. {
                let first = producer.last_published_sequence() + 1;
                let fill = |event: &mut Event, i| {
                    event.fill(first + i as i64);
                    if attempt % 2 == 0 && i == 2 { Err(()) } else { Ok(()) }
                };
                let published = producer.publish_group(BATCH, Patience::Endless, fill).unwrap();
                assert_eq!(published.is_err(), attempt % 2 == 0);
            }
        }
        Role::PublishGroupBatches => {
            let mut producer = build();
            ready();
            for first in (0..).step_by(2 * BATCH) {
                let mut batch = producer.group_batch();
                for first in [first, first + BATCH] {
                    let fill = |event: &mut Event, i| {
                        event.fill((first + i) as i64);
                        Ok::<(), ()>(())
                    };
                    batch.publish_group_within(BATCH, &Patience::Endless, fill).unwrap().unwrap();
                }
            }
        }
        Role::PublishRecordBatches => {
            let mut producer = super::records::ring(name).build_record_producer().unwrap();
            ready();
            loop {
                super::records::publish_batch(&mut producer, BATCH as i64);
            }
        }
        Role::PublishRecords | Role::PublishBufferedRecords => {
            let mut producer = super::records::ring(name).write_via(via).build_record_producer().unwrap();
            ready();
            for number in 0.. {
                super::records::publish(&mut producer, number % 2 == 1);
            }
        }
        Role::Close => {
            let mut producer = build();
            ready();
            for sequence in 0..5 {
                producer.publish(|event| event.fill(sequence)).unwrap();
            }
        }
        Role::CloseUnused => {
            let producer = build();
            ready();
            producer.close();
        }
        Role::Consume => {
            let mut consumer = join::<F>(name);
            ready();
            loop {
                drop(consumer.consume_next_leased().unwrap());
            }
        }
        Role::ConsumeBatches => {
            let mut consumer = join::<F>(name);
            ready();
            loop {
                drop(consumer.consume_batch_leased(BATCH, None).unwrap());
            }
        }
        Role::Hold | Role::HoldOn => {
            let mut consumer = join::<F>(name);
            consumer.keep_place();
            ready();
            let take = |consumer: &mut SharedConsumer<Event, F>| consumer.next_held(Patience::Endless).unwrap();
            let mut held: Vec<_> = (0..6).map(|_| take(&mut consumer)).collect();
            drop(consumer.consume_next_leased().unwrap());
            let _consumer = (role == Role::Hold).then_some(consumer);
            for number in [4, 2, 0, 1, 3, 5] {
                held[number].take().expect("each is released once").release();
            }
        }
        Role::Leave => {
            let mut consumer = join::<F>(name);
            ready();
            for _ in 0..3 {
                drop(consumer.consume_next_leased().unwrap());
            }
        }
        Role::LeaveUnread => {
            let consumer = join::<F>(name);
            ready();
            drop(consumer);
        }
        Role::Panic => {
            let mut consumer = join::<F>(name);
            ready();
            for _ in 0..3 {
                drop(consumer.consume_next_leased().unwrap());
            }
            let _event = consumer.consume_next_leased().unwrap();
            std::panic::resume_unwind(Box::new("the handler's"));
        }
        Role::PublishAndPanic => {
            let mut producer = build();
            ready();
            for sequence in 0..5 {
                producer.publish(|event| event.fill(sequence)).unwrap();
            }
            std::panic::resume_unwind(Box::new("the application's"));
        }
        Role::Join => {
            ready();
            drop(join::<F>(name));
        }
    }
}

fn publish<F: InForm>(mut producer: SharedProducer<Event, F>, pause: impl Fn(&SharedProducer<Event, F>, i64)) {
    ready();
    loop {
        let sequence = producer.last_published_sequence() + 1;
        producer.publish(|event| event.fill(sequence)).unwrap();
        pause(&producer, sequence);
    }
}

fn join<F: InForm>(name: &str) -> SharedConsumer<Event, F> {
    let builder = F::ring(name).with_wait_strategy(WaitStrategy::Block);
    match std::env::var(ID) {
        Ok(id) => builder.with_consumer_id(id),
        Err(_) => builder,
    }
    .build_consumer()
    .unwrap()
}
