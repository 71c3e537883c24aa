//! A consumer's doorbell: a descriptor that becomes readable when there may be an event, for loops that wait for many
//! things.
//!
//! The watcher's thread sleeps at the ring's bell, and the loop sleeps at the descriptor. The thread that has the
//! consumer uses the doorbell.

use super::consumer_end::ConsumerBase;
use super::consumer_face::ConsumerEnd;
use super::descriptor::{Descriptor, is_a_descriptor};
use crate::ring::memory::layout::Carries;
use std::io;

/// A descriptor for `poll`, `epoll`, tokio's `AsyncFd` or asyncio's `add_reader`: readable once after it was armed,
/// when there is an event or the ring has ended.
///
/// It is rung inside this process, by one thread for each 127 doorbells, which starts with the first and ends with the
/// last. Other processes do no extra work, and while nothing is armed nothing is done. A killed producer is noticed
/// within 100 ms. Dropping the doorbell makes the descriptor readable, so that a thread that polls a copy of it wakes.
///
/// ```
/// # use disruptor_mp::{attach_shared_consumer, build_shared_single_producer};
/// # use rustix::event::{PollFd, PollFlags, poll};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// let mut producer = build_shared_single_producer::<u64>(&name, 8).build_producer(|| 0)?;
/// let mut consumer = attach_shared_consumer::<u64>(&name, 8).build_consumer()?;
/// let mut doorbell = consumer.doorbell()?;
/// # producer.publish(|slot| *slot = 7)?;
/// # drop(producer);
/// # let mut sum = 0;
/// let end = loop {
///     consumer.process_available(|event, _| sum += event);
///     if doorbell.arm(&mut consumer) {
///         poll(&mut [PollFd::new(&doorbell, PollFlags::IN)], None)?;
///     } else if let Err(end) = consumer.check_producer() {
///         break end;
///     }
/// };
/// # assert_eq!(sum, 7);
/// # Ok(())
/// # }
/// ```
pub struct Doorbell {
    descriptor: Descriptor,
}

is_a_descriptor!(Doorbell);

impl<S: Carries> ConsumerBase<S> {
    pub(super) fn doorbell(&self) -> io::Result<Doorbell> {
        Ok(Doorbell { descriptor: platform::descriptor(self)? })
    }
}

impl Doorbell {
    /// Asks to be rung once, for the consumer's next event. `true`: wait for the descriptor. `false`: do not wait:
    /// there is an event, or the ring has ended, or this process is a forked child. Consume, and if nothing is there
    /// ask [`check_producer`](crate::ConsumerEnd::check_producer).
    ///
    /// Takes back all earlier signals. A signal that was already on its way may still come, so readable means that
    /// there *may* be an event. If there is a signal and no event, the producer is dead, or the signal was such a late
    /// one; `check_producer` tells which.
    ///
    /// # Panics
    /// If `consumer` is not the one that the doorbell was made for. For a typed stream, the consumer that continues in
    /// the ring that replaced the first one is accepted.
    pub fn arm<C: ConsumerEnd + ?Sized>(&mut self, consumer: &mut C) -> bool {
        platform::arm(&mut self.descriptor, consumer.base_mut().0)
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{ConsumerBase, Descriptor};
    use crate::ring::ends::keeper::{Keeper, Standing};
    use crate::ring::membership::PRODUCER_BYTE;
    use crate::ring::memory::layout::Carries;
    use crate::ring::memory::mapped::Mapped;
    use crate::ring::protocol::damage;
    use crate::ring::protocol::form::Form;
    use crate::ring::protocol::memory::Memory;
    use crate::segment::Fate;
    use crate::sync::bell::Bell;
    use crate::sync::primitive::AtomicU32;
    use crate::sync::watched::Post;
    use std::io;
    use std::sync::Arc;

    pub(super) fn descriptor<S: Carries>(consumer: &ConsumerBase<S>) -> io::Result<Descriptor> {
        Descriptor::new(Arc::clone(&consumer.side.keeper), consumer.side.core.memory().segment())
    }

    pub(super) fn arm<S: Carries>(descriptor: &mut Descriptor, consumer: &mut ConsumerBase<S>) -> bool {
        let segment = consumer.side.core.memory().segment();
        if !descriptor.is_of(segment) {
            let is_successor = consumer.comes_from.is_some();
            assert!(is_successor, "the doorbell belongs to another consumer");
            descriptor.turn_to(Arc::clone(&consumer.side.keeper), segment);
        }
        descriptor.arm(|| {
            let has_event = consumer.side.look();
            let next = consumer.side.core.next();
            (!has_event && !descriptor.post().has_news(next)).then_some(next)
        })
    }

    impl<S: Carries> Post for Arc<Keeper<S>> {
        fn bell(&self, _: i64) -> &Bell {
            &self.memory().control().readers.0
        }

        fn announce(&self, _: i64) -> &AtomicU32 {
            &self.memory().control().gate.announce
        }

        fn has_news(&self, position: i64) -> bool {
            match self.standing() {
                Standing::Returned => true,
                // The next message comes only after a release.
                Standing::Full => false,
                Standing::Open => may_have_news(self.memory(), position),
            }
        }

        fn is_deserted(&self, _: i64) -> bool {
            // An error of the kernel proves no death.
            !self.memory().segment().is_held(PRODUCER_BYTE).unwrap_or(true)
        }
    }

    fn may_have_news<S: Carries>(memory: &Mapped<S>, position: i64) -> bool {
        // Acquire, all of them: as in `Reader::look` and `GateLine::closing`. The consumer looks again before it reads.
        memory.is_published(position)
            || damage::resume_after(memory, position, S::Form::expected_at(memory, position), false).is_some()
            || memory.control().gate.closing() != 0
            || memory.segment().fate() != Fate::Live
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::{Carries, ConsumerBase, Descriptor};
    use std::io;

    pub(super) fn descriptor<S: Carries>(_: &ConsumerBase<S>) -> io::Result<Descriptor> {
        Descriptor::none()
    }

    pub(super) fn arm<S: Carries>(descriptor: &mut Descriptor, _: &mut ConsumerBase<S>) -> bool {
        descriptor.never()
    }
}
