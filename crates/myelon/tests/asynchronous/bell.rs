//! A task that awaits room is woken by the consumer that makes it, and by nothing else.

use crate::stage::{awaited, ends, in_either_runtime};
use myelon::asynchronous::AsyncProducer;
use myelon::transport::Records;
use myelon::{Patience, WaitStrategy};
use std::time::Duration;
use testkit::process::{Respawn, is_victim, say};
use testkit::test_name;
use testkit::usage::Usage;
use testkit::watchdog::Watchdog;

const LIMIT: Duration = Duration::from_secs(60);

/// It runs in a process of its own, because the other tests use the processor too.
#[test]
#[ignore = "runs as a victim"]
fn victim_that_awaits_room_in_vain() {
    if !is_victim() {
        return;
    }
    let (producer, _consumer) = ends::<Records>(4096);
    let mut producer = AsyncProducer::new(producer);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    while producer.try_publish(&[0; 100], 0).is_ok() {}
    let mut wait = |time| {
        let waited = runtime.block_on(async { tokio::time::timeout(time, producer.publish(&[0; 100], 0)).await });
        waited.map(drop).expect_err("there is no room");
    };
    // The first wait starts the threads that are needed.
    wait(Duration::from_millis(20));
    let begin = Usage::of(std::process::id()).unwrap();
    wait(Duration::from_secs(1));
    let used = Usage::of(std::process::id()).unwrap().since(begin);
    // That is 20 slices of the thread that sleeps at the consumer's bell. A task that looks each millisecond would
    // switch a thousand times.
    assert!(used.voluntary_switches < 150, "{used:?}");
    say("DONE");
}

#[test]
fn an_idle_publish_that_awaits_room_wakes_only_to_look_after_its_consumer() {
    let _watchdog = Watchdog::new(LIMIT, "a publish that awaits room");
    let mut victim = Respawn::test(test_name!(victim_that_awaits_room_in_vain)).spawn();
    victim.wait_line("DONE");
    assert!(victim.wait_exit(LIMIT).success());
}

#[test]
fn ten_thousand_messages_through_a_ring_that_is_full_all_the_time() {
    in_either_runtime("publishes that await room", |runtime| {
        let (mut producer, consumer) = awaited::<Records>(runtime, 4096);
        let mut consumer = consumer.into_inner();
        assert_eq!(consumer.wait_strategy(), WaitStrategy::Block);
        let reader = std::thread::spawn(move || {
            let mut count = 0_u64;
            while let Some(message) = consumer.next_or_end(Patience::Endless).unwrap() {
                assert_eq!(message[..8], count.to_le_bytes());
                (0..count * 37 % 700).for_each(|_| std::hint::spin_loop());
                count += 1;
            }
            count
        });
        runtime.block_on(async {
            let mut message = [0; 900];
            for number in 0..10_000_u64 {
                message[..8].copy_from_slice(&number.to_le_bytes());
                producer.publish(&message, 0).await.unwrap();
            }
        });
        drop(producer);
        assert_eq!(reader.join().unwrap(), 10_000);
    });
}
