//! The rings of a topology's end, lent in a form that cannot be exchanged.
//!
//! A `&mut` of an end could be passed to `mem::swap`: then two workers would answer in each other's rings, with the
//! other worker's numbers and doorbells. The types here can be swapped as well, but that exchanges two borrows and
//! leaves the ends where they are.

use super::error::TopologyError;
use crate::codec::EncodeShort;
use crate::transport::{
    BatchError, Format, HeldMessage, Message, Records, Sent, TraceId, TransportConsumer, TransportProducer,
};
use disruptor_mp::__private::ends::{ConsumerBase, ConsumerMut, HasConsumer, HasProducer, ProducerBase, ProducerMut};
use disruptor_mp::{ConsumeError, Holds, Messages, Patience, Sequence};
use std::fmt;

/// A [`TransportProducer`] that belongs to another end, for example that of a topology's broadcasts. It can send and be
/// read like a producer.
///
/// ```
/// use myelon::Patience;
/// use myelon::topology::SchedulerEnd;
/// use std::time::{Duration, Instant};
///
/// fn step(scheduler: &mut SchedulerEnd, tokens: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
///     let mut broadcasts = scheduler.broadcast_ring();
///     let step = broadcasts.send_with(1, tokens.len(), Patience::Endless, |into| {
///         into[..tokens.len()].copy_from_slice(tokens); // where the workers read it
///         Ok(tokens.len())
///     })?;
///     broadcasts.wait_until_consumed(step, Instant::now() + Duration::from_secs(1))?;
///     Ok(())
/// }
/// ```
pub struct BorrowedProducer<'a, F: Format = Records>(&'a mut TransportProducer<F>);

impl<'a, F: Format> BorrowedProducer<'a, F> {
    #[inline(always)]
    pub(crate) fn new(producer: &'a mut TransportProducer<F>) -> Self {
        Self(producer)
    }

    /// As [`TransportProducer::send`].
    ///
    /// # Errors
    /// The same as that call.
    #[inline(always)]
    pub fn send(&mut self, payload: &[u8], kind: u8, patience: impl Into<Patience>) -> Result<Sequence, TopologyError> {
        self.0.send(payload, kind, patience).map_err(|error| TopologyError::of_sender(self.0, error))
    }

    /// As [`TransportProducer::send_with`].
    ///
    /// # Errors
    /// The same as that call.
    #[inline(always)]
    pub fn send_with(
        &mut self,
        kind: u8,
        size_hint: usize,
        patience: impl Into<Patience>,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> Result<Sequence, TopologyError> {
        let sent = self.0.send_with(kind, size_hint, patience, encode);
        sent.map_err(|error| TopologyError::of_sender(self.0, error))
    }

    /// As [`TransportProducer::send_batch`].
    ///
    /// # Errors
    /// The same as that call.
    #[inline(always)]
    pub fn send_batch<M: AsRef<[u8]>>(
        &mut self,
        messages: impl IntoIterator<Item = M>,
        kind: u8,
        patience: impl Into<Patience>,
    ) -> Result<Sent, BatchError<TopologyError>> {
        let sent = self.0.send_batch(messages, kind, patience);
        sent.map_err(|error| error.map(|error| TopologyError::of_sender(self.0, error)))
    }

    /// As [`TransportProducer::send_batch_with`].
    ///
    /// # Errors
    /// The same as that call.
    #[inline(always)]
    pub fn send_batch_with(
        &mut self,
        count: usize,
        kind: u8,
        size_hint: usize,
        patience: impl Into<Patience>,
        encode: impl FnMut(&mut [u8], usize) -> Result<usize, EncodeShort>,
    ) -> Result<Sent, BatchError<TopologyError>> {
        let sent = self.0.send_batch_with(count, kind, size_hint, patience, encode);
        sent.map_err(|error| error.map(|error| TopologyError::of_sender(self.0, error)))
    }

    /// As [`TransportProducer::set_trace_id`].
    pub fn set_trace_id(&mut self, trace_id: Option<TraceId>) {
        self.0.set_trace_id(trace_id);
    }

    /// As [`TransportProducer::set_in_reply_to`].
    pub fn set_in_reply_to(&mut self, sequence: Option<Sequence>) {
        self.0.set_in_reply_to(sequence);
    }

    /// The producer, read-only.
    pub fn get_ref(&self) -> &TransportProducer<F> {
        self.0
    }

    disruptor_mp::producer_end_methods!(end [pub]);
}

impl<F: Format> HasProducer for BorrowedProducer<'_, F> {
    type Carries = F::Carries;

    fn base(&self) -> &ProducerBase<F::Carries> {
        self.0.base()
    }

    fn base_mut(&mut self) -> ProducerMut<'_, F::Carries> {
        self.0.base_mut()
    }

    fn counts_anew(&mut self) {
        self.0.counts_anew();
    }
}

impl<F: Format> fmt::Debug for BorrowedProducer<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BorrowedProducer").field(&self.0).finish()
    }
}

/// A [`TransportConsumer`] that belongs to another end, for example that of a worker's broadcasts. It can receive and
/// be read like a consumer.
///
/// ```
/// use myelon::prelude::*;
///
/// /// Takes two broadcasts, or as many as are left, and answers the second one first.
/// fn two_steps(worker: &mut WorkerEnd) -> Result<(), Box<dyn std::error::Error>> {
///     let (mut broadcasts, mut responses) = worker.rings();
///     let steps = broadcasts.messages().take(2).map(|step| Ok(step?.hold()));
///     let steps = steps.collect::<Result<Vec<_>, TopologyError>>()?;
///     for step in steps.into_iter().rev() {
///         responses.set_in_reply_to(Some(step.sequence()));
///         responses.send(&step.to_ascii_uppercase(), step.kind(), Patience::Endless)?;
///         step.release();
///     }
///     Ok(())
/// }
/// ```
pub struct BorrowedConsumer<'a, F: Format = Records> {
    consumer: &'a mut TransportConsumer<F>,
    /// The user's name for the end that lends it.
    title: &'a str,
}

impl<'a, F: Format> BorrowedConsumer<'a, F> {
    #[inline(always)]
    pub(crate) fn new(consumer: &'a mut TransportConsumer<F>, title: &'a str) -> Self {
        Self { consumer, title }
    }

    /// As [`TransportConsumer::next`].
    ///
    /// # Errors
    /// The same as that call.
    #[inline(always)]
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<Message<'_, F>>, TopologyError> {
        self.consumer.next(patience).map_err(|error| TopologyError::of(self.title, error))
    }

    /// As [`TransportConsumer::next_or_end`].
    ///
    /// # Errors
    /// The same as that call.
    #[inline(always)]
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> Result<Option<Message<'_, F>>, TopologyError> {
        self.consumer.next_or_end(patience).map_err(|error| TopologyError::of(self.title, error))
    }

    /// As [`TransportConsumer::next_held`].
    ///
    /// # Errors
    /// The same as that call.
    pub fn next_held(&mut self, patience: impl Into<Patience>) -> Result<Option<HeldMessage<F>>, TopologyError> {
        self.consumer.next_held(patience).map_err(|error| TopologyError::of(self.title, error))
    }

    /// As [`TransportConsumer::messages`].
    pub fn messages(&mut self) -> Messages<'_, Self> {
        Messages::new(self)
    }

    /// As [`TransportConsumer::skip`].
    ///
    /// # Errors
    /// The same as that call.
    pub fn skip(&mut self) -> Result<bool, TopologyError> {
        self.consumer.skip().map_err(|error| TopologyError::of(self.title, error))
    }

    /// The consumer, read-only.
    pub fn get_ref(&self) -> &TransportConsumer<F> {
        self.consumer
    }

    disruptor_mp::consumer_end_methods!(end [pub]);
}

impl<F: Format> Holds for BorrowedConsumer<'_, F> {
    type Held = HeldMessage<F>;
    type Error = TopologyError;

    fn take_held(&mut self, patience: Patience) -> Result<Option<HeldMessage<F>>, TopologyError> {
        self.next_held(patience)
    }

    fn consume_error(error: &TopologyError) -> Option<&ConsumeError> {
        TransportConsumer::<F>::consume_error(&error.source)
    }
}

impl<F: Format> HasConsumer for BorrowedConsumer<'_, F> {
    type Carries = F::Carries;

    fn base(&self) -> &ConsumerBase<F::Carries> {
        self.consumer.base()
    }

    fn base_mut(&mut self) -> ConsumerMut<'_, F::Carries> {
        self.consumer.base_mut()
    }

    fn wait_for_next(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        self.consumer.wait_for_next(patience)
    }

    fn counts_anew(&mut self) {
        self.consumer.counts_anew();
    }
}

impl<F: Format> fmt::Debug for BorrowedConsumer<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("BorrowedConsumer").field(&self.consumer).finish()
    }
}
