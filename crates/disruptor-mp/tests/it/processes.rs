//! Participants that are stopped, killed, forked and started again: what each peer is told, and what is left.

use crate::actor::Actor;
use crate::stage::{PATIENCE, Step, TempDir, drain, eventually, fill, in_ms, join, publish, ring, step, watchdog};
use disruptor_mp::counters::ids;
use disruptor_mp::liveness::{Ending, ProcessState};
use disruptor_mp::segment::Place;
use disruptor_mp::{
    ConsumeError, JoinError, MultiProcessError, Origin, PublishError, SharedProducer, StallReport, WaitStrategy,
    attach_shared_consumer,
};
use std::process::Command;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::usage::Usage;

/// The report of a publish that gives up on a full ring.
#[track_caller]
fn report_of(producer: &mut SharedProducer<Step>) -> StallReport {
    match producer.publish_deadline(in_ms(30), |_| panic!("must not run")) {
        Err(PublishError::TimedOut { report }) => *report,
        other => panic!("expected a full ring, got {other:?}"),
    }
}

#[test]
fn a_stopped_consumer_is_reported_as_stopped_and_not_as_dead() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    consumer.victim.stop();
    publish(&mut producer, 4);

    let report = report_of(&mut producer);
    let culprit = report.culprit.as_ref().unwrap();
    assert_eq!((culprit.id.as_str(), culprit.process.pid, culprit.lag_events), ("w", consumer.pid(), 4));
    assert_eq!((culprit.is_dead, culprit.facts.state), (false, ProcessState::Stopped));
    assert!(report.to_string().contains(&format!("w pid {} is stopped", consumer.pid())), "{report}");
    assert_eq!(producer.check_peers(), []);
    assert!(!producer.evict_consumer("w").unwrap(), "a stopped process may be reading a slot");

    consumer.victim.cont();
    assert_eq!(consumer.does("consume 4"), "3");
    publish(&mut producer, 4);
}

#[test]
fn nobody_takes_over_from_a_stopped_producer() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = Actor::new();
    producer.does(format!("produce {} 4", shm.name("a")));
    let mut consumer = join(&place, "w");
    producer.victim.stop();

    for builder in [ring(&place, 4), ring(&place, 4).take_over(), ring(&place, 4).replace()] {
        match builder.build_producer(step).map(|producer| producer.origin()) {
            Err(MultiProcessError::InUse { pid, state, .. }) => {
                assert_eq!((pid, state), (producer.pid(), ProcessState::Stopped));
            }
            other => panic!("{other:?}"),
        }
    }
    // A consumer does not consider it dead either.
    assert!(matches!(consumer.consume_next_leased_deadline(in_ms(120)), Err(ConsumeError::TimedOut { .. })));
    consumer.check_producer().unwrap();
    let report = consumer.stall_report(Duration::from_millis(120)).to_string();
    assert!(report.contains("is stopped"), "{report}");

    producer.victim.cont();
    producer.does("publish 3");
    assert_eq!(drain(&mut consumer), [0, 1, 2]);
}

#[test]
fn a_second_producer_is_refused_and_the_live_ring_is_untouched() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    let mut consumer = join(&place, "w");
    publish(&mut producer, 3);
    let mut second = Actor::new();
    for size in [4, 8] {
        let error = second.fails(format!("produce {} {size}", shm.name("a")));
        assert!(error.contains(&format!("in use by producer process {}", std::process::id())), "{error}");
    }
    assert!(matches!(ring(&place, 4).create().build_producer(step), Err(MultiProcessError::AlreadyExists { .. })));
    assert_eq!(drain(&mut consumer), [0, 1, 2]);
    publish(&mut producer, 4);
    assert_eq!(fill(&mut producer), 0);
}

#[test]
fn a_killed_producer_is_named_and_its_ring_goes_on_behind_the_last_event() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut first = Actor::new();
    let pid = first.pid();
    assert_eq!(first.does(format!("produce {} 4", shm.name("a"))), "Created");
    let mut consumer = join(&place, "w");
    let mut tap = attach_shared_consumer(place.clone(), 4).build_tap().unwrap();
    first.does("publish 3");
    first.dies();

    assert!(!tap.producer_is_alive().unwrap());
    for expected in 0..3 {
        assert_eq!(consumer.consume_next_leased().unwrap().sequence, expected);
    }
    match consumer.wait_until_available(None) {
        Err(ConsumeError::ProducerDied { pid: dead, how, report }) => {
            assert_eq!(how, Ending::Killed);
            assert_eq!((dead, report.culprit.as_ref().unwrap().is_dead), (pid, true));
        }
        other => panic!("{other:?}"),
    }
    let mut second = ring(&place, 4).build_producer(step).unwrap();
    assert_eq!((second.origin(), second.last_published_sequence()), (Origin::TookOver, 2));
    publish(&mut second, 4);
    assert_eq!(fill(&mut second), 0, "the consumer gates the second producer as it did the first");
    assert_eq!(drain(&mut consumer), [3, 4, 5, 6]);
    // The tap slept for more than a lap. It continues where it lags by half a lap, and says what it missed.
    let (sequence, event): (_, Step) = tap.next(in_ms(20_000)).unwrap();
    assert_eq!((sequence, event.sequence, tap.missed()), (5, 5, 5));
}

#[test]
fn a_name_whose_producer_was_killed_can_be_used_again_at_once() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    for size in [4, 8] {
        let mut dead = Actor::new();
        dead.does(format!("produce {} 4", shm.name("a")));
        dead.does("publish 9");
        dead.dies();
        // A reader that attaches to the ring it left reads its events, because no consumer has, and then gets an error
        // instead of waiting.
        let mut reader = join(&place, "r");
        assert_eq!(drain(&mut reader).last(), Some(&8));
        assert!(matches!(reader.consume_next_leased(), Err(ConsumeError::ProducerDied { .. })));
        if size == 4 {
            drop(reader); // the last consumer removes the ring of the dead producer
            shm.assert_nothing_left();
        }
        let producer = ring(&place, size).build_producer(step).unwrap();
        let expected = if size == 4 { Origin::Created } else { Origin::Replaced };
        assert_eq!((producer.origin(), producer.last_published_sequence()), (expected, -1));
    }
}

#[test]
fn readers_of_a_replaced_ring_read_what_is_left_and_are_told() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut dead = Actor::new();
    dead.does(format!("produce {} 4", shm.name("a")));
    let mut reader = join(&place, "r");
    dead.does("publish 2");
    dead.dies();
    let mut producer = ring(&place, 4).replace().build_producer(step).unwrap();
    assert_eq!(producer.origin(), Origin::Replaced);
    assert_eq!(reader.consume_next_leased().unwrap().sequence, 0);
    assert_eq!(reader.consume_next_leased().unwrap().sequence, 1);
    assert!(matches!(reader.consume_next_leased(), Err(ConsumeError::Replaced)));
    let mut again = join(&place, "r");
    assert!(!again.has_rejoined());
    publish(&mut producer, 1);
    assert_eq!(drain(&mut again), [0]);
}

#[test]
fn a_position_left_over_from_an_earlier_session_does_not_switch_gating_off() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {} 4", shm.name("a")));
    consumer.does(format!("attach {} w", shm.name("a")));
    for _ in 0..25 {
        producer.does("publish 4");
        consumer.does("consume 4");
    }
    producer.dies();
    consumer.dies();

    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    assert_eq!(producer.origin(), Origin::Replaced);
    let mut consumer = join(&place, "w");
    assert_eq!((consumer.has_rejoined(), consumer.current_sequence()), (false, -1));
    assert_eq!(fill(&mut producer), 4);
    assert_eq!(drain(&mut consumer), [0, 1, 2, 3]);
}

#[test]
fn the_second_live_consumer_of_one_id_is_refused() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let _producer = ring(&place, 4).build_producer(step).unwrap();
    let mut first = Actor::new();
    first.does(format!("attach {} w", shm.name("a")));
    match attach_shared_consumer::<Step>(place, 4).with_consumer_id("w").build_consumer() {
        Err(MultiProcessError::Join { source: JoinError::IdInUse { id, pid }, .. }) => {
            assert_eq!((id.as_str(), pid), ("w", first.pid()));
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("two consumers share one position"),
    }
}

#[test]
fn what_a_killed_consumer_had_not_acknowledged_comes_again_marked() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 8).build_producer(step).unwrap();
    for round in 1..=3 {
        let mut consumer = Actor::new();
        consumer.does(format!("attach {} w", shm.name("a")));
        if round == 1 {
            publish(&mut producer, 8);
            assert_eq!(consumer.does("consume 2"), "1");
        }
        assert_eq!(consumer.does("hold"), "2", "round {round}");
        let pid = consumer.pid();
        consumer.dies();
        publish(&mut producer, if round == 1 { 2 } else { 0 });
        match producer.publish_deadline(in_ms(20_000), |_| ()) {
            Err(PublishError::ConsumerDied { id, pid: dead, .. }) => assert_eq!((id.as_str(), dead), ("w", pid)),
            other => panic!("{other:?}"),
        }
    }
    let mut consumer = join(&place, "w");
    assert!(consumer.has_rejoined());
    let event = consumer.consume_next_leased().unwrap();
    // An event that has killed three consumers may be skipped.
    assert_eq!((event.sequence, event.is_redelivered(), event.redeliveries()), (2, true, 3));
    event.release_unread();
    assert!(consumer.skip());
    assert_eq!(consumer.consume_next_leased().unwrap().redeliveries(), 0);
    assert_eq!(drain(&mut consumer), (4..10).collect::<Vec<_>>());
}

#[test]
fn a_killed_consumer_to_which_nobody_can_come_back_holds_nobody_back() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 4).with_wait_strategy(WaitStrategy::Block).build_producer(step).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} -", shm.name("a")));
    publish(&mut producer, 4);
    consumer.dies();
    for _ in 0..8 {
        producer.publish_deadline(in_ms(20_000), |_| ()).unwrap();
    }
    let freed = producer.ring_counters().snapshot().into_iter().find(|c| c.id == ids::DEAD_CONSUMERS_FREED).unwrap();
    assert_eq!((freed.value, producer.consumers().len()), (1, 0));
}

#[test]
fn a_consumer_that_leaves_holds_nobody_back() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 4).build_producer(step).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    publish(&mut producer, 4);
    consumer.leaves();
    assert_eq!(producer.publish(|slot| slot.sequence = 4).unwrap(), 4);
}

#[test]
fn whoever_waits_without_a_deadline_learns_of_a_death() {
    for strategy in ["block", "adaptive", "yield:10", "sleep:100"] {
        let (_watchdog, shm) = (watchdog(), ShmGuard::new());
        let (mut producer, mut consumer) = (Actor::new(), Actor::new());
        producer.does(format!("produce {} 4 {strategy}", shm.name("a")));
        consumer.does(format!("attach {} w {strategy}", shm.name("a")));
        consumer.begins("consume");
        let pid = producer.pid();
        producer.dies();
        let error = consumer.ends().unwrap_err();
        assert!(error.contains(&format!("producer pid {pid} is dead")), "{strategy}: {error}");

        let mut producer = Actor::new();
        assert_eq!(producer.does(format!("produce {} 4 {strategy}", shm.name("a"))), "TookOver");
        producer.begins("publish 9");
        let pid = consumer.pid();
        consumer.dies();
        let error = producer.ends().unwrap_err();
        assert!(error.starts_with(&format!("consumer `w` (process {pid}) died")), "{strategy}: {error}");
    }
}

#[test]
fn a_lease_keeps_its_entry_while_its_holder_lives() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = ring(&place, 2).build_producer(step).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w", shm.name("a")));
    publish(&mut producer, 2);
    consumer.does("hold");
    let report = report_of(&mut producer);
    assert!(report.culprit.as_ref().unwrap().is_inside_handler, "{report}");
    assert!(!producer.evict_consumer("w").unwrap());
    assert_eq!(producer.consumers().len(), 1);
    consumer.dies();
    assert!(producer.evict_consumer("w").unwrap());
    publish(&mut producer, 4);
}

#[test]
fn a_parent_that_forked_and_was_killed_is_dead_although_its_child_lives() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {} 4", shm.name("a")));
    consumer.does(format!("attach {} w", shm.name("a")));
    let children: Vec<String> = vec![producer.does("fork"), consumer.does("fork")];
    producer.does("publish 4");
    // The guards stay, with the pipes that the children read: only the parent is killed.
    producer.victim.kill_and_reap();
    consumer.victim.kill_and_reap();

    let mut second = join(&place, "w");
    assert!(second.has_rejoined());
    assert_eq!(drain(&mut second), [0, 1, 2, 3]);
    assert!(matches!(second.consume_next_leased(), Err(ConsumeError::ProducerDied { .. })));
    let next = ring(&place, 4).build_producer(step).unwrap();
    assert_eq!(next.origin(), Origin::TookOver);
    for child in &children {
        assert!(std::fs::exists(format!("/proc/{child}")).unwrap(), "the child lives all the time");
    }
    producer.victim.close_stdin();
    consumer.victim.close_stdin();
    eventually("the end of the children", || {
        // The process that adopts them may leave them unreaped.
        let stat = |child: &String| std::fs::read_to_string(format!("/proc/{child}/stat"));
        children.iter().all(|child| stat(child).is_ok_and(|stat| stat.contains(") Z ")) || stat(child).is_err())
    });
}

#[test]
fn a_child_that_exits_takes_nothing_of_its_parents_with_it() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let mut producer = Some(ring(&place, 4).build_producer(step).unwrap());
    let mut consumer = Some(join(&place, "w"));
    publish(producer.as_mut().unwrap(), 2);

    let mut child = testkit::fork::fork_then(|| {
        let ours = producer.as_mut().unwrap();
        let may_publish = ours.try_publish(|_| ()).is_ok()
            || !matches!(ours.publish(|_| ()), Err(PublishError::Forked))
            || ours.try_publish_batch(2, |_, _| ()).is_ok();
        let theirs = consumer.as_mut().unwrap();
        let may_consume = !matches!(theirs.wait_until_available(Some(in_ms(0))), Err(ConsumeError::Forked) | Ok(()));
        // The destructors must do nothing here.
        (producer, consumer) = (None, None);
        i32::from(may_publish) + 2 * i32::from(may_consume)
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0), "1: published, 2: nothing came in time");

    let (mut producer, mut consumer) = (producer.unwrap(), consumer.unwrap());
    assert_eq!(shm.leftovers().len(), 1, "the name is still there");
    assert_eq!(producer.get_consumer_count(), 1);
    assert!(matches!(ring(&place, 4).build_producer(step), Err(MultiProcessError::InUse { .. })));
    publish(&mut producer, 2);
    assert_eq!(fill(&mut producer), 0, "the consumer still gates");
    assert_eq!(drain(&mut consumer), [0, 1, 2, 3]);
    consumer.check_producer().unwrap();
    drop((producer, consumer));
    shm.assert_nothing_left();
}

#[test]
fn nothing_is_left_after_a_clean_shutdown_in_either_order() {
    for producer_first in [true, false] {
        let (_watchdog, shm, dir) = (watchdog(), ShmGuard::new(), TempDir::new());
        for place in [shm.name("a"), dir.path().join("ring").to_str().unwrap().to_owned()] {
            let (mut producer, mut consumer) = (Actor::new(), Actor::new());
            producer.does(format!("produce {place} 4"));
            consumer.does(format!("attach {place} w"));
            producer.does("publish 3");
            if producer_first {
                producer.leaves();
                assert_eq!(consumer.does("consume"), "closed 2");
                consumer.leaves();
            } else {
                consumer.leaves();
                producer.leaves();
            }
        }
        shm.assert_nothing_left();
        assert_eq!(dir.entries(), [""; 0]);
    }
}

#[test]
fn attaching_while_the_creator_starts_finds_nothing_or_a_whole_ring() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    for round in 0..10 {
        let place = Place::from(shm.name(&round.to_string()));
        std::thread::scope(|threads| {
            let attach = |_| {
                threads.spawn(|| {
                    loop {
                        match attach_shared_consumer::<Step>(place.clone(), 8).build_consumer() {
                            Ok(mut consumer) => break consumer.consume_next_leased().unwrap().sequence,
                            Err(MultiProcessError::NotFound { .. }) => std::thread::yield_now(),
                            Err(error) => panic!("a spurious answer: {error}"),
                        }
                    }
                })
            };
            let readers: Vec<_> = (0..3).map(attach).collect();
            let builder = ring(&place, 8).wait_for_consumers(3, Duration::from_secs(20));
            let mut producer = builder.build_producer(step).unwrap();
            publish(&mut producer, 1);
            assert!(readers.into_iter().all(|reader| reader.join().unwrap() == 0));
        });
    }
}

#[test]
fn a_parked_end_does_not_burn_a_core() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    // One producer is blocked by a consumer that does not read; another consumer has caught up with it; a third waits
    // for the first event of another ring.
    let (mut producer, mut silent) = (Actor::new(), Actor::new());
    let (mut slow, mut block, mut adaptive) = (Actor::new(), Actor::new(), Actor::new());
    producer.does(format!("produce {} 4 block", shm.name("a")));
    slow.does(format!("attach {} s", shm.name("a")));
    block.does(format!("attach {} r block", shm.name("a")));
    silent.does(format!("produce {} 4", shm.name("b")));
    adaptive.does(format!("attach {} a adaptive", shm.name("b")));
    producer.begins("publish 9");
    block.begins("consume");
    adaptive.begins("consume");

    // The processor time in a second of waiting counts, not when that second ends.
    let waiters = [("producer", producer.pid()), ("block", block.pid()), ("adaptive", adaptive.pid())];
    std::thread::sleep(Duration::from_millis(200));
    let before = waiters.map(|(_, pid)| Usage::of(pid).unwrap());
    std::thread::sleep(Duration::from_secs(1));
    for ((who, pid), before) in waiters.into_iter().zip(before) {
        let used = Usage::of(pid).unwrap().since(before).cpu;
        assert!(used <= Duration::from_millis(150), "{who} used {used:?} of a second in which nothing happened");
    }
}

#[test]
fn a_blocked_publish_makes_few_system_calls() {
    let (_watchdog, shm, dir) = (watchdog(), ShmGuard::new(), TempDir::new());
    let (mut producer, mut consumer) = (Actor::new(), Actor::new());
    producer.does(format!("produce {} 4 block", shm.name("a")));
    consumer.does(format!("attach {} w", shm.name("a")));
    producer.begins("publish 9");
    let summary = dir.path().join("summary");
    let tracer = Command::new("strace")
        .args(["-f", "-c", "-p", &producer.pid().to_string(), "-o", summary.to_str().unwrap()])
        .stderr(std::process::Stdio::null())
        .spawn();
    let Ok(mut tracer) = tracer else { testkit::skip!("there is no strace here") };
    let is_traced = || {
        let status = std::fs::read_to_string(format!("/proc/{}/status", producer.pid())).unwrap();
        !status.contains("TracerPid:\t0\n")
    };
    while !is_traced() {
        if tracer.try_wait().unwrap().is_some() {
            testkit::skip!("strace may not attach to a process here");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_secs(1));
    // strace writes its summary when it is interrupted.
    let pid = rustix::process::Pid::from_child(&tracer);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    tracer.wait().unwrap();
    let summary = std::fs::read_to_string(summary).unwrap();
    let total = summary.lines().find(|line| line.ends_with("total")).unwrap_or("0 0 0 0 total");
    let calls: u64 = total.split_whitespace().nth(3).unwrap().parse().unwrap();
    // Slices of 50 ms, with a handful of calls each.
    assert!(calls < 400, "{calls} system calls in a second of waiting:\n{summary}");
}

#[test]
fn no_wake_is_lost_in_thousands_of_rounds() {
    const ROUNDS: u64 = 3000;
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let (there, back) = (Place::from(shm.name("a")), Place::from(shm.name("b")));
    let block = WaitStrategy::Block;
    let mut questions = ring(&there, 2).with_wait_strategy(block).build_producer(step).unwrap();
    let mut other = Actor::new();
    other.does(format!("attach {} w block", shm.name("a")));
    other.does(format!("produce {} 2 block", shm.name("b")));
    let mut answers = attach_shared_consumer::<Step>(back, 2).with_wait_strategy(block).build_consumer().unwrap();
    other.begins(format!("answer {ROUNDS}"));
    for round in 0..ROUNDS {
        // If both sides have a core of their own, an answer comes before either stops spinning. This pause makes one
        // sleep:
        if round % 64 == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        questions.publish(|slot| slot.sequence = round).unwrap();
        assert_eq!(answers.consume_next_leased().unwrap().sequence, round);
    }
    other.ends().unwrap();
    let parked = |id| {
        let counters = answers.ring_counters().snapshot().into_iter().chain(questions.ring_counters().snapshot());
        counters.filter(|counter| counter.id == id).map(|counter| counter.value).sum::<u64>()
    };
    assert!(parked(ids::CONSUMER_PARK_COUNT) > 0, "no consumer slept, so nothing was tested");
    assert!(parked(ids::CONSUMER_UNPARK_COUNT) > 0, "no consumer was woken, so nothing was tested");
    assert_eq!(crate::actor::lost_wakeups(&questions.ring_counters()), 0);
    assert_eq!(crate::actor::lost_wakeups(&answers.ring_counters()), 0);
    assert_eq!(other.does("lost-wakeups"), "0");
}

#[test]
fn no_wake_of_a_producer_that_waits_for_space_is_lost() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let builder = ring(&Place::from(shm.name("a")), 1).with_wait_strategy(WaitStrategy::Block);
    let mut producer = builder.build_producer(step).unwrap();
    let mut consumer = Actor::new();
    consumer.does(format!("attach {} w block", shm.name("a")));
    consumer.begins("consume 2000");
    for n in 0..2000 {
        producer.publish(|slot| slot.sequence = n).unwrap();
    }
    consumer.ends().unwrap();
    assert_eq!(crate::actor::lost_wakeups(&producer.ring_counters()), 0);
}

#[test]
fn settings_that_mean_nothing_are_refused_by_name() {
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let place = Place::from(shm.name("a"));
    let _producer = ring(&place, 4).build_producer(step).unwrap();
    for (variable, value, named) in [
        ("MYELON_WAIT", "blocks", "`blocks` is not a wait strategy"),
        ("MYELON_WAIT", "", "`` is not a wait strategy"),
        ("MYELON_PROCESS_CORE", "first", "MYELON_PROCESS_CORE"),
        ("MYELON_CONSUMER_CORE", "-1", "MYELON_CONSUMER_CORE"),
    ] {
        let mut actor = Actor::start(Actor::respawn().env(variable, value));
        let error = actor.fails(format!("attach {} w", shm.name("a")));
        assert!(error.contains(named), "{variable}={value}: {error}");
        actor.leaves();
    }
    let mut actor = Actor::start(Actor::respawn().env("MYELON_WAIT", "sleep:250"));
    assert_eq!(actor.does(format!("attach {} w block", shm.name("a"))), "false Sleep(250µs)");

    let mut actor = Actor::start(Actor::respawn().env("MYELON_PRODUCER_CORE", "x"));
    assert!(actor.fails(format!("produce {} 4", shm.name("b"))).contains("MYELON_PRODUCER_CORE"));
    assert_eq!(shm.leftovers().len(), 1, "nothing was created");

    let mut actor = Actor::start(Actor::respawn().env("MYELON_SHUTDOWN_GRACE_MS", "soon"));
    actor.does(format!("produce {} 4", shm.name("b")));
    assert!(actor.fails("manage w").contains("MYELON_SHUTDOWN_GRACE_MS is set to `soon`"));
}

#[test]
fn who_may_not_open_a_ring_is_not_told_that_it_does_not_exist() {
    if !rustix::process::geteuid().is_root() {
        testkit::skip!("only root can become another user");
    }
    let (_watchdog, shm) = (watchdog(), ShmGuard::new());
    let _producer = ring(&Place::from(shm.name("a")), 4).build_producer(step).unwrap();
    let mut nobody = Actor::new();
    nobody.does("become-nobody");
    for command in ["attach NAME w", "produce NAME 4"] {
        let error = nobody.fails(command.replace("NAME", &shm.name("a")));
        assert!(error.starts_with("not allowed to open"), "{error}");
    }
    let error = nobody.fails(format!("attach {} w", shm.name("b")));
    assert!(error.starts_with("there is no ring"), "{error}");
}
