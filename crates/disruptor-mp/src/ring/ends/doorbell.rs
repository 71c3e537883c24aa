//! A consumer's doorbell: a descriptor that becomes readable when there may be an event, for loops that wait for many
//! things.
//!
//! **Lives here:** [`Doorbell`]. **Builds on:** `sync::watcher`, whose thread sleeps at the ring's bell in the loop's
//! stead. **May touch it:** whoever has the consumer.

use super::consumer_end::ConsumerBase;
use super::consumer_face::ConsumerEnd;
use crate::ring::memory::layout::Carries;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// A descriptor for `poll`, `epoll`, tokio's `AsyncFd` or asyncio's `add_reader`: readable once after it was armed,
/// when there is an event or the ring has ended.
///
/// Rung inside this process, by one thread for each 127 doorbells; it starts with the first and ends with the last.
/// Nothing crosses to other processes, and while nothing is armed nothing is done. A producer that was killed is
/// noticed within 100 ms.
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
    watch: platform::Watch,
}

impl<S: Carries> ConsumerBase<S> {
    pub(super) fn doorbell(&self) -> io::Result<Doorbell> {
        Ok(Doorbell { watch: platform::watch(self)? })
    }
}

impl Doorbell {
    /// Asks to be rung once, for the consumer's next event. `true`: wait for the descriptor. `false`: do not wait;
    /// there is an event, or the ring has ended, or this process is a forked child: consume, and if nothing is there
    /// ask [`check_producer`](crate::ConsumerEnd::check_producer).
    ///
    /// Clears what was rung before. A ring that was on its way may come nonetheless: readable means that there *may* be
    /// an event. When it is rung and there is nothing, the producer is dead, or it was such a ring; `check_producer`
    /// tells the two apart.
    ///
    /// # Panics
    /// If `consumer` is not the one that the doorbell was made for, or, of a typed stream, the one that it has become
    /// by going on in the ring that has replaced its own.
    pub fn arm<C: ConsumerEnd + ?Sized>(&mut self, consumer: &mut C) -> bool {
        platform::arm(&mut self.watch, consumer.base_mut().0)
    }

    /// Makes the descriptor unreadable. [`arm`](Self::arm) does so by itself; this is for loops that do not arm again
    /// at once.
    pub fn clear(&mut self) {
        platform::clear(&self.watch);
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

impl AsRawFd for Doorbell {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl fmt::Debug for Doorbell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Doorbell").field("fd", &self.as_raw_fd()).finish_non_exhaustive()
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::ConsumerBase;
    use crate::ring::ends::keeper::{Keeper, Standing};
    use crate::ring::membership::PRODUCER_BYTE;
    use crate::ring::memory::layout::Carries;
    use crate::ring::memory::mapped::Mapped;
    use crate::ring::protocol::damage;
    use crate::ring::protocol::form::Form;
    use crate::ring::protocol::memory::Memory;
    use crate::segment::{Fate, Segment};
    use crate::sync::bell::Bell;
    use crate::sync::primitive::AtomicU32;
    use crate::sync::readable::Readable;
    use crate::sync::watched::Post;
    use crate::sync::watcher;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};
    use std::sync::Arc;

    pub(super) struct Watch {
        watch: watcher::Watch,
        readable: Arc<Readable>,
        /// Which consumer it belongs to: each has mapped the ring for itself.
        segment: Arc<Segment>,
    }

    pub(super) fn watch<S: Carries>(consumer: &ConsumerBase<S>) -> io::Result<Watch> {
        let memory = consumer.side.core.memory();
        let readable = Arc::new(Readable::new()?);
        let rung = Arc::clone(&readable);
        let watch = watcher::Watch::new(Box::new(Arc::clone(&consumer.side.keeper)), move || rung.set())?;
        Ok(Watch { watch, readable, segment: Arc::clone(memory.segment()) })
    }

    pub(super) fn arm<S: Carries>(watch: &mut Watch, consumer: &mut ConsumerBase<S>) -> bool {
        let memory = consumer.side.core.memory();
        if !Arc::ptr_eq(&watch.segment, memory.segment()) {
            let is_successor = consumer.comes_from.is_some();
            assert!(is_successor, "the doorbell belongs to another consumer");
            if watch.watch.is_ours() {
                watch.watch.turn_to(Box::new(Arc::clone(&consumer.side.keeper)));
            }
            watch.segment = Arc::clone(memory.segment());
        }
        let Watch { watch, readable, .. } = watch;
        if !watch.is_ours() {
            return false;
        }
        // Cleared first, looked afterwards: a ring that is cleared here was for something that this look sees.
        readable.clear();
        let has_event = consumer.side.look();
        let next = consumer.side.core.next();
        if has_event || watch.post().has_news(next) {
            watch.disarm();
            return false;
        }
        watch.arm(next);
        true
    }

    pub(super) fn clear(watch: &Watch) {
        // A forked child shares the eventfd with its parent, and must not take the parent's ring away.
        if watch.watch.is_ours() {
            watch.readable.clear();
        }
    }

    impl AsFd for Watch {
        fn as_fd(&self) -> BorrowedFd<'_> {
            self.readable.as_fd()
        }
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
                // Whatever there is comes once a message was released.
                Standing::Full => false,
                Standing::Open => may_have_news(self.memory(), position),
            }
        }

        fn is_deserted(&self, _: i64) -> bool {
            // An error from the kernel is no proof of death.
            !self.memory().segment().is_held(PRODUCER_BYTE).unwrap_or(true)
        }
    }

    fn may_have_news<S: Carries>(memory: &Mapped<S>, position: i64) -> bool {
        // Acquire, all of them: as in `Reader::look` and `GateLine::closing`; the consumer looks again before it reads.
        memory.is_published(position)
            || damage::resume_after(memory, position, S::Form::expected_at(memory, position), false).is_some()
            || memory.control().gate.closing() != 0
            || memory.segment().fate() != Fate::Live
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::ConsumerBase;
    use crate::ring::memory::layout::Carries;
    use std::convert::Infallible;
    use std::io;
    use std::os::fd::{AsFd, BorrowedFd};

    /// There is none.
    pub(super) struct Watch(Infallible);

    pub(super) fn watch<S: Carries>(_: &ConsumerBase<S>) -> io::Result<Watch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn arm<S: Carries>(watch: &mut Watch, _: &mut ConsumerBase<S>) -> bool {
        match watch.0 {}
    }

    pub(super) fn clear(watch: &Watch) {
        match watch.0 {}
    }

    impl AsFd for Watch {
        fn as_fd(&self) -> BorrowedFd<'_> {
            match self.0 {}
        }
    }
}
