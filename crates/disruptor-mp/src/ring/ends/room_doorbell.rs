//! A producer's doorbell: a descriptor that becomes readable when there may be room, for loops that wait for many
//! things.
//!
//! The producer itself announces at the bell of the consumer that is in the way, passes the barrier and looks again, as
//! in a blocking wait. The watcher's thread only sleeps there, as long as the bell has not rung since that
//! announcement. So what is armed is the consumer's entry and the ticket that was drawn.

use super::descriptor::{Descriptor, is_a_descriptor};
use super::producer_end::ProducerBase;
use super::producer_face::ProducerEnd;
use crate::ring::memory::layout::Carries;
use std::io;

/// A descriptor for `poll`, `epoll`, tokio's `AsyncFd` or asyncio's `add_writer`-like loops. It becomes readable once
/// after it was armed, when the consumer that held the producer back has moved, or waiting has become pointless.
///
/// It is rung inside this process, like a [`Doorbell`](crate::Doorbell). A killed consumer is noticed within 100 ms. If
/// no consumer can ring it, it is rung every 50 ms: while the start-up buffer is full and the consumers have not joined
/// yet; or if this process may not issue the memory barrier that the consumer relies on.
///
/// ```
/// # use disruptor_mp::{Patience, attach_shared_consumer, build_shared_single_producer};
/// # use rustix::event::{PollFd, PollFlags, poll};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # if !cfg!(target_os = "linux") { return Ok(()); }
/// # let place = disruptor_mp::Place::heap();
/// let mut producer = build_shared_single_producer::<u64>(&place, 2).build_producer(|| 0)?;
/// let mut consumer = attach_shared_consumer::<u64>(&place, 2).build_consumer()?;
/// let mut doorbell = producer.room_doorbell()?;
/// # let reader = std::thread::spawn(move || {
/// #     let mut sum = 0;
/// #     while let Some(event) = consumer.next_or_end(Patience::Endless)? { sum += *event; }
/// #     Ok::<_, disruptor_mp::ConsumeError>(sum)
/// # });
/// for number in 0..10 {
///     while producer.publish_with(Patience::Now, |event| *event = number).is_err() {
///         if doorbell.arm(&mut producer) {
///             poll(&mut [PollFd::new(&doorbell, PollFlags::IN)], None)?;
///         }
///         producer.check_room()?;
///     }
/// }
/// # drop(producer);
/// # assert_eq!(reader.join().unwrap()?, 45);
/// # Ok(())
/// # }
/// ```
pub struct RoomDoorbell {
    descriptor: Descriptor,
}

is_a_descriptor!(RoomDoorbell);

impl<S: Carries> ProducerBase<S> {
    pub(super) fn room_doorbell(&self) -> io::Result<RoomDoorbell> {
        Ok(RoomDoorbell { descriptor: platform::descriptor(self)? })
    }
}

impl RoomDoorbell {
    /// Asks to be rung once, when there may be the room that the last call did not find. `true`: wait for the
    /// descriptor. `false`: do not wait: there is room, or the ring has ended, or this process is a forked child.
    /// Publish, and ask [`check_room`](crate::ProducerEnd::check_room).
    ///
    /// Takes back all earlier signals. Readable means that there *may* be room: publish again, and arm again if there
    /// is none. The doorbell also gives a signal if the consumer that holds the producer back is dead. Then
    /// `check_room` reports the death, or makes room.
    ///
    /// # Panics
    /// If `producer` is not the one that the doorbell was made for.
    pub fn arm<P: ProducerEnd + ?Sized>(&mut self, producer: &mut P) -> bool {
        platform::arm(&self.descriptor, producer.base_mut().0)
    }
}

#[cfg(target_os = "linux")]
mod platform {
    use super::{Descriptor, ProducerBase};
    use crate::ring::ends::room::Awaits;
    use crate::ring::membership::entry_byte;
    use crate::ring::memory::layout::Carries;
    use crate::ring::memory::mapped::Mapped;
    use crate::ring::protocol::memory::Memory;
    use crate::segment::Fate;
    use crate::sync::announce::Announce;
    use crate::sync::bell::{Bell, Ticket};
    use crate::sync::primitive::AtomicU32;
    use crate::sync::watched::Post;
    use std::io;

    pub(super) fn descriptor<S: Carries>(producer: &ProducerBase<S>) -> io::Result<Descriptor> {
        let memory = producer.side.core.memory();
        let announce = AtomicU32::new(Announce::Fenced as u32);
        Descriptor::new(RoomPost { memory: memory.clone(), nobody: Bell::new(), announce }, memory.segment())
    }

    pub(super) fn arm<S: Carries>(descriptor: &Descriptor, producer: &mut ProducerBase<S>) -> bool {
        let side = &mut producer.side;
        assert!(descriptor.is_of(side.core.memory().segment()), "the doorbell belongs to another producer");
        if side.is_forked() {
            return false;
        }
        descriptor.arm(|| match side.awaits() {
            Awaits::Nothing => None,
            Awaits::Consumer { index, ticket } => Some((index as i64) << 32 | i64::from(ticket.value())),
            Awaits::Silent => Some(NOBODY),
        })
    }

    /// The request where no consumer could ring. No entry has so high an index.
    const NOBODY: i64 = i64::MAX;

    struct RoomPost<S: Carries> {
        memory: Mapped<S>,
        /// The bell of [`NOBODY`], which is never rung, and its announce word.
        nobody: Bell,
        announce: AtomicU32,
    }

    impl<S: Carries> RoomPost<S> {
        /// The entry of the consumer that is waited for, and the ticket that was drawn there.
        fn consumer(request: i64) -> Option<(usize, Ticket)> {
            (request != NOBODY).then(|| ((request >> 32) as usize, Ticket::of(request as u32)))
        }
    }

    impl<S: Carries> Post for RoomPost<S> {
        fn bell(&self, request: i64) -> &Bell {
            Self::consumer(request).map_or(&self.nobody, |(index, _)| &self.memory.entry(index).writer)
        }

        fn announce(&self, request: i64) -> &AtomicU32 {
            Self::consumer(request).map_or(&self.announce, |(index, _)| &self.memory.entry(index).announce)
        }

        fn has_news(&self, request: i64) -> bool {
            // Silent since the producer's own announcement, after which it has looked: the consumer has not moved
            // since.
            let has_rung = Self::consumer(request)
                .is_some_and(|(index, ticket)| !self.memory.entry(index).writer.is_silent_since(ticket));
            has_rung || self.memory.control().gate.closing() != 0 || self.memory.segment().fate() != Fate::Live
        }

        fn is_deserted(&self, request: i64) -> bool {
            // An error of the kernel proves no death. If nothing can ring, the waiter looks after each slice.
            Self::consumer(request)
                .is_none_or(|(index, _)| !self.memory.segment().is_held(entry_byte(index)).unwrap_or(true))
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod platform {
    use super::{Carries, Descriptor, ProducerBase};
    use std::io;

    pub(super) fn descriptor<S: Carries>(_: &ProducerBase<S>) -> io::Result<Descriptor> {
        Descriptor::none()
    }

    pub(super) fn arm<S: Carries>(descriptor: &Descriptor, _: &mut ProducerBase<S>) -> bool {
        descriptor.never()
    }
}
