//! A transport compared with a queue: whatever is sent, received, given back, left and come back to, in any order.

use crate::stage::{Aligned, Small, Subject, payload, watchdog};
use myelon::codec::EncodeShort;
use myelon::transport::{FramedTransportConsumer, FramedTransportProducer, Records, TransportBuilder, TransportError};
use myelon::{Patience, Place, StartAt};
use proptest::prelude::*;
use std::collections::VecDeque;

/// The longest prefix of a message, for which `max_message_bytes` keeps room.
const PREFIX_BYTES_MAX: usize = 32;

#[derive(Clone, Debug)]
enum Operation {
    Send {
        len: usize,
    },
    /// Sends by encoding, with a hint that may be wrong.
    Encode {
        len: usize,
        hint: usize,
    },
    /// Sends several messages together.
    Batch {
        len: usize,
        count: usize,
    },
    Receive {
        who: usize,
    },
    GiveBack {
        who: usize,
    },
    Process {
        who: usize,
    },
    /// The consumer leaves and another one joins under its id, at the tail.
    Return {
        who: usize,
    },
}

fn any_operation() -> impl Strategy<Value = Operation> {
    let len = prop_oneof![0..120_usize, 0..700_usize];
    let who = 0..2_usize;
    prop_oneof![
        4 => len.clone().prop_map(|len| Operation::Send { len }),
        2 => (len.clone(), len.clone()).prop_map(|(len, hint)| Operation::Encode { len, hint }),
        2 => (len, 0..5_usize).prop_map(|(len, count)| Operation::Batch { len, count }),
        6 => who.clone().prop_map(|who| Operation::Receive { who }),
        1 => who.clone().prop_map(|who| Operation::GiveBack { who }),
        1 => who.clone().prop_map(|who| Operation::Process { who }),
        1 => who.prop_map(|who| Operation::Return { who }),
    ]
}

struct Scene<F: Subject> {
    place: Place,
    producer: FramedTransportProducer<F>,
    consumers: [Option<FramedTransportConsumer<F>>; 2],
    /// What each consumer must still receive.
    queues: [VecDeque<(u8, Vec<u8>)>; 2],
    sent: usize,
}

impl<F: Subject> Scene<F> {
    fn new() -> Self {
        let place = Place::heap();
        let producer = TransportBuilder::new(&place, F::DEPTH).build_producer().unwrap();
        let mut scene = Self { place, producer, consumers: [None, None], queues: Default::default(), sent: 0 };
        scene.join(0);
        scene.join(1);
        scene
    }

    fn join(&mut self, who: usize) {
        if let Some(consumer) = self.consumers[who].take() {
            consumer.leave();
        }
        let builder = TransportBuilder::new(&self.place, 0).with_consumer_id(["a", "b"][who]);
        self.consumers[who] = Some(builder.start_at(StartAt::Tail).build_consumer().unwrap());
        self.queues[who].clear();
    }

    fn consumer(&mut self, who: usize) -> &mut FramedTransportConsumer<F> {
        self.consumers[who].as_mut().expect("joined from the beginning")
    }

    /// Notes the result of an attempt to send.
    fn note(&mut self, message: Vec<u8>, result: Result<i64, TransportError>) {
        let most = self.producer.max_message_bytes();
        match result {
            Ok(_) => {
                let kind = self.sent as u8;
                self.queues.iter_mut().for_each(|queue| queue.push_back((kind, message.clone())));
            }
            Err(TransportError::TooLarge { .. }) => assert!(message.len() > most),
            Err(TransportError::Full) => {}
            Err(other) => panic!("{other}"),
        }
        self.sent += 1;
    }

    fn perform(&mut self, operation: &Operation) {
        let kind = self.sent as u8;
        match *operation {
            Operation::Send { len } => {
                let message = payload(len, self.sent);
                let result = self.producer.try_publish(&message, kind);
                let is_too_large = len > self.producer.max_message_bytes() + PREFIX_BYTES_MAX;
                assert!(
                    !is_too_large || matches!(result, Err(TransportError::TooLarge { .. })),
                    "was not refused at once"
                );
                self.note(message, result);
            }
            Operation::Encode { len, hint } => {
                let message = payload(len, self.sent);
                let result = self.producer.send_with(kind, hint, Patience::Now, |into| {
                    into.get_mut(..len).ok_or(EncodeShort::TooSmall)?.copy_from_slice(&message);
                    Ok(len)
                });
                self.note(message, result);
            }
            Operation::Batch { len, count } => {
                let messages: Vec<_> = (0..count).map(|number| payload(len, self.sent + number)).collect();
                let sent = match self.producer.send_batch(&messages, kind, Patience::Now) {
                    Ok(sent) => sent.count,
                    Err(error) => {
                        self.note(messages[error.sent.count].clone(), Err(*error.error));
                        error.sent.count
                    }
                };
                for queue in &mut self.queues {
                    queue.extend(messages[..sent].iter().map(|message| (kind, message.clone())));
                }
                self.sent += count;
            }
            Operation::Receive { who } => {
                let expected = self.queues[who].pop_front();
                assert_eq!(self.consumer(who).receive_owned(Patience::Now).unwrap(), expected);
            }
            Operation::GiveBack { who } => {
                let expected = self.queues[who].front().cloned();
                let message = self.consumer(who).next(Patience::Now).unwrap();
                assert_eq!(message.as_ref().map(|message| (message.kind(), message.to_vec())), expected);
                if let Some(message) = message {
                    message.release_unread();
                }
            }
            Operation::Process { who } => {
                let mut seen = VecDeque::new();
                self.consumer(who).process_available(|meta| seen.push_back((meta.kind, meta.data.to_vec()))).unwrap();
                assert_eq!(seen, self.queues[who]);
                self.queues[who].clear();
            }
            Operation::Return { who } => self.join(who),
        }
    }

    /// At the end every consumer gets the rest.
    fn finish(mut self) {
        for who in [0, 1] {
            while !self.queues[who].is_empty() {
                self.perform(&Operation::Receive { who });
            }
            self.perform(&Operation::Receive { who });
            assert_eq!(self.consumer(who).skipped(), 0);
        }
    }
}

fn agrees_with_a_queue<F: Subject>(operations: &[Operation]) {
    let _watchdog = watchdog();
    let mut scene = Scene::<F>::new();
    operations.iter().for_each(|operation| scene.perform(operation));
    scene.finish();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_agree_with_a_queue(operations in prop::collection::vec(any_operation(), 0..80)) {
        agrees_with_a_queue::<Small>(&operations);
        agrees_with_a_queue::<Aligned>(&operations);
    }

    #[test]
    fn records_agree_with_a_queue(operations in prop::collection::vec(any_operation(), 0..80)) {
        agrees_with_a_queue::<Records>(&operations);
    }
}
