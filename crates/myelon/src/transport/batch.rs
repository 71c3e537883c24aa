//! Several messages that are announced together.

use super::error::TransportError;
use super::format::{Sends, Writes};
use disruptor_mp::Sequence;
use std::error::Error;
use std::fmt;

/// How many messages of a batch were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Sent {
    /// The number of messages that were sent.
    pub count: usize,
    /// The sequence of the last of them; `None` if none was sent.
    pub last_sequence: Option<Sequence>,
}

impl Sent {
    /// `count` messages were sent; `last_sequence` is that of the last one, if there was one.
    #[inline(always)]
    pub(super) fn of(count: usize, last_sequence: Sequence) -> Self {
        Self { count, last_sequence: (count > 0).then_some(last_sequence) }
    }

    /// One more was sent.
    #[cfg(feature = "tokio")]
    pub(crate) fn note(&mut self, sequence: Sequence) {
        self.count += 1;
        self.last_sequence = Some(sequence);
    }

    /// The messages of `more` were sent too.
    #[cfg(feature = "tokio")]
    pub(crate) fn add(&mut self, more: Self) {
        self.count += more.count;
        self.last_sequence = more.last_sequence.or(self.last_sequence);
    }
}

/// Why not all messages of a batch were sent. The messages before the one that failed are sent; it and those after it
/// are not.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchError<E> {
    /// How many were sent.
    pub sent: Sent,
    /// Why the next one was not sent.
    pub error: Box<E>,
}

impl<E: fmt::Display> fmt::Display for BatchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "after {} messages of the batch: {}", self.sent.count, self.error)
    }
}

impl<E: Error> Error for BatchError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // The text contains the error itself.
        self.error.source()
    }
}

impl<E> BatchError<E> {
    /// `error` stopped the batch after `sent`.
    #[cold]
    pub(crate) fn after(sent: Sent, error: E) -> Self {
        Self { sent, error: Box::new(error) }
    }

    /// The same, with the error of the layer above.
    pub(crate) fn map<X>(self, widen: impl FnOnce(E) -> X) -> BatchError<X> {
        BatchError::after(self.sent, widen(*self.error))
    }
}

/// The questions about the error of a batch.
macro_rules! asked_of_a_batch_error {
    ($error:ty) => {
        impl $crate::transport::BatchError<$error> {
            /// Whether there was no room, and the call does not wait.
            pub fn is_full(&self) -> bool {
                self.error.is_full()
            }

            /// Whether the patience was over.
            pub fn is_timed_out(&self) -> bool {
                self.error.is_timed_out()
            }

            /// Whether the ring has ended, so that nothing more can be sent.
            pub fn is_closed(&self) -> bool {
                self.error.is_closed()
            }

            /// Whether the receiver that the call waited for is gone without having left.
            pub fn is_peer_gone(&self) -> bool {
                self.error.is_peer_gone()
            }
        }

        /// Drops the count of the messages that were sent.
        impl From<$crate::transport::BatchError<$error>> for $error {
            fn from(error: $crate::transport::BatchError<$error>) -> Self {
                *error.error
            }
        }
    };
}
pub(crate) use asked_of_a_batch_error;

asked_of_a_batch_error!(TransportError);

/// Messages that are announced together, when this is dropped: `ring` is a batch of the ring's own.
pub struct Batch<'a, R, W> {
    ring: R,
    writing: &'a mut W,
}

impl<'a, R, W: Writes<R>> Batch<'a, R, W> {
    #[inline(always)]
    pub(super) fn new(ring: R, writing: &'a mut W) -> Self {
        Self { ring, writing }
    }
}

impl<R, W: Writes<R>> Sends for Batch<'_, R, W> {
    type Ring = R;
    type Writing = W;

    #[inline(always)]
    fn parts(&mut self) -> (&mut R, &mut W) {
        (&mut self.ring, self.writing)
    }
}

impl<R, W> fmt::Debug for Batch<'_, R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").finish_non_exhaustive()
    }
}
