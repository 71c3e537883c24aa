//! How a step goes from one process to the other.

use std::marker::PhantomData;

use disruptor_mp::DEFAULT_RECORD_RING_BYTES;
use myelon::Patience;
use myelon::codec::{CodecError, CodecResult, EncodeShort};
use myelon::transport::{TransportBuilder, TransportConsumer, TransportProducer};
use myelon::typed_transport::{TypedConsumer, TypedMessage, TypedProducer, TypedPublishError, TypedReceiveError};

use super::step::{self, BincodeStep, PostcardStep, RkyvStep, Step, number_of};
use crate::messages::carrier::Link;
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

/// A way for steps. It is made in three steps, between which the sides meet: [`create`](Self::create),
/// [`attach`](Self::attach), [`StepSender::join`].
pub(crate) trait Way {
    type Sender<'s>: StepSender;
    type Receiver<'s>: StepReceiver;

    /// How long a message is, for a carrier that has to know.
    fn len_bytes() -> usize {
        0
    }

    /// What reading all of a step but its number comes to.
    ///
    /// # Errors
    /// See [`Stop`].
    fn rest() -> Result<u64, Stop>;

    /// The sending end of a link.
    ///
    /// # Errors
    /// See [`Stop`].
    fn create<'s>(link: &Link<'s>) -> Result<Self::Sender<'s>, Stop>;

    /// The receiving end of the same link.
    ///
    /// # Errors
    /// See [`Stop`].
    fn attach<'s>(link: &Link<'s>) -> Result<Self::Receiver<'s>, Stop>;
}

/// The end that steps go into.
pub(crate) trait StepSender {
    /// The receiver has attached, and an end that has to look for it does so now.
    ///
    /// # Errors
    /// When it is not found.
    fn join(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// Sends the step, with a number in it.
    ///
    /// # Errors
    /// See [`Stop`].
    fn send(&mut self, number: u64) -> Result<(), Stop>;

    /// What reading all of the step comes to that has this number.
    fn sum(&self, number: u64) -> u64;
}

/// The end that steps come out of.
pub(crate) trait StepReceiver {
    /// Waits for a step, reads every field of it and returns the sum.
    ///
    /// # Errors
    /// See [`Stop`].
    fn receive(&mut self) -> Result<u64, Stop>;

    /// Waits for a step and takes it, and also those that its carrier shows at the same time, which may be all up to
    /// the
    /// end of a run. Calls `each` with the sum, as soon as a step has been read.
    ///
    /// # Errors
    /// See [`Stop`].
    fn receive_some(&mut self, mut each: impl FnMut(u64)) -> Result<(), Stop> {
        each(self.receive()?);
        Ok(())
    }
}

fn builder(link: &Link<'_>, bytes: usize) -> TransportBuilder {
    TransportBuilder::new(link.name(), bytes).with_wait_strategy(link.waiting().strategy())
}

/// Any kind; no receiver looks at it.
const KIND: u8 = 0;

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

/// A step as a value: bincode or postcard.
pub(crate) struct Owned<T>(PhantomData<T>);

/// Both are the same, but for their names.
macro_rules! impl_owned {
    ($($step:ident)*) => {$(
        impl Reading for Owned<$step> {
            type Message = $step;

            #[inline]
            fn sum(message: &TypedMessage<'_, $step>) -> CodecResult<u64> {
                Ok(message.decode()?.sum())
            }
        }
    )*};
}

impl_owned!(BincodeStep PostcardStep);

/// A typed stream, whose sender encodes the step each time and whose receiver reads it like this.
pub(crate) struct Typed<R: Reading, const RING_BYTES: usize = DEFAULT_RECORD_RING_BYTES>(PhantomData<R>);

impl<R: Reading, const RING_BYTES: usize> Way for Typed<R, RING_BYTES> {
    type Sender<'s> = TypedSender<R::Message>;
    type Receiver<'s> = TypedReceiver<R>;

    fn rest() -> Result<u64, Stop> {
        Ok(R::Message::build().sum())
    }

    fn create(link: &Link<'_>) -> Result<TypedSender<R::Message>, Stop> {
        let producer = TypedProducer::build(builder(link, RING_BYTES).create())?;
        Ok(TypedSender { producer, step: R::Message::build(), rest: Self::rest()? })
    }

    fn attach(link: &Link<'_>) -> Result<TypedReceiver<R>, Stop> {
        Ok(TypedReceiver(TypedConsumer::build(builder(link, 0))?))
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
    fn send(&mut self, number: u64) -> Result<(), Stop> {
        self.step.set_number(number);
        self.producer.publish(&self.step, KIND)?;
        Ok(())
    }

    fn sum(&self, number: u64) -> u64 {
        self.rest.wrapping_add(number_of(number))
    }
}

/// The end that reads.
pub(crate) struct TypedReceiver<R: Reading>(TypedConsumer<R::Message>);

impl<R: Reading> StepReceiver for TypedReceiver<R> {
    #[inline]
    fn receive(&mut self) -> Result<u64, Stop> {
        let message = self.0.next(Patience::Endless)?.ok_or_else(nothing)?;
        Ok(R::sum(&message)?)
    }
}

fn nothing() -> Stop {
    Stop::Failed("an endless wait ended with nothing".into())
}

/// As many bytes as the step has, copied from a buffer into the ring and read there: everything but the codec.
pub(crate) enum Bytes {}

impl Way for Bytes {
    type Sender<'s> = BytesSender;
    type Receiver<'s> = BytesReceiver;

    fn rest() -> Result<u64, Stop> {
        let mut bytes = step::encoded()?;
        set_first_word(&mut bytes, 0);
        Ok(payload::sum(&bytes))
    }

    fn create(link: &Link<'_>) -> Result<BytesSender, Stop> {
        let producer = builder(link, DEFAULT_RECORD_RING_BYTES).create().build_producer()?;
        Ok(BytesSender { producer, bytes: step::encoded()?, rest: Self::rest()? })
    }

    fn attach(link: &Link<'_>) -> Result<BytesReceiver, Stop> {
        Ok(BytesReceiver(builder(link, 0).build_consumer()?))
    }
}

/// The end that copies.
pub(crate) struct BytesSender {
    producer: TransportProducer,
    bytes: Vec<u8>,
    /// The sum of everything but the number.
    rest: u64,
}

fn set_first_word(bytes: &mut [u8], word: u64) {
    bytes[..size_of::<u64>()].copy_from_slice(&word.to_ne_bytes());
}

impl StepSender for BytesSender {
    #[inline]
    fn send(&mut self, number: u64) -> Result<(), Stop> {
        set_first_word(&mut self.bytes, number_of(number));
        self.producer.publish(&self.bytes, KIND)?;
        Ok(())
    }

    fn sum(&self, number: u64) -> u64 {
        self.rest.wrapping_add(number_of(number))
    }
}

/// The end that reads.
pub(crate) struct BytesReceiver(TransportConsumer);

impl StepReceiver for BytesReceiver {
    #[inline]
    fn receive(&mut self) -> Result<u64, Stop> {
        let message = self.0.next(Patience::Endless)?.ok_or_else(nothing)?;
        Ok(payload::sum(&message))
    }
}
