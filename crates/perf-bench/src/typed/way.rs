//! How a step goes from one process to the other.
//!
//! **Lives here:** [`Way`] with its two ends, [`StepSender`] and [`StepReceiver`]; the ways: [`Typed`] with what its
//! receiver does, and [`Bytes`]. **Builds on:** `myelon`, `step`. **May touch it:** `typed`.

use std::marker::PhantomData;

use disruptor_mp::DEFAULT_RECORD_RING_BYTES;
use myelon::Patience;
use myelon::codec::{CodecError, CodecResult, EncodeShort};
use myelon::transport::{TransportBuilder, TransportConsumer, TransportProducer, WaitStrategy};
use myelon::typed_transport::{TypedConsumer, TypedMessage, TypedProducer, TypedPublishError, TypedReceiveError};

use super::step::{self, BincodeStep, RkyvStep, Step};
use crate::raw;
use crate::side::Stop;
use crate::workload::payload;

impl From<CodecError> for Stop {
    fn from(error: CodecError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<EncodeShort> for Stop {
    fn from(error: EncodeShort) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<TypedPublishError> for Stop {
    fn from(error: TypedPublishError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<TypedReceiveError> for Stop {
    fn from(error: TypedReceiveError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// A way for steps, of which both ends spin.
pub(crate) trait Way {
    type Sender: StepSender;
    type Receiver: StepReceiver;

    /// The sending end of the ring with this name, which is new.
    ///
    /// # Errors
    /// See [`Stop`].
    fn create(name: String) -> Result<Self::Sender, Stop>;

    /// The receiving end of the ring with this name, which is there.
    ///
    /// # Errors
    /// See [`Stop`].
    fn attach(name: String) -> Result<Self::Receiver, Stop>;
}

/// The end that steps go into.
pub(crate) trait StepSender {
    /// Sends the step, with a number in it, as a message of this kind.
    ///
    /// # Errors
    /// See [`Stop`].
    fn send(&mut self, number: u64, kind: u8) -> Result<(), Stop>;

    /// What reading all of the step comes to that has this number.
    fn sum(&self, number: u64) -> u64;
}

/// The end that steps come out of.
pub(crate) trait StepReceiver {
    /// Waits for a step, reads every field of it and returns its kind and what the reading came to.
    ///
    /// # Errors
    /// See [`Stop`].
    fn receive(&mut self) -> Result<(u8, u64), Stop>;
}

fn builder(name: String, bytes: usize) -> TransportBuilder {
    TransportBuilder::new(name, bytes).with_wait_strategy(WaitStrategy::BusySpin)
}

/// What a receiver does to read every field of a message.
pub(crate) trait Reading {
    type Message: Step;

    /// The sum of all fields.
    ///
    /// # Errors
    /// When the bytes are no such message.
    fn sum(message: &TypedMessage<'_, Self::Message>) -> CodecResult<u64>;
}

/// rkyv, in place, after validation.
pub(crate) enum Validated {}

impl Reading for Validated {
    type Message = RkyvStep;

    #[inline]
    fn sum(message: &TypedMessage<'_, RkyvStep>) -> CodecResult<u64> {
        Ok(message.get()?.sum())
    }
}

/// rkyv, in place, without validation.
pub(crate) enum Trusted {}

impl Reading for Trusted {
    type Message = RkyvStep;

    #[inline]
    fn sum(message: &TypedMessage<'_, RkyvStep>) -> CodecResult<u64> {
        Ok(raw::trusted(message)?.sum())
    }
}

/// bincode, as a value.
pub(crate) enum Owned {}

impl Reading for Owned {
    type Message = BincodeStep;

    #[inline]
    fn sum(message: &TypedMessage<'_, BincodeStep>) -> CodecResult<u64> {
        Ok(message.decode()?.sum())
    }
}

/// A typed stream, whose sender encodes the step each time and whose receiver reads it like this.
pub(crate) struct Typed<R: Reading>(PhantomData<R>);

impl<R: Reading> Way for Typed<R> {
    type Sender = TypedSender<R::Message>;
    type Receiver = TypedReceiver<R>;

    fn create(name: String) -> Result<Self::Sender, Stop> {
        let producer = TypedProducer::build(builder(name, DEFAULT_RECORD_RING_BYTES).create())?;
        let mut step = R::Message::build();
        step.set_number(0);
        let rest = step.sum();
        Ok(TypedSender { producer, step, rest })
    }

    fn attach(name: String) -> Result<Self::Receiver, Stop> {
        Ok(TypedReceiver(TypedConsumer::build(builder(name, 0))?))
    }
}

/// The end that encodes.
pub(crate) struct TypedSender<T: Step> {
    producer: TypedProducer<T>,
    step: T,
    /// The sum of everything but the number.
    rest: u64,
}

impl<T: Step> StepSender for TypedSender<T> {
    #[inline]
    fn send(&mut self, number: u64, kind: u8) -> Result<(), Stop> {
        self.step.set_number(number);
        self.producer.publish(&self.step, kind)?;
        Ok(())
    }

    fn sum(&self, number: u64) -> u64 {
        self.rest.wrapping_add(number)
    }
}

/// The end that reads.
pub(crate) struct TypedReceiver<R: Reading>(TypedConsumer<R::Message>);

impl<R: Reading> StepReceiver for TypedReceiver<R> {
    #[inline]
    fn receive(&mut self) -> Result<(u8, u64), Stop> {
        let message = self.0.next(Patience::Endless)?.ok_or_else(nothing)?;
        Ok((message.kind(), R::sum(&message)?))
    }
}

fn nothing() -> Stop {
    Stop::Failed("an endless wait ended with nothing".into())
}

/// As many bytes as the step has, copied from a buffer into the ring and read there: all of a step's way but its codec.
pub(crate) enum Bytes {}

impl Way for Bytes {
    type Sender = BytesSender;
    type Receiver = BytesReceiver;

    fn create(name: String) -> Result<BytesSender, Stop> {
        let producer = builder(name, DEFAULT_RECORD_RING_BYTES).create().build_producer()?;
        let mut sender = BytesSender { producer, bytes: step::encoded()?, rest: 0 };
        sender.set_number(0);
        sender.rest = payload::sum(&sender.bytes);
        Ok(sender)
    }

    fn attach(name: String) -> Result<BytesReceiver, Stop> {
        Ok(BytesReceiver(builder(name, 0).build_consumer()?))
    }
}

/// The end that copies.
pub(crate) struct BytesSender {
    producer: TransportProducer,
    bytes: Vec<u8>,
    /// The sum of everything but the number.
    rest: u64,
}

impl BytesSender {
    /// Puts a number in the place of the first word.
    fn set_number(&mut self, number: u64) {
        self.bytes[..size_of::<u64>()].copy_from_slice(&number.to_ne_bytes());
    }
}

impl StepSender for BytesSender {
    #[inline]
    fn send(&mut self, number: u64, kind: u8) -> Result<(), Stop> {
        self.set_number(number);
        self.producer.publish(&self.bytes, kind)?;
        Ok(())
    }

    fn sum(&self, number: u64) -> u64 {
        self.rest.wrapping_add(number)
    }
}

/// The end that reads.
pub(crate) struct BytesReceiver(TransportConsumer);

impl StepReceiver for BytesReceiver {
    #[inline]
    fn receive(&mut self) -> Result<(u8, u64), Stop> {
        let message = self.0.next(Patience::Endless)?.ok_or_else(nothing)?;
        Ok((message.kind(), payload::sum(&message)))
    }
}
