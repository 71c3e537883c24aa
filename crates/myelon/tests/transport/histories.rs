//! Consumers join, leave, die and come back in any order: each gets exactly the messages that its position entitles it
//! to, whole and in order.
//!
//! The feature `dst` lets an end die while its process lives.

use crate::stage::{Aligned, Small, Subject, TempDir, payload, watchdog};
use myelon::codec::EncodeShort;
use myelon::dst::Crash;
use myelon::transport::{
    FramedTransportConsumer, FramedTransportProducer, Message, Records, TransportBuilder, TransportError,
};
use myelon::{MultiProcessError, Origin, Patience, Place, Sequence, StartAt};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use testkit::names::ShmGuard;

/// How many consumers there can be.
const CONSUMERS: usize = 3;

#[derive(Clone, Debug)]
enum Act {
    Send {
        len: usize,
    },
    /// Sends by encoding in place.
    Encode {
        len: usize,
    },
    /// Sends several messages together.
    SendBatch {
        len: usize,
        count: usize,
    },
    /// The sender dies, perhaps inside a message.
    SenderDies {
        inside: bool,
    },
    /// The next sender takes the ring over, or begins anew if no consumer needs the old ring.
    SenderReturns,
    Receive {
        who: usize,
    },
    /// Gets a message and gives it back.
    GiveBack {
        who: usize,
    },
    /// A handler panics over a message.
    HandlerPanics {
        who: usize,
    },
    /// Joins, or comes back if it died.
    Join {
        who: usize,
        start: StartAt,
    },
    Leave {
        who: usize,
    },
    /// Dies, perhaps while it has a message.
    Dies {
        who: usize,
        holding: bool,
    },
}

fn any_act() -> impl Strategy<Value = Act> {
    let len = || prop_oneof![3 => 0..150_usize, 1 => 0..700_usize];
    let who = || 0..CONSUMERS;
    let start = prop_oneof![2 => Just(StartAt::Tail), 1 => Just(StartAt::Oldest), 1 => Just(StartAt::Beginning)];
    prop_oneof![
        8 => len().prop_map(|len| Act::Send { len }),
        3 => len().prop_map(|len| Act::Encode { len }),
        2 => (len(), 1..4_usize).prop_map(|(len, count)| Act::SendBatch { len, count }),
        1 => any::<bool>().prop_map(|inside| Act::SenderDies { inside }),
        3 => Just(Act::SenderReturns),
        12 => who().prop_map(|who| Act::Receive { who }),
        1 => who().prop_map(|who| Act::GiveBack { who }),
        1 => who().prop_map(|who| Act::HandlerPanics { who }),
        5 => (who(), start).prop_map(|(who, start)| Act::Join { who, start }),
        1 => who().prop_map(|who| Act::Leave { who }),
        2 => (who(), any::<bool>()).prop_map(|(who, holding)| Act::Dies { who, holding }),
    ]
}

/// A message of the current ring.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Sent {
    /// The first of its sequences, and the last, which is the message's own.
    first: Sequence,
    sequence: Sequence,
    kind: u8,
    bytes: Vec<u8>,
}

/// What is known of a consumer, alive or dead.
struct Consumer<F: Subject> {
    /// `None`: it died, and its entry is kept.
    end: Option<FramedTransportConsumer<F>>,
    /// The messages that it must still receive.
    due: VecDeque<Sent>,
    /// How many of those its predecessor, or a handler that panicked, had received: they come again marked.
    marked: usize,
    /// How many of those it has received itself.
    held: usize,
    /// Whether it may have begun in the middle of a message, which then counts as skipped.
    may_skip: bool,
}

struct Scene<F: Subject> {
    place: Place,
    sender: Option<FramedTransportProducer<F>>,
    history: Vec<Sent>,
    consumers: [Option<Consumer<F>>; CONSUMERS],
    sent: usize,
}

impl<F: Subject> Scene<F> {
    fn new(place: Place) -> Self {
        let sender = TransportBuilder::new(&place, F::DEPTH).build_producer().unwrap();
        Self { place, sender: Some(sender), history: vec![], consumers: [None, None, None], sent: 0 }
    }

    fn perform(&mut self, act: &Act) {
        match *act {
            Act::Send { len } => self.send(len, |sender, message, kind| sender.try_publish(message, kind)),
            Act::Encode { len } => self.send(len, |sender, message, kind| {
                sender.send_with(kind, message.len(), Patience::Now, |into| {
                    into.get_mut(..message.len()).ok_or(EncodeShort::TooSmall)?.copy_from_slice(message);
                    Ok(message.len())
                })
            }),
            Act::SendBatch { len, count } => self.send_batch(len, count),
            Act::SenderDies { inside } => self.sender_dies(inside),
            Act::SenderReturns => self.sender_returns(),
            Act::Join { who, start } => self.join(who, start),
            Act::Leave { who } => {
                // A dead consumer cannot leave: its entry is kept.
                if let Some(end) = self.consumers[who].as_mut().and_then(|consumer| consumer.end.take()) {
                    end.leave();
                    self.consumers[who] = None;
                }
            }
            Act::Receive { who } => self.with(who, Consumer::receive),
            Act::GiveBack { who } => self.with(who, Consumer::give_back),
            Act::HandlerPanics { who } => self.with(who, Consumer::handler_panics),
            Act::Dies { who, holding } => self.with(who, |consumer| consumer.die(holding)),
        }
    }

    fn with(&mut self, who: usize, act: impl FnOnce(&mut Consumer<F>)) {
        if let Some(consumer) = self.consumers[who].as_mut().filter(|consumer| consumer.end.is_some()) {
            act(consumer);
        }
    }

    fn send(
        &mut self,
        len: usize,
        send: impl FnOnce(&mut FramedTransportProducer<F>, &[u8], u8) -> Result<Sequence, TransportError>,
    ) {
        let Some(sender) = &mut self.sender else { return };
        let (message, kind) = (payload(len, self.sent), self.sent as u8);
        self.sent += 1;
        match send(sender, &message, kind) {
            Ok(sequence) => self.note(sequence, kind, message),
            Err(TransportError::Full | TransportError::TooLarge { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn note(&mut self, sequence: Sequence, kind: u8, bytes: Vec<u8>) {
        let first = self.history.last().map_or(0, |last| last.sequence + 1);
        let sent = Sent { first, sequence, kind, bytes };
        self.history.push(sent.clone());
        self.consumers.iter_mut().flatten().for_each(|consumer| consumer.due.push_back(sent.clone()));
    }

    fn send_batch(&mut self, len: usize, count: usize) {
        let Some(sender) = &mut self.sender else { return };
        let (messages, kind): (Vec<_>, _) =
            ((0..count).map(|i| payload(len, self.sent + i)).collect(), self.sent as u8);
        self.sent += count;
        let sent = match sender.send_batch(&messages, kind, Patience::Now) {
            Ok(sent) => sent,
            Err(error) => {
                assert!(matches!(*error.error, TransportError::Full | TransportError::TooLarge { .. }), "{error}");
                error.sent
            }
        };
        // They are equally long, so each has the same number of frames.
        let before = self.history.last().map_or(-1, |last| last.sequence);
        let all = sent.last_sequence.map_or(0, |last| last - before);
        for (message, index) in messages.into_iter().take(sent.count).zip(1..) {
            self.note(before + all / sent.count as Sequence * index, kind, message);
        }
    }

    fn sender_dies(&mut self, inside: bool) {
        let Some(mut sender) = self.sender.take() else { return };
        if inside {
            // It dies in the middle of the payload. Later moments are for the kill tests, which use real processes.
            let _ = catch_unwind(AssertUnwindSafe(|| {
                sender.send_with(0, 60, Patience::Now, |into| {
                    into.iter_mut().take(30).for_each(|byte| *byte = 0xff);
                    resume_unwind(Box::new(()))
                })
            }));
        }
        sender.crash();
    }

    fn sender_returns(&mut self) {
        if self.sender.is_some() {
            return;
        }
        let sender: FramedTransportProducer<F> = TransportBuilder::new(&self.place, F::DEPTH).build_producer().unwrap();
        // A consumer that lives, or has something to come back to.
        let is_kept_for =
            |consumer: &Consumer<F>| consumer.end.is_some() || consumer.may_skip || !consumer.due.is_empty();
        let is_kept = self.consumers.iter().flatten().any(is_kept_for);
        assert_eq!(sender.origin() == Origin::TookOver, is_kept, "{:?}", sender.origin());
        if sender.origin() != Origin::TookOver {
            // A new ring: a dead consumer cannot come back to anything of the old one.
            self.consumers = [None, None, None];
            self.history.clear();
        }
        self.sender = Some(sender);
    }

    fn join(&mut self, who: usize, start: StartAt) {
        if self.consumers[who].as_ref().is_some_and(|consumer| consumer.end.is_some()) {
            return;
        }
        let builder = TransportBuilder::<F>::new(&self.place, 0).with_consumer_id(["a", "b", "c"][who]).start_at(start);
        let end = match builder.build_consumer() {
            Ok(end) => end,
            // The last process that left a ring without a sender has removed it.
            Err(TransportError::Build(MultiProcessError::NotFound { .. })) if self.sender.is_none() => return,
            Err(TransportError::Build(MultiProcessError::Join { .. })) if start == StartAt::Beginning => return,
            Err(other) => panic!("{other}"),
        };
        let dead = self.consumers[who].take();
        assert_eq!(end.has_rejoined(), dead.is_some());
        let from = end.current_sequence() + 1;
        self.consumers[who] = Some(match dead {
            Some(dead) => {
                // A consumer that began in the middle of a message and died there comes back to the rest of that
                // message, which it skips.
                let comes_next = |first| first == from || (dead.may_skip && from < first);
                let first = dead.due.front().map(|sent| sent.first);
                assert!(first.is_none_or(comes_next), "{from} instead of {first:?}");
                Consumer { end: Some(end), marked: dead.marked.max(dead.held), held: 0, ..dead }
            }
            None => {
                let tail = self.history.last().map_or(0, |last| last.sequence + 1);
                assert!(if start == StartAt::Tail { from == tail } else { from <= tail }, "{from} of {tail}");
                let due: VecDeque<_> = self.history.iter().filter(|sent| sent.first >= from).cloned().collect();
                let may_skip = self.history.iter().any(|sent| sent.first < from && from <= sent.sequence);
                Consumer { end: Some(end), due, marked: 0, held: 0, may_skip }
            }
        });
    }

    /// At the end every live consumer gets the rest.
    fn finish(mut self) {
        for consumer in self.consumers.iter_mut().flatten().filter(|consumer| consumer.end.is_some()) {
            for _ in 0..=consumer.due.len() {
                consumer.receive();
            }
        }
        // If a consumer died, the ring is left for a collector.
        drop(self.sender);
        self.consumers = [None, None, None];
        let _ = myelon::gc(self.place);
    }
}

impl<F: Subject> Consumer<F> {
    fn end(&mut self) -> &mut FramedTransportConsumer<F> {
        self.end.as_mut().expect("only who lives acts")
    }

    fn receive(&mut self) {
        // A consumer that began in the middle of a message reports that once, and continues with the next message.
        if self.may_skip && matches!(self.end().next(Patience::Now).map(drop_unread), Err(TransportError::Malformed(_)))
        {
            self.may_skip = false;
        }
        let (due, is_marked) = (self.due.pop_front(), self.marked > 0);
        let message = self.end.as_mut().expect("only who lives acts").next(Patience::Now).unwrap();
        match (message, &due) {
            (None, None) => {}
            (Some(message), Some(due)) => {
                assert_eq!((message.sequence(), message.kind()), (due.sequence, due.kind));
                assert!(*message == due.bytes[..], "other bytes");
                assert_eq!(message.is_redelivered(), is_marked, "of message {}", due.sequence);
            }
            (message, due) => panic!("{:?} where {due:?} was due", message.map(|message| message.sequence())),
        }
        if due.is_some() {
            // The message in whose middle it began comes before this one, even if it was skipped without a report.
            self.may_skip = false;
            self.marked = self.marked.saturating_sub(1);
            self.held = self.held.saturating_sub(1);
        }
    }

    /// Receives a message and gives it back with `give_back`, without acknowledging it.
    fn hold(&mut self, give_back: impl FnOnce(&mut FramedTransportConsumer<F>) -> bool) {
        if self.may_skip {
            return;
        }
        let expected = !self.due.is_empty();
        assert_eq!(give_back(self.end()), expected);
        if expected {
            self.held = self.held.max(1);
        }
    }

    fn give_back(&mut self) {
        self.hold(|end| end.next(Patience::Now).unwrap().map(|message| message.release_unread()).is_some());
    }

    fn handler_panics(&mut self) {
        // It comes again, marked, also to the same consumer.
        if !self.may_skip && !self.due.is_empty() {
            self.marked = self.marked.max(1);
        }
        self.hold(|end| {
            catch_unwind(AssertUnwindSafe(|| {
                if let Some(_message) = end.next(Patience::Now).unwrap() {
                    resume_unwind(Box::new(()));
                }
            }))
            .is_err()
        });
    }

    fn die(&mut self, holding: bool) {
        if holding {
            self.give_back();
        }
        let end = self.end.take().expect("only who lives dies");
        end.crash();
    }
}

/// Gives back a message that was only looked for.
fn drop_unread<F: Subject>(message: Option<Message<'_, F>>) {
    if let Some(message) = message {
        message.release_unread();
    }
}

fn everybody_gets_what_is_theirs<F: Subject>(place: Place, acts: &[Act]) {
    let _watchdog = watchdog();
    let mut scene = Scene::<F>::new(place);
    acts.iter().for_each(|act| scene.perform(act));
    scene.finish();
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn any_acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(any_act(), 0..100)
}

/// The claim over every format, on places that `place` makes.
fn over_every_format(acts: &[Act], place: impl Fn() -> Place) {
    everybody_gets_what_is_theirs::<Small>(place(), acts);
    everybody_gets_what_is_theirs::<Aligned>(place(), acts);
    everybody_gets_what_is_theirs::<Records>(place(), acts);
}

#[test]
fn each_consumer_gets_exactly_its_messages_on_the_heap() {
    proptest!(config(150), |(acts in any_acts())| over_every_format(&acts, Place::heap));
}

#[test]
fn each_consumer_gets_exactly_its_messages_in_shared_memory() {
    let shm = ShmGuard::new();
    proptest!(config(40), |(acts in any_acts())| over_every_format(&acts, || Place::from(shm.name("h"))));
    shm.assert_nothing_left();
}

#[test]
fn each_consumer_gets_exactly_its_messages_in_a_file() {
    let dir = TempDir::new();
    proptest!(config(40), |(acts in any_acts())| {
        over_every_format(&acts, || Place::from(dir.0.join("ring")));
    });
    assert_eq!(std::fs::read_dir(&dir.0).unwrap().count(), 0, "left behind");
}
