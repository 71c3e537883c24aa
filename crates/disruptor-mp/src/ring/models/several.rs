//! One sleeper at several bells, and the thread that sleeps for others: a lost ring is a deadlock, which loom reports.

use super::*;
use crate::sync::bell::{Bell, Ticket};
use crate::sync::primitive::{AtomicU32, Site, weakened};
use crate::sync::several::{announce_at, sleep_at};
use crate::sync::watched::{Desk, Post, Round, Watched};
use loom::sync::Mutex;
use loom::thread::spawn;

/// Sleeps at the bells of both rings, as a `Select` does, until there is an event, and returns in which ring.
fn wait_for_either(readers: &mut [Reader<Ring>; 2]) -> usize {
    loop {
        if let Some(found) = readers.iter_mut().position(|reader| reader.look()) {
            return found;
        }
        let bells = readers.each_ref().map(|reader| {
            let control = reader.memory().control();
            (&control.readers.0, &control.gate.announce)
        });
        let (tickets, barrier) = announce_at(bells.iter().copied());
        assert!(barrier, "{NO_BARRIER}");
        if weakened(Site::ParkSecondLook) || !readers.iter_mut().any(|reader| reader.look()) {
            let bells = readers.iter().map(|reader| &reader.memory().control().readers.0);
            sleep_at(&bells.zip(tickets).collect::<Vec<_>>(), None).unwrap();
        }
    }
}

#[test]
pub(super) fn a_sleeper_at_two_bells_is_woken_by_either() {
    explore(Some(2), 2, || {
        let rings = [ring(1), ring(1)];
        let [mut here, mut there] = rings.each_ref().map(|ring| Sequencer::create(Arc::clone(ring), Announce::Fenced));
        let mut readers = rings.each_ref().map(|ring| consumer(ring, 0, Announce::Fenced));
        let reading = spawn(move || {
            for _ in 0..2 {
                let found = wait_for_either(&mut readers);
                take(&mut readers[found]);
            }
        });
        let writing = spawn(move || {
            assert!(try_write(&mut there));
            there.next()
        });
        assert!(try_write(&mut here));
        reading.join().unwrap();
        here.next() + writing.join().unwrap()
    });
}

/// What a consumer waits for in its ring.
struct Events(Ring);

impl Post for Events {
    fn bell(&self, _: i64) -> &Bell {
        &self.0.control().readers.0
    }

    fn announce(&self, _: i64) -> &AtomicU32 {
        &self.0.control().gate.announce
    }

    fn has_news(&self, position: i64) -> bool {
        self.0.is_published(position)
    }

    fn is_deserted(&self, _: i64) -> bool {
        false
    }
}

/// Watches, and the thread that serves them.
struct Watching {
    desk: Desk,
    is_over: Mutex<bool>,
}

impl Watching {
    fn new() -> Arc<Self> {
        Arc::new(Self { desk: Desk::new(), is_over: Mutex::new(false) })
    }

    /// What the thread does until it is told that it is over.
    fn serve(&self, watched: &[Arc<Watched>]) {
        let mut rounds: Vec<_> = watched.iter().map(Round::new).collect();
        loop {
            let ticket = self.desk.announce();
            if *self.is_over.lock().unwrap() {
                return;
            }
            let mut bells = vec![(self.desk.bell(), ticket)];
            for round in &mut rounds {
                let Some(parked) = round.park(false) else { continue };
                assert!(parked.barrier, "{NO_BARRIER}");
                bells.push((round.bell(parked), parked.ticket));
            }
            sleep_at(&bells, None).unwrap();
        }
    }

    fn end(&self) {
        *self.is_over.lock().unwrap() = true;
        self.desk.call();
    }
}

/// A watch that rings this bell when there is news.
fn watch(post: impl Post + 'static, bell: &Arc<Bell>) -> Arc<Watched> {
    let bell = Arc::clone(bell);
    Watched::new(Box::new(post), Arc::new(move || bell.ring()))
}

/// A `Select` does this for the consumers that are too many for one thread.
#[test]
pub(super) fn who_has_another_thread_sleep_for_it_is_called() {
    explore(Some(2), 1, || {
        let (ring, mut producer, mut reader) = pair(Announce::Fenced);
        let (watching, bell) = (Watching::new(), Arc::new(Bell::new()));
        let watched = watch(Events(ring), &bell);
        let serving = spawn({
            let (watching, watched) = (Arc::clone(&watching), Arc::clone(&watched));
            move || watching.serve(&[watched])
        });
        let writing = spawn(move || {
            assert!(try_write(&mut producer));
            producer.next()
        });
        while !reader.look() {
            if !watched.is_armed_for(reader.next()) {
                watched.arm(reader.next(), &watching.desk);
            }
            let call = bell.announce();
            if !reader.look() {
                bell.sleep(call, Duration::MAX);
            }
        }
        take(&mut reader);
        watching.end();
        serving.join().unwrap();
        writing.join().unwrap()
    });
}

/// Two doorbells of one loop; the bell of the model stands for the descriptors that it polls.
#[test]
pub(super) fn each_of_two_doorbells_that_one_thread_serves_is_rung() {
    explore(Some(2), 2, || {
        let rings = [ring(1), ring(1)];
        let mut producers = rings.each_ref().map(|ring| Sequencer::create(Arc::clone(ring), Announce::Fenced));
        let mut readers = rings.each_ref().map(|ring| consumer(ring, 0, Announce::Fenced));
        let (watching, descriptor) = (Watching::new(), Arc::new(Bell::new()));
        let watched = rings.map(|ring| watch(Events(ring), &descriptor));
        let serving = spawn({
            let (watching, watched) = (Arc::clone(&watching), watched.each_ref().map(Arc::clone));
            move || watching.serve(&watched)
        });
        let writing = spawn(move || {
            assert!(producers.iter_mut().all(try_write));
            producers.iter().map(|producer| producer.next()).sum::<i64>()
        });
        for _ in 0..2 {
            loop {
                let cleared = descriptor.announce();
                if let Some(reader) = readers.iter_mut().find_map(|reader| reader.look().then_some(reader)) {
                    take(reader);
                    break;
                }
                for (reader, watched) in readers.iter().zip(&watched) {
                    watched.arm(reader.next(), &watching.desk);
                }
                descriptor.sleep(cleared, Duration::MAX);
            }
        }
        watching.end();
        serving.join().unwrap();
        writing.join().unwrap()
    });
}

/// The bell of the one consumer, since the producer has drawn a ticket there.
struct Room(Ring);

impl Post for Room {
    fn bell(&self, _: i64) -> &Bell {
        &self.0.entry(0).writer
    }

    fn announce(&self, _: i64) -> &AtomicU32 {
        &self.0.entry(0).announce
    }

    fn has_news(&self, ticket: i64) -> bool {
        !self.bell(ticket).is_silent_since(Ticket::of(ticket as u32))
    }

    fn is_deserted(&self, _: i64) -> bool {
        false
    }
}

/// The producer announces itself and looks again, and another thread sleeps for it.
#[test]
pub(super) fn a_doorbell_for_room_is_rung() {
    explore(Some(2), 3, || {
        let (ring, mut producer, mut reader) = pair(Announce::Fenced);
        attempts(2, || try_write(&mut producer));
        let reading = spawn(move || assert!(try_read(&mut reader)));
        let (watching, descriptor) = (Watching::new(), Arc::new(Bell::new()));
        let watched = watch(Room(ring), &descriptor);
        let serving = spawn({
            let (watching, watched) = (Arc::clone(&watching), Arc::clone(&watched));
            move || watching.serve(&[watched])
        });
        loop {
            let cleared = descriptor.announce();
            let slowest = producer.rescan().slowest.expect("a consumer has joined");
            if producer.has_room(1) {
                break;
            }
            if let Some(park) = producer.prepare_park(slowest, 1) {
                assert!(park.barrier, "{NO_BARRIER}");
                watched.arm(park.ticket.value().into(), &watching.desk);
                descriptor.sleep(cleared, Duration::MAX);
            }
        }
        assert!(try_write(&mut producer));
        watching.end();
        serving.join().unwrap();
        reading.join().unwrap();
        producer.next()
    });
}
