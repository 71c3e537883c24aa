//! A doorbell that a task waits at.
//!
//! **Lives here:** [`Bell`]. **Builds on:** the ring's doorbell, tokio's reactor. **May touch it:** the receiving end.

use disruptor_mp::{ConsumeError, ConsumerEnd, Doorbell};
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A doorbell, registered with the reactor of the runtime in which it was made.
#[derive(Debug)]
pub(super) struct Bell {
    fd: AsyncFd<Doorbell>,
}

impl Bell {
    pub(super) fn new(doorbell: Doorbell) -> io::Result<Self> {
        // Deprecated because it believes `as_raw_fd`, which safe code could make answer anything. A doorbell answers with the one
        // descriptor that it owns, and keeps it open until it is dropped, which is after the registration: all that the unsafe successor
        // asks for.
        #[allow(deprecated)]
        let fd = AsyncFd::with_interest(doorbell, Interest::READABLE)?;
        Ok(Self { fd })
    }

    /// Ready when it is worth looking into the ring: there may be something. An error when there is nothing and never will be.
    ///
    /// Armed anew by every poll that finds nothing, because only the doorbell's own look tells whether a ring was missed. Whoever stops
    /// polling leaves it armed, which costs one ring that nobody waits for.
    pub(super) fn poll_news(
        &mut self,
        context: &mut Context<'_>,
        consumer: &mut impl ConsumerEnd,
    ) -> Poll<Result<(), ConsumeError>> {
        loop {
            if !self.fd.get_mut().arm(consumer) {
                return Poll::Ready(settle(consumer));
            }
            let mut rung = ready!(self.fd.poll_read_ready(context)).expect("the runtime has not been shut down");
            // Forgotten before the ring is looked at, by the arming above: what is rung after that look makes it readable again.
            rung.clear_ready();
            // Rung for a death, for an event, or readable from an earlier time.
            consumer.check_producer()?;
        }
    }
}

/// The doorbell says that waiting is pointless. Either there is something, or the ring has ended, or the handle is not ours.
fn settle(consumer: &mut impl ConsumerEnd) -> Result<(), ConsumeError> {
    consumer.check_producer()?;
    // Answers at once if there is something; otherwise it is the one call that can tell that we have been forked.
    match consumer.wait_until_available(Some(Instant::now())) {
        Err(ConsumeError::TimedOut { .. }) => Ok(()),
        answer => answer,
    }
}
