//! The descriptors at which a group sleeps.

use std::os::fd::{AsFd, BorrowedFd};

/// A list of descriptors, which ends a sleep when one of them is readable.
///
/// The consumer of a ring has a doorbell that is armed before each sleep. This agent loses no event when it fails: it
/// releases an event only when it is done, and its place in the ring is kept while it backs off. (A lease of `next`
/// acknowledges its event when an error drops it, and a consumer that is dropped gives up its place.)
///
/// ```
/// use disruptor_mp::{Doorbell, Patience, SharedConsumer, attach_shared_consumer, build_shared_single_producer};
/// use myelon_runtime::agents::{Agent, AgentError, Doorbells, Group, GroupEnd, ParkAtDoorbells, Work};
/// use std::time::{Duration, Instant};
///
/// struct Consume {
///     ring: String,
///     ends: Option<(SharedConsumer<u64>, Doorbell)>,
///     failures: u32,
///     sum: u64,
/// }
///
/// impl Consume {
///     fn serve(&mut self, number: u64) -> Result<(), AgentError> {
///         if number == 7 && self.failures == 0 {
///             self.failures += 1;
///             return Err("no answer".into());
///         }
///         self.sum += number;
///         Ok(())
///     }
/// }
///
/// impl Agent for Consume {
///     fn name(&self) -> &str {
///         "consume"
///     }
///
///     fn on_start(&mut self) -> Result<(), AgentError> {
///         let mut consumer = attach_shared_consumer(&self.ring, 64).with_consumer_id("consume").build_consumer()?;
///         consumer.keep_place(); // so that it continues after a restart where it stopped
///         let doorbell = consumer.doorbell()?;
///         self.ends = Some((consumer, doorbell));
///         Ok(())
///     }
///
///     fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
///         let mut count = 0;
///         while count < 64 {
///             let (consumer, _) = self.ends.as_mut().ok_or("not started")?;
///             match consumer.next_held(Patience::Now) {
///                 Ok(Some(number)) => {
///                     self.serve(*number)?; // an error drops the event, which gives it back
///                     number.release();
///                 }
///                 Ok(None) => break,
///                 Err(end) if end.is_closed() => {
///                     assert_eq!(self.sum, 6 + 7 + 8);
///                     return Ok(Work::Finished);
///                 }
///                 Err(error) => return Err(error.into()),
///             }
///             count += 1;
///         }
///         let (consumer, _) = self.ends.as_mut().ok_or("not started")?;
///         if count == 0 {
///             // `Patience::Now` asks no process, so it does not notice that the producer was killed.
///             match consumer.check_producer() {
///                 Err(end) if !end.is_closed() => return Err(end.into()),
///                 // That it has closed the ring is told by the next call, after the last event.
///                 _ => {}
///             }
///         }
///         Ok(Work::Count(count))
///     }
///
///     fn on_close(&mut self) {
///         self.ends = None;
///     }
///
///     fn before_park(&mut self) -> bool {
///         self.ends.as_mut().is_none_or(|(consumer, doorbell)| doorbell.arm(consumer))
///     }
///
///     fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
///         if let Some((_, doorbell)) = &self.ends {
///             doorbells.add(doorbell);
///         }
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let ring = disruptor_mp::portable_shm_segment_name("doc");
/// let mut producer = build_shared_single_producer::<u64>(&ring, 64).build_producer(|| 0)?;
/// let consume = Consume { ring, ends: None, failures: 0, sum: 0 };
/// let mut runner = Group::new("consumers").agent(consume).spawn(ParkAtDoorbells)?;
/// # while runner.handle().agents()[0].starts == 0 { std::thread::yield_now(); }
/// for sent in [6, 7, 8] {
///     producer.publish_with(Patience::Endless, |number| *number = sent)?;
/// }
/// # while runner.handle().agents()[0].starts < 2 { std::thread::yield_now(); }
/// drop(producer); // closes the ring
/// assert_eq!(runner.wait(Duration::from_secs(30))?, GroupEnd::Finished);
/// # Ok(())
/// # }
/// ```
///
/// Any descriptor that is readable while there is something to do is one too:
///
/// ```
/// use myelon_runtime::agents::{Agent, AgentError, Doorbells, Work};
/// use std::io::PipeReader;
/// use std::time::Instant;
///
/// struct Reader(PipeReader);
///
/// impl Agent for Reader {
///     fn name(&self) -> &str {
///         "reader"
///     }
///
///     fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
///         Ok(Work::NONE) // reads what is there, without waiting
///     }
///
///     fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
///         doorbells.add(&self.0);
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub struct Doorbells<'a> {
    pub(super) list: Vec<BorrowedFd<'a>>,
}

impl<'a> Doorbells<'a> {
    /// Adds one. It must be readable as long as there is something to do, or until it is armed again.
    pub fn add(&mut self, descriptor: &'a (impl AsFd + ?Sized)) {
        self.list.push(descriptor.as_fd());
    }
}
