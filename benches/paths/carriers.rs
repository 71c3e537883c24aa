//! What the paths do: a producer and a consumer in one thread pass numbered messages.
//!
//! This file is compiled against old and new versions of the libraries, so it uses calls that both have where it can.

use benches::{CAPACITY, Sample, ring};
use disruptor_mp::{
    DEFAULT_RECORD_RING_BYTES, Patience, Place, RecordConsumer, RecordProducer, RequiredConsumerLivenessConfig,
    SharedConsumer, SharedDisruptorBuilder, SharedProducer, attach_shared_consumer,
};
use myelon::codec::Codec;
use myelon::codec::rkyv_support::rkyv;
use myelon::transport::{AlignedFixedFrame, Format, Records, TransportBuilder, TransportConsumer, TransportProducer};
use myelon::typed_transport::{TypedConsumer, TypedMessage, TypedProducer};
use std::any::TypeId;
use std::hint::black_box;
use std::ops::Range;
use std::time::{Duration, Instant};

/// Messages of a round: half a lap of the events' ring.
const ROUND: u64 = CAPACITY as u64 / 2;

/// Messages of a round of long messages: few enough that the reader counts as close, and the writer leaves its gaps
/// between messages.
pub(crate) const ROUND_OF_LONG: u64 = 16;

/// Events of a batch.
const BATCH: usize = 64;

/// Slots of a ring of frames: a round of messages fits, also if each is split.
const FRAMES: usize = 1024;

/// The frames. A message of 64 bytes fits into one; one of 4 KiB is split.
type Frame = AlignedFixedFrame<1024>;

/// A path: one part of one way of carrying messages.
pub(crate) struct Path {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    part: Part,
    carry: fn(Part, u64) -> Outcome,
}

impl Path {
    /// Carries `operations` messages.
    pub(crate) fn run(&self, operations: u64) -> Outcome {
        (self.carry)(self.part, operations)
    }
}

/// Which part of the carrying is measured.
#[derive(Clone, Copy)]
pub(crate) enum Part {
    /// All messages of a round are sent, one after the other.
    Send,
    /// All messages of a round are received, one after the other.
    Receive,
    /// Each message is received before the next one is sent.
    Turns,
}

/// The result of a run.
#[derive(Default)]
pub(crate) struct Outcome {
    /// The sum of the numbers that were received.
    pub(crate) checksum: u64,
    operations_timed: u64,
    elapsed: Duration,
}

impl Outcome {
    /// Nanoseconds per operation in the second half of the run: in the first half, memory is used for the first time.
    pub(crate) fn nanoseconds(&self) -> f64 {
        self.elapsed.as_nanos() as f64 / self.operations_timed as f64
    }
}

pub(crate) const fn path(name: &'static str, part: Part, carry: fn(Part, u64) -> Outcome) -> Path {
    Path { name, part, carry }
}

/// All paths.
pub(crate) const PATHS: [Path; 58] = [
    path("publish", Part::Send, events_one_by_one),
    path("consume", Part::Receive, events_one_by_one),
    path("publish-consume-in-turns", Part::Turns, events_one_by_one),
    path("try-publish", Part::Send, events_trying),
    path("try-consume", Part::Receive, events_trying),
    path("publish-managed", Part::Send, events_managed),
    path("publish-batch", Part::Send, events_in_batches),
    path("consume-batch", Part::Receive, events_in_batches),
    path("try-publish-batch", Part::Send, events_trying_in_batches),
    path("process-available", Part::Receive, events_trying_in_batches),
    path("publish-batch-managed", Part::Send, events_managed_in_batches),
    path("record-claim-commit-64", Part::Send, records::<64>),
    path("record-read-64", Part::Receive, records::<64>),
    path("record-in-turns-64", Part::Turns, records::<64>),
    path("record-batch-64", Part::Send, records_in_batches::<64>),
    path("record-process-available-64", Part::Receive, records_in_batches::<64>),
    path("record-claim-commit-4096", Part::Send, records::<4096>),
    path("record-read-4096", Part::Receive, records::<4096>),
    path("record-in-turns-4096", Part::Turns, records::<4096>),
    path("record-batch-4096", Part::Send, records_in_batches::<4096>),
    path("record-process-available-4096", Part::Receive, records_in_batches::<4096>),
    path("transport-send-64", Part::Send, transport::<Records, 64>),
    path("transport-receive-64", Part::Receive, transport::<Records, 64>),
    path("transport-in-turns-64", Part::Turns, transport::<Records, 64>),
    path("transport-encode-64", Part::Send, transport_in_place::<Records, 64>),
    path("transport-batch-64", Part::Send, transport_in_batches::<Records, 64>),
    path("transport-process-available-64", Part::Receive, transport_in_place::<Records, 64>),
    path("transport-send-4096", Part::Send, transport::<Records, 4096>),
    path("transport-receive-4096", Part::Receive, transport::<Records, 4096>),
    path("transport-in-turns-4096", Part::Turns, transport::<Records, 4096>),
    path("transport-encode-4096", Part::Send, transport_in_place::<Records, 4096>),
    path("transport-batch-4096", Part::Send, transport_in_batches::<Records, 4096>),
    path("transport-process-available-4096", Part::Receive, transport_in_place::<Records, 4096>),
    path("frames-send-64", Part::Send, transport::<Frame, 64>),
    path("frames-receive-64", Part::Receive, transport::<Frame, 64>),
    path("frames-in-turns-64", Part::Turns, transport::<Frame, 64>),
    path("frames-encode-64", Part::Send, transport_in_place::<Frame, 64>),
    path("frames-batch-64", Part::Send, transport_in_batches::<Frame, 64>),
    path("frames-process-available-64", Part::Receive, transport_in_place::<Frame, 64>),
    path("frames-send-4096", Part::Send, transport::<Frame, 4096>),
    path("frames-receive-4096", Part::Receive, transport::<Frame, 4096>),
    path("frames-in-turns-4096", Part::Turns, transport::<Frame, 4096>),
    path("frames-process-available-4096", Part::Receive, transport_in_place::<Frame, 4096>),
    path("rkyv-send-64", Part::Send, typed_rkyv::<64>),
    path("rkyv-receive-64", Part::Receive, typed_rkyv::<64>),
    path("rkyv-in-turns-64", Part::Turns, typed_rkyv::<64>),
    path("rkyv-batch-64", Part::Send, typed_in_batches::<64>),
    path("rkyv-process-available-64", Part::Receive, typed_in_handlers::<64>),
    path("rkyv-send-4096", Part::Send, typed_rkyv::<4096>),
    path("rkyv-receive-4096", Part::Receive, typed_rkyv::<4096>),
    path("rkyv-in-turns-4096", Part::Turns, typed_rkyv::<4096>),
    path("rkyv-process-available-4096", Part::Receive, typed_in_handlers::<4096>),
    path("bincode-send-64", Part::Send, typed_bincode::<64>),
    path("bincode-receive-64", Part::Receive, typed_bincode::<64>),
    path("bincode-in-turns-64", Part::Turns, typed_bincode::<64>),
    path("bincode-send-4096", Part::Send, typed_bincode::<4096>),
    path("bincode-receive-4096", Part::Receive, typed_bincode::<4096>),
    path("bincode-in-turns-4096", Part::Turns, typed_bincode::<4096>),
];

/// The counted code. It is a function of its own, so that its instructions can be distinguished from all others:
/// `counting` knows its name.
#[inline(never)]
fn measured<R>(elapsed: &mut Duration, part: impl FnOnce() -> R) -> R {
    let begin = Instant::now();
    let result = part();
    *elapsed += begin.elapsed();
    result
}

/// Carries `operations` messages in rounds of `round`: `send` sends messages with the given numbers, `receive` receives
/// that many and returns the sum of their numbers. Each round leaves the ring empty.
pub(crate) fn carry<E>(
    part: Part,
    operations: u64,
    round: u64,
    mut ends: E,
    mut send: impl FnMut(&mut E, Range<u64>),
    mut receive: impl FnMut(&mut E, u64) -> u64,
) -> Outcome {
    let mut outcome = Outcome::default();
    let mut next = 0;
    while next < operations {
        let numbers = next..operations.min(next + round);
        let count = numbers.end - numbers.start;
        next = numbers.end;
        let mut elapsed = Duration::ZERO;
        outcome.checksum += match part {
            Part::Send => {
                measured(&mut elapsed, || send(&mut ends, numbers));
                receive(&mut ends, count)
            }
            Part::Receive => {
                send(&mut ends, numbers);
                measured(&mut elapsed, || receive(&mut ends, count))
            }
            Part::Turns => measured(&mut elapsed, || {
                let mut sum = 0;
                for number in numbers {
                    send(&mut ends, number..number + 1);
                    sum += receive(&mut ends, 1);
                }
                sum
            }),
        };
        if next > operations / 2 {
            outcome.operations_timed += count;
            outcome.elapsed += elapsed;
        }
    }
    outcome
}

type EventEnds = (SharedProducer<Sample>, SharedConsumer<Sample>);

fn event_ends() -> EventEnds {
    let place = Place::memfd("paths");
    let producer = ring(&place).build_producer(|| Sample::new(0)).expect("a new ring");
    let consumer = attach_shared_consumer(place, CAPACITY).with_consumer_id("reader");
    (producer, consumer.build_consumer().expect("room for a consumer"))
}

/// Ends whose producer watches the consumer.
fn managed_event_ends() -> EventEnds {
    let (mut producer, consumer) = event_ends();
    let required = RequiredConsumerLivenessConfig::new(["reader"]);
    producer.enable_required_consumer_liveness(required).expect("the environment says nothing about it");
    (producer, consumer)
}

/// The lengths of the batches for `count` events.
fn batches(count: u64) -> impl Iterator<Item = usize> {
    let count = count as usize;
    (0..count).step_by(BATCH).map(move |first| BATCH.min(count - first))
}

fn events_one_by_one(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut EventEnds, numbers: Range<u64>| {
        for number in numbers {
            producer.publish(|event| *event = Sample::new(number)).expect("room");
        }
    };
    let receive = |(_, consumer): &mut EventEnds, count| {
        (0..count).map(|_| consumer.consume_next_leased().expect("an event").value).sum()
    };
    carry(part, operations, ROUND, event_ends(), send, receive)
}

fn events_trying(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut EventEnds, numbers: Range<u64>| {
        for number in numbers {
            producer.try_publish(|event| *event = Sample::new(number)).expect("room");
        }
    };
    let receive = |(_, consumer): &mut EventEnds, count| {
        (0..count).map(|_| consumer.try_consume_next_leased().expect("an event").value).sum()
    };
    carry(part, operations, ROUND, event_ends(), send, receive)
}

fn events_managed(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut EventEnds, numbers: Range<u64>| {
        for number in numbers {
            producer.publish_managed(|event| *event = Sample::new(number)).expect("room");
        }
    };
    carry(part, operations, ROUND, managed_event_ends(), send, drain)
}

fn events_in_batches(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut EventEnds, numbers: Range<u64>| {
        let mut first = numbers.start;
        for len in batches(numbers.end - numbers.start) {
            producer.publish_batch(len, |event, i| *event = Sample::new(first + i as u64)).expect("room");
            first += len as u64;
        }
    };
    let receive = |(_, consumer): &mut EventEnds, count| {
        let mut sum = 0;
        for len in batches(count) {
            let batch = consumer.consume_batch_leased(len, None).expect("events");
            assert_eq!(batch.len(), len);
            sum += batch.iter().map(|event| event.value).sum::<u64>();
        }
        sum
    };
    carry(part, operations, ROUND, event_ends(), send, receive)
}

fn events_trying_in_batches(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut EventEnds, numbers: Range<u64>| {
        let mut first = numbers.start;
        for len in batches(numbers.end - numbers.start) {
            producer.try_publish_batch(len, |event, i| *event = Sample::new(first + i as u64)).expect("room");
            first += len as u64;
        }
    };
    carry(part, operations, ROUND, event_ends(), send, drain)
}

fn events_managed_in_batches(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut EventEnds, numbers: Range<u64>| {
        let mut first = numbers.start;
        for len in batches(numbers.end - numbers.start) {
            producer.publish_batch_managed(len, |event, i| *event = Sample::new(first + i as u64)).expect("room");
            first += len as u64;
        }
    };
    carry(part, operations, ROUND, managed_event_ends(), send, drain)
}

/// Hands `count` events to a handler.
fn drain((_, consumer): &mut EventEnds, count: u64) -> u64 {
    let (mut sum, mut handled) = (0, 0);
    while handled < count {
        handled += consumer.process_available(|event, _| sum += event.value) as u64;
    }
    sum
}

/// How many messages of `len_bytes` a round has.
const fn round_of(len_bytes: usize) -> u64 {
    if len_bytes > 1024 { ROUND_OF_LONG } else { ROUND }
}

/// The number at the beginning of a message's bytes.
fn number_in(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(*bytes.first_chunk().expect("a message begins with its number"))
}

type RecordEnds = (RecordProducer, RecordConsumer);

fn record_ends() -> RecordEnds {
    let place = Place::memfd("paths");
    let producer = SharedDisruptorBuilder::records(place.clone(), DEFAULT_RECORD_RING_BYTES).build_record_producer();
    let consumer = SharedDisruptorBuilder::records(place, 0).with_consumer_id("reader").build_record_consumer();
    (producer.expect("a new ring"), consumer.expect("room for a consumer"))
}

/// Records are written in place, and only their numbers: the cost of the other bytes belongs to the application.
fn records<const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut RecordEnds, numbers: Range<u64>| {
        for number in numbers {
            let mut claim = producer.claim(LEN, Patience::Endless).expect("room");
            claim[..8].copy_from_slice(&number.to_le_bytes());
            claim.commit(LEN, 1, 0);
        }
    };
    let receive = |(_, consumer): &mut RecordEnds, count| {
        (0..count)
            .map(|_| number_in(&consumer.next(Patience::Endless).expect("the ring lives").expect("a record")))
            .sum()
    };
    carry(part, operations, round_of(LEN), record_ends(), send, receive)
}

fn records_in_batches<const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut RecordEnds, numbers: Range<u64>| {
        let mut batch = producer.batch();
        for number in numbers {
            let mut claim = batch.claim(LEN, Patience::Endless).expect("room");
            claim[..8].copy_from_slice(&number.to_le_bytes());
            claim.commit(LEN, 1, 0);
        }
    };
    let receive = |(_, consumer): &mut RecordEnds, count| {
        let (mut sum, mut handled) = (0, 0);
        while handled < count {
            handled += consumer.process_available(|bytes, _| sum += number_in(bytes)) as u64;
        }
        sum
    };
    carry(part, operations, round_of(LEN), record_ends(), send, receive)
}

/// The depth of the ring of a format: bytes of records, slots of frames.
fn depth<F: Format>() -> usize {
    if TypeId::of::<F>() == TypeId::of::<Records>() { DEFAULT_RECORD_RING_BYTES } else { FRAMES }
}

type TransportEnds<F> = (TransportProducer<F>, TransportConsumer<F>);

fn transport_ends<F: Format>() -> TransportEnds<F> {
    let builder = TransportBuilder::<F>::new(Place::memfd("paths"), depth::<F>()).with_consumer_id("reader");
    let producer = builder.clone().build_producer().expect("a new ring");
    (producer, builder.build_consumer().expect("room for a consumer"))
}

/// Messages that are copied in, and received one by one.
fn transport<F: Format, const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let mut message = [0; LEN];
    let send = |(producer, _): &mut TransportEnds<F>, numbers: Range<u64>| {
        for number in numbers {
            message[..8].copy_from_slice(&number.to_le_bytes());
            producer.publish(black_box(&message), 1).expect("room");
        }
    };
    let receive = |(_, consumer): &mut TransportEnds<F>, count| {
        (0..count)
            .map(|_| number_in(&consumer.next(Patience::Endless).expect("the ring lives").expect("a message")))
            .sum()
    };
    carry(part, operations, round_of(LEN), transport_ends(), send, receive)
}

/// Hands `count` messages to a handler.
fn drain_transport<F: Format>((_, consumer): &mut TransportEnds<F>, count: u64) -> u64 {
    let (mut sum, mut handled) = (0, 0);
    while handled < count {
        handled += consumer.process_available(|meta| sum += number_in(meta.data)).expect("the ring lives") as u64;
    }
    sum
}

/// Messages of which only the numbers are written, in place, and which a handler receives.
fn transport_in_place<F: Format, const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut TransportEnds<F>, numbers: Range<u64>| {
        for number in numbers {
            let encode = |place: &mut [u8]| {
                place[..8].copy_from_slice(&number.to_le_bytes());
                Ok(LEN)
            };
            producer.send_with(1, LEN, Patience::Endless, encode).expect("room");
        }
    };
    carry(part, operations, round_of(LEN), transport_ends::<F>(), send, drain_transport)
}

/// The same, in one batch per round.
fn transport_in_batches<F: Format, const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let send = |(producer, _): &mut TransportEnds<F>, numbers: Range<u64>| {
        let (first, count) = (numbers.start, (numbers.end - numbers.start) as usize);
        let encode = |place: &mut [u8], index: usize| {
            place[..8].copy_from_slice(&(first + index as u64).to_le_bytes());
            Ok(LEN)
        };
        producer.send_batch_with(count, 1, LEN, Patience::Endless, encode).expect("room");
    };
    carry(part, operations, round_of(LEN), transport_ends::<F>(), send, drain_transport)
}

/// Tokens of a message of `len_bytes`: each codec adds the number and 8 bytes for the list.
const fn tokens_in(len_bytes: usize) -> usize {
    (len_bytes - 16) / size_of::<u32>()
}

#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
#[rkyv(crate = rkyv)]
struct RkyvStep {
    number: u64,
    tokens: Vec<u32>,
}

myelon::rkyv_message!(RkyvStep);

#[derive(serde::Serialize, serde::Deserialize)]
struct BincodeStep {
    number: u64,
    tokens: Vec<u32>,
}

myelon::bincode_message!(BincodeStep);

type TypedEnds<T> = (TypedProducer<T>, TypedConsumer<T>);

fn typed_ends<T: Codec>() -> TypedEnds<T> {
    let builder = TransportBuilder::new(Place::memfd("paths"), DEFAULT_RECORD_RING_BYTES).with_consumer_id("reader");
    let producer = TypedProducer::build(builder.clone()).expect("a new ring");
    (producer, TypedConsumer::build(builder).expect("room for a consumer"))
}

/// Sends one step of `len_bytes` repeatedly, with another number each time.
fn sends_steps(len_bytes: usize) -> impl FnMut(&mut TypedEnds<RkyvStep>, Range<u64>) {
    let mut step = RkyvStep { number: 0, tokens: vec![7; tokens_in(len_bytes)] };
    move |(producer, _), numbers| {
        for number in numbers {
            step.number = number;
            producer.publish(black_box(&step), 1).expect("room");
        }
    }
}

/// Read in place, after the check.
fn typed_rkyv<const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let send = sends_steps(LEN);
    let receive = |(_, consumer): &mut TypedEnds<RkyvStep>, count| {
        let mut sum = 0;
        for _ in 0..count {
            let message = consumer.next(Patience::Endless).expect("the ring lives").expect("a message");
            assert_eq!(message.len(), LEN);
            sum += black_box(message.get().expect("a step")).number.to_native();
        }
        sum
    };
    carry(part, operations, round_of(LEN), typed_ends(), send, receive)
}

/// Read in place, after the check, by a handler.
fn typed_in_handlers<const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let send = sends_steps(LEN);
    let receive = |(_, consumer): &mut TypedEnds<RkyvStep>, count| {
        let (mut sum, mut handled) = (0, 0);
        while handled < count {
            let read = |message: &TypedMessage<'_, RkyvStep>| {
                assert_eq!(message.len(), LEN);
                sum += black_box(message.get().expect("a step")).number.to_native();
            };
            handled += consumer.process_available(read).expect("the ring lives") as u64;
        }
        sum
    };
    carry(part, operations, round_of(LEN), typed_ends(), send, receive)
}

/// The same step repeatedly, in batches.
fn typed_in_batches<const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let mut steps: Vec<_> = (0..BATCH).map(|_| RkyvStep { number: 0, tokens: vec![7; tokens_in(LEN)] }).collect();
    let send = |(producer, _): &mut TypedEnds<RkyvStep>, numbers: Range<u64>| {
        let mut next = numbers.start;
        for len in batches(numbers.end - numbers.start) {
            for step in &mut steps[..len] {
                step.number = next;
                next += 1;
            }
            producer.send_batch(black_box(&steps[..len]), 1, Patience::Endless).expect("room");
        }
    };
    let receive = |(_, consumer): &mut TypedEnds<RkyvStep>, count| {
        let (mut sum, mut handled) = (0, 0);
        while handled < count {
            let read = |message: &TypedMessage<'_, RkyvStep>| sum += message.get().expect("a step").number.to_native();
            handled += consumer.process_available(read).expect("the ring lives") as u64;
        }
        sum
    };
    carry(part, operations, round_of(LEN), typed_ends(), send, receive)
}

/// Steps that are decoded into a value, which takes memory from the heap.
fn typed_bincode<const LEN: usize>(part: Part, operations: u64) -> Outcome {
    let mut step = BincodeStep { number: 0, tokens: vec![7; tokens_in(LEN)] };
    let send = |(producer, _): &mut TypedEnds<BincodeStep>, numbers: Range<u64>| {
        for number in numbers {
            step.number = number;
            producer.publish(black_box(&step), 1).expect("room");
        }
    };
    let receive = |(_, consumer): &mut TypedEnds<BincodeStep>, count| {
        let mut sum = 0;
        for _ in 0..count {
            let message = consumer.next(Patience::Endless).expect("the ring lives").expect("a message");
            assert_eq!(message.len(), LEN);
            sum += black_box(message.decode().expect("a step")).number;
        }
        sum
    };
    carry(part, operations, round_of(LEN), typed_ends(), send, receive)
}
