//! A ring of an end in which messages of one type are sent.

use crate::codec::Codec;
#[cfg(feature = "tokio")]
use crate::transport::{BatchError, Sent, TransportError};
use crate::transport::{Format, TransportProducer, TransportResult};
use crate::typed_transport::Encoder;
use disruptor_mp::__private::ends::{HasProducer, ProducerBase, ProducerMut};
use disruptor_mp::{Patience, Sequence};

/// A borrowed ring in which messages of type `T` are sent.
pub(crate) struct TypedRing<'a, T: Codec, F: Format> {
    pub(crate) ring: &'a mut TransportProducer<F>,
    pub(super) encoder: &'a mut Encoder<T>,
}

impl<T: Codec, F: Format> TypedRing<'_, T, F> {
    /// Encodes `message` in the ring, and again if the room is too small.
    pub(crate) fn send(&mut self, message: &T, kind: u8, patience: Patience) -> TransportResult<Sequence> {
        self.encoder.send(self.ring, message, kind, &patience)
    }

    /// Sends `messages` as a batch.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_batch<'m>(
        &mut self,
        messages: impl Iterator<Item = &'m T>,
        kind: u8,
        patience: Patience,
    ) -> Result<Sent, BatchError<TransportError>>
    where
        T: 'm,
    {
        self.encoder.send_batch(self.ring, messages, kind, &patience)
    }

    /// Sends the message for which the last call found no room, as it was encoded then.
    #[cfg(feature = "tokio")]
    pub(crate) fn send_kept(&mut self, kind: u8, patience: Patience) -> TransportResult<Sequence> {
        self.encoder.send_kept(self.ring, kind, patience)
    }
}

impl<T: Codec, F: Format> HasProducer for TypedRing<'_, T, F> {
    type Carries = F::Carries;

    fn base(&self) -> &ProducerBase<F::Carries> {
        self.ring.base()
    }

    fn base_mut(&mut self) -> ProducerMut<'_, F::Carries> {
        self.ring.base_mut()
    }
}
