//! The methods that all producers share: what they say of their ring and of its consumers. Each is written once, for
//! the trait and for every producer of this crate and of the layers above.

use super::producer_end::ProducerBase;
use crate::CounterHandle;
use crate::ring::memory::layout::Carries;

/// What every producer offers, whatever its ring carries: its consumers, their liveness, its counters, reports.
///
/// [`SharedProducer`](crate::SharedProducer), [`RecordProducer`](crate::RecordProducer) and the producers of the layers
/// above have these methods themselves; the trait is for code that takes any of them. It is sealed. No end lends out
/// its common part, so parts of two ends cannot be exchanged.
///
/// Sequences here are those that users see: numbers of events or of records. For messages in frames, it is the number
/// of the last frame.
///
/// ```
/// use disruptor_mp::{ProducerEnd, build_shared_single_producer};
///
/// /// One line for the log, for any kind of ring.
/// fn who_is_there(producer: &impl ProducerEnd) -> String {
///     let ids: Vec<_> = producer.consumers().into_iter().map(|consumer| consumer.id).collect();
///     format!("{}: {}", producer.place(), ids.join(", "))
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = disruptor_mp::Place::heap();
/// let producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0)?;
/// let _consumer =
///     disruptor_mp::attach_shared_consumer::<u64>(&place, 8).with_consumer_id("worker-0").build_consumer()?;
/// assert!(who_is_there(&producer).ends_with(": worker-0"));
/// # Ok(())
/// # }
/// ```
pub trait ProducerEnd: HasProducer {
    crate::producer_end_methods!(base []);
}

impl<P: HasProducer + ?Sized> ProducerEnd for P {}

/// A producer, or what holds one: the way to its base, for this crate and the layers above. No part of the interface.
pub trait HasProducer {
    /// What the ring carries.
    type Carries: Carries;

    /// What it knows of its ring.
    fn base(&self) -> &ProducerBase<Self::Carries>;

    /// The base, for changes by this crate.
    fn base_mut(&mut self) -> ProducerMut<'_, Self::Carries>;

    /// It counts elsewhere from now on: handles that were kept must be taken again.
    fn counts_anew(&mut self) {}

    /// From now on, dropping this producer leaves the ring as it is, for a successor.
    fn leave_to_successor(&mut self) {
        self.base_mut().0.leave_to_successor();
    }

    /// The numbers of which [`ProducerEnd::refusal`] is made, to be compared with those of another look.
    fn refusal_words(&self, rank: Option<u32>) -> (u64, u64) {
        self.base().refusal_words(rank)
    }

    /// The counter `id` of this producer. It must not be kept longer than the producer: another producer then counts
    /// there.
    fn counter(&self, id: u32) -> CounterHandle {
        self.base().counter(id)
    }

    /// Makes this handle one of a process that was killed just now: it does nothing any more. Dropping it gives back
    /// the lock that the kernel would give back, and leaves everything else as it is. For simulations.
    #[cfg(feature = "dst")]
    fn abandon(&mut self) {
        self.base_mut().0.abandon();
    }
}

/// A base that is lent. Only this crate has access to it, so that no base is exchanged for another.
#[derive(Debug)]
pub struct ProducerMut<'a, S: Carries>(pub(super) &'a mut ProducerBase<S>);

/// The methods of [`ProducerEnd`]: `(base [])` within the trait, `(end [pub])` within a producer.
#[doc(hidden)]
#[macro_export]
macro_rules! producer_end_methods {
    ($in:ident [$($vis:tt)*]) => {
        /// Where the ring is.
        $($vis)* fn place(&self) -> &$crate::Place {
            $crate::__face_method!($in; ProducerEnd::place(self); self.base().place())
        }

        /// How this producer came to its ring.
        $($vis)* fn origin(&self) -> $crate::Origin {
            $crate::__face_method!($in; ProducerEnd::origin(self); self.base().origin())
        }

        /// How large the ring is: slots, or bytes of a ring of records.
        $($vis)* fn capacity(&self) -> usize {
            $crate::__face_method!($in; ProducerEnd::capacity(self); self.base().capacity())
        }

        /// The sequence of the last published event; -1 if there is none.
        $($vis)* fn last_published_sequence(&self) -> $crate::Sequence {
            $crate::__face_method!(
                $in; ProducerEnd::last_published_sequence(self); self.base().last_published_sequence())
        }

        /// Whether a call with this `patience` that needs room for `size` would go on at once. `size` is this many
        /// slots, or, in a ring of records, a record of this many bytes, of which up to 32 are the prefix of a
        /// transport's message. `true`: that much is free, and a managed call has no consumer to wait for and no death
        /// to act on. Then the room stays free until something is published.
        $($vis)* fn has_room_now(&mut self, size: usize, patience: impl Into<$crate::Patience>) -> bool {
            $crate::__face_method!(
                $in; ProducerEnd::has_room_now(self, size, patience);
                self.base_mut().0.has_room_for(size, patience.into()))
        }

        /// Whether waiting for room has become pointless: the consumer that holds the ring back has no owner and its
        /// entry is kept, or the ring was replaced. Frees entries without an owner that no consumer can come back to.
        /// For loops that do not wait and find the ring full; looks at flags and at one lock.
        ///
        /// # Errors
        /// `ConsumerDied`, `Replaced`, `Os`, `Forked`; see [`PublishError`](disruptor_mp::PublishError).
        $($vis)* fn check_room(&mut self) -> Result<(), $crate::PublishError> {
            $crate::__face_method!($in; ProducerEnd::check_room(self); self.base_mut().0.check_room())
        }

        /// A [`RoomDoorbell`](disruptor_mp::RoomDoorbell) for this producer. It is not armed.
        ///
        /// On Linux before 5.16, or where `futex_waitv` is filtered out, its thread looks once a millisecond while it
        /// is armed.
        ///
        /// # Errors
        /// `Unsupported`: this system has no eventfd. Otherwise the system refused an eventfd or a thread.
        $($vis)* fn room_doorbell(&self) -> ::std::io::Result<$crate::RoomDoorbell> {
            $crate::__face_method!($in; ProducerEnd::room_doorbell(self); self.base().room_doorbell())
        }

        /// Whether every consumer that is registered now has released event `sequence`, and the start-up buffer does
        /// not hold it for a consumer that is still expected. If this is `true`, it stays `true` for them; a consumer
        /// that joins later at the oldest event may still lag.
        $($vis)* fn is_consumed(&self, sequence: $crate::Sequence) -> bool {
            $crate::__face_method!($in; ProducerEnd::is_consumed(self, sequence); self.base().is_consumed(sequence))
        }

        /// Waits until every registered consumer has released event `sequence`, and the consumers for which the
        /// start-up buffer holds it have joined; as long as `patience` says.
        ///
        /// # Errors
        /// `TimedOut` and `ConsumerDied` name the consumer; `NotPublished` at once for an event that is not there yet;
        /// see [`PublishError`](disruptor_mp::PublishError).
        $($vis)* fn wait_until_consumed(
            &mut self,
            sequence: $crate::Sequence,
            patience: impl Into<$crate::Patience>,
        ) -> Result<(), $crate::PublishError> {
            $crate::__face_method!(
                $in; ProducerEnd::wait_until_consumed(self, sequence, patience);
                self.base_mut().0.wait_until_consumed(sequence, patience.into()))
        }

        /// The last sequence that consumer `id` has released (-1: none), or `None` if no consumer is registered under
        /// that id.
        $($vis)* fn consumer_sequence(&self, id: &str) -> Option<$crate::Sequence> {
            $crate::__face_method!($in; ProducerEnd::consumer_sequence(self, id); self.base().consumer_sequence(id))
        }

        /// Waits until consumer `id` has joined and lives; `false` if it has not within `patience`. Looks once a
        /// millisecond.
        $($vis)* fn wait_for_consumer(&self, id: &str, patience: impl Into<$crate::Patience>) -> bool {
            $crate::__face_method!(
                $in; ProducerEnd::wait_for_consumer(self, id, patience);
                self.base().wait_for_consumer(id, patience.into()))
        }

        /// Waits until `count` consumers live, of those that [`DiscoveryMode`](disruptor_mp::DiscoveryMode) selects;
        /// `false` if fewer do within `patience`. Looks once a millisecond.
        $($vis)* fn wait_for_consumers(&self, count: usize, patience: impl Into<$crate::Patience>) -> bool {
            $crate::__face_method!(
                $in; ProducerEnd::wait_for_consumers(self, count, patience);
                self.base().wait_for_consumers(count, patience.into()))
        }

        /// [`wait_for_consumer`](Self::wait_for_consumer)`(id, patience)`.
        $($vis)* fn wait_for_consumer_id(&self, id: &str, patience: impl Into<$crate::Patience>) -> bool {
            $crate::__face_method!(
                $in; ProducerEnd::wait_for_consumer_id(self, id, patience); self.wait_for_consumer(id, patience))
        }

        /// How many live consumers are registered, of those that [`DiscoveryMode`](disruptor_mp::DiscoveryMode)
        /// selects.
        $($vis)* fn get_consumer_count(&self) -> usize {
            $crate::__face_method!($in; ProducerEnd::get_consumer_count(self); self.base().get_consumer_count())
        }

        /// All consumers in the table, alive or dead.
        $($vis)* fn consumers(&self) -> Vec<$crate::ConsumerInfo> {
            $crate::__face_method!($in; ProducerEnd::consumers(self); self.base().consumers())
        }

        /// The consumers without an owner, with one look at the kernel's locks per consumer;
        /// [`ending`](disruptor_mp::ConsumerInfo::ending) says how each went. Entries that no consumer can come back to
        /// are freed. For loops that do not publish: a call that publishes into a full ring is told anyway.
        $($vis)* fn check_peers(&mut self) -> Vec<$crate::ConsumerInfo> {
            $crate::__face_method!($in; ProducerEnd::check_peers(self); self.base_mut().0.check_peers())
        }

        /// Takes a consumer *without an owner* out of the table: its unread events are lost to it, and the id is free.
        /// `false` if no consumer is registered under that id, or its owner is there: a live consumer, however slow,
        /// may be reading a slot. A required consumer stays required: managed calls go on once it has joined again.
        ///
        /// # Errors
        /// The operating system refused the lock.
        $($vis)* fn evict_consumer(&mut self, id: &str) -> ::std::io::Result<bool> {
            $crate::__face_method!($in; ProducerEnd::evict_consumer(self, id); self.base_mut().0.evict_consumer(id))
        }

        /// The last process that could not join this ring as `rank`, or without a rank, and what differs there, in the
        /// terms of this ring. A consumer that is refused for its type, its content tag or its size stores this itself;
        /// others may use [`leave_refusal`](disruptor_mp::liveness::leave_refusal). A process that cannot map the ring
        /// cannot store it here.
        $($vis)* fn refusal(&self, rank: Option<u32>) -> Option<$crate::liveness::Refusal> {
            $crate::__face_method!($in; ProducerEnd::refusal(self, rank); self.base().refusal(rank))
        }

        /// What the producer waits for: a consumer and what it is doing, the start-up buffer, a required consumer that
        /// is not there (while managed calls wait for it, or are refused), a reset after a shutdown, or nothing. The
        /// report is about the room that the last call did not get, or, if something was published since, about one
        /// event.
        $($vis)* fn stall_report(&mut self) -> $crate::StallReport {
            $crate::__face_method!($in; ProducerEnd::stall_report(self); self.base_mut().0.stall_report())
        }

        /// Sets which consumers are required and how long to wait for them; from now on the `*_managed` calls work. The
        /// first of them waits until all required consumers have joined. If one goes afterwards, in whatever way, there
        /// is an alert and then the failure action: a managed call that returns `Ok` knew of none that is missing.
        ///
        /// If a consumer leaves, is dropped or is evicted, the next managed call knows it. If its process was killed,
        /// only the kernel knows. Managed calls ask the kernel when 5 ms have passed since they last asked, by a clock
        /// that goes in steps of a few milliseconds. They look at that clock after 16 events (or 1 KiB of records), and
        /// while the 5 ms are not over after twice as many each time, up to half of the ring. So once those
        /// milliseconds after a kill are over, a producer of less than 16 events in 5 ms publishes at most 16 before
        /// the kill is known; a fast one, or one that has just become slow, at most half of the ring. To know it
        /// sooner, or without publishing: [`watch_required_consumers`](Self::watch_required_consumers).
        ///
        /// # Errors
        /// `NoRequiredConsumers` if the list is empty; `InvalidConsumerId` if one of the ids can be no consumer's;
        /// `TooManyExpected` if the table has fewer entries; `InvalidSetting` if `MYELON_SHUTDOWN_GRACE_MS` is not a
        /// number of milliseconds.
        $($vis)* fn enable_required_consumer_liveness(
            &mut self,
            config: $crate::RequiredConsumerLivenessConfig,
        ) -> $crate::MultiProcessResult<()> {
            $crate::__face_method!(
                $in; ProducerEnd::enable_required_consumer_liveness(self, config);
                self.base_mut().0.enable_required_consumer_liveness(config))
        }

        /// Opens a producer again that a stalled consumer has shut to managed calls. The next managed publish waits for
        /// the required consumers again.
        $($vis)* fn reset_required_consumer_liveness(&mut self) {
            $crate::__face_method!(
                $in; ProducerEnd::reset_required_consumer_liveness(self);
                self.base_mut().0.reset_required_consumer_liveness())
        }

        /// Watches the required consumers from a thread of its own, every `interval` (at least a millisecond). So a
        /// managed publish learns within two intervals that a process was killed, even when the ring is not full. The
        /// publish itself costs no more.
        ///
        /// # Errors
        /// The thread could not be started. `InvalidInput`: liveness was not enabled.
        $($vis)* fn watch_required_consumers(&mut self, interval: ::std::time::Duration) -> ::std::io::Result<()> {
            $crate::__face_method!(
                $in; ProducerEnd::watch_required_consumers(self, interval);
                self.base_mut().0.watch_required_consumers(interval))
        }

        /// Counts into `file` from now on, instead of into the table in the ring's own segment. No two ends share a
        /// counter in one file, however many there are and whatever their names.
        $($vis)* fn attach_counters(&mut self, file: &$crate::CountersFile) {
            $crate::__face_method!(
                $in; ProducerEnd::attach_counters(self, file);
                {
                    self.base_mut().0.attach_counters(file);
                    self.counts_anew();
                })
        }

        /// The counters that live in the ring's segment.
        $($vis)* fn ring_counters(&self) -> $crate::CountersFile {
            $crate::__face_method!($in; ProducerEnd::ring_counters(self); self.base().ring_counters())
        }

        /// A descriptor of the ring's segment, to pass to another process. A ring in a memfd is attached to in this
        /// way.
        ///
        /// # Errors
        /// The operating system refused to duplicate it, or the ring is on the heap.
        $($vis)* fn try_clone_fd(&self) -> ::std::io::Result<::std::os::fd::OwnedFd> {
            $crate::__face_method!($in; ProducerEnd::try_clone_fd(self); self.base().try_clone_fd())
        }

        /// Removes the ring's name: no process finds it any more, and the processes that are in it go on. For a
        /// producer that must leave nothing, however it goes: if a panic drops it, the name is otherwise kept for a
        /// successor.
        ///
        /// # Errors
        /// The operating system refused. `false`: the name belongs to another ring by now.
        $($vis)* fn remove_name(&self) -> ::std::io::Result<bool> {
            $crate::__face_method!($in; ProducerEnd::remove_name(self); self.base().remove_name())
        }
    };
}
