//! How long a call that needs something from its peers may wait.

use std::time::{Duration, Instant};

/// How long a call may wait: for room when it publishes, for something to read when it receives, for a peer.
///
/// Every call that may wait has one general form, which takes `impl Into<Patience>`, on every layer. Calls that end in
/// `_deadline` or `_managed`, or begin with `try_`, are the general form with a fixed patience. A value that is stored
/// for later, such as a start-up timeout, is a [`Duration`].
///
/// | given | it waits |
/// |---|---|
/// | a `Patience` | as it says |
/// | an [`Instant`] | until then |
/// | an [`Option<Instant>`], an optional deadline | until then; `None`: without end, as `Endless` |
/// | a [`Duration`] | that long, counted from the call; [`Duration::MAX`]: without end |
///
/// ```
/// use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// # let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
/// # producer.publish_batch(3, |slot, number| *slot = number as u64)?;
/// let deadline = Instant::now() + Duration::from_secs(1); // for both together
/// consumer.next(deadline)?;
/// consumer.next(deadline)?;
/// consumer.next(Duration::from_millis(20))?; // for this one alone
///
/// // No wait, and a wait of zero: the first asks no process, and "nothing yet" is no error.
/// assert!(consumer.next(Patience::Now)?.is_none());
/// assert!(consumer.next(Duration::ZERO).is_err_and(|error| error.is_timed_out()));
/// # Ok(())
/// # }
/// ```
///
/// A duration reads the clock once per call, even if there is no need to wait. For a call that is made millions of
/// times a second, compute a deadline once, or use `Endless`.
///
/// A number has no unit, so it is no patience. Nor is an optional duration: its `None` could mean *at once* or *without
/// end*.
///
/// ```compile_fail,E0277
/// # fn receive(consumer: &mut disruptor_mp::SharedConsumer<u64>) {
/// consumer.next(500);
/// # }
/// ```
///
/// ```compile_fail,E0277
/// # fn receive(consumer: &mut disruptor_mp::SharedConsumer<u64>, timeout: Option<std::time::Duration>) {
/// consumer.next(timeout);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// Not at all: the call answers at once.
    Now,
    /// Until then.
    Until(Instant),
    /// As long as the peers live and the ring exists.
    Endless,
    /// Under the watch that
    /// [`enable_required_consumer_liveness`](crate::ProducerEnd::enable_required_consumer_liveness) began: alerts, then
    /// its failure action. For a call that publishes nothing, the same as `Endless`.
    Managed,
    /// Under that watch, and no longer than until then.
    ManagedUntil(Instant),
}

impl Patience {
    /// The deadline, for a call that publishes nothing: `None` if there is none. For [`Now`](Self::Now) it has passed
    /// already.
    pub fn deadline(self) -> Option<Instant> {
        match self {
            Self::Now => Some(Instant::now()),
            Self::Until(deadline) | Self::ManagedUntil(deadline) => Some(deadline),
            Self::Endless | Self::Managed => None,
        }
    }
}

/// Until then.
impl From<Instant> for Patience {
    fn from(deadline: Instant) -> Self {
        Self::Until(deadline)
    }
}

/// Until then; `None`: without end.
impl From<Option<Instant>> for Patience {
    fn from(deadline: Option<Instant>) -> Self {
        deadline.map_or(Self::Endless, Self::Until)
    }
}

/// That long from now; [`Duration::MAX`]: without end.
impl From<Duration> for Patience {
    fn from(timeout: Duration) -> Self {
        Instant::now().checked_add(timeout).into()
    }
}
