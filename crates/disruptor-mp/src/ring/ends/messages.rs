//! A `for` loop over what a consumer receives. Each message is held until the loop drops it.

use super::error::ConsumeError;
use super::patience::Patience;
use std::fmt;
use std::ops::Deref;

/// A held message of any kind: a [`HeldEvent`](crate::HeldEvent), a [`HeldRecord`](crate::HeldRecord), or one of the
/// layers above. For code that takes any of them.
///
/// ```
/// use disruptor_mp::Release;
///
/// /// Releases those that are done, and gives the others back.
/// fn answer<M: Release>(messages: Vec<M>, is_done: impl Fn(&M) -> bool) {
///     for message in messages {
///         if is_done(&message) {
///             message.release();
///         } // dropped without that: given back
///     }
/// }
/// # let place = disruptor_mp::Place::heap();
/// # let mut producer = disruptor_mp::SharedProducer::create(&place, 8, || 0_u64)?;
/// # let mut consumer = disruptor_mp::SharedConsumer::<u64>::attach(&place, 8, "w")?;
/// # producer.publish_batch(4, |slot, number| *slot = number as u64)?;
/// # drop(producer);
/// # let held = consumer.messages().map(|event| event.map(|event| event.hold())).collect::<Result<_, _>>()?;
/// # answer(held, |event| **event != 1);
/// # assert_eq!(consumer.messages().map(|event| **event.unwrap()).collect::<Vec<_>>(), [1]);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub trait Release: Send + 'static {
    /// Acknowledges it. Dropping it gives it back.
    fn release(self);
}

/// An end whose messages can be held, as [`Messages`] needs it. The ends themselves call this `next_held`.
pub trait Holds {
    /// Such a message.
    type Held: Release;

    /// Why there is none.
    type Error;

    /// Takes the next message, to hold it. `None` only for [`Patience::Now`].
    ///
    /// # Errors
    /// Those of the end's own calls.
    fn take_held(&mut self, patience: Patience) -> Result<Option<Self::Held>, Self::Error>;

    /// Why the ring gave nothing, if `error` says that.
    fn consume_error(error: &Self::Error) -> Option<&ConsumeError>;
}

/// A message from a loop over [`messages`](crate::SharedConsumer::messages): it is dropped like a lease, and can be
/// held.
///
/// Dropping it acknowledges it, except while a panic unwinds that began after it was taken: then it is given back, and
/// is handed out again. After [`hold`](Self::hold) only its `release` acknowledges it.
///
/// ```
/// # use disruptor_mp::{attach_shared_consumer, build_shared_single_producer};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// # let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
/// # producer.publish_batch(4, |slot, number| *slot = number as u64)?;
/// # drop(producer);
/// let mut odd = vec![];
/// for event in consumer.messages() {
///     let event = event?;
///     if **event % 2 == 1 {
///         odd.push(event.hold()); // kept; the others are acknowledged here
///     }
/// }
/// for event in odd {
///     event.release();
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a message acknowledges it"]
pub struct Taken<H: Release> {
    /// `None` only during the drop.
    held: Option<H>,
    was_panicking: bool,
}

impl<H: Release> Taken<H> {
    /// For the ends of the layers above.
    #[doc(hidden)]
    pub fn new(held: H) -> Self {
        Self { held: Some(held), was_panicking: std::thread::panicking() }
    }

    /// From now on only its `release` acknowledges it.
    pub fn hold(mut self) -> H {
        self.held.take().expect("a message is there until it is dropped")
    }
}

impl<H: Release> Deref for Taken<H> {
    type Target = H;

    fn deref(&self) -> &H {
        self.held.as_ref().expect("a message is there until it is dropped")
    }
}

impl<H: Release> Drop for Taken<H> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take()
            && (self.was_panicking || !std::thread::panicking())
        {
            held.release();
        }
    }
}

impl<H: Release + fmt::Debug> fmt::Debug for Taken<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Taken").field(&**self).finish()
    }
}

/// The messages of a consumer, as an iterator that ends when its producer has closed the ring and everything was read.
/// See [`messages`](crate::SharedConsumer::messages).
///
/// It also ends after an error that means that nothing will come any more; after any other error it goes on.
///
/// ```
/// # let place = disruptor_mp::Place::heap();
/// # let mut producer = disruptor_mp::SharedProducer::create(&place, 8, || 0_u64)?;
/// # let mut consumer = disruptor_mp::SharedConsumer::<u64>::attach(&place, 8, "w")?;
/// # producer.publish_batch(4, |slot, number| *slot = number as u64)?;
/// # drop(producer);
/// // Each message is acknowledged at the end of its iteration; the first error ends the function.
/// let longest: u64 = consumer.messages().try_fold(0, |longest, event| event.map(|event| longest.max(**event)))?;
/// assert_eq!(longest, 3);
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
pub struct Messages<'a, C: ?Sized> {
    consumer: &'a mut C,
    has_ended: bool,
}

impl<'a, C: Holds + ?Sized> Messages<'a, C> {
    /// The messages of `consumer`. For the ends of the layers above.
    #[doc(hidden)]
    pub fn new(consumer: &'a mut C) -> Self {
        Self { consumer, has_ended: false }
    }
}

impl<C: Holds + ?Sized> Iterator for Messages<'_, C> {
    type Item = Result<Taken<C::Held>, C::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.has_ended {
            return None;
        }
        match self.consumer.take_held(Patience::Endless) {
            Ok(held) => Some(Ok(Taken::new(held?))),
            Err(error) => {
                // Damage was stepped over and is reported once; the ring goes on. If the system refused to answer,
                // nothing was concluded.
                let reason = C::consume_error(&error);
                self.has_ended = reason.is_some_and(ConsumeError::is_end);
                let is_closed = reason.is_some_and(ConsumeError::is_closed);
                Some(Err(error)).filter(|_| !is_closed)
            }
        }
    }
}

impl<C: ?Sized> fmt::Debug for Messages<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("has_ended", &self.has_ended).finish_non_exhaustive()
    }
}
