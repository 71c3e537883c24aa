//! All settings of an endpoint, whatever its ring carries.

use super::coordination::{CoordinationMode, DiscoveryMode};
use crate::error::CoreSetting;
use crate::ring::construct::Existing;
use crate::ring::ends::linger::LINGER_DEFAULT;
use crate::ring::ends::patience::Patience;
use crate::ring::ends::via::WriteVia;
use crate::ring::protocol::join::StartAt;
use crate::segment::{CreateOptions, Place};
use crate::sync::wait::WaitStrategy;
use std::time::Duration;

/// What the builders of all forms set. Not every endpoint uses every setting.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) place: Place,
    /// Slots, or lines; 0 accepts any size.
    pub(crate) capacity: usize,
    /// For a ring of records: the bytes that were asked for, if any.
    pub(crate) record_bytes: Option<usize>,
    pub(crate) coordination: CoordinationMode,
    pub(crate) discovery: DiscoveryMode,
    pub(crate) expected_consumers: usize,
    pub(crate) consumer_id: Option<String>,
    pub(crate) rank: Option<u32>,
    pub(crate) content_tag: Option<String>,
    pub(crate) older_content_tags: Vec<String>,
    pub(crate) start: StartAt,
    pub(crate) wait: WaitStrategy,
    pub(crate) linger: Duration,
    pub(crate) via: WriteVia,
    pub(crate) options: CreateOptions,
    pub(crate) existing: Existing,
    pub(crate) process_core: Option<CoreSetting>,
    pub(crate) consumer_core: Option<CoreSetting>,
    pub(crate) keeps_place: bool,
    pub(crate) after: Option<u64>,
    pub(crate) ready: Option<Patience>,
    pub(crate) is_refused_silently: bool,
}

impl Settings {
    /// The settings of an endpoint of the ring at `place` with `capacity` slots, or lines, and defaults for everything
    /// else.
    pub(super) fn of(place: Place, capacity: usize) -> Self {
        Self {
            place,
            capacity,
            record_bytes: None,
            coordination: CoordinationMode::default(),
            discovery: DiscoveryMode::default(),
            expected_consumers: 1,
            consumer_id: None,
            rank: None,
            content_tag: None,
            older_content_tags: Vec::new(),
            start: StartAt::default(),
            wait: WaitStrategy::default(),
            linger: LINGER_DEFAULT,
            via: WriteVia::default(),
            options: CreateOptions::default(),
            existing: Existing::default(),
            process_core: None,
            consumer_core: None,
            keeps_place: false,
            after: None,
            ready: None,
            is_refused_silently: false,
        }
    }
}
