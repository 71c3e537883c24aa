//! Any sequence of writers of three versions that come and go, and of readers that start, stop and are killed, compared
//! with a list.

use crate::upgrade::{Step, Writer};
use myelon::StartAt;
use myelon::dst::Crash;
use myelon::prelude::*;
use myelon::typed_transport::TypedReceiveError;
use proptest::prelude::*;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

/// The number of readers, apart from one that is always there.
const READERS: usize = 2;

/// Bytes of the ring: enough for all messages that are sent while a reader is away.
const DEPTH: usize = 1 << 14;

#[derive(Clone, Copy, Debug)]
enum Action {
    Publish,
    /// Another writer comes, of that version.
    Restart {
        version: u8,
    },
    Start(usize),
    /// The reader stops and gives nothing up.
    Stop(usize),
    /// The reader leaves and gives everything up.
    Leave(usize),
    /// The reader dies while it has a message, if there is one.
    Kill(usize),
    Read(usize),
}

fn action() -> impl Strategy<Value = Action> {
    let reader = 0..READERS;
    prop_oneof![
        4 => Just(Action::Publish),
        2 => (1..=3u8).prop_map(|version| Action::Restart { version }),
        2 => reader.clone().prop_map(Action::Start),
        1 => reader.clone().prop_map(Action::Stop),
        1 => reader.clone().prop_map(Action::Leave),
        1 => reader.clone().prop_map(Action::Kill),
        4 => reader.prop_map(Action::Read),
    ]
}

/// The expected state of a reader: what it must read next, and whether that was handed out before.
struct Model {
    end: Option<TypedConsumer<Step>>,
    /// `None`: it has never been there.
    next: Option<usize>,
    was_in_hand: bool,
}

struct World {
    name: String,
    writer: Option<Writer>,
    version: u8,
    /// The version of each message; its place in the list is its number.
    sent: Vec<u8>,
}

impl World {
    fn attach(&self, id: &str) -> TypedConsumer<Step> {
        // Its first start: with the next message.
        let builder = TransportBuilder::new(&self.name, 0).with_consumer_id(id).start_at(StartAt::Tail);
        TypedConsumer::build(builder.with_wait_strategy(MyelonWaitStrategy::Block)).unwrap()
    }

    /// Reads one message if the list has one; `keep` acknowledges it.
    fn read(&self, reader: &mut Model, keep: bool) -> Result<bool, TestCaseError> {
        let (Some(end), Some(next)) = (&mut reader.end, reader.next) else { return Ok(false) };
        if next == self.sent.len() {
            let nothing = end.next(Patience::Now).map(|message| message.is_none());
            prop_assert!(matches!(nothing, Ok(true)), "{:?}", nothing);
            return Ok(false);
        }
        let message = end.next(Patience::Endless).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let message = message.expect("waited for");
        let step = message.decode().unwrap();
        prop_assert_eq!((step.version, step.number), (self.sent[next], next as u64));
        // A message that a dead reader had comes again, marked; nothing else comes twice.
        prop_assert_eq!(message.is_redelivered(), reader.was_in_hand);
        reader.was_in_hand = !keep;
        if keep {
            reader.next = Some(next + 1);
        } else {
            // A killed process leaves it like this: neither acknowledged nor given back.
            std::mem::forget(message);
        }
        Ok(true)
    }

    fn play(&mut self, readers: &mut [Model], action: Action) -> Result<(), TestCaseError> {
        match action {
            Action::Publish => {
                self.writer.as_mut().expect("there is one").publish(self.sent.len() as u64);
                self.sent.push(self.version);
            }
            Action::Restart { version } => {
                self.writer.take().expect("there was one").hand_over();
                self.version = version;
                self.writer = Some(Writer::build(TransportBuilder::new(&self.name, DEPTH), version));
            }
            Action::Start(which) if readers[which].end.is_none() => {
                let end = self.attach(&format!("reader-{which}"));
                let reader = &mut readers[which];
                reader.end = Some(end);
                reader.next = reader.next.or(Some(self.sent.len()));
            }
            Action::Stop(which) => readers[which].end = None,
            Action::Leave(which) => {
                if let Some(end) = readers[which].end.take() {
                    end.leave();
                    readers[which] = Model { end: None, next: None, was_in_hand: false };
                }
            }
            Action::Kill(which) => {
                if readers[which].end.is_some() {
                    self.read(&mut readers[which], false)?;
                    if let Some(end) = readers[which].end.take() {
                        end.crash();
                    }
                }
            }
            Action::Read(which) => drop(self.read(&mut readers[which], true)?),
            Action::Start(_) => {}
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_nothing_comes_twice_but_what_was_in_hand(
        actions in proptest::collection::vec(action(), 1..60),
    ) {
        let _watchdog = Watchdog::new(Duration::from_secs(120), "streams are upgraded");
        let names = ShmGuard::new();
        let mut world = World { name: names.name("s"), writer: None, version: 1, sent: vec![] };
        world.writer = Some(Writer::build(TransportBuilder::new(&world.name, DEPTH), 1));
        // A writer of the same version begins a ring anew if no process lives in it, so a witness always lives.
        let mut witness = Model { end: Some(world.attach("witness")), next: Some(0), was_in_hand: false };
        let mut readers: Vec<_> = (0..READERS).map(|_| Model { end: None, next: None, was_in_hand: false }).collect();
        for action in actions {
            world.play(&mut readers, action)?;
        }
        for (which, reader) in readers.iter_mut().enumerate() {
            if reader.next.is_some() {
                world.play(std::slice::from_mut(reader), Action::Stop(0))?;
                reader.end = Some(world.attach(&format!("reader-{which}")));
                while world.read(reader, true)? {}
            }
        }
        while world.read(&mut witness, true)? {}
        prop_assert_eq!(names.leftovers().len(), 1, "{:?}", names.leftovers());
        drop(world.writer.take());
        for mut reader in readers.into_iter().chain([witness]) {
            if let Some(end) = &mut reader.end {
                let end = end.next(Patience::Endless).map(drop).unwrap_err();
                prop_assert!(
                    matches!(end, TypedReceiveError::Transport(TransportError::Consume(ConsumeError::Closed))),
                    "{}", end
                );
            }
        }
        names.assert_nothing_left();
    }
}
