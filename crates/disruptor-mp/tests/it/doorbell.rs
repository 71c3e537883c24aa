//! Doorbells: a loop that waits for descriptors hears of events, of ends and of deaths in other processes.

use disruptor_mp::{
    ConsumeError, Doorbell, Patience, Place, SharedConsumer, SharedDisruptorBuilder, SharedProducer,
    attach_shared_consumer, build_shared_single_producer, portable_shm_segment_name,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim, role, say, wait_to_be_killed};
use testkit::test_name;
use testkit::usage::Usage;
use testkit::watchdog::{Watchdog, eventually};

const LONG: Duration = Duration::from_secs(20);

fn is_readable(doorbell: &Doorbell, limit: Duration) -> bool {
    let mut fds = [PollFd::new(doorbell, PollFlags::IN)];
    let limit = Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: limit.subsec_nanos().into() };
    poll(&mut fds, Some(&limit)).unwrap() == 1
}

/// The threads of this process that belong to doorbells.
fn doorbell_threads() -> usize {
    let is_ours = |task: &std::path::Path| {
        std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "myelon-doorbell")
    };
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    tasks.filter(|task| is_ours(&task.path())).count()
}

/// Consumes all published events, and returns whether there were any.
fn consume(consumer: &mut SharedConsumer<u64>, seen: &mut Vec<u64>) -> bool {
    consumer.process_available(|event, _| seen.push(*event)) > 0
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_publishes_on_demand() {
    if !is_victim() {
        return;
    }
    let mut producer = Some(SharedProducer::create(role().unwrap(), 8, || 0_u64).unwrap());
    say("READY");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "publish" => {
                let publish = |producer: &mut SharedProducer<u64>| producer.publish(|slot| *slot += 1).unwrap();
                publish(producer.as_mut().expect("not closed"));
            }
            "close" => drop(producer.take()),
            other => panic!("{other}"),
        }
    }
    wait_to_be_killed();
}

#[test]
fn a_doorbell_is_rung_by_another_process_that_publishes_or_closes() {
    let _watchdog = Watchdog::new(4 * LONG, "a doorbell across processes");
    let shm = ShmGuard::new();
    let name = shm.name("r");
    let mut victim = Respawn::test(test_name!(victim_that_publishes_on_demand)).role(&name).piped_stdin().spawn();
    victim.wait_line("READY");
    let mut consumer = attach_shared_consumer::<u64>(name.as_str(), 8).build_consumer().unwrap();
    let mut doorbell = consumer.doorbell().unwrap();
    let mut seen = vec![];
    for round in 1..=20 {
        assert!(doorbell.arm(&mut consumer));
        assert!(!is_readable(&doorbell, Duration::ZERO), "nothing has happened yet");
        victim.send_line("publish");
        assert!(is_readable(&doorbell, LONG));
        assert!(consume(&mut consumer, &mut seen));
        assert_eq!(seen.len(), round);
    }
    assert!(doorbell.arm(&mut consumer));
    victim.send_line("close");
    assert!(is_readable(&doorbell, LONG));
    assert!(!consume(&mut consumer, &mut seen));
    assert!(matches!(consumer.check_producer(), Err(ConsumeError::Closed)));
    assert!(!doorbell.arm(&mut consumer), "there is nothing to wait for any more");
    victim.kill_and_reap();
    drop((consumer, doorbell));
    shm.assert_nothing_left();
}

#[test]
fn a_doorbell_is_rung_for_every_record_wherever_it_lies() {
    let _watchdog = Watchdog::new(4 * LONG, "a doorbell at a ring of records");
    let place = Place::heap();
    let mut producer = SharedDisruptorBuilder::records(place.clone(), 1024).build_record_producer().unwrap();
    let mut consumer = SharedDisruptorBuilder::records(place, 0).build_record_consumer().unwrap();
    let mut doorbell = consumer.doorbell().unwrap();
    // The lengths are chosen so that some records end at the end of the ring, and others leave padding there.
    for round in 0..60_usize {
        let record = vec![round as u8; round * 61 % 300];
        assert!(doorbell.arm(&mut consumer));
        assert!(!is_readable(&doorbell, Duration::ZERO), "nothing has happened yet");
        producer.publish(&record, 0, 0, Patience::Now).unwrap();
        assert!(is_readable(&doorbell, LONG));
        assert_eq!(&consumer.next(Patience::Now).unwrap().expect("rung for it")[..], record);
    }
}

#[test]
fn a_doorbell_is_rung_when_the_producer_is_killed() {
    let _watchdog = Watchdog::new(4 * LONG, "a doorbell and a dead producer");
    let shm = ShmGuard::new();
    let name = shm.name("r");
    let mut victim = Respawn::test(test_name!(victim_that_publishes_on_demand)).role(&name).piped_stdin().spawn();
    victim.wait_line("READY");
    let mut consumer = attach_shared_consumer::<u64>(name.as_str(), 8).build_consumer().unwrap();
    let mut doorbell = consumer.doorbell().unwrap();
    assert!(doorbell.arm(&mut consumer));
    assert!(!is_readable(&doorbell, Duration::from_millis(120)), "a living producer is no reason to ring");
    victim.kill_and_reap();
    let dead = Instant::now();
    assert!(is_readable(&doorbell, LONG));
    eprintln!("rung {:?} after the producer was reaped", dead.elapsed());
    assert!(matches!(consumer.check_producer(), Err(ConsumeError::ProducerDied { .. })));
}

#[test]
fn what_is_there_already_is_not_waited_for() {
    let place = Place::heap();
    let mut producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0).unwrap();
    let mut consumer = attach_shared_consumer::<u64>(&place, 8).build_consumer().unwrap();
    let mut doorbell = consumer.doorbell().unwrap();
    producer.publish(|slot| *slot = 1).unwrap();
    assert!(!doorbell.arm(&mut consumer));
    assert!(!is_readable(&doorbell, Duration::ZERO));
    let mut seen = vec![];
    assert!(consume(&mut consumer, &mut seen));
    assert!(doorbell.arm(&mut consumer));
    producer.publish(|slot| *slot = 2).unwrap();
    assert!(is_readable(&doorbell, LONG));
    assert!(is_readable(&doorbell, Duration::ZERO), "it stays readable until it is cleared");
    doorbell.clear();
    assert!(!is_readable(&doorbell, Duration::ZERO));
    assert!(!doorbell.arm(&mut consumer), "the event is still there");
    drop(producer);
    assert!(consume(&mut consumer, &mut seen));
    assert_eq!(seen, [1, 2]);
}

#[test]
fn a_replaced_ring_rings() {
    let _watchdog = Watchdog::new(2 * LONG, "a doorbell of a replaced ring");
    let shm = ShmGuard::new();
    let name = shm.name("r");
    let mut victim = Respawn::test(test_name!(victim_that_publishes_on_demand)).role(&name).piped_stdin().spawn();
    victim.wait_line("READY");
    let mut consumer = attach_shared_consumer::<u64>(name.as_str(), 8).build_consumer().unwrap();
    let mut doorbell = consumer.doorbell().unwrap();
    victim.kill_and_reap();
    let producer = build_shared_single_producer::<u64>(name.as_str(), 8).replace().build_producer(|| 0).unwrap();
    assert!(!doorbell.arm(&mut consumer) || is_readable(&doorbell, LONG));
    assert!(matches!(consumer.check_producer(), Err(ConsumeError::Replaced)));
    drop(producer);
}

#[test]
#[should_panic(expected = "the doorbell belongs to another consumer")]
fn a_doorbell_serves_its_own_consumer_only() {
    let place = Place::heap();
    let _producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0).unwrap();
    let consumer = attach_shared_consumer::<u64>(&place, 8).build_consumer().unwrap();
    let mut other = attach_shared_consumer::<u64>(&place, 8).build_consumer().unwrap();
    consumer.doorbell().unwrap().arm(&mut other);
}

/// In a process of its own, because the other tests have doorbells and use the processor, too.
#[test]
#[ignore = "runs as a victim"]
fn victim_that_waits_at_a_doorbell() {
    if !is_victim() {
        return;
    }
    let place = Place::heap();
    let mut producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0).unwrap();
    let mut consumer = attach_shared_consumer::<u64>(&place, 8).build_consumer().unwrap();
    assert_eq!(doorbell_threads(), 0, "no thread before the first doorbell");
    let (mut doorbell, second) = (consumer.doorbell().unwrap(), consumer.doorbell().unwrap());
    eventually("the thread", LONG, || doorbell_threads() == 1).unwrap();

    let begin = Usage::of(std::process::id()).unwrap();
    assert!(doorbell.arm(&mut consumer));
    assert!(!is_readable(&doorbell, Duration::from_secs(1)), "no producer publishes");
    let used = Usage::of(std::process::id()).unwrap().since(begin);
    // 20 looks and a poll; a thread that spins would use 1 s, and one that looks each millisecond would switch 1000
    // times.
    assert!(used.cpu <= Duration::from_millis(100) && used.voluntary_switches < 200, "{used:?}");

    // A child has neither its parent's doorbells nor their thread, but may make its own.
    let name = portable_shm_segment_name("fork");
    let mut child = testkit::fork::fork_then(|| {
        assert!(!doorbell.arm(&mut consumer));
        doorbell.clear();
        let mut producer = SharedProducer::create(name.as_str(), 8, || 0_u64).unwrap();
        let mut consumer = attach_shared_consumer::<u64>(name.as_str(), 8).build_consumer().unwrap();
        let mut doorbell = consumer.doorbell().unwrap();
        assert!(doorbell.arm(&mut consumer));
        producer.publish(|_| ()).unwrap();
        let rung = is_readable(&doorbell, LONG);
        drop((producer, consumer));
        i32::from(!rung)
    });
    assert!(child.wait_exit(2 * LONG).success());

    producer.publish(|_| ()).unwrap();
    assert!(is_readable(&doorbell, LONG), "the parent's doorbell is still armed");
    drop(second);
    drop(doorbell);
    eventually("the end of the thread", LONG, || doorbell_threads() == 0).unwrap();
    say("DONE");
}

#[test]
fn a_doorbell_costs_nothing_while_idle_has_one_thread_while_it_lives_and_is_not_inherited() {
    let _watchdog = Watchdog::new(6 * LONG, "a process with doorbells");
    let mut victim = Respawn::test(test_name!(victim_that_waits_at_a_doorbell)).spawn();
    victim.wait_line("DONE");
    assert!(victim.wait_exit(LONG).success());
}

#[test]
fn ten_thousand_events_each_ring_between_two_threads() {
    let _watchdog = Watchdog::new(6 * LONG, "ten thousand doorbells");
    let place = Place::heap();
    let mut producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0).unwrap();
    let mut consumer = attach_shared_consumer::<u64>(&place, 8).with_consumer_id("c").build_consumer().unwrap();
    let mut doorbell = consumer.doorbell().unwrap();
    let publisher = std::thread::spawn(move || {
        for n in 0..10_000 {
            producer.publish(|slot| *slot = n).unwrap();
            producer.wait_until_consumed(n as i64, Instant::now() + LONG).unwrap();
        }
    });
    let (mut seen, mut waits) = (vec![], 0);
    let end = loop {
        consume(&mut consumer, &mut seen);
        if doorbell.arm(&mut consumer) {
            waits += 1;
            assert!(is_readable(&doorbell, LONG));
        } else if let Err(end) = consumer.check_producer() {
            break end;
        }
    };
    assert!(matches!(end, ConsumeError::Closed));
    assert!(seen.iter().copied().eq(0..10_000));
    assert!(waits > 0, "nothing was waited for");
    publisher.join().unwrap();
}

/// With a copy of the descriptor, or by its number, as event loops of other languages do: the compiler does not see
/// that.
#[test]
fn a_thread_that_polls_a_doorbell_is_woken_when_another_one_drops_it() {
    let _watchdog = Watchdog::new(2 * LONG, "a doorbell that is dropped");
    let (mut producer, mut consumer) = ends(&Place::heap());
    let mut doorbell = consumer.doorbell().unwrap();
    assert!(doorbell.arm(&mut consumer));
    wakes_on_drop(doorbell);
    // It does not depend on what the doorbell waits for, nor on whether it was armed.
    wakes_on_drop(consumer.doorbell().unwrap());
    while producer.publish_with(Patience::Now, |_| ()).is_ok() {}
    let mut room = producer.room_doorbell().unwrap();
    assert!(room.arm(&mut producer));
    wakes_on_drop(room);
}

fn ends(place: &Place) -> (SharedProducer<u64>, SharedConsumer<u64>) {
    let producer = build_shared_single_producer::<u64>(place, 4).build_producer(|| 0).unwrap();
    (producer, attach_shared_consumer::<u64>(place, 4).build_consumer().unwrap())
}

/// Drops `doorbell` while another thread polls it. That thread must return.
fn wakes_on_drop(doorbell: impl AsFd) {
    let fd = doorbell.as_fd().try_clone_to_owned().unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    let polling = std::thread::spawn(move || {
        let task = std::fs::read_link("/proc/thread-self").unwrap();
        tell.send(std::path::Path::new("/proc").join(task).join("stat")).unwrap();
        poll(&mut [PollFd::new(&fd, PollFlags::IN)], None).unwrap()
    });
    let stat = told.recv().unwrap();
    let sleeps = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") S "));
    eventually("a thread that polls", LONG, sleeps).unwrap();
    drop(doorbell);
    assert_eq!(polling.join().unwrap(), 1);
}
