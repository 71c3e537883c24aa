//! A typed message that was received and is not acknowledged yet.
//!
//! It borrows its consumer, so there is one at a time.

use super::held::HeldTyped;
use crate::codec::{Codec, CodecError, CodecResult, OlderVersion, ZeroCopyCodec, decode_as, says_its_version};
use crate::transport::{Format, Message, Records};
use disruptor_mp::__private::ends::HasConsumer;
use disruptor_mp::CounterHandle;
use disruptor_mp::counters::ids;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

/// A message of type `T`: its bytes and properties by `Deref`, and its value by [`get`](Self::get) and
/// [`decode`](Self::decode). Dropping it acknowledges it. While a panic unwinds it is not acknowledged, and comes
/// again.
#[cfg_attr(feature = "rkyv", doc = "```")]
#[cfg_attr(not(feature = "rkyv"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// #[message(rkyv)]
/// struct Step {
///     tokens: Vec<u32>,
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TypedProducer::<Step>::create_default(&name)?;
/// # let mut consumer = TypedConsumer::<Step>::join(&name, "worker-0")?;
/// # producer.publish(&Step { tokens: vec![1, 2, 3] }, 0)?;
/// # drop(producer);
/// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
///     assert!(message.is_in_place());
///     let step = message.get()?; // checked, and read in place
///     assert_eq!(step.tokens.as_slice(), [1, 2, 3]);
///     let owned: Step = message.decode()?; // a value that can be kept
///     assert_eq!(owned.tokens, [1, 2, 3]);
/// } // acknowledged
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a message acknowledges it"]
pub struct TypedMessage<'a, T: Codec, F: Format = Records> {
    message: Message<'a, F>,
    reading: &'a Reading<T>,
    /// A message that is read several times counts once.
    is_counted: Cell<bool>,
    content: PhantomData<fn() -> T>,
}

impl<'a, T: Codec, F: Format> TypedMessage<'a, T, F> {
    #[inline(always)]
    pub(super) fn new(message: Message<'a, F>, reading: &'a Reading<T>) -> Self {
        Self { message, reading, is_counted: Cell::new(false), content: PhantomData }
    }

    /// The message as a value.
    ///
    /// It is decoded in place. The sender is trusted not to change it until it is acknowledged; for a sender that is
    /// not trusted use [`receive_owned`](super::TypedConsumer::receive_owned).
    ///
    /// # Errors
    /// When the bytes are no `T`. Drop the message to go on.
    #[inline(always)]
    pub fn decode(&self) -> CodecResult<T> {
        let answer = self.reading.decode(&self.message);
        self.count(answer.is_ok());
        answer
    }

    /// The message in place, after a check. A type whose codec makes values has only [`decode`](Self::decode); for such
    /// a type `get` is the method of the bytes, which takes an index.
    ///
    /// A codec that needs aligned bytes does not compile with a format whose payloads are not aligned: take
    /// [`Records`] or [`AlignedFixedFrame`](crate::transport::AlignedFixedFrame).
    #[cfg_attr(feature = "rkyv", doc = "```compile_fail,E0080")]
    #[cfg_attr(not(feature = "rkyv"), doc = "```ignore")]
    /// use myelon::{Patience, transport::FixedFrame, typed_transport::TypedConsumer};
    ///
    /// #[myelon::message(rkyv)]
    /// struct Step(Vec<u32>);
    ///
    /// fn first_token(consumer: &mut TypedConsumer<Step, FixedFrame<1000>>) -> u32 {
    ///     let message = consumer.next(Patience::Endless).ok().flatten().expect("a message");
    ///     message.get().expect("a step").0[0].to_native()
    /// }
    /// # let _ = first_token as fn(&mut _) -> u32;
    /// ```
    ///
    /// # Errors
    /// When the bytes are no `T`: drop the message to go on. [`OlderVersion`](CodecError::OlderVersion) for every
    /// message of a stream of an older version, which can be [decoded](Self::decode) only.
    #[inline(always)]
    pub fn get(&self) -> CodecResult<T::Archived<'_>>
    where
        T: ZeroCopyCodec,
    {
        Reading::readable_in_place::<F>(self.reading.older.as_ref())?;
        let answer = T::access(&self.message);
        self.count(answer.is_ok());
        answer
    }

    says_its_version!(T, |it| it.reading.older.as_ref());

    /// Makes the message independent of the consumer: any thread or task can read and release it, while newer ones are
    /// received.
    pub fn hold(self) -> HeldTyped<T, F> {
        HeldTyped::new(self.message.hold(), self.reading, self.is_counted.get())
    }

    /// Gives the message back without acknowledging it: the next call returns it again.
    pub fn release_unread(self) {
        self.message.release_unread();
    }

    #[inline(always)]
    fn count(&self, is_readable: bool) {
        if !self.is_counted.replace(true) {
            self.reading.tally.count(is_readable);
        }
    }
}

impl<'a, T: Codec, F: Format> Deref for TypedMessage<'a, T, F> {
    type Target = Message<'a, F>;

    fn deref(&self) -> &Message<'a, F> {
        &self.message
    }
}

impl<T: Codec, F: Format> fmt::Debug for TypedMessage<'_, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedMessage")
            .field("content", &T::type_tag())
            .field("sequence", &self.message.sequence())
            .field("kind", &self.message.kind())
            .field("len_bytes", &self.message.len())
            .finish_non_exhaustive()
    }
}

/// Decodes the messages of a stream, and counts them.
pub(crate) struct Reading<T> {
    pub(crate) tally: Tally,
    /// The version of the stream's messages; `None`: that of `T` itself.
    pub(crate) older: Option<OlderVersion<T>>,
    /// Counts of held messages that are not in the tally yet: how many could be read, and how many could not.
    pub(crate) elsewhere: Arc<Elsewhere>,
}

/// The counts of other threads: how many messages could be read, and how many could not. They are kept here because a
/// counter has one writer, the consumer.
#[derive(Default)]
pub(crate) struct Elsewhere(Mutex<(u64, u64)>);

impl Elsewhere {
    pub(crate) fn count(&self, is_readable: bool) {
        let (readable, others) = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *if is_readable { readable } else { others } += 1;
    }

    fn take(&self) -> (u64, u64) {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> Reading<T> {
    /// For the messages of `consumer`, which have that version.
    pub(crate) fn new(consumer: &impl HasConsumer, older: Option<OlderVersion<T>>) -> Self {
        Self { tally: Tally::new(consumer, 0), older, elsewhere: Arc::default() }
    }

    /// Moves to the counters that `consumer` has now.
    pub(crate) fn count_in(&mut self, consumer: &impl HasConsumer) {
        self.tally = Tally::new(consumer, self.tally.undecodable());
    }

    /// Adds what was read in other threads to the counters.
    pub(crate) fn collect(&self) {
        let (readable, others) = self.elsewhere.take();
        self.tally.add(readable, others);
    }
}

impl<T: Codec> Reading<T> {
    // Not inlined, so that a decoder is compiled the same for every caller: inlined, its loops took up to twice as
    // long.
    #[inline(never)]
    pub(crate) fn decode(&self, bytes: &[u8]) -> CodecResult<T> {
        decode_as(self.older.as_ref(), bytes)
    }

    /// Decodes a message, and counts it.
    pub(crate) fn read(&self, bytes: &[u8]) -> CodecResult<T> {
        let answer = self.decode(bytes);
        self.tally.count(answer.is_ok());
        answer
    }

    /// A function that decodes messages in other threads. They are counted when the consumer [collects](Self::collect).
    pub(crate) fn decoder(&self) -> impl Fn(&[u8]) -> CodecResult<T> + Clone + Send + 'static + use<T>
    where
        T: 'static,
    {
        let (older, elsewhere) = (self.older.clone(), Arc::clone(&self.elsewhere));
        move |bytes| {
            let answer = decode_as(older.as_ref(), bytes);
            elsewhere.count(answer.is_ok());
            answer
        }
    }

    /// Whether messages of that version can be read in place. The format must allow it.
    #[inline(always)]
    pub(crate) fn readable_in_place<F: Format>(older: Option<&OlderVersion<T>>) -> CodecResult<()>
    where
        T: ZeroCopyCodec,
    {
        const {
            assert!(
                F::PAYLOAD_ALIGN >= T::ALIGN_BYTES,
                "this codec reads aligned payloads only, which this format does not have"
            );
        }
        match older {
            None => Ok(()),
            Some(_) => Err(CodecError::OlderVersion),
        }
    }
}

/// Counts the messages of a consumer that could be read, and those that could not.
pub(crate) struct Tally {
    decoded: CounterHandle,
    undecodable: CounterHandle,
    /// A mutex, so that a borrowed message can move to another thread with its task.
    undecodable_here: Mutex<u64>,
}

impl Tally {
    /// The tally of `consumer` in the place where it counts now; `before` is the number of undecodable messages so far.
    pub(crate) fn new(consumer: &impl HasConsumer, before: u64) -> Self {
        Self {
            decoded: consumer.counter(ids::CODEC_DECODE_TOTAL),
            undecodable: consumer.counter(ids::CODEC_UNDECODABLE_COUNT),
            undecodable_here: Mutex::new(before),
        }
    }

    #[inline(always)]
    pub(crate) fn count(&self, is_readable: bool) {
        if is_readable {
            self.decoded.inc();
        } else {
            self.undecodable.inc();
            self.add_undecodable(1);
        }
    }

    fn add(&self, readable: u64, others: u64) {
        self.decoded.add(readable);
        self.undecodable.add(others);
        self.add_undecodable(others);
    }

    #[cold]
    fn add_undecodable(&self, count: u64) {
        *self.undecodable_here.lock().unwrap_or_else(PoisonError::into_inner) += count;
    }

    pub(crate) fn undecodable(&self) -> u64 {
        *self.undecodable_here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
