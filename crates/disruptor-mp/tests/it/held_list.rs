//! Any operations with held messages, in any order: none is lost, and no released one comes again.
//!
//! The model is a list of the messages between the gate and what is read next.

use crate::held::{Events, Kind, Records, drop_by_panic};
use crate::stage::watchdog;
use disruptor_mp::segment::Place;
use disruptor_mp::{Holds, Patience, Release};
use proptest::prelude::*;
use std::collections::BTreeSet;

/// One operation. `which` is taken modulo the number of held messages, and nothing happens if there is none.
#[derive(Clone, Debug)]
enum Act {
    Publish,
    Take,
    Read,
    Peek,
    Handle,
    Release {
        which: usize,
    },
    GiveBack {
        which: usize,
        panics: bool,
    },
    /// The consumer is dropped and keeps its entry. Every held message is released or given back, as the bits of
    /// `released` say. Then another consumer comes under its id.
    Return {
        released: u64,
    },
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => Just(Act::Publish),
        6 => Just(Act::Take),
        2 => Just(Act::Read),
        1 => Just(Act::Peek),
        1 => Just(Act::Handle),
        4 => (0..8_usize).prop_map(|which| Act::Release { which }),
        2 => (0..8_usize, any::<bool>()).prop_map(|(which, panics)| Act::GiveBack { which, panics }),
        1 => any::<u64>().prop_map(|released| Act::Return { released }),
    ];
    proptest::collection::vec(act, 1..60)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Held,
    Returned,
    Released,
}

struct World<K: Kind> {
    producer: K::Producer,
    consumer: K::Consumer,
    held: Vec<(i64, K::Held)>,
    place: Place,
    published: i64,
    /// The messages between the gate and the front.
    list: Vec<(i64, Standing)>,
    /// The message that is read next.
    front: i64,
    /// Messages after the gate that a predecessor has released.
    ahead: BTreeSet<i64>,
    /// Everything before it was handed out to a predecessor.
    marked_until: i64,
    peeked_until: i64,
}

/// How many messages fit into the ring.
const ROOM: usize = 8;

impl<K: Kind> World<K> {
    fn new(place: Place) -> Self {
        let producer = K::producer(&place, ROOM);
        let consumer = K::consumer(&place, "w").unwrap();
        Self {
            producer,
            consumer,
            held: vec![],
            place,
            published: 0,
            list: vec![],
            front: 0,
            ahead: BTreeSet::new(),
            marked_until: 0,
            peeked_until: 0,
        }
    }

    fn gate(&self) -> i64 {
        self.list.first().map_or(self.front, |(number, _)| *number)
    }

    /// The next message to be handed out, and whether it is marked.
    fn due(&mut self) -> Option<(i64, bool)> {
        if let Some((number, _)) = self.list.iter().find(|(_, standing)| *standing == Standing::Returned) {
            return Some((*number, true));
        }
        while self.ahead.remove(&self.front) {
            if !self.list.is_empty() {
                self.list.push((self.front, Standing::Released));
            }
            self.front += 1;
        }
        (self.front < self.published).then_some((self.front, self.front < self.marked_until))
    }

    fn set(&mut self, number: i64, standing: Standing) {
        match self.list.iter_mut().find(|(other, _)| *other == number) {
            Some((_, it)) => *it = standing,
            None => {
                self.list.push((number, standing));
                self.front = number + 1;
            }
        }
        while self.list.first().is_some_and(|(_, standing)| *standing == Standing::Released) {
            self.list.remove(0);
        }
    }

    fn play(&mut self, act: &Act) {
        let held = self.held.len();
        match *act {
            Act::Publish => self.published += i64::from(K::publish(&mut self.producer)),
            Act::Take => {
                let due = self.due();
                let taken = self.consumer.take_held(Patience::Now).unwrap();
                let seen = taken.as_ref().map(|held| (K::seen(held).0, K::seen(held).1 > 0));
                assert_eq!(seen, due);
                if let Some(message) = taken {
                    let number = K::seen(&message).0;
                    self.set(number, Standing::Held);
                    self.held.push((number, message));
                }
            }
            Act::Read => {
                let due = self.due();
                let seen = K::read(&mut self.consumer).unwrap();
                assert_eq!(seen.map(|(number, count)| (number, count > 0)), due);
                if let Some((number, _)) = seen {
                    self.set(number, Standing::Released);
                }
            }
            Act::Peek => {
                let due = self.due();
                assert_eq!(K::peek(&mut self.consumer), due.map(|(number, _)| number));
                self.peeked_until = self.peeked_until.max(due.map_or(0, |(number, _)| number + 1));
            }
            Act::Handle => {
                let mut expected = vec![];
                while let Some((number, _)) = self.due() {
                    expected.push(number);
                    self.set(number, Standing::Released);
                }
                assert_eq!(K::handle_all(&mut self.consumer), expected);
            }
            Act::Release { .. } | Act::GiveBack { .. } if held == 0 => {}
            Act::Release { which } => {
                let (number, message) = self.held.remove(which % held);
                assert_eq!(K::seen(&message).0, number, "its bytes are another's");
                std::thread::spawn(move || message.release()).join().unwrap();
                self.set(number, Standing::Released);
            }
            Act::GiveBack { which, panics } => {
                let (number, message) = self.held.remove(which % held);
                assert_eq!(K::seen(&message).0, number, "its bytes are another's");
                if panics {
                    drop_by_panic(message)
                } else {
                    drop(message)
                }
                self.set(number, Standing::Returned);
            }
            Act::Return { released } => self.come_back(released),
        }
        assert_eq!(K::gate(&self.producer), self.gate(), "after {act:?}");
    }

    fn come_back(&mut self, released: u64) {
        K::keep_place(&mut self.consumer);
        let placeholder = Place::heap();
        let _placeholder = K::producer(&placeholder, ROOM);
        drop(std::mem::replace(&mut self.consumer, K::consumer(&placeholder, "w").unwrap()));
        for (index, (number, message)) in std::mem::take(&mut self.held).into_iter().enumerate() {
            if index == 0 {
                assert!(K::consumer(&self.place, "w").is_err(), "the id of a consumer one of whose messages is held");
            }
            if released >> (index % 64) & 1 == 1 {
                message.release();
                self.set(number, Standing::Released);
            } else {
                drop(message);
                self.set(number, Standing::Returned);
            }
        }
        self.marked_until = self.marked_until.max(self.front).max(self.peeked_until);
        let gate = self.gate();
        let released =
            std::mem::take(&mut self.list).into_iter().filter(|(_, standing)| *standing == Standing::Released);
        self.ahead.extend(released.map(|(number, _)| number));
        self.front = gate;
        self.consumer = K::consumer(&self.place, "w").unwrap();
    }
}

fn none_is_lost_and_none_comes_again<K: Kind>() {
    let _watchdog = watchdog();
    let config = ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(acts in acts())| {
        let mut world = World::<K>::new(Place::heap());
        for act in &acts {
            world.play(act);
        }
        // Every holder gives its message back, and everything else comes.
        world.play(&Act::Return { released: 0 });
        world.play(&Act::Handle);
        assert_eq!(world.gate(), world.published);
    });
}

#[test]
fn no_event_is_lost_and_none_that_was_released_comes_again() {
    none_is_lost_and_none_comes_again::<Events>();
}

#[test]
fn no_record_is_lost_and_none_that_was_released_comes_again() {
    none_is_lost_and_none_comes_again::<Records>();
}
