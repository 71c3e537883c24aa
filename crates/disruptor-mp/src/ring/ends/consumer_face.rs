//! The methods that all consumers share: what they say of their ring and of its producer, and how they leave. Each is
//! written once, for the trait and for every consumer of this crate and of the layers above.

use super::consumer_end::ConsumerBase;
use super::error::ConsumeError;
use super::patience::Patience;
use crate::ring::memory::layout::Carries;
use crate::{CounterHandle, CountersFile};

/// What every consumer offers, whatever its ring carries: its producer, its entry in the ring, its counters, reports.
///
/// [`SharedConsumer`](crate::SharedConsumer), [`RecordConsumer`](crate::RecordConsumer) and the consumers of the layers
/// above have these methods themselves; the trait is for code that takes any of them. It is sealed. No end lends out
/// its common part, so parts of two ends cannot be exchanged.
///
/// Sequences here are those that users see: numbers of events or of records. For messages in frames, it is the number
/// of the last frame.
///
/// ```
/// use disruptor_mp::{ConsumerEnd, attach_shared_consumer, build_shared_single_producer};
///
/// /// By how many events a consumer lags, in any kind of ring.
/// fn lag(consumer: &impl ConsumerEnd) -> i64 {
///     consumer.producer_sequence() - consumer.current_sequence()
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let place = disruptor_mp::Place::heap();
/// let mut producer = build_shared_single_producer::<u64>(&place, 8).build_producer(|| 0)?;
/// let consumer = attach_shared_consumer::<u64>(&place, 8).build_consumer()?;
/// producer.publish(|slot| *slot = 1)?;
/// assert_eq!(lag(&consumer), 1);
/// # Ok(())
/// # }
/// ```
pub trait ConsumerEnd: HasConsumer {
    crate::consumer_end_methods!(base []);
}

impl<C: HasConsumer + ?Sized> ConsumerEnd for C {}

/// A consumer, or what holds one: the way to its base, for this crate and the layers above. No part of the interface.
pub trait HasConsumer {
    /// What the ring carries.
    type Carries: Carries;

    /// What it knows of its ring.
    fn base(&self) -> &ConsumerBase<Self::Carries>;

    /// The base, for changes by this crate.
    fn base_mut(&mut self) -> ConsumerMut<'_, Self::Carries>;

    /// [`ConsumerEnd::wait_until_available`] of this consumer.
    fn wait_for_next(&mut self, patience: Patience) -> Result<(), ConsumeError>;

    /// It counts elsewhere from now on: handles that were kept must be taken again.
    fn counts_anew(&mut self) {}

    /// Identifies the ring, even among rings of the same name.
    fn generation(&self) -> u64 {
        self.base().generation()
    }

    /// Whether another ring has replaced this one. What is published here can still be read.
    fn is_replaced(&self) -> bool {
        self.base().is_replaced()
    }

    /// This consumer has its entry in the next ring. So dropping it gives its entry in this ring up, once everything
    /// that it was handed is released. If something is given back, the entry is kept for a successor.
    fn go_over(&mut self) {
        self.base_mut().0.go_over();
    }

    /// The file in which it counts, if not the ring's own segment.
    fn counts_in(&self) -> Option<&CountersFile> {
        self.base().counts_in()
    }

    /// The counter `id` of this consumer. It must not be kept longer than the consumer: another consumer then has its
    /// entry.
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
pub struct ConsumerMut<'a, S: Carries>(pub(super) &'a mut ConsumerBase<S>);

/// The methods of [`ConsumerEnd`]: `(base [])` within the trait, `(end [pub])` within a consumer.
#[doc(hidden)]
#[macro_export]
macro_rules! consumer_end_methods {
    ($in:ident [$($vis:tt)*]) => {
        /// Where the ring is.
        $($vis)* fn place(&self) -> &$crate::Place {
            $crate::__face_method!($in; ConsumerEnd::place(self); self.base().place())
        }

        /// What the ring's events carry, if it has a content tag: see
        /// [`with_content_tag`](disruptor_mp::SharedDisruptorBuilder::with_content_tag).
        $($vis)* fn content_tag(&self) -> Option<String> {
            $crate::__face_method!($in; ConsumerEnd::content_tag(self); self.base().content_tag())
        }

        /// Our id.
        $($vis)* fn consumer_id(&self) -> &str {
            $crate::__face_method!($in; ConsumerEnd::consumer_id(self); self.base().consumer_id())
        }

        /// Whether this consumer continues where a dead one of the same id stopped.
        $($vis)* fn has_rejoined(&self) -> bool {
            $crate::__face_method!($in; ConsumerEnd::has_rejoined(self); self.base().has_rejoined())
        }

        /// How large the ring is: slots, or bytes of a ring of records.
        $($vis)* fn capacity(&self) -> usize {
            $crate::__face_method!($in; ConsumerEnd::capacity(self); self.base().capacity())
        }

        /// How this consumer waits.
        $($vis)* fn wait_strategy(&self) -> $crate::WaitStrategy {
            $crate::__face_method!($in; ConsumerEnd::wait_strategy(self); self.base().wait_strategy())
        }

        /// Waits until the next receiving call finds something without waiting, and does not take it: an event, a
        /// record, a whole message, or a message that cannot be read, which that call reports. What is between records,
        /// and the rest of a message that began before this consumer came, is skipped.
        ///
        /// # Errors
        /// See [`ConsumeError`](disruptor_mp::ConsumeError); everything published before the end is there to be
        /// received first.
        $($vis)* fn wait_until_available(
            &mut self,
            patience: impl Into<$crate::Patience>,
        ) -> Result<(), $crate::ConsumeError> {
            $crate::__face_method!(
                $in; ConsumerEnd::wait_until_available(self, patience); self.wait_for_next(patience.into()))
        }

        /// Whether the ring has ended for us, and everything published has been read: `Closed`, `Replaced` or
        /// `ProducerDied`. Looks at flags and at one lock; for loops that do not wait.
        ///
        /// # Errors
        /// See [`ConsumeError`](disruptor_mp::ConsumeError): the end of the ring at every call; `Damaged` once.
        $($vis)* fn check_producer(&mut self) -> Result<(), $crate::ConsumeError> {
            $crate::__face_method!($in; ConsumerEnd::check_producer(self); self.base_mut().0.check_producer())
        }

        /// Why nothing will be published any more, whatever is still to be read: `Closed`, `Replaced` or
        /// `ProducerDied`; `None` as long as the producer is there. Looks at flags and at one lock.
        $($vis)* fn end_of_publishing(&self) -> Option<$crate::ConsumeError> {
            $crate::__face_method!($in; ConsumerEnd::end_of_publishing(self); self.base().end_of_publishing())
        }

        /// What the producer is doing, for a consumer that has waited for `waited`. If there is something to read, or
        /// the ring has ended, nothing is waiting, and the report says so.
        $($vis)* fn stall_report(&self, waited: ::std::time::Duration) -> $crate::StallReport {
            $crate::__face_method!($in; ConsumerEnd::stall_report(self, waited); self.base().stall_report(waited))
        }

        /// The sequence of the last event that was acknowledged; -1 if there was none since the beginning of the ring.
        $($vis)* fn current_sequence(&self) -> $crate::Sequence {
            $crate::__face_method!($in; ConsumerEnd::current_sequence(self); self.base().current_sequence())
        }

        /// The sequence of the last published event, as the producer's cursor has it; -1 if there is none. Goes stale
        /// at once.
        $($vis)* fn producer_sequence(&self) -> $crate::Sequence {
            $crate::__face_method!($in; ConsumerEnd::producer_sequence(self); self.base().producer_sequence())
        }

        /// Whether the producer sleeps until this consumer releases something, and there is something to release. Not
        /// known of a producer that spins. Goes stale at once.
        $($vis)* fn holds_up_producer(&self) -> bool {
            $crate::__face_method!($in; ConsumerEnd::holds_up_producer(self); self.base().holds_up_producer())
        }

        /// A [`Doorbell`](disruptor_mp::Doorbell) for this consumer. It is not armed.
        ///
        /// On Linux before 5.16, or where `futex_waitv` is filtered out, its thread looks once a millisecond while it
        /// is armed.
        ///
        /// # Errors
        /// `Unsupported`: this system has no eventfd. Otherwise the system refused an eventfd or a thread.
        $($vis)* fn doorbell(&self) -> ::std::io::Result<$crate::Doorbell> {
            $crate::__face_method!($in; ConsumerEnd::doorbell(self); self.base().doorbell())
        }

        /// From now on, dropping this consumer keeps its entry: the ring keeps what it has not acknowledged for the
        /// consumer that attaches next under its id. In two cases the entry is still given up: by `leave`, and when
        /// everything up to *closed* was read. For work that must not be lost when an error, a cancelled task or a
        /// panic drops its consumer. A producer that waits for the entry is told, as after a death.
        ///
        /// A panic that drops the consumer keeps the entry in any case. No consumer attaches again under an id that the
        /// library made, so such an entry is never kept.
        $($vis)* fn keep_place(&mut self) {
            $crate::__face_method!($in; ConsumerEnd::keep_place(self); self.base_mut().0.keep_place())
        }

        /// From now on, dropping this consumer gives its entry up, even after [`keep_place`](Self::keep_place) and
        /// while a panic unwinds. For ends that hold this one and have a `leave` of their own.
        $($vis)* fn leave_on_drop(&mut self) {
            $crate::__face_method!($in; ConsumerEnd::leave_on_drop(self); self.base_mut().0.leave_on_drop())
        }

        /// Counts into `file` from now on, instead of into the table in the ring's own segment. No two ends share a
        /// counter in one file, however many there are and whatever their names.
        $($vis)* fn attach_counters(&mut self, file: &$crate::CountersFile) {
            $crate::__face_method!(
                $in; ConsumerEnd::attach_counters(self, file);
                {
                    self.base_mut().0.attach_counters(file);
                    self.counts_anew();
                })
        }

        /// The counters that live in the ring's segment.
        $($vis)* fn ring_counters(&self) -> $crate::CountersFile {
            $crate::__face_method!($in; ConsumerEnd::ring_counters(self); self.base().ring_counters())
        }
    };
}
