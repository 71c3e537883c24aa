//! Waiting for several consumers at once: one event wakes the waiter, all ready consumers are named in turn, and ends
//! and deaths are reported.

use crate::stage::{PATIENCE, in_ms};
use disruptor_mp::{
    ConsumeError, HELD_MAX, Patience, Place, Ready, RecordConsumer, RecordProducer, Select, Selectable, SharedConsumer,
    SharedDisruptorBuilder, SharedProducer, WaitStrategy, attach_shared_consumer, build_shared_single_producer,
};
use std::collections::BTreeMap;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::usage::Usage;
use testkit::watchdog::Watchdog;

fn watchdog() -> Watchdog {
    Watchdog::new(PATIENCE, "a select")
}

fn events(wait: WaitStrategy) -> (SharedProducer<u64>, SharedConsumer<u64>) {
    let place = Place::heap();
    let producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0).unwrap();
    let consumer = attach_shared_consumer::<u64>(&place, 8).with_wait_strategy(wait).with_consumer_id("c");
    (producer, consumer.build_consumer().unwrap())
}

fn records() -> (RecordProducer, RecordConsumer) {
    let place = Place::heap();
    let producer = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
    (producer, SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap())
}

fn all(consumers: &mut [SharedConsumer<u64>]) -> Vec<&mut dyn Selectable> {
    consumers.iter_mut().map(|consumer| consumer as &mut dyn Selectable).collect()
}

/// The indices of the consumers that have something to read.
fn ready(select: &mut Select, consumers: &mut [&mut dyn Selectable], patience: Patience) -> Vec<usize> {
    let named = select.wait(consumers, patience).into_iter();
    named.map(|ready| ready.outcome.map(|()| ready.index)).collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_consumer_at_the_held_limit_is_waited_for_until_its_oldest_is_released_and_named_when_that_is_too_late() {
    let _watchdog = watchdog();
    for wait in [WaitStrategy::BusySpin, WaitStrategy::Block, WaitStrategy::Adaptive] {
        let place = Place::heap();
        let mut producer = build_shared_single_producer::<u64>(&place, 128).build_producer(|| 0).unwrap();
        let builder = attach_shared_consumer::<u64>(&place, 0).with_wait_strategy(wait).with_consumer_id("c");
        let (mut full, (mut other, mut idle)) = (builder.build_consumer().unwrap(), events(wait));
        producer.publish_batch(HELD_MAX + 1, |slot, number| *slot = number as u64).unwrap();
        let mut held: Vec<_> = (0..HELD_MAX).map(|_| full.next_held(Patience::Now).unwrap().unwrap()).collect();
        let mut select = Select::new();
        for patience in [Patience::Now, in_ms(5).into()] {
            let named = select.wait(&mut [&mut idle, &mut full], patience);
            let [Ready { index: 1, outcome: Err(error), .. }] = &named[..] else { panic!("{named:?}") };
            let ConsumeError::HeldLimit(limit) = error else { panic!("{error:?}") };
            assert_eq!((limit.held, limit.oldest), (HELD_MAX, 0));
            assert_eq!(limit.waited.is_zero(), patience == Patience::Now);
        }
        // An event of another ring is not delayed, and comes alone.
        other.publish(|slot| *slot = 1).unwrap();
        assert_eq!(ready(&mut select, &mut [&mut idle, &mut full], Patience::Endless), [0]);
        idle.skip();
        let oldest = held.remove(0);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| ready(&mut select, &mut [&mut idle, &mut full], Patience::Endless));
            oldest.release();
            assert_eq!(waiting.join().unwrap(), [1]);
        });
    }
}

#[test]
fn whichever_ring_gets_something_ends_the_wait_and_is_named() {
    let _watchdog = watchdog();
    let strategies = [WaitStrategy::BusySpin, WaitStrategy::Block, WaitStrategy::Adaptive];
    for wait in strategies.into_iter().chain([WaitStrategy::Sleep(Duration::from_millis(1))]) {
        let ((mut first, mut one), (mut second, mut two), mut select) = (events(wait), records(), Select::new());
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for round in 0..200_u64 {
                    if round % 3 == 0 {
                        second.publish(&round.to_le_bytes(), 0, 0, Patience::Endless).unwrap();
                        second.wait_until_consumed((round / 3) as i64, Patience::Endless).unwrap();
                    } else {
                        let sequence = first.publish(|event| *event = round).unwrap();
                        first.wait_until_consumed(sequence, Patience::Endless).unwrap();
                    }
                }
            });
            for round in 0..200_u64 {
                let expected = usize::from(round % 3 == 0);
                assert_eq!(ready(&mut select, &mut [&mut one, &mut two], Patience::Endless), [expected]);
                let got = if expected == 1 {
                    let record = two.next(Patience::Now).unwrap().unwrap();
                    u64::from_le_bytes(record[..].try_into().unwrap())
                } else {
                    *one.next(Patience::Now).unwrap().unwrap()
                };
                assert_eq!(got, round);
            }
        });
    }
}

#[test]
fn no_consumer_is_kept_waiting_by_others_that_always_have_something() {
    let (mut producers, mut consumers): (Vec<_>, Vec<_>) = (0..3).map(|_| events(WaitStrategy::Block)).unzip();
    for producer in &mut producers {
        producer.publish_batch(8, |_, _| ()).unwrap();
    }
    let mut select = Select::new();
    // Waits that name one consumer at a time name each in turn.
    let mut order = vec![];
    for _ in 0..9 {
        let named = ready(&mut select, &mut all(&mut consumers), Patience::Endless);
        assert_eq!(named.len(), 3, "all that are ready are named");
        order.push(named[0]);
    }
    assert_eq!(order, [0, 1, 2, 0, 1, 2, 0, 1, 2]);
}

#[test]
fn a_select_is_as_patient_as_it_is_told() {
    let _watchdog = watchdog();
    let ((mut producer, mut one), (_records, mut two)) = (events(WaitStrategy::Adaptive), records());
    let mut select = Select::new();
    assert!(select.wait(&mut [], Patience::Endless).is_empty(), "there is nothing to wait for");
    assert!(select.wait(&mut [&mut one, &mut two], Patience::Now).is_empty());
    assert!(select.wait(&mut [&mut one, &mut two], in_ms(20)).is_empty());
    assert!(select.wait(&mut [&mut one, &mut two], Duration::from_millis(20)).is_empty());
    producer.publish(|_| ()).unwrap();
    assert_eq!(ready(&mut select, &mut [&mut two, &mut one], Patience::Now), [1]);
    assert_eq!(ready(&mut select, &mut [&mut two, &mut one], Patience::Until(in_ms(0))), [1], "it was not taken");
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_publishes_one() {
    if !is_victim() {
        return;
    }
    let mut producer = SharedProducer::create(role().unwrap(), 8, || 0_u64).unwrap();
    producer.publish(|event| *event = 1).unwrap();
    say("READY");
    wait_to_be_killed();
}

#[test]
fn of_300_consumers_each_event_is_seen_once_and_an_end_a_death_and_a_replacement_are_told() {
    let _watchdog = watchdog();
    const RINGS: usize = 300;
    const EVENTS: u64 = 20;
    let shm = ShmGuard::new();
    let mut victim = Respawn::test(test_name!(victim_that_publishes_one)).role(shm.name("v")).spawn();
    victim.wait_line("READY");
    let (mut producers, mut consumers): (Vec<_>, Vec<_>) =
        (0..RINGS).map(|_| events(WaitStrategy::Adaptive)).map(|(p, c)| (Some(p), c)).unzip();
    // Another thread sleeps for this one, which dies.
    let dying = RINGS - 5;
    consumers[dying] = attach_shared_consumer::<u64>(shm.name("v"), 8).build_consumer().unwrap();
    producers[dying] = None;
    let publisher = std::thread::spawn(move || {
        for number in 0..EVENTS {
            // In an order in which consecutive rings are far from each other.
            for ring in (0..RINGS).map(|i| i * 77 % RINGS) {
                if let Some(producer) = &mut producers[ring] {
                    producer.publish(|event| *event = number).unwrap();
                }
            }
        }
        producers
    });
    let mut select = Select::new();
    let mut seen = vec![0; RINGS];
    let mut ends = BTreeMap::new();
    while seen.iter().enumerate().any(|(ring, count)| ring != dying && *count < EVENTS) {
        let named = select.wait(&mut all(&mut consumers), Patience::Endless);
        assert!(!named.is_empty());
        for it in named {
            it.outcome.unwrap();
            while let Some(event) = consumers[it.index].next(Patience::Now).unwrap() {
                if it.index != dying {
                    assert_eq!(*event, seen[it.index]);
                    seen[it.index] += 1;
                }
            }
        }
    }
    let mut producers = publisher.join().unwrap();
    assert!(select.wait(&mut all(&mut consumers), in_ms(5)).is_empty(), "everything was read, and all live");

    // Closed: one for which this thread sleeps, and one for which another thread does. And the one that dies.
    producers[3] = None;
    producers[RINGS - 1] = None;
    victim.kill_and_reap();
    let mut left: Vec<usize> = (0..RINGS).collect();
    while ends.len() < 3 {
        let mut some = all(&mut consumers).into_iter().enumerate().collect::<Vec<_>>();
        some.retain(|(ring, _)| left.contains(ring));
        let mut some: Vec<_> = some.into_iter().map(|(_, consumer)| consumer).collect();
        for it in select.wait(&mut some, Patience::Endless) {
            ends.insert(left[it.index], it.outcome.unwrap_err());
        }
        left.retain(|ring| !ends.contains_key(ring));
    }
    assert!(ends[&3].is_closed() && ends[&(RINGS - 1)].is_closed(), "{ends:?}");
    assert!(matches!(ends[&dying], ConsumeError::ProducerDied { .. }), "{ends:?}");
}

#[test]
fn what_was_published_before_an_end_comes_first_and_the_end_is_told_at_every_call() {
    let _watchdog = watchdog();
    let ((mut producer, mut one), (_records, mut two)) = (events(WaitStrategy::Block), records());
    producer.publish(|_| ()).unwrap();
    drop(producer);
    let mut select = Select::new();
    assert_eq!(ready(&mut select, &mut [&mut one, &mut two], Patience::Endless), [0]);
    drop(one.next(Patience::Now).unwrap().unwrap());
    for patience in [Patience::Endless, Patience::Now] {
        let named = select.wait(&mut [&mut one, &mut two], patience);
        assert!(matches!(&named[..], [end] if end.index == 0 && end.outcome.as_ref().unwrap_err().is_closed()));
    }
}

#[test]
fn a_forked_child_is_told_that_the_consumers_are_its_parents() {
    let _watchdog = watchdog();
    let ((mut producer, mut one), (_records, mut two)) = (events(WaitStrategy::Block), records());
    let mut select = Select::new();
    assert!(select.wait(&mut [&mut one, &mut two], in_ms(1)).is_empty());
    producer.publish(|_| ()).unwrap();
    let mut child = testkit::fork::fork_then(|| {
        let named = select.wait(&mut [&mut one, &mut two], Patience::Endless);
        let is_told = named.iter().all(|it| matches!(it.outcome, Err(ConsumeError::Forked)));
        i32::from(!is_told || named.len() != 2)
    });
    assert!(child.wait_exit(PATIENCE).success());
}

/// In a process of its own, because the other tests use the processor, too.
#[test]
#[ignore = "runs as a victim"]
fn victim_that_selects_in_vain() {
    if !is_victim() {
        return;
    }
    let (_producers, mut consumers): (Vec<_>, Vec<_>) = (0..200).map(|_| events(WaitStrategy::Block)).unzip();
    let mut select = Select::new();
    assert!(select.wait(&mut all(&mut consumers), in_ms(10)).is_empty());
    let begin = Usage::of(std::process::id()).unwrap();
    assert!(select.wait(&mut all(&mut consumers), in_ms(1000)).is_empty());
    let used = Usage::of(std::process::id()).unwrap().since(begin);
    // Two threads with 20 slices each. A thread that looked each millisecond would switch a thousand times.
    assert!(used.voluntary_switches < 200, "{used:?}");
    say("DONE");
}

#[test]
fn an_idle_select_of_200_consumers_wakes_only_to_look_after_its_peers() {
    let _watchdog = watchdog();
    let mut victim = Respawn::test(test_name!(victim_that_selects_in_vain)).spawn();
    victim.wait_line("DONE");
    assert!(victim.wait_exit(PATIENCE).success());
}
