//! Four threads answer out of order, in a process that is killed at any moment: what they have answered does not come
//! again, and everything else does.

use crate::stage::{Step, TempDir, drain, eventually, in_ms, join, ring, step, watchdog};
use disruptor_mp::segment::Place;
use disruptor_mp::{HeldEvent, Patience, PublishError};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, is_victim};
use testkit::test_name;

/// The environment variables with a victim's ring, and with the file of its log.
const RING: &str = "HELD_TEST_RING";
const LOG: &str = "HELD_TEST_LOG";

/// How many processes are killed.
const KILLS: usize = 8;

#[test]
#[ignore = "runs as a victim"]
fn answering() {
    if !is_victim() {
        return;
    }
    let place = Place::from(std::env::var(RING).unwrap());
    let log = File::options().append(true).open(std::env::var(LOG).unwrap()).unwrap();
    // One system call per line: a line is complete, at whatever moment we are killed.
    let say = |what: &str, number: i64| (&log).write_all(format!("{what} {number}\n").as_bytes()).unwrap();
    let mut consumer = join(&place, "w");
    let (hand_out, handed) = channel::<HeldEvent<Step>>();
    let handed = Mutex::new(handed);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut held: Vec<HeldEvent<Step>> = vec![];
                loop {
                    let next = handed.lock().unwrap().recv_timeout(Duration::from_millis(1));
                    // Three at a time, the newest first; and all of them if nothing comes, because the rest may wait
                    // for these.
                    let is_enough = next.map_or(true, |event| {
                        held.push(event);
                        held.len() == 3
                    });
                    while is_enough && let Some(event) = held.pop() {
                        let number = event.sequence();
                        assert_eq!(event.sequence as i64, number, "an event under the number of another");
                        say("begin", number);
                        event.release();
                        say("done", number);
                    }
                }
            });
        }
        loop {
            let event = consumer.next_held(Patience::Endless).unwrap().expect("waited for");
            say("got", event.sequence());
            hand_out.send(event).unwrap();
        }
    });
}

#[test]
fn what_four_threads_have_answered_out_of_order_does_not_come_again_after_a_kill_and_everything_else_does() {
    let (_watchdog, shm, dir) = (watchdog(), ShmGuard::new(), TempDir::new());
    let (place, path) = (Place::from(shm.name("a")), dir.path().join("log"));
    File::create(&path).unwrap();
    let mut producer = ring(&place, 64).build_producer(step).unwrap();
    // The entry exists before the first event.
    join(&place, "w").keep_place();
    let is_over = AtomicBool::new(false);
    let (last, published) = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let next = producer.last_published_sequence() + 1;
                match producer.publish_deadline(in_ms(30_000), |slot| slot.sequence = next as u64) {
                    // A process comes back under its id.
                    Ok(_) | Err(PublishError::ConsumerDied { .. }) => std::thread::yield_now(),
                    Err(other) => panic!("{other}"),
                }
            }
            producer.last_published_sequence() + 1
        });
        for kill in 0..KILLS {
            let respawn = Respawn::test(test_name!(answering)).env(RING, shm.name("a")).env(LOG, &path);
            let enough = lines(&path).len() + 40 + kill * 67 % 101;
            let mut victim = respawn.spawn();
            eventually("answers", || lines(&path).len() >= enough);
            victim.kill_and_reap();
        }
        is_over.store(true, Ordering::Relaxed);
        let mut last = join(&place, "w");
        let mut seen = vec![];
        while !publishing.is_finished() {
            seen.extend(drain(&mut last));
        }
        seen.extend(drain(&mut last));
        (seen, publishing.join().unwrap())
    });
    let (mut begun, mut done) = (BTreeSet::new(), BTreeSet::new());
    for line in lines(&path) {
        let (what, number) = line.split_once(' ').unwrap();
        let number: i64 = number.parse().unwrap();
        match what {
            "got" => assert!(!done.contains(&number), "{number} was released and came again"),
            "begin" => drop(begun.insert(number)),
            _ => drop(done.insert(number)),
        }
    }
    assert!(done.len() > KILLS, "nothing was answered");
    let seen: BTreeSet<i64> = last.into_iter().collect();
    assert!(seen.is_disjoint(&done), "released, and came again: {:?}", seen.intersection(&done));
    // If a process was killed between the two lines, either is possible.
    let lost: Vec<i64> = (0..published).filter(|number| !begun.contains(number) && !seen.contains(number)).collect();
    assert!(lost.is_empty(), "neither released nor handed out again: {lost:?}");
}

/// The lines that the victims have written so far.
fn lines(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    text.split_inclusive('\n').filter(|line| line.ends_with('\n')).map(|line| line.trim_end().to_owned()).collect()
}
