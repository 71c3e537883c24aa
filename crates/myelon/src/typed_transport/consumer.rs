//! The receiving end of a stream of one type.
//!
//! One thread uses it at a time.

use super::error::TypedReceiveError;
use super::held::HeldTyped;
use super::message::{Reading, TypedMessage};
use crate::codec::{Codec, OlderVersion, older_tags, older_version};
use crate::transport::{
    Format, Message, Records, TransportBuilder, TransportConsumer, TransportError, TransportResult,
};
use disruptor_mp::__private::ends::{ConsumerBase, ConsumerMut, HasConsumer};
use disruptor_mp::{
    ConsumeError, ConsumerEnd, Holds, Messages, MultiProcessError, Patience, Place, WaitStrategy, or_end,
};
use std::fmt;
use std::mem::ManuallyDrop;

/// Receives every message of a ring from its own start on, in order, as values of type `T`; the sender waits for it.
///
/// Delivery is *at least once*: a message is acknowledged when it is dropped, and what was not acknowledged comes
/// again. A consumer whose id the program chose keeps its entry however it is dropped, until it [leaves](Self::leave)
/// or has read up to *closed*: see [`TransportConsumer`].
///
/// | to | use | the message is |
/// |---|---|---|
/// | read it in place | [`next`](Self::next), then [`TypedMessage::get`] | checked, not copied |
/// | have it as a value | [`next`](Self::next), then [`TypedMessage::decode`] | decoded in place |
/// | have it from a sender that is not trusted | [`receive_owned`](Self::receive_owned) | copied, then decoded |
/// | read it unchecked | [`next`](Self::next), then [`trusted::access`](crate::codec::trusted::access) | neither |
#[cfg_attr(feature = "bincode", doc = "```")]
#[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
/// use myelon::prelude::*;
///
/// #[message]
/// struct Tick(u64);
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TypedProducer::<Tick>::create_default(&name)?;
/// let mut consumer = TypedConsumer::<Tick>::join(&name, "worker-0")?;
/// # for number in 0..3 {
/// #     producer.publish(&Tick(number), 0)?;
/// # }
/// # drop(producer);
/// let mut sum = 0;
/// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
///     match message.decode() {
///         Ok(Tick(number)) => sum += number,
///         // It would fail again the next time: dropping it skips it.
///         Err(error) => eprintln!("message {} is broken: {error}", message.sequence()),
///     }
/// }
/// assert_eq!(sum, 0 + 1 + 2);
/// # Ok(())
/// # }
/// ```
///
/// Source: RFC 0008, "Streams".
pub struct TypedConsumer<T: Codec, F: Format = Records> {
    raw: TransportConsumer<F>,
    reading: Reading<T>,
    /// The builder that made it; it is used again when the ring is replaced.
    builder: TransportBuilder<F>,
    on_undecodable: OnUndecodable,
    /// The copy of a message that is decoded where the sender cannot change it.
    copy: Vec<u8>,
}

/// `TypedConsumer` on a mapped file; the place is an argument, not another type.
pub type MmapTypedConsumer<T, F = Records> = TypedConsumer<T, F>;

/// What [`TypedConsumer::receive_owned`] does with a message that cannot be decoded. It is acknowledged and counted in
/// either case: it would fail again the next time, and the stream has to go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnUndecodable {
    /// Returns an error, once.
    #[default]
    Report,
    /// Goes on to the next message.
    Skip,
}

impl<T: Codec> TypedConsumer<T, Records> {
    /// Joins the ring of records at `place`, whatever its size, as consumer `id`. A process can come back under that id
    /// after its death.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn join(place: impl Into<Place>, id: impl Into<String>) -> TransportResult<Self> {
        Self::build(TransportBuilder::at(place).with_consumer_id(id))
    }
}

impl<T: Codec, F: Format> TypedConsumer<T, F> {
    /// Attaches to the ring at `place`, with everything else as [`TransportBuilder`] has it. Depth 0 means whatever it
    /// has.
    ///
    /// # Errors
    /// As [`TransportBuilder::build_consumer`]; `IncompatibleContent` if the stream has another type, which is also
    /// none of the older versions that `T` takes. For types with [`#[message]`](crate::codec::message) it names the
    /// first field or variant that differs from `T` itself, otherwise both tags. The stream's producer sees the refused
    /// consumer in [`refusal`](super::TypedProducer::refusal).
    pub fn attach(place: impl Into<Place>, depth: usize, wait: impl Into<WaitStrategy>) -> TransportResult<Self> {
        Self::build(TransportBuilder::new(place, depth).with_wait_strategy(wait))
    }

    /// [`attach`](Self::attach) under an id, to which a consumer can come back after its death.
    ///
    /// # Errors
    /// As `attach`.
    pub fn attach_with_consumer_id(
        place: impl Into<Place>,
        depth: usize,
        id: impl Into<String>,
        wait: impl Into<WaitStrategy>,
    ) -> TransportResult<Self> {
        Self::build(TransportBuilder::new(place, depth).with_wait_strategy(wait).with_consumer_id(id))
    }

    /// The consumer that `builder` describes. Its content tag becomes that of `T`, or that of the older version of `T`
    /// that the ring has.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn build(builder: TransportBuilder<F>) -> TransportResult<Self> {
        let (raw, older) = attach(&builder)?;
        let reading = Reading::new(&raw, older);
        Ok(Self { raw, reading, builder, on_undecodable: OnUndecodable::default(), copy: Vec::new() })
    }

    /// Whether the messages of the stream are of one of the [older versions](Codec::older_versions) of `T`. They are
    /// decoded into `T`, and cannot be read in place. Decided when it attaches, and again whenever it continues in
    /// another ring.
    pub fn is_of_older_version(&self) -> bool {
        self.reading.older.is_some()
    }

    /// Sets what [`receive_owned`](Self::receive_owned) does from now on with a message that cannot be decoded.
    pub fn set_on_undecodable(&mut self, on_undecodable: OnUndecodable) {
        self.on_undecodable = on_undecodable;
    }

    /// The next message. Its bytes are not checked yet. Waits for it as `patience` says. `None` only for
    /// [`Patience::Now`], if there is none yet. Dropping the message acknowledges it.
    ///
    /// # Errors
    /// `Transport`: the wait ended, or one message could not be put together and was skipped. `Transport` with
    /// `Build(IncompatibleContent)`: the ring was read to its end, and a writer of a type or version that this reader
    /// does not take has replaced it. The error names the first difference, and the writer [is
    /// told](super::TypedProducer::refusal) too. End this process and start one that takes the new version: its place,
    /// under its id, is kept.
    #[inline(always)]
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<TypedMessage<'_, T, F>>, TypedReceiveError> {
        let Self { raw, reading, builder, .. } = self;
        let message = raw.next_or(patience.into(), |end, reason| go_on(builder, reading, end, reason))?;
        Ok(message.map(|message| TypedMessage::new(message, reading)))
    }

    /// [`next`](Self::next) as its bytes, which may be a message of an [older version](Self::is_of_older_version) of
    /// `T`, or an invalid one. The consumer tells the version until the next call; a message of [`next`](Self::next) or
    /// [`next_held`](Self::next_held) [tells it itself](TypedMessage::tag).
    ///
    /// # Errors
    /// As [`TransportConsumer::next`].
    pub fn next_raw(&mut self, patience: impl Into<Patience>) -> TransportResult<Option<Message<'_, F>>> {
        let Self { raw, reading, builder, .. } = self;
        raw.next_or(patience.into(), |end, reason| go_on(builder, reading, end, reason))
    }

    /// Skips the next message without reading it: for a message that has killed its consumer before. `false` if there
    /// is none now.
    ///
    /// # Errors
    /// As [`next_raw`](Self::next_raw): a message that cannot be read was skipped as well.
    pub fn skip(&mut self) -> TransportResult<bool> {
        Ok(self.next_raw(Patience::Now)?.is_some())
    }

    /// Continues in the ring that has replaced this one, if `reason` says so and there is one.
    pub(crate) fn go_on(&mut self, reason: ConsumeError) -> TransportResult<()> {
        let Self { raw, reading, builder, .. } = self;
        if let Some(next) = go_on(builder, reading, raw, Some(reason))? {
            *raw = next;
        }
        Ok(())
    }

    /// [`next`](Self::next) for loops that end when the stream ends: `None` says that the sender has closed it and
    /// everything was received. If there is nothing yet, the result is an error for which
    /// [`is_timed_out`](TypedReceiveError::is_timed_out) is true.
    #[cfg_attr(feature = "bincode", doc = "```")]
    #[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
    /// # use myelon::prelude::*;
    /// # #[message]
    /// # struct Tick(u64);
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TypedProducer::<Tick>::create(&name, 1 << 16)?;
    /// # let mut consumer = TypedConsumer::<Tick>::attach(&name, 0, WaitStrategy::Adaptive)?;
    /// # producer.publish(&Tick(7), 0)?;
    /// # drop(producer);
    /// let mut sum = 0;
    /// while let Some(message) = consumer.next_or_end(Patience::Endless)? {
    ///     sum += message.decode()?.0;
    /// }
    /// # assert_eq!(sum, 7);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`next`](Self::next), except that a closed stream is no error.
    #[inline(always)]
    pub fn next_or_end(
        &mut self,
        patience: impl Into<Patience>,
    ) -> Result<Option<TypedMessage<'_, T, F>>, TypedReceiveError> {
        or_end(self.next(patience), TypedReceiveError::is_closed)
    }

    /// The next message, which any thread or task can read and release while newer ones are received; `None` only for
    /// [`Patience::Now`]. A message that was given back comes before newer ones. Messages of a ring that was replaced
    /// can be held while this consumer continues in the next one. If one of them is given back then, it comes to the
    /// next consumer that attaches under this id, before anything else.
    ///
    /// # Errors
    /// As [`TransportConsumer::next_held`].
    pub fn next_held(&mut self, patience: impl Into<Patience>) -> Result<Option<HeldTyped<T, F>>, TypedReceiveError> {
        self.reading.collect();
        Ok(self.next(patience)?.map(TypedMessage::hold))
    }

    /// The messages of the stream, each as a value of its own, until the sender closes it: see
    /// [`TransportConsumer::messages`].
    #[cfg_attr(feature = "bincode", doc = "```")]
    #[cfg_attr(not(feature = "bincode"), doc = "```ignore")]
    /// # use myelon::prelude::*;
    /// # #[message]
    /// # struct Tick(u64);
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = portable_shm_segment_name("doc");
    /// # let mut producer = TypedProducer::<Tick>::create_default(&name)?;
    /// # let mut consumer = TypedConsumer::<Tick>::join(&name, "worker-0")?;
    /// # for number in 0..3 {
    /// #     producer.publish(&Tick(number), 0)?;
    /// # }
    /// # drop(producer);
    /// let mut sum = 0;
    /// for message in consumer.messages() {
    ///     sum += message?.decode()?.0;
    /// }
    /// assert_eq!(sum, 0 + 1 + 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&mut self) -> Messages<'_, Self>
    where
        T: 'static,
    {
        Messages::new(self)
    }

    /// The next message and its kind, decoded from a copy and acknowledged; `None` only for [`Patience::Now`].
    ///
    /// It is decoded from a copy that the sender cannot change, so a sender cannot get around the checks. It is
    /// acknowledged, so it does not come again if this process dies before it has used it; with [`next`](Self::next) it
    /// would.
    ///
    /// # Errors
    /// `Undecodable`, unless [`OnUndecodable::Skip`] was chosen: the message was skipped, go on. `Transport` as for
    /// [`next`](Self::next).
    pub fn receive_owned(&mut self, patience: impl Into<Patience>) -> Result<Option<(T, u8)>, TypedReceiveError> {
        self.receive_within(patience.into())
    }

    fn receive_within(&mut self, patience: Patience) -> Result<Option<(T, u8)>, TypedReceiveError> {
        let Self { raw, reading, builder, copy, on_undecodable } = self;
        loop {
            let next = raw.next_or(patience, |end, reason| go_on(builder, reading, end, reason))?;
            let Some(message) = next else { return Ok(None) };
            let bytes: &[u8] = if message.is_in_place() {
                copy.clear();
                copy.extend_from_slice(&message);
                copy
            } else {
                &message
            };
            let answer = reading.decode(bytes);
            reading.tally.count(answer.is_ok());
            match answer {
                Ok(value) => return Ok(Some((value, message.kind()))),
                Err(_) if *on_undecodable == OnUndecodable::Skip => {}
                Err(source) => {
                    let (sequence, kind) = (message.sequence(), message.kind());
                    return Err(TypedReceiveError::Undecodable { sequence, kind, source });
                }
            }
        }
    }

    /// [`receive_owned`](Self::receive_owned) for loops that end when the stream ends, like
    /// [`next_or_end`](Self::next_or_end).
    ///
    /// # Errors
    /// As [`receive_owned`](Self::receive_owned), except that a closed stream is no error.
    pub fn receive_owned_or_end(
        &mut self,
        patience: impl Into<Patience>,
    ) -> Result<Option<(T, u8)>, TypedReceiveError> {
        or_end(self.receive_owned(patience), TypedReceiveError::is_closed)
    }

    /// Hands every available message to `handler`, and returns their number. They are acknowledged on the way, as in
    /// [`TransportConsumer::process_available`]. If `handler` panics, the messages before that one are acknowledged.
    /// That one is not, and comes again.
    ///
    /// # Errors
    /// `Transport`: there is no message and none will come; or a message could not be put together and was skipped, and
    /// those before it were handed over.
    #[inline]
    pub fn process_available(
        &mut self,
        mut handler: impl FnMut(&TypedMessage<'_, T, F>),
    ) -> Result<usize, TypedReceiveError> {
        loop {
            let Self { raw, reading, .. } = &mut *self;
            let handled = raw.process(reading, |message, reading| {
                handler(&ManuallyDrop::new(TypedMessage::new(ManuallyDrop::into_inner(message), reading)))
            })?;
            // If there was no message, this call moves to the next ring, and reports the stream's end.
            if handled > 0 || !self.has_next()? {
                return Ok(handled);
            }
        }
    }

    /// Whether there is a message now, in this ring or the next one.
    #[cold]
    #[inline(never)]
    fn has_next(&mut self) -> Result<bool, TypedReceiveError> {
        Ok(self.next(Patience::Now)?.map(TypedMessage::release_unread).is_some())
    }

    /// Gives the place up: see [`TransportConsumer::leave`].
    pub fn leave(self) {
        self.raw.leave();
    }

    /// The number of messages that could not be decoded as this type. It only grows.
    pub fn undecodable(&self) -> u64 {
        self.reading.collect();
        self.reading.tally.undecodable()
    }

    /// The transport under the stream, read-only.
    pub fn raw(&self) -> &TransportConsumer<F> {
        &self.raw
    }

    disruptor_mp::consumer_end_methods!(end [pub]);
}

/// `builder`, for a stream of `T` or of one of its older versions.
pub(super) fn for_readers_of<T: Codec, F>(builder: TransportBuilder<F>) -> TransportBuilder<F>
where
    F: Format,
{
    builder.with_content_tag(T::type_tag()).with_older_content_tags(older_tags::<T>())
}

/// A consumer of the ring of `builder`, and the older version of that ring, if it has one.
fn attach<T: Codec, F: Format>(
    builder: &TransportBuilder<F>,
) -> TransportResult<(TransportConsumer<F>, Option<OlderVersion<T>>)> {
    let raw = for_readers_of::<T, F>(builder.clone()).build_consumer()?;
    let older = older_version(raw.content_tag());
    Ok((raw, older))
}

/// The consumer with which a stream continues when the ring of `end` has nothing more: that of the ring that has
/// replaced it. `reason` says why there is nothing; `None` if the call did not wait. Returns `None` if there is nothing
/// for now, and the reason if nothing will come.
#[cold]
#[inline(never)]
fn go_on<T: Codec, F: Format>(
    builder: &TransportBuilder<F>,
    reading: &mut Reading<T>,
    end: &mut impl ConsumerEnd,
    reason: Option<ConsumeError>,
) -> TransportResult<Option<TransportConsumer<F>>> {
    let reason = match reason {
        Some(reason) => reason,
        None if !end.is_replaced() => return Ok(None),
        None => match end.check_producer() {
            Ok(()) => return Ok(None),
            Err(reason) => reason,
        },
    };
    // A producer that replaces the ring may be killed before it has marked the old ring as replaced.
    if !matches!(reason, ConsumeError::Replaced | ConsumeError::ProducerDied { .. }) {
        return Err(reason.into());
    }
    let (mut next, older) = match attach(&builder.clone().coming_from(end.generation())) {
        Ok(next) => next,
        // There is no other ring.
        Err(TransportError::Build(MultiProcessError::Replaced { .. } | MultiProcessError::NotFound { .. })) => {
            return Err(reason.into());
        }
        Err(error) => return Err(error),
    };
    if let Some(file) = end.counts_in() {
        next.attach_counters(file);
    }
    reading.count_in(&next);
    reading.older = older;
    // Only now, because it has its place in the other ring.
    end.go_over();
    Ok(Some(next))
}

impl<T: Codec + 'static, F: Format> Holds for TypedConsumer<T, F> {
    type Held = HeldTyped<T, F>;
    type Error = TypedReceiveError;

    fn take_held(&mut self, patience: Patience) -> Result<Option<HeldTyped<T, F>>, TypedReceiveError> {
        self.next_held(patience)
    }

    fn consume_error(error: &TypedReceiveError) -> Option<&ConsumeError> {
        match error {
            TypedReceiveError::Transport(error) => TransportConsumer::<F>::consume_error(error),
            TypedReceiveError::Undecodable { .. } => None,
        }
    }
}

impl<T: Codec, F: Format> HasConsumer for TypedConsumer<T, F> {
    type Carries = F::Carries;

    fn base(&self) -> &ConsumerBase<F::Carries> {
        self.raw.base()
    }

    fn base_mut(&mut self) -> ConsumerMut<'_, F::Carries> {
        self.raw.base_mut()
    }

    fn wait_for_next(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        loop {
            let end = match self.raw.wait_for_next(patience) {
                Err(end @ (ConsumeError::Replaced | ConsumeError::ProducerDied { .. })) => end,
                other => return other,
            };
            match self.go_on(end) {
                Ok(()) => {}
                Err(TransportError::Consume(end)) => return Err(end),
                // The next call reports why it cannot be read.
                Err(_) if self.raw.is_replaced() => return Ok(()),
                Err(_) => return Err(ConsumeError::Replaced),
            }
        }
    }

    fn counts_anew(&mut self) {
        self.raw.counts_anew();
        self.reading.count_in(&self.raw);
    }
}

impl<T: Codec, F: Format> fmt::Debug for TypedConsumer<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TypedConsumer")
            .field("messages", &T::type_tag())
            .field("transport", &self.raw)
            .finish_non_exhaustive()
    }
}
