//! The counters of a consumer.

use crate::counters::{CounterHandle, EndCounters, ids};

/// One handle for each counter of a consumer. [`crate::counters::ids`] says what each of them counts.
pub(in crate::ring::ends) struct ConsumerCounters {
    pub(in crate::ring::ends) consumed: CounterHandle,
    pub(in crate::ring::ends) bytes: CounterHandle,
    pub(in crate::ring::ends) spins: CounterHandle,
    pub(in crate::ring::ends) parks: CounterHandle,
    pub(in crate::ring::ends) unparks: CounterHandle,
    pub(in crate::ring::ends) lag_max: CounterHandle,
    pub(in crate::ring::ends) lost_wakeups: CounterHandle,
    pub(in crate::ring::ends) rejoins: CounterHandle,
    pub(in crate::ring::ends) redelivered: CounterHandle,
    pub(super) damaged: CounterHandle,
    pub(super) lingers: CounterHandle,
}

impl ConsumerCounters {
    pub(in crate::ring::ends) fn of(counters: &EndCounters) -> Self {
        Self {
            consumed: counters.counter(ids::EVENTS_CONSUMED),
            bytes: counters.counter(ids::EVENTS_CONSUMED_BYTES),
            spins: counters.counter(ids::CONSUMER_EMPTY_SPINS),
            parks: counters.counter(ids::CONSUMER_PARK_COUNT),
            unparks: counters.counter(ids::CONSUMER_UNPARK_COUNT),
            lag_max: counters.counter(ids::CONSUMER_LAG_MAX),
            lost_wakeups: counters.counter(ids::CONSUMER_LOST_WAKEUPS),
            rejoins: counters.counter(ids::CONSUMER_REJOINS),
            redelivered: counters.counter(ids::EVENTS_REDELIVERED),
            damaged: counters.counter(ids::RECORDS_SKIPPED_DAMAGED),
            lingers: counters.counter(ids::CONSUMER_LINGERS),
        }
    }
}
