//! Building the ends, whatever they carry: checks the [`Settings`] and hands them to `construct`.

use super::settings::Settings;
use super::{CoordinationMode, DiscoveryMode, SharedDisruptorBuilder};
use crate::environment;
use crate::error::{MultiProcessError, MultiProcessResult};
use crate::ring::construct;
use crate::ring::ends::auto::{AutoConsumer, NotStarted};
use crate::ring::ends::consumer_end::ConsumerBase;
use crate::ring::ends::consumer_face::ConsumerEnd;
use crate::ring::ends::producer_end::ProducerBase;
use crate::ring::identity::ConsumerId;
use crate::ring::memory::layout::{self, Carries, DEFAULT_MAX_CONSUMERS};
use crate::ring::memory::mapped::Mapped;
use crate::ring::protocol::form::Form;
use crate::ring::selection::Selection;
use crate::sync::affinity::pin_to;
use crate::sync::wait::deadline_in;

impl<E, F: Form> SharedDisruptorBuilder<E, F> {
    /// The producer without what it writes.
    pub(crate) fn producer_end<S: Carries<Form = F>>(self) -> MultiProcessResult<ProducerBase<S>> {
        self.settings.producer_end()
    }

    /// The consumer without what it reads.
    pub(crate) fn consumer_end<S: Carries<Form = F>>(self) -> MultiProcessResult<ConsumerBase<S>> {
        self.settings.consumer_end()
    }

    /// The memory of a tap.
    pub(crate) fn tap_memory<S: Carries<Form = F>>(self) -> MultiProcessResult<Mapped<S>> {
        construct::tap(&self.settings.ring())
    }

    /// Builds a consumer, and runs `process` with it on a thread of its own: see [`AutoConsumer::start`].
    pub(crate) fn run_on_thread<C: ConsumerEnd + Send + 'static>(
        self,
        build: impl FnOnce(Self) -> MultiProcessResult<C>,
        process: impl FnMut(&mut C, &dyn Fn() -> bool) -> usize + Send + 'static,
    ) -> MultiProcessResult<AutoConsumer> {
        let core = environment::core("MYELON_AUTO_CONSUMER_CORE", self.settings.consumer_core)?;
        let place = self.settings.place.to_string();
        AutoConsumer::start(build(self)?, core, process).map_err(|error| match error {
            NotStarted::Pinned { asked, source } => asked.refused(source),
            NotStarted::Thread(source) => {
                MultiProcessError::Os { place, call: "starting the consumer's thread", source }
            }
        })
    }
}

impl Settings {
    /// The producer without what it writes.
    fn producer_end<S: Carries>(self) -> MultiProcessResult<ProducerBase<S>> {
        self.pin("MYELON_PRODUCER_CORE")?;
        self.check_start_up()?;
        let (places, prefix) = match &self.discovery {
            DiscoveryMode::Disabled => (DEFAULT_MAX_CONSUMERS, None),
            DiscoveryMode::Enabled { max_consumers, consumer_prefix, .. } => (*max_consumers, consumer_prefix.clone()),
        };
        // First check that a ring of that size is possible, then its parts.
        layout::plan_for::<S>(self.capacity, places)?;
        let max_buffer = match self.coordination {
            CoordinationMode::BufferUntilConsumers { max_buffer } => {
                let (unit, capacity) = (S::SIZE_UNIT, self.capacity * S::SIZE_UNIT.per_slot());
                if max_buffer == 0 || max_buffer > capacity {
                    return Err(MultiProcessError::BufferSize { unit, max_buffer, capacity });
                }
                let slots = max_buffer.div_ceil(unit.per_slot()) + S::Form::HEADROOM as usize;
                // `Disabled` means that no consumer is waited for.
                (self.discovery != DiscoveryMode::Disabled).then_some(slots.min(self.capacity))
            }
            _ => None,
        };
        let producer = construct::producer::<S>(construct::ProducerRequest {
            place: self.place,
            capacity: self.capacity,
            places,
            max_buffer,
            content_tag: self.content_tag,
            options: self.options,
            existing: self.existing,
            wait: self.wait.overridden()?,
            selection: Selection { prefix, expected_consumers: self.expected_consumers },
        })?;
        if let CoordinationMode::WaitForConsumers { min_consumers, timeout } = self.coordination
            && let DiscoveryMode::Enabled { scan_interval, .. } = self.discovery
        {
            let deadline = deadline_in(timeout);
            if !producer.poll_until(deadline, scan_interval, || producer.get_consumer_count() >= min_consumers) {
                let joined = producer.get_consumer_count();
                let (place, wanted) = (producer.place().to_string(), min_consumers);
                producer.give_back();
                return Err(MultiProcessError::CoordinationTimeout { place, joined, wanted, waited: timeout });
            }
        }
        Ok(producer)
    }

    /// Refuses a start-up that waits for no consumer, or for more consumers than there are entries.
    fn check_start_up(&self) -> MultiProcessResult<()> {
        let DiscoveryMode::Enabled { max_consumers, consumer_prefix, .. } = &self.discovery else { return Ok(()) };
        let place = || self.place.to_string();
        if consumer_prefix.as_deref() == Some("") {
            return Err(MultiProcessError::EmptyPrefix { place: place() });
        }
        if let Some(prefix) = consumer_prefix {
            // Otherwise entries are kept for ids that cannot exist.
            ConsumerId::chosen(prefix)?;
        }
        let expected = match self.coordination {
            CoordinationMode::Immediate => return Ok(()),
            CoordinationMode::WaitForConsumers { min_consumers, .. } => min_consumers,
            CoordinationMode::BufferUntilConsumers { .. } => self.expected_consumers,
        };
        match expected {
            0 => Err(MultiProcessError::NoConsumersExpected { place: place() }),
            _ if expected > *max_consumers => {
                Err(MultiProcessError::TooManyExpected { place: place(), expected, max_consumers: *max_consumers })
            }
            _ => Ok(()),
        }
    }

    /// The consumer without what it reads.
    fn consumer_end<S: Carries>(self) -> MultiProcessResult<ConsumerBase<S>> {
        self.pin("MYELON_CONSUMER_CORE")?;
        construct::consumer(construct::ConsumerRequest {
            ring: self.ring(),
            id: self.consumer_id,
            rank: self.rank,
            start: self.start,
            keeps_place: self.keeps_place,
            wait: self.wait.overridden()?,
            linger: self.linger,
            after: self.after,
            is_refused_silently: self.is_refused_silently,
        })
    }

    /// The ring that an end attaches to.
    fn ring(&self) -> construct::RingRequest {
        construct::RingRequest {
            place: self.place.clone(),
            capacity: self.capacity,
            content_tag: self.content_tag.clone(),
            older_content_tags: self.older_content_tags.clone(),
            ready: self.ready,
        }
    }

    /// Pins this thread if the builder or the environment asks for it.
    fn pin(&self, role: &'static str) -> MultiProcessResult<()> {
        let asked = environment::core(role, environment::core("MYELON_PROCESS_CORE", self.process_core)?)?;
        let Some(asked) = asked else { return Ok(()) };
        pin_to(asked.core).map_err(|source| asked.refused(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::Place;
    use std::time::Duration;
    use testkit::watchdog::{PATIENCE, Watchdog};

    fn ring() -> SharedDisruptorBuilder<u64> {
        SharedDisruptorBuilder::new(Place::heap(), 8).enable_discovery(2)
    }

    fn refused(builder: SharedDisruptorBuilder<u64>) -> MultiProcessError {
        builder.build_producer(|| 0).map(drop).unwrap_err()
    }

    const BUFFER: CoordinationMode = CoordinationMode::BufferUntilConsumers { max_buffer: 8 };

    #[test]
    fn a_start_up_that_waits_for_more_consumers_than_there_are_places_is_refused() {
        let _watchdog = Watchdog::new(PATIENCE * 2, "a start-up that cannot end");
        let beyond = |error| matches!(error, MultiProcessError::TooManyExpected { expected: 3, max_consumers: 2, .. });
        assert!(beyond(refused(ring().wait_for_consumers(3, Duration::from_secs(3600)))));
        assert!(beyond(refused(ring().with_coordination(BUFFER).with_expected_consumers(3))));
        let by_default = SharedDisruptorBuilder::new(Place::heap(), 8);
        let error = refused(by_default.wait_for_consumers(DEFAULT_MAX_CONSUMERS + 1, Duration::from_secs(3600)));
        assert!(matches!(error, MultiProcessError::TooManyExpected { max_consumers: DEFAULT_MAX_CONSUMERS, .. }));
    }

    #[test]
    fn a_start_up_that_waits_for_no_consumer_is_refused() {
        let nobody = |error| matches!(error, MultiProcessError::NoConsumersExpected { .. });
        assert!(nobody(refused(ring().wait_for_consumers(0, Duration::ZERO))));
        assert!(nobody(refused(ring().with_coordination(BUFFER).with_expected_consumers(0))));
        // A program that disables discovery wants no wait.
        assert!(ring().wait_for_consumers(2, PATIENCE).disable_discovery().build_producer(|| 0).is_ok());
    }

    #[test]
    fn an_empty_prefix_selects_nothing_and_is_refused() {
        let error = refused(ring().discover_consumer_with_prefix(2, ""));
        assert!(matches!(error, MultiProcessError::EmptyPrefix { .. }));
    }

    #[test]
    fn a_prefix_with_which_no_id_can_begin_is_refused() {
        for bad in ["a\u{202e}", &"x".repeat(129)] {
            let error = refused(ring().discover_consumer_with_prefix(2, bad));
            assert!(matches!(error, MultiProcessError::InvalidConsumerId(_)), "{error:?}");
        }
    }

    #[test]
    fn a_timeout_of_zero_looks_once() {
        let _watchdog = Watchdog::new(PATIENCE, "a start-up that looks once");
        let error = refused(ring().wait_for_single_consumer(Duration::ZERO));
        assert!(matches!(error, MultiProcessError::CoordinationTimeout { joined: 0, wanted: 1, .. }), "{error}");
        let producer = ring().build_producer(|| 0).unwrap();
        assert!(!producer.wait_for_consumer_id("w", Duration::ZERO));
    }
}
