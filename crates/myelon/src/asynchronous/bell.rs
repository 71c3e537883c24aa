//! A doorbell that a task awaits.

use disruptor_mp::{ConsumeError, ConsumerEnd, Doorbell, ProducerEnd, PublishError, RoomDoorbell};
use std::io;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A doorbell, registered with the reactor of the runtime in which it was made. It is public for the sealed traits of
/// the awaited ends; no user can name it.
#[derive(Debug)]
pub struct Bell<D: AsRawFd> {
    fd: AsyncFd<D>,
}

impl<D: AsRawFd> Bell<D> {
    pub(super) fn new(doorbell: D) -> io::Result<Self> {
        // Deprecated because it trusts `as_raw_fd`, which safe code could implement to return any number. A doorbell
        // returns the one descriptor that it owns, and keeps it open until it is dropped, which is after the
        // registration ends. The unsafe successor asks for nothing more.
        #[allow(deprecated)]
        let fd = AsyncFd::with_interest(doorbell, Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Ready when the doorbell was rung since it was armed.
    fn poll_rung(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut rung = ready!(self.fd.poll_read_ready(context)).expect("the runtime has not been shut down");
        // Readiness is cleared before the ring is looked at, which the next arming does: a ring after that look makes
        // it readable again.
        rung.clear_ready();
        Poll::Ready(())
    }
}

impl Bell<Doorbell> {
    /// Ready when there may be a message in the ring. An error when there is none and never will be.
    ///
    /// Every poll that finds nothing arms it again, because only the doorbell's own look tells whether a signal was
    /// missed. A task that stops polling leaves it armed, which costs one signal for nothing.
    pub(super) fn poll_news(
        &mut self,
        context: &mut Context<'_>,
        consumer: &mut impl ConsumerEnd,
    ) -> Poll<Result<(), ConsumeError>> {
        loop {
            if !self.fd.get_mut().arm(consumer) {
                return Poll::Ready(settle(consumer));
            }
            ready!(self.poll_rung(context));
            // It was rung for a death or for an event, or is still readable from an earlier ring.
            consumer.check_producer()?;
        }
    }
}

impl Bell<RoomDoorbell> {
    /// Ready when there may be room to publish. An error when there is none and waiting is pointless.
    pub(super) fn poll_room(
        &mut self,
        context: &mut Context<'_>,
        producer: &mut impl ProducerEnd,
    ) -> Poll<Result<(), PublishError>> {
        while self.fd.get_mut().arm(producer) {
            ready!(self.poll_rung(context));
            // It was rung for a death or for room, or is still readable from an earlier ring.
            producer.check_room()?;
        }
        Poll::Ready(producer.check_room())
    }
}

/// Called when the doorbell says that waiting is pointless: there is an event, or the ring has ended, or the handle
/// belongs to the process that forked this one.
fn settle(consumer: &mut impl ConsumerEnd) -> Result<(), ConsumeError> {
    consumer.check_producer()?;
    // Returns at once if there is an event. Otherwise it is the only call that can tell that this process is a fork.
    match consumer.wait_until_available(Some(Instant::now())) {
        // At the held limit there is nothing to take either: the doorbell rings when the oldest message is released.
        Err(error) if error.is_timed_out() => Ok(()),
        answer => answer,
    }
}
