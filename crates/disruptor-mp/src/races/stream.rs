//! The plays: what processes do at the same time in a stream of up to three rings, and what must be true afterwards.
//!
//! Ring number n has the events 10 n and 10 n + 1. The consumer `k` has kept its entry in the first ring, and comes
//! back.

use super::turns::{Act, Leg, Went, play};
use crate::ring::ends::consumer_face::HasConsumer;
use crate::{ConsumeError, MultiProcessError, Patience, SharedConsumer, SharedDisruptorBuilder, SharedProducer};
use std::sync::Mutex;
use testkit::names::ShmGuard;

/// A play of some acts.
pub(super) struct Play {
    pub(super) name: &'static str,
    pub(super) acts: usize,
    /// The acts that may die: those without a producer, which a panic would drop.
    pub(super) mortal: &'static [usize],
    /// Plays it in that order. Returns how each leg went, or what is not as it must be.
    pub(super) run: fn(&[Leg]) -> Result<Vec<Went>, String>,
}

pub(super) const PLAYS: &[Play] = &[
    Play { name: "two leave an older ring", acts: 2, mortal: &[0, 1], run: two_leave },
    Play { name: "one leaves and one comes back", acts: 2, mortal: &[0, 1], run: leave_and_come_back },
    Play { name: "two leave and one comes back", acts: 3, mortal: &[0, 1, 2], run: two_leave_and_one_comes_back },
    Play { name: "two come back", acts: 2, mortal: &[0, 1], run: two_come_back },
    Play { name: "one leaves and one is evicted", acts: 2, mortal: &[0], run: leave_and_evict },
    Play { name: "one leaves and a producer takes over", acts: 2, mortal: &[0], run: leave_and_take_over },
    Play { name: "one leaves and a producer replaces", acts: 2, mortal: &[0], run: leave_and_replace },
    Play { name: "the last one leaves and one comes", acts: 2, mortal: &[0], run: last_out },
    Play { name: "the last one leaves and a new ring comes", acts: 2, mortal: &[0], run: last_out_of_another },
    Play { name: "one leaves and one gives up and comes", acts: 2, mortal: &[0], run: leave_and_give_up },
    Play { name: "one comes back and is evicted", acts: 2, mortal: &[], run: come_back_and_be_evicted },
    Play { name: "a producer begins again and one comes", acts: 2, mortal: &[], run: begin_anew },
    Play { name: "the last one leaves a ring with a tag and one comes", acts: 2, mortal: &[0], run: last_out_with_tag },
];

/// The events that `k` must still get after it has read one.
const REST: &[u64] = &[11, 20, 21, 30, 31];

struct Stream {
    name: String,
    shm: ShmGuard,
    /// Counts how often a reader has attached and is about to go: odd while it lives.
    attached: Mutex<u64>,
}

impl Stream {
    /// A stream without a ring.
    fn new() -> Self {
        let shm = ShmGuard::new();
        Self { name: shm.name("r"), shm, attached: Mutex::default() }
    }

    fn ring(&self) -> SharedDisruptorBuilder<u64> {
        SharedDisruptorBuilder::new(self.name.as_str(), 4).enable_discovery(4)
    }

    fn attach(&self, id: &str) -> SharedConsumer<u64> {
        self.ring().with_consumer_id(id).build_consumer().expect("there is a ring")
    }

    /// The producer of ring `number`, which replaces the ring before, and its two events.
    fn write(&self, number: u64) -> SharedProducer<u64> {
        let mut producer = self.build(number);
        publish(&mut producer, number);
        producer
    }

    fn build(&self, number: u64) -> SharedProducer<u64> {
        self.ring().with_content_tag(format!("e/{number}")).build_producer(|| 0).expect("a producer can go on")
    }

    /// Makes three rings. `k` has read `read` events of the first, and has gone. `others` have read one and have gone.
    /// The consumers `living` live in the first, and leave when they are dropped.
    fn three(&self, read: usize, others: &[&str], living: &[&str]) -> (SharedProducer<u64>, Vec<SharedConsumer<u64>>) {
        let mut producer = self.build(1);
        let living = living.iter().map(|id| self.attach(id)).collect();
        let away: Vec<_> = std::iter::once((&"k", read)).chain(others.iter().map(|id| (id, 1))).collect();
        let consumers: Vec<_> = away
            .iter()
            .map(|(id, _)| self.ring().with_consumer_id(**id).keep_place().build_consumer().expect("there is a ring"))
            .collect();
        publish(&mut producer, 1);
        for (mut consumer, (_, read)) in consumers.into_iter().zip(away) {
            (0..read).for_each(|_| drop(consumer.next(Patience::Now).expect("it is open").expect("it was published")));
        }
        producer.hand_over();
        self.write(2).hand_over();
        (self.write(3), living)
    }

    /// Reads as `id` until it has read `max` events, or there are no more. Then the consumer goes, and its entry is
    /// kept. The events that it is handed are added to `seen`. Returns why it was refused in the end, if it was.
    fn read(&self, id: &str, max: usize, seen: &Mutex<Vec<u64>>) -> Option<MultiProcessError> {
        let (mut count, mut from) = (0, None);
        loop {
            let mut consumer = match self.ring().with_consumer_id(id).keep_place().build_consumer() {
                Ok(consumer) => consumer,
                Err(error) => return Some(error),
            };
            self.count_attached();
            let goes_on = from.replace(consumer.generation()) != Some(consumer.generation())
                && loop {
                    match if count == max { Ok(None) } else { consumer.next(Patience::Now) } {
                        Ok(Some(event)) => {
                            count += 1;
                            seen.lock().expect("no reader panics").push(*event);
                        }
                        Err(ConsumeError::Replaced) => break true,
                        _ => break false,
                    }
                };
            self.count_attached();
            drop(consumer);
            if !goes_on {
                return None;
            }
        }
    }

    fn count_attached(&self) {
        *self.attached.lock().expect("no reader panics") += 1;
    }

    /// Checks that the consumer `id`, which has `seen` some of what is `expected`, gets the rest when it comes back,
    /// and nothing twice; after a death also what was in hand.
    fn expect(&self, legs: &[Leg], id: &str, seen: Mutex<Vec<u64>>, expected: &[u64]) -> Result<(), String> {
        let rest = Mutex::default();
        let refused = self.read(id, usize::MAX, &rest);
        let (seen, rest) = (seen.into_inner().expect("no reader panics"), rest.into_inner().expect("no reader panics"));
        let mut all = [&seen[..], &rest[..]].concat();
        if has_death(legs) {
            all.dedup();
        }
        if all == expected {
            Ok(())
        } else {
            Err(format!("`{id}` got {seen:?} and then {rest:?} (then {refused:?}), not {expected:?}"))
        }
    }

    /// Checks that this many rings are left.
    fn left(&self, count: usize) -> Result<(), String> {
        let left = self.shm.leftovers();
        if left.len() == count { Ok(()) } else { Err(format!("{count} rings should be left, not {left:?}")) }
    }
}

fn publish(producer: &mut SharedProducer<u64>, number: u64) {
    producer.publish_batch(2, |event, index| *event = 10 * number + index as u64).expect("there is room");
}

/// Whether one of them dies.
fn has_death(legs: &[Leg]) -> bool {
    legs.iter().any(|leg| leg.dies)
}

fn drop_it<'a>(consumer: SharedConsumer<u64>) -> Act<'a> {
    Box::new(move || drop(consumer))
}

fn two_leave(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let stream = Stream::new();
    let (producer, living) = stream.three(2, &[], &["a", "b"]);
    let went = play(living.into_iter().map(drop_it).collect(), legs);
    if !has_death(legs) {
        stream.left(2)?;
    }
    stream.expect(legs, "k", Mutex::default(), &[20, 21, 30, 31])?;
    settled(&stream, producer, &["k"], has_death(legs))?;
    Ok(went)
}

/// Only the last ring and the entries of `ids` in it are left; after a death once a producer has taken it over.
fn settled(stream: &Stream, mut producer: SharedProducer<u64>, ids: &[&str], has_death: bool) -> Result<(), String> {
    if has_death {
        // Those that were killed come back, and leave.
        for id in ["a", "b"] {
            while let Ok(mut consumer) = stream.ring().with_consumer_id(id).build_consumer() {
                while let Ok(Some(_)) = consumer.next(Patience::Now) {}
                if !consumer.is_replaced() {
                    break;
                }
            }
        }
        producer.hand_over();
        producer = stream.build(3);
    }
    stream.left(1)?;
    let mut found: Vec<_> = producer.consumers().into_iter().map(|consumer| consumer.id).collect();
    found.sort();
    if found == ids { Ok(()) } else { Err(format!("entries of {found:?}, not {ids:?}")) }
}

fn leave_and_come_back(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let (stream, seen) = (Stream::new(), Mutex::default());
    let (producer, living) = stream.three(1, &[], &["a"]);
    let mut acts: Vec<_> = living.into_iter().map(drop_it).collect();
    acts.push(Box::new(|| drop(stream.read("k", usize::MAX, &seen))));
    let went = play(acts, legs);
    stream.expect(legs, "k", seen, REST)?;
    settled(&stream, producer, &["k"], has_death(legs))?;
    Ok(went)
}

fn two_leave_and_one_comes_back(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let (stream, seen) = (Stream::new(), Mutex::default());
    let (producer, living) = stream.three(1, &[], &["a", "b"]);
    let mut acts: Vec<_> = living.into_iter().map(drop_it).collect();
    acts.push(Box::new(|| drop(stream.read("k", usize::MAX, &seen))));
    let went = play(acts, legs);
    stream.expect(legs, "k", seen, REST)?;
    settled(&stream, producer, &["k"], has_death(legs))?;
    Ok(went)
}

fn two_come_back(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let (stream, seen, other) = (Stream::new(), Mutex::default(), Mutex::default());
    let (producer, _) = stream.three(2, &["l"], &[]);
    let acts: Vec<Act<'_>> = vec![
        Box::new(|| drop(stream.read("k", usize::MAX, &seen))),
        Box::new(|| drop(stream.read("l", usize::MAX, &other))),
    ];
    let went = play(acts, legs);
    stream.expect(legs, "k", seen, &REST[1..])?;
    stream.expect(legs, "l", other, REST)?;
    settled(&stream, producer, &["k", "l"], has_death(legs))?;
    Ok(went)
}

fn leave_and_evict(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let stream = Stream::new();
    let (mut producer, living) = stream.three(1, &[], &["a"]);
    let mut acts: Vec<_> = living.into_iter().map(drop_it).collect();
    acts.push(Box::new(|| _ = producer.evict_consumer("k").expect("a lock can be looked at")));
    let went = play(acts, legs);
    settled(&stream, producer, &[], has_death(legs))?;
    Ok(went)
}

/// All consumers of three rings leave while the next producer builds ring `number`.
fn leave_while_built(stream: &Stream, number: u64, legs: &[Leg]) -> (SharedProducer<u64>, Vec<Went>) {
    let next = Mutex::new(None);
    let (producer, living) = stream.three(1, &[], &["a"]);
    producer.hand_over();
    let mut acts: Vec<_> = living.into_iter().map(drop_it).collect();
    acts.push(Box::new(|| *next.lock().expect("no producer panics") = Some(stream.build(number))));
    let went = play(acts, legs);
    (next.into_inner().expect("no producer panics").expect("it was built"), went)
}

fn leave_and_take_over(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let stream = Stream::new();
    let (producer, went) = leave_while_built(&stream, 3, legs);
    stream.expect(legs, "k", Mutex::default(), REST)?;
    settled(&stream, producer, &["k"], has_death(legs))?;
    Ok(went)
}

fn leave_and_replace(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let stream = Stream::new();
    let (mut producer, went) = leave_while_built(&stream, 4, legs);
    publish(&mut producer, 4);
    stream.expect(legs, "k", Mutex::default(), &[REST, &[40, 41]].concat())?;
    if !has_death(legs) {
        settled(&stream, producer, &["k"], false)?;
    }
    Ok(went)
}

fn last_out(legs: &[Leg]) -> Result<Vec<Went>, String> {
    leave_last(legs, |ring| ring)
}

fn last_out_with_tag(legs: &[Leg]) -> Result<Vec<Went>, String> {
    leave_last(legs, |ring| ring.with_content_tag("e/1"))
}

/// The last consumer leaves a ring that has no producer, while another ring takes its name.
fn last_out_of_another(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let (stream, seen) = (Stream::new(), Mutex::default());
    let mut producer = stream.ring().build_producer(|| 0).expect("there is no ring");
    let living = stream.attach("a");
    publish(&mut producer, 1);
    producer.hand_over();
    let another = || {
        let mut producer = stream.ring().build_producer(|| 0).expect("a producer can go on");
        let is_anew = producer.last_published_sequence() < 0;
        let consumer = stream.ring().with_consumer_id("k").keep_place().build_consumer().expect("there is a producer");
        publish(&mut producer, 2);
        drop(consumer);
        producer.hand_over();
        if is_anew {
            stream.read("k", 1, &seen);
        }
    };
    let went = play(vec![drop_it(living), Box::new(another)], legs);
    if !seen.lock().expect("no reader panics").is_empty() {
        stream.expect(legs, "k", seen, &[20, 21])?;
    }
    Ok(went)
}

/// One consumer leaves the first of three rings. At the same time another leaves it for good, joins again, reads one
/// event of the last ring, and goes, with its entry kept. The other event must be there for it.
fn leave_and_give_up(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let (stream, seen) = (Stream::new(), Mutex::default());
    let (_producer, mut living) = stream.three(2, &[], &["b", "a"]);
    let (leaves, gives_up) = (living.pop().expect("two live"), living.pop().expect("two live"));
    let come_anew = || {
        drop(gives_up);
        stream.read("b", 1, &seen);
    };
    let went = play(vec![drop_it(leaves), Box::new(come_anew)], legs);
    stream.expect(legs, "b", seen, &[30, 31])?;
    Ok(went)
}

/// A consumer comes back while the producer gives it up. If it lives all the time it is not given up, and gets
/// everything.
fn come_back_and_be_evicted(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let (stream, seen, mut was_evicted, mut lived) = (Stream::new(), Mutex::default(), false, false);
    let (mut producer, _) = stream.three(1, &[], &[]);
    let acts: Vec<Act<'_>> = vec![
        Box::new(|| drop(stream.read("k", usize::MAX, &seen))),
        Box::new(|| {
            let attached = || *stream.attached.lock().expect("no reader panics");
            let before = attached();
            was_evicted = producer.evict_consumer("k").expect("a lock can be looked at");
            lived = before % 2 == 1 && attached() == before;
        }),
    ];
    let went = play(acts, legs);
    if was_evicted && lived {
        return Err("a consumer was given up that lived".to_owned());
    }
    if !was_evicted {
        stream.expect(legs, "k", seen, REST)?;
    }
    Ok(went)
}

/// A producer finds a ring in which no process lives, while a consumer comes, reads one event and goes, with its entry
/// kept. Either the consumer found no ring, or the ring goes on for it, or it was told that the ring was replaced.
fn begin_anew(legs: &[Leg]) -> Result<Vec<Went>, String> {
    let (stream, seen, next) = (Stream::new(), Mutex::default(), Mutex::new(None));
    let mut producer = stream.ring().build_producer(|| 0).expect("there is no ring");
    publish(&mut producer, 1);
    producer.hand_over();
    let build = || *next.lock().expect("no producer panics") = Some(stream.ring().build_producer(|| 0));
    let went = play(vec![Box::new(build), Box::new(|| drop(stream.read("k", 1, &seen)))], legs);
    next.into_inner()
        .expect("no producer panics")
        .expect("it was built")
        .map_err(|error| error.to_string())?
        .hand_over();
    if !seen.lock().expect("no reader panics").is_empty() {
        stream.expect(legs, "k", seen, &[10, 11])?;
    }
    Ok(went)
}

/// The last consumer leaves a ring that has no producer, while another joins, reads one event and goes, with its entry
/// kept. Either that one found no ring, or the other event is there for it.
fn leave_last(
    legs: &[Leg],
    tagged: fn(SharedDisruptorBuilder<u64>) -> SharedDisruptorBuilder<u64>,
) -> Result<Vec<Went>, String> {
    let (stream, seen) = (Stream::new(), Mutex::default());
    let mut producer = tagged(stream.ring()).build_producer(|| 0).expect("there is no ring");
    let living = stream.attach("a");
    publish(&mut producer, 1);
    producer.hand_over();
    let went = play(vec![drop_it(living), Box::new(|| drop(stream.read("k", 1, &seen)))], legs);
    if seen.lock().expect("no reader panics").is_empty() {
        return Ok(went);
    }
    stream.expect(legs, "k", seen, &[10, 11])?;
    Ok(went)
}
