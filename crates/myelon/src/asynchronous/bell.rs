//! A doorbell that a task awaits.

use disruptor_mp::{ConsumeError, ConsumerEnd, Doorbell, ProducerEnd, PublishError, RoomDoorbell};
use std::io;
use std::os::fd::AsRawFd;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A doorbell, registered with the reactor of the runtime in which it was made. Public for the sealed traits of the
/// ends that are awaited; no user can name it.
#[derive(Debug)]
pub struct Bell<D: AsRawFd> {
    fd: AsyncFd<D>,
}

impl<D: AsRawFd> Bell<D> {
    pub(super) fn new(doorbell: D) -> io::Result<Self> {
        // Deprecated because it believes `as_raw_fd`, which safe code could make answer anything. A doorbell answers
        // with the one descriptor that it owns, and keeps it open until it is dropped, which is after the registration:
        // all that the unsafe successor asks for.
        #[allow(deprecated)]
        let fd = AsyncFd::with_interest(doorbell, Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Ready when the doorbell was rung since it was armed.
    fn poll_rung(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut rung = ready!(self.fd.poll_read_ready(context)).expect("the runtime has not been shut down");
        // Forgotten before the ring is looked at, by the next arming: what is rung after that look makes it readable
        // again.
        rung.clear_ready();
        Poll::Ready(())
    }
}

impl Bell<Doorbell> {
    /// Ready when it is worth looking into the ring: there may be something. An error when there is nothing and never
    /// will be.
    ///
    /// Armed anew by every poll that finds nothing, because only the doorbell's own look tells whether a ring was
    /// missed. Whoever stops polling leaves it armed, which costs one ring that nobody waits for.
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
            // Rung for a death, for an event, or readable from an earlier time.
            consumer.check_producer()?;
        }
    }
}

impl Bell<RoomDoorbell> {
    /// Ready when it is worth publishing again: there may be room. An error when there is none and waiting is
    /// pointless.
    pub(super) fn poll_room(
        &mut self,
        context: &mut Context<'_>,
        producer: &mut impl ProducerEnd,
    ) -> Poll<Result<(), PublishError>> {
        while self.fd.get_mut().arm(producer) {
            ready!(self.poll_rung(context));
            // Rung for a death, for room, or readable from an earlier time.
            producer.check_room()?;
        }
        Poll::Ready(producer.check_room())
    }
}

/// The doorbell says that waiting is pointless. Either there is something, or the ring has ended, or the handle is not
/// ours.
fn settle(consumer: &mut impl ConsumerEnd) -> Result<(), ConsumeError> {
    consumer.check_producer()?;
    // Answers at once if there is something; otherwise it is the one call that can tell that we have been forked.
    match consumer.wait_until_available(Some(Instant::now())) {
        // At the held limit there is nothing yet, either: it is rung when the oldest is released.
        Err(error) if error.is_timed_out() => Ok(()),
        answer => answer,
    }
}
