//! The sources of a loop, in slots whose numbers are used again under another generation.

use super::handler::Handler;
use super::record::Record;
use super::{Interest, LATEST, Ready, Settings, SourceState};
use crate::timers::TimerId;
use mio::Token;
use std::fmt;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Identifies a source of a loop. When the source is removed, its id is of no other source.
///
/// ```
/// use myelon_runtime::event_loop::{EventLoop, SourceId};
/// use std::time::Duration;
///
/// let mut event_loop = EventLoop::new()?;
/// let id: SourceId = event_loop.add_timer(Duration::from_secs(1), "a second is over", |_: &mut EventLoop, _| ());
/// assert!(event_loop.remove(id));
/// assert!(!event_loop.remove(id)); // it is gone
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SourceId {
    pub(super) index: u32,
    generation: u32,
}

#[cfg(not(target_pointer_width = "64"))]
compile_error!("the token of a source, which has its slot and its generation, needs 64 bits");

impl SourceId {
    pub(super) fn token(self) -> Token {
        Token((self.generation as usize) << 32 | self.index as usize)
    }

    pub(super) fn of(token: Token) -> Self {
        Self { index: token.0 as u32, generation: (token.0 >> 32) as u32 }
    }
}

/// `SLOT.GENERATION`, for reports: a text of its own for each source.
impl fmt::Display for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.index, self.generation)
    }
}

/// The part of a turn in which a source is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Results,
    Signals,
    High,
    Normal,
    Low,
}

/// What a source waits for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Waits {
    Descriptor {
        number: RawFd,
        interest: Interest,
    },
    /// `timer` is one that is over while the source is paused, and while the handler of the last deadline runs.
    Timer {
        timer: TimerId,
        deadline: Instant,
        period: Option<Duration>,
    },
    Channel,
    Idle,
    SafePoint {
        patience: Duration,
    },
}

pub(super) struct Entry {
    pub(super) waits: Waits,
    pub(super) step: Step,
    pub(super) settings: Settings,
    pub(super) state: SourceState,
    pub(super) record: Arc<Record>,
    /// `None` while it runs.
    pub(super) handler: Option<Box<dyn Handler>>,
    /// What was seen since the last call.
    pub(super) ready: Ready,
    /// Whether the handler has said that it has more, so that it is called when a pause or a rate limit is over.
    pub(super) more: bool,
    /// The place in the ready list that counts. Others are left from before a pause.
    pub(super) ticket: u64,
    /// The turn of the last call, and how many calls there were in it.
    pub(super) turn: u64,
    pub(super) calls: u32,
    /// When the present interval of the rate limit began, and how many calls there were in it.
    pub(super) interval: Instant,
    pub(super) calls_in_interval: u32,
    /// The end of that interval, while the source is limited.
    pub(super) limit_over: Option<TimerId>,
}

impl Entry {
    pub(super) fn set_state(&mut self, state: SourceState) {
        self.state = state;
        self.record.set_state(state);
    }

    /// When the present interval of the rate limit ends, if the limit is reached.
    pub(super) fn limited_until(&self, now: Instant) -> Option<Instant> {
        let (calls, interval) = self.settings.rate_limit?;
        let over = self.interval + interval.min(LATEST);
        (self.calls_in_interval >= calls && now < over).then_some(over)
    }
}

/// All sources.
#[derive(Default)]
pub(super) struct Entries {
    slots: Vec<(u32, Option<Entry>)>,
    free: Vec<u32>,
}

impl Entries {
    /// The id of the next source that is inserted.
    pub(super) fn next_id(&self) -> SourceId {
        match self.free.last() {
            Some(&index) => SourceId { index, generation: self.slots[index as usize].0 },
            None => {
                let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 sources");
                SourceId { index, generation: 0 }
            }
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) -> SourceId {
        let id = self.next_id();
        if self.free.pop().is_some() {
            self.slots[id.index as usize].1 = Some(entry);
        } else {
            self.slots.push((0, Some(entry)));
        }
        id
    }

    pub(super) fn ids(&self) -> Vec<SourceId> {
        let used = self.slots.iter().enumerate().filter(|(_, (_, entry))| entry.is_some());
        used.map(|(index, &(generation, _))| SourceId { index: index as u32, generation }).collect()
    }

    pub(super) fn get(&self, id: SourceId) -> Option<&Entry> {
        let (generation, entry) = self.slots.get(id.index as usize)?;
        entry.as_ref().filter(|_| *generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: SourceId) -> Option<&mut Entry> {
        let (generation, entry) = self.slots.get_mut(id.index as usize)?;
        entry.as_mut().filter(|_| *generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: SourceId) -> Option<Entry> {
        self.get(id)?;
        let (generation, entry) = &mut self.slots[id.index as usize];
        // The last generation is of no source, so that no token is one of the loop's own.
        *generation = if *generation == u32::MAX - 1 { 0 } else { *generation + 1 };
        self.free.push(id.index);
        entry.take()
    }
}
