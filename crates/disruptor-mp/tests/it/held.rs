//! Messages that are held: they are taken in order and released in any order, from any thread. An end that goes gives
//! back those that it has not released.

use crate::actor::Actor;
use crate::stage::{Step, drain, everywhere, fill, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::liveness::{Ending, StallReport};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, ConsumerInfo, HeldBatch, HeldEvent, HeldLimit, HeldRecord, Holds, JoinError, Messages,
    MultiProcessError, Patience, RecordConsumer, RecordProducer, Release, SharedConsumer, SharedDisruptorBuilder,
    SharedProducer, StartAt, attach_shared_consumer,
};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Mutex;
use std::time::Duration;
use testkit::names::ShmGuard;

/// How many messages one consumer gets at most, counted from the oldest that it holds.
const BOUND: usize = disruptor_mp::HELD_MAX;

/// A ring of either kind, whose messages contain their own numbers.
pub(crate) trait Kind {
    type Producer;
    type Consumer: Holds<Held = Self::Held, Error = ConsumeError> + Send;
    type Held: Release + std::fmt::Debug;

    /// A ring with room for `messages`.
    fn producer(place: &Place, messages: usize) -> Self::Producer;
    fn consumer(place: &Place, id: &str) -> Result<Self::Consumer, MultiProcessError>;
    fn keep_place(consumer: &mut Self::Consumer);
    /// Publishes one message if there is room for it.
    fn publish(producer: &mut Self::Producer) -> bool;
    /// The number of the message, and how often it was redelivered.
    fn seen(held: &Self::Held) -> (i64, u32);
    /// Reads one message and acknowledges it.
    fn read(consumer: &mut Self::Consumer) -> Result<Option<(i64, u32)>, ConsumeError>;
    /// Reads one message and gives it back.
    fn peek(consumer: &mut Self::Consumer) -> Option<i64>;
    fn handle_all(consumer: &mut Self::Consumer) -> Vec<i64>;
    fn messages(consumer: &mut Self::Consumer) -> Messages<'_, Self::Consumer>;
    fn consumers(producer: &Self::Producer) -> Vec<ConsumerInfo>;
    /// The position of the only consumer.
    fn gate(producer: &Self::Producer) -> i64 {
        Self::consumers(producer)[0].position
    }
    fn report(producer: &mut Self::Producer) -> StallReport;
}

pub(crate) struct Events;

impl Kind for Events {
    type Producer = SharedProducer<Step>;
    type Consumer = SharedConsumer<Step>;
    type Held = HeldEvent<Step>;

    fn producer(place: &Place, messages: usize) -> Self::Producer {
        ring(place, messages).build_producer(step).unwrap()
    }
    fn consumer(place: &Place, id: &str) -> Result<Self::Consumer, MultiProcessError> {
        attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(id).build_consumer()
    }
    fn keep_place(consumer: &mut Self::Consumer) {
        consumer.keep_place();
    }
    fn publish(producer: &mut Self::Producer) -> bool {
        let next = producer.last_published_sequence() + 1;
        producer.try_publish(|slot| slot.sequence = next as u64).is_ok()
    }
    fn seen(held: &Self::Held) -> (i64, u32) {
        assert_eq!(held.sequence as i64, held.sequence(), "an event under the number of another");
        (held.sequence(), held.redeliveries())
    }
    fn read(consumer: &mut Self::Consumer) -> Result<Option<(i64, u32)>, ConsumeError> {
        Ok(consumer.try_consume_next_leased().map(|event| (event.sequence(), event.redeliveries())))
    }
    fn peek(consumer: &mut Self::Consumer) -> Option<i64> {
        let event = consumer.try_consume_next_leased()?;
        let number = event.sequence();
        event.release_unread();
        Some(number)
    }
    fn handle_all(consumer: &mut Self::Consumer) -> Vec<i64> {
        crate::stage::drain(consumer)
    }
    fn messages(consumer: &mut Self::Consumer) -> Messages<'_, Self::Consumer> {
        consumer.messages()
    }
    fn consumers(producer: &Self::Producer) -> Vec<ConsumerInfo> {
        producer.consumers()
    }
    fn report(producer: &mut Self::Producer) -> StallReport {
        producer.stall_report()
    }
}

pub(crate) struct Records;

/// Bytes of a message: two lines with the header.
const LEN: usize = 100;

impl Kind for Records {
    type Producer = RecordProducer;
    type Consumer = RecordConsumer;
    type Held = HeldRecord;

    fn producer(place: &Place, messages: usize) -> Self::Producer {
        let bytes = (messages * 128).next_power_of_two().max(4096);
        SharedDisruptorBuilder::records(place.clone(), bytes).build_record_producer().unwrap()
    }
    fn consumer(place: &Place, id: &str) -> Result<Self::Consumer, MultiProcessError> {
        SharedDisruptorBuilder::records(place.clone(), 0).with_consumer_id(id).build_record_consumer()
    }
    fn keep_place(consumer: &mut Self::Consumer) {
        consumer.keep_place();
    }
    fn publish(producer: &mut Self::Producer) -> bool {
        let next = producer.last_published_sequence() + 1;
        producer.publish(&[next as u8; LEN], 7, 0, Patience::Now).is_ok()
    }
    fn seen(held: &Self::Held) -> (i64, u32) {
        assert_eq!((held.len(), held.kind()), (LEN, 7));
        assert!(held.iter().all(|byte| *byte == held.sequence() as u8), "a record under the number of another");
        (held.sequence(), held.redeliveries())
    }
    fn read(consumer: &mut Self::Consumer) -> Result<Option<(i64, u32)>, ConsumeError> {
        Ok(consumer.next(Patience::Now)?.map(|record| (record.sequence(), record.redeliveries())))
    }
    fn peek(consumer: &mut Self::Consumer) -> Option<i64> {
        let record = consumer.next(Patience::Now).unwrap()?;
        let number = record.sequence();
        record.release_unread();
        Some(number)
    }
    fn handle_all(consumer: &mut Self::Consumer) -> Vec<i64> {
        let mut seen = vec![];
        consumer.process_available(|bytes, meta| {
            assert!(bytes.iter().all(|byte| *byte == meta.sequence as u8), "a record under the number of another");
            seen.push(meta.sequence);
        });
        seen
    }
    fn messages(consumer: &mut Self::Consumer) -> Messages<'_, Self::Consumer> {
        consumer.messages()
    }
    fn consumers(producer: &Self::Producer) -> Vec<ConsumerInfo> {
        producer.consumers()
    }
    fn report(producer: &mut Self::Producer) -> StallReport {
        producer.stall_report()
    }
}

/// Runs a claim about rings of either kind in places of every kind.
macro_rules! for_both {
    ($claim:ident) => {
        everywhere(|place| $claim::<Events>(&place));
        everywhere(|place| $claim::<Records>(&place));
    };
}

/// A ring with `published` messages, and a consumer `w`.
fn stage<K: Kind>(place: &Place, size: usize, published: usize) -> (K::Producer, K::Consumer) {
    let mut producer = K::producer(place, size);
    let consumer = K::consumer(place, "w").unwrap();
    for _ in 0..published {
        assert!(K::publish(&mut producer));
    }
    (producer, consumer)
}

/// The next message, which must have that number and be there now.
#[track_caller]
fn take<K: Kind>(consumer: &mut K::Consumer, number: i64, redeliveries: u32) -> K::Held {
    let held = consumer.take_held(Patience::Now).unwrap().expect("there is one");
    assert_eq!(K::seen(&held), (number, redeliveries));
    held
}

pub(crate) fn drop_by_panic<T>(it: T) {
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _it = it;
        resume_unwind(Box::new("on purpose"));
    }));
    assert!(panicked.is_err());
}

#[test]
fn messages_are_released_in_any_order_and_the_producer_waits_for_the_oldest() {
    fn claim<K: Kind>(place: &Place) {
        let (mut producer, mut consumer) = stage::<K>(place, 4, 4);
        let mut held: Vec<_> = (0..4).map(|number| Some(take::<K>(&mut consumer, number, 0))).collect();
        assert!(consumer.take_held(Patience::Now).unwrap().is_none(), "nothing is there");
        for (released, gate) in [(2, 0), (1, 0), (0, 3), (3, 4)] {
            let message = held[released].take().unwrap();
            std::thread::spawn(move || Release::release(message)).join().unwrap();
            assert_eq!(K::gate(&producer), gate, "after {released}");
            for message in held.iter().flatten() {
                K::seen(message);
            }
        }
        assert!(K::publish(&mut producer));
        assert_eq!(K::read(&mut consumer).unwrap(), Some((4, 0)));
        assert_eq!(K::gate(&producer), 5, "a consumer that holds nothing is as before");
    }
    for_both!(claim);
}

#[test]
fn what_is_held_is_not_overwritten() {
    fn claim<K: Kind>(place: &Place) {
        let (mut producer, mut consumer) = stage::<K>(place, 8, 3);
        let oldest = take::<K>(&mut consumer, 0, 0);
        let mut published = 3;
        while K::publish(&mut producer) {
            published += 1;
        }
        // Everything else is read, and makes no room.
        for number in 1..published {
            assert_eq!(K::read(&mut consumer).unwrap(), Some((number, 0)));
        }
        assert!(!K::publish(&mut producer));
        assert_eq!(K::seen(&oldest), (0, 0));
        Release::release(oldest);
        assert!(K::publish(&mut producer), "all that was read makes room");
        assert_eq!(K::gate(&producer), published);
    }
    for_both!(claim);
}

#[test]
fn what_is_dropped_without_being_released_comes_again_before_newer_messages_and_is_marked() {
    fn claim<K: Kind>(place: &Place) {
        let (producer, mut consumer) = stage::<K>(place, 8, 6);
        let [a, b, c] = [0, 1, 2].map(|number| take::<K>(&mut consumer, number, 0));
        drop(c);
        std::thread::spawn(move || drop_by_panic(b)).join().unwrap();
        assert_eq!(K::peek(&mut consumer), Some(1), "one that is peeked at stays given back");
        assert_eq!(K::peek(&mut consumer), Some(1));
        let b = take::<K>(&mut consumer, 1, 1);
        drop(b);
        assert_eq!(K::read(&mut consumer).unwrap(), Some((1, 2)), "its count grows");
        assert_eq!(K::gate(&producer), 0);
        assert_eq!(K::read(&mut consumer).unwrap(), Some((2, 1)));
        assert_eq!(K::read(&mut consumer).unwrap(), Some((3, 0)));
        Release::release(a);
        assert_eq!(K::gate(&producer), 4);
        assert_eq!(K::handle_all(&mut consumer), [4, 5]);
        assert_eq!(K::gate(&producer), 6);
    }
    for_both!(claim);
}

#[test]
fn a_handler_gets_what_was_given_back_and_what_is_new_while_older_messages_are_held() {
    fn claim<K: Kind>(place: &Place) {
        let (producer, mut consumer) = stage::<K>(place, 8, 5);
        let [a, b, c] = [0, 1, 2].map(|number| take::<K>(&mut consumer, number, 0));
        drop(b);
        assert_eq!(K::handle_all(&mut consumer), [1, 3, 4]);
        assert_eq!(K::gate(&producer), 0);
        Release::release(a);
        assert_eq!(K::gate(&producer), 2);
        Release::release(c);
        assert_eq!(K::gate(&producer), 5);
    }
    for_both!(claim);
}

#[test]
fn at_the_bound_the_release_of_the_oldest_ends_the_wait_and_the_release_of_others_does_not() {
    fn claim<K: Kind>(place: &Place) {
        let (_producer, mut consumer) = stage::<K>(place, 128, BOUND + 2);
        let mut held: Vec<_> = (0..BOUND as i64).map(|number| take::<K>(&mut consumer, number, 0)).collect();
        is_at_the_limit::<K>(&mut consumer, BOUND);
        // Not the oldest: the producer keeps waiting, and so does the consumer.
        Release::release(held.remove(40));
        is_at_the_limit::<K>(&mut consumer, BOUND - 1);
        let oldest = held.remove(0);
        let order = Mutex::new(vec![]);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let seen = take_waiting::<K>(&mut consumer);
                order.lock().unwrap().push("the wait has ended");
                seen
            });
            held.into_iter().for_each(Release::release);
            order.lock().unwrap().push("all but the oldest are released");
            Release::release(oldest);
            assert_eq!(waiting.join().unwrap(), (BOUND as i64, 0));
        });
        assert_eq!(order.into_inner().unwrap(), ["all but the oldest are released", "the wait has ended"]);
    }
    /// With any patience, the error says why there is no message: what is held, since when, and how long the call
    /// waited.
    #[track_caller]
    fn is_at_the_limit<K: Kind>(consumer: &mut K::Consumer, are_held: usize) {
        for (patience, says) in [(Patience::Now, ""), (Duration::from_millis(5).into(), ", and this call waited …")] {
            let error = consumer.take_held(patience).unwrap_err();
            let ConsumeError::HeldLimit(limit) = &error else { panic!("{error:?}") };
            let HeldLimit { held, oldest: 0, oldest_for, waited, .. } = **limit else { panic!("{error:?}") };
            assert!(held == are_held && oldest_for >= waited, "{error:?}");
            assert_eq!(waited.is_zero(), patience == Patience::Now);
            assert!(error.is_held_limit() && error.is_timed_out() && !error.is_end());
            let text = error.to_string().replace(&format!("{waited:?}"), "…").replace(&format!("{oldest_for:?}"), "…");
            assert_eq!(
                text,
                format!(
                    "no newer message is handed out before message 0 is released, which has been held for …: a consumer is \
                     handed no more than 64 from the oldest that it holds on (it holds {are_held}{says}). Release the \
                     oldest first"
                )
            );
        }
    }
    fn take_waiting<K: Kind>(consumer: &mut K::Consumer) -> (i64, u32) {
        let held = consumer.take_held(Patience::Endless).unwrap().unwrap();
        let seen = K::seen(&held);
        Release::release(held);
        seen
    }
    for_both!(claim);
}

#[test]
fn a_wait_for_a_message_ends_when_one_is_given_back() {
    fn claim<K: Kind>(place: &Place) {
        let (_producer, mut consumer) = stage::<K>(place, 4, 2);
        let (a, b) = (take::<K>(&mut consumer, 0, 0), take::<K>(&mut consumer, 1, 0));
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| K::seen(&consumer.take_held(Patience::Endless).unwrap().unwrap()));
            drop(b);
            assert_eq!(waiting.join().unwrap(), (1, 1));
        });
        Release::release(a);
    }
    for_both!(claim);
}

/// Whether the id `w` is in use.
fn is_in_use<K: Kind>(place: &Place) -> bool {
    match K::consumer(place, "w") {
        Ok(_) => false,
        Err(MultiProcessError::Join { source: JoinError::IdInUse { .. }, .. }) => true,
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn the_place_the_lock_and_the_bytes_live_until_the_last_message_is_gone() {
    fn claim<K: Kind>(place: &Place) {
        let (mut producer, mut consumer) = stage::<K>(place, 4, 3);
        let [a, b] = [0, 1].map(|number| take::<K>(&mut consumer, number, 0));
        drop(consumer);
        assert!(is_in_use::<K>(place), "a message is held");
        Release::release(a);
        assert_eq!(K::gate(&producer), 1);
        while K::publish(&mut producer) {}
        assert!(is_in_use::<K>(place));
        assert_eq!(K::seen(&b), (1, 0));
        Release::release(b);
        // The consumer should give up its entry: it has.
        assert!(K::publish(&mut producer), "it holds the producer back although it has left");
    }
    for_both!(claim);
}

#[test]
fn a_place_that_is_kept_is_kept_once_the_last_message_is_gone_and_its_successor_gets_what_was_not_released() {
    fn claim<K: Kind>(place: &Place) {
        let (producer, mut consumer) = stage::<K>(place, 8, 6);
        K::keep_place(&mut consumer);
        let [a, b, c, d] = [0, 1, 2, 3].map(|number| take::<K>(&mut consumer, number, 0));
        assert_eq!(K::read(&mut consumer).unwrap(), Some((4, 0)), "dropped while older ones are held");
        drop(consumer);
        Release::release(c);
        Release::release(a);
        assert!(is_in_use::<K>(place));
        drop(d);
        assert!(is_in_use::<K>(place));
        drop(b);
        let mut back = K::consumer(place, "w").unwrap();
        assert_eq!(K::gate(&producer), 1);
        // The first is the one that blocked the ring; the others were handed out as well.
        let again = take::<K>(&mut back, 1, 1);
        assert_eq!(K::read(&mut back).unwrap(), Some((3, 1)), "2 was released");
        assert_eq!(K::gate(&producer), 1);
        Release::release(again);
        assert_eq!(K::read(&mut back).unwrap(), Some((5, 0)), "4 was released");
        assert_eq!(K::gate(&producer), 6);
    }
    for_both!(claim);
}

#[test]
fn a_panic_that_drops_the_last_message_keeps_the_place_and_another_drop_does_not() {
    fn claim<K: Kind>(place: &Place) {
        let (producer, mut consumer) = stage::<K>(place, 4, 2);
        let (a, b) = (take::<K>(&mut consumer, 0, 0), take::<K>(&mut consumer, 1, 0));
        drop(consumer);
        drop_by_panic(a);
        drop(b);
        assert_eq!(K::consumers(&producer)[0].ending, Some(Ending::Panicked));
        let mut back = K::consumer(place, "w").unwrap();
        drop((take::<K>(&mut back, 0, 1), take::<K>(&mut back, 1, 1)));
        let again = take::<K>(&mut back, 0, 2);
        drop(back);
        drop(again);
        assert_eq!(K::consumers(&producer), [], "it was not to keep its entry");
    }
    for_both!(claim);
}

#[test]
fn a_report_says_which_messages_are_held_and_since_when() {
    fn claim<K: Kind>(place: &Place) {
        let (mut producer, mut consumer) = stage::<K>(place, 32, 16);
        assert_eq!(K::consumers(&producer)[0].held, None);
        let mut held: Vec<_> = (0..12).map(|number| Some(take::<K>(&mut consumer, number, 0))).collect();
        for number in [2, 7] {
            Release::release(held[number].take().unwrap());
        }
        drop(held[5].take());
        while K::publish(&mut producer) {}
        let report = K::report(&mut producer);
        let told = report.culprit.as_ref().unwrap().held.clone().unwrap();
        assert_eq!(told.sequences, [0, 1, 3, 4, 5, 6, 8, 9, 10, 11]);
        assert!(!told.oldest_for.is_zero());
        let text = report.to_string();
        assert!(text.contains(", holds 0, 1, 3, 4, 5, 6, 8, 9 and 2 more, the oldest since "), "{text}");
        assert!(!text.contains("inside its handler"), "{text}");
        for message in held.into_iter().flatten() {
            Release::release(message);
        }
        assert_eq!(K::consumers(&producer)[0].held.as_ref().map(|held| held.sequences.clone()), Some(vec![5]));
        assert_eq!(K::read(&mut consumer).unwrap(), Some((5, 1)));
        assert_eq!(K::consumers(&producer)[0].held, None);
    }
    for_both!(claim);
}

#[test]
fn a_for_loop_over_three_messages_sees_each_once() {
    fn claim<K: Kind>(place: &Place) {
        let (producer, mut consumer) = stage::<K>(place, 4, 3);
        drop(producer);
        let mut seen = vec![];
        for message in K::messages(&mut consumer) {
            seen.push(K::seen(&message.unwrap()));
        }
        assert_eq!(seen, [(0, 0), (1, 0), (2, 0)]);
        assert!(K::messages(&mut consumer).next().is_none(), "closed");
        assert!(matches!(consumer.take_held(Patience::Now), Ok(None) | Err(ConsumeError::Closed)));
    }
    for_both!(claim);
}

#[test]
fn a_message_of_a_loop_is_released_by_a_drop_given_back_by_a_panic_and_can_be_held() {
    fn claim<K: Kind>(place: &Place) {
        let (producer, mut consumer) = stage::<K>(place, 8, 4);
        let mut held = vec![];
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            for message in K::messages(&mut consumer) {
                let message = message.unwrap();
                match K::seen(&message).0 {
                    0 => drop(message),
                    1 => held.push(message.hold()),
                    _ => resume_unwind(Box::new("on purpose")),
                }
            }
        }));
        assert!(panicked.is_err());
        assert_eq!(K::gate(&producer), 1);
        assert_eq!(K::read(&mut consumer).unwrap(), Some((2, 1)));
        Release::release(held.pop().unwrap());
        assert_eq!(K::gate(&producer), 3);
        assert_eq!(K::read(&mut consumer).unwrap(), Some((3, 0)));
    }
    for_both!(claim);
}

#[test]
fn a_loop_ends_with_the_error_that_ends_the_ring() {
    fn claim<K: Kind>(place: &Place) {
        let (producer, mut consumer) = stage::<K>(place, 4, 1);
        drop_by_panic(producer);
        let mut messages = K::messages(&mut consumer);
        assert_eq!(K::seen(&messages.next().unwrap().unwrap()), (0, 0));
        assert!(matches!(messages.next(), Some(Err(ConsumeError::ProducerDied { .. }))));
        assert!(messages.next().is_none());
    }
    for_both!(claim);
}

#[test]
fn several_events_are_held_and_come_again_as_one() {
    everywhere(|place| {
        let mut producer = ring(&place, 16).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        consumer.keep_place();
        publish(&mut producer, 12);
        let first = consumer.try_consume_next_leased().unwrap().hold();
        let numbers = |batch: &HeldBatch<Step>| batch.iter().map(|event| event.sequence as i64).collect::<Vec<_>>();
        // While older ones are held, events are handed out one at a time; before, three were looked at together.
        assert!(consumer.peek_at(2).is_some());
        let batch = consumer.lease_peeked(3).hold();
        assert_eq!((batch.first_sequence(), numbers(&batch)), (1, vec![1, 2, 3]));
        let other = consumer.try_consume_next_leased().unwrap().hold();
        drop(batch);
        assert!(consumer.peek_at(2).is_some() && consumer.peek_at(3).is_none(), "what follows is not of this message");
        let batch = consumer.lease_peeked(3).hold();
        assert_eq!((numbers(&batch), batch.redeliveries()), (vec![1, 2, 3], 1));
        batch.release();
        other.release();
        assert_eq!(producer.consumers()[0].held.as_ref().unwrap().sequences, [0]);
        drop((consumer, first));
        let mut back = join(&place, "w");
        assert_eq!(drain(&mut back), [0, 5, 6, 7, 8, 9, 10, 11], "released were 1 to 4, as two messages");
        assert_eq!(fill(&mut producer), 16);
    });
}

#[test]
fn what_was_peeked_at_is_taken_before_an_older_event_that_comes_back_meanwhile() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 6);
        let oldest = consumer.next_held(Patience::Now).unwrap().unwrap();
        assert_eq!(consumer.peek_at(0).unwrap().sequence, 1);
        drop(oldest);
        assert_eq!(consumer.peek_at(1).unwrap().sequence, 2);
        assert_eq!(consumer.lease_peeked(2).first_sequence(), 1);
        assert_eq!(drain(&mut consumer), [0, 3, 4, 5]);
        assert_eq!(producer.consumers()[0].position, 6);
    });
}

#[test]
fn a_part_of_a_batch_that_came_back_can_be_taken() {
    everywhere(|place| {
        let mut producer = ring(&place, 16).build_producer(step).unwrap();
        let mut consumer = join(&place, "w");
        publish(&mut producer, 6);
        drop(consumer.try_consume_batch_leased(4).unwrap().hold());
        let event = consumer.try_consume_next_leased().unwrap();
        assert_eq!((event.sequence(), event.redeliveries()), (0, 1));
        drop(event);
        assert_eq!(producer.consumers()[0].position, 1);
        consumer.try_consume_batch_leased(2).unwrap().hold().release();
        assert_eq!(producer.consumers()[0].position, 3);
        assert_eq!(drain(&mut consumer), [3, 4, 5]);
        assert_eq!(producer.consumers()[0].position, 6);
    });
}

#[test]
fn what_was_released_is_not_handed_out_to_who_comes_after_a_kill() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 16).build_producer(step).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    publish(&mut producer, 16);
    for _ in 0..6 {
        consumer.does("take");
    }
    for released in [4, 2, 3] {
        consumer.does(format!("release {released}"));
    }
    // Read without being held.
    consumer.does("read");
    consumer.does("give-back 5");
    assert_eq!(producer.consumers()[0].held.as_ref().unwrap().sequences, [0, 1, 5]);
    consumer.dies();
    let mut back = join(&place, "w");
    assert_eq!(drain(&mut back), [0, 1, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
    assert_eq!(fill(&mut producer), 16);
}

#[test]
fn a_consumer_of_another_id_is_handed_what_the_last_one_in_its_place_had_released() {
    everywhere(|place| {
        let mut producer = ring(&place, 8).build_producer(step).unwrap();
        publish(&mut producer, 4);
        let start =
            |id| attach_shared_consumer::<Step>(place.clone(), 0).with_consumer_id(id).start_at(StartAt::Beginning);
        let mut first = start("a").build_consumer().unwrap();
        let oldest = first.next_held(Patience::Now).unwrap().unwrap();
        drop(first.try_consume_next_leased());
        drop(first);
        oldest.release();
        let mut second = start("b").build_consumer().unwrap();
        assert_eq!(drain(&mut second), [0, 1, 2, 3]);
    });
}

#[test]
fn what_a_child_of_a_fork_has_of_held_messages_does_nothing() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let (mut producer, mut consumer) = stage::<Events>(&place, 8, 4);
    let [a, b] = [0, 1].map(|number| take::<Events>(&mut consumer, number, 0));
    let lease = consumer.try_consume_next_leased().unwrap();
    let (mut a, mut b) = (Some(a), Some(b));
    let mut lease = Some(lease);
    let mut child = testkit::fork::fork_then(|| {
        a.take().unwrap().release();
        drop(b.take());
        drop(lease.take().unwrap().hold());
        0
    });
    assert_eq!(child.wait_exit(testkit::watchdog::PATIENCE).code(), Some(0), "101: a call panicked");
    assert_eq!(producer.consumers()[0].held.as_ref().unwrap().sequences, [0, 1, 2]);
    drop(lease);
    for message in [a, b].into_iter().flatten() {
        message.release();
    }
    assert_eq!(producer.consumers()[0].position, 3);
    publish(&mut producer, 7);
    assert_eq!(drain(&mut consumer), [3, 4, 5, 6, 7, 8, 9, 10]);
}

#[test]
fn counters_count_what_is_released_wherever_that_happens() {
    everywhere(|place| {
        let (mut producer, mut consumer) = stage::<Events>(&place, 8, 6);
        let value = |producer: &SharedProducer<Step>| {
            let counters = producer.ring_counters().snapshot();
            counters
                .into_iter()
                .filter(|counter| counter.id == ids::EVENTS_CONSUMED)
                .map(|counter| counter.value)
                .sum::<u64>()
        };
        let held: Vec<_> = (0..4).map(|number| take::<Events>(&mut consumer, number, 0)).collect();
        drop(consumer.try_consume_next_leased());
        assert_eq!(value(&producer), 1);
        std::thread::scope(|scope| {
            for message in held {
                scope.spawn(|| message.release());
            }
        });
        assert_eq!(value(&producer), 5);
        drop(consumer.try_consume_next_leased());
        assert_eq!(value(&producer), 6);
        publish(&mut producer, 1);
    });
}
