//! A typed message that is held: read and released in any thread, in any order. It outlives its consumer.

use super::message::{Elsewhere, Reading};
use crate::codec::{Codec, CodecResult, OlderVersion, ZeroCopyCodec, decode_as, says_its_version};
use crate::transport::{Format, HeldMessage, Records};
use disruptor_mp::Release;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

/// A message of type `T` that can be kept, in any thread or task: its bytes and properties by `Deref`, and its value by
/// [`get`](Self::get) and [`decode`](Self::decode). [`release`](Self::release) acknowledges it, dropping it gives it
/// back: see [`HeldMessage`].
#[cfg_attr(feature = "rkyv", doc = "```")]
#[cfg_attr(not(feature = "rkyv"), doc = "```ignore")]
/// use myelon::codec::CodecResult;
/// use myelon::prelude::*;
///
/// #[message(rkyv)]
/// struct Step {
///     tokens: Vec<u32>,
/// }
///
/// /// The work of another thread.
/// fn work(message: HeldTyped<Step>) -> CodecResult<usize> {
///     let len = message.get().map(|step| step.tokens.len()); // read in place
///     message.release(); // even if it cannot be read: it would fail again
///     len
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TypedProducer::<Step>::create_default(&name)?;
/// # let mut consumer = TypedConsumer::<Step>::join(&name, "worker-0")?;
/// # producer.publish(&Step { tokens: vec![1, 2, 3] }, 0)?;
/// # drop(producer);
/// let mut threads = vec![];
/// for message in consumer.messages() {
///     let message = message?.hold();
///     threads.push(std::thread::spawn(move || work(message)));
/// }
/// for thread in threads {
///     assert_eq!(thread.join().expect("a step makes nothing panic")?, 3);
/// }
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping a held message gives it back"]
pub struct HeldTyped<T: Codec, F: Format = Records> {
    message: HeldMessage<F>,
    older: Option<OlderVersion<T>>,
    elsewhere: Arc<Elsewhere>,
    /// A message that is read several times, in several threads, counts once.
    is_counted: OnceLock<()>,
}

impl<T: Codec, F: Format> HeldTyped<T, F> {
    pub(super) fn new(message: HeldMessage<F>, reading: &Reading<T>, is_counted: bool) -> Self {
        let (older, elsewhere) = (reading.older.clone(), Arc::clone(&reading.elsewhere));
        let is_counted = if is_counted { OnceLock::from(()) } else { OnceLock::new() };
        Self { message, older, elsewhere, is_counted }
    }

    /// The message as a value: see [`TypedMessage::decode`](super::TypedMessage::decode).
    ///
    /// # Errors
    /// When the bytes are no `T`. Release the message: it would fail again the next time.
    pub fn decode(&self) -> CodecResult<T> {
        let answer = decode_as(self.older.as_ref(), &self.message);
        self.count(answer.is_ok());
        answer
    }

    /// The message in place, after a check: see [`TypedMessage::get`](super::TypedMessage::get).
    ///
    /// # Errors
    /// The same as that call.
    pub fn get(&self) -> CodecResult<T::Archived<'_>>
    where
        T: ZeroCopyCodec,
    {
        Reading::readable_in_place::<F>(self.older.as_ref())?;
        let answer = T::access(&self.message);
        self.count(answer.is_ok());
        answer
    }

    says_its_version!(T, |it| it.older.as_ref());

    /// Acknowledges the message.
    pub fn release(self) {
        self.message.release();
    }

    fn count(&self, is_readable: bool) {
        if self.is_counted.set(()).is_ok() {
            self.elsewhere.count(is_readable);
        }
    }
}

impl<T: Codec + 'static, F: Format> Release for HeldTyped<T, F> {
    fn release(self) {
        self.release();
    }
}

impl<T: Codec, F: Format> Deref for HeldTyped<T, F> {
    type Target = HeldMessage<F>;

    fn deref(&self) -> &HeldMessage<F> {
        &self.message
    }
}

impl<T: Codec, F: Format> fmt::Debug for HeldTyped<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldTyped")
            .field("content", &T::type_tag())
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}
