//! The sources of a loop, in slots whose numbers are used again under another generation.

use super::handler::Handler;
use super::record::Record;
use super::{Interest, OnFailure, Ready, SourceState};
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
    /// How often it is called in one turn at most.
    pub(super) budget: u32,
    pub(super) on_failure: OnFailure,
    pub(super) state: SourceState,
    pub(super) record: Arc<Record>,
    /// `None` while it runs.
    pub(super) handler: Option<Box<dyn Handler>>,
    /// What was seen since the last call.
    pub(super) ready: Ready,
    /// Whether the handler has said that it has more, so that it is called when a pause or a rate limit is over.
    pub(super) more: bool,
    /// Whether it is paused by [`hold`](super::EventLoop::hold) alone.
    pub(super) held: bool,
    /// The place in the ready list that counts. Others are left from before a pause.
    pub(super) ticket: u64,
    /// The turn of the last call, and how many calls there were in it.
    pub(super) turn: u64,
    pub(super) calls: u32,
    /// Few sources have one, so it is not in the lines that each event reads.
    pub(super) rate: Option<Box<Rate>>,
}

/// A rate limit, and what of it is used.
pub(super) struct Rate {
    pub(super) limit: u32,
    pub(super) interval: Duration,
    /// When the present interval began, and how many calls there were in it.
    pub(super) began: Instant,
    pub(super) calls: u32,
    /// The end of that interval, while the source is limited.
    pub(super) over: Option<TimerId>,
}

impl Entry {
    pub(super) fn set_state(&mut self, state: SourceState) {
        self.state = state;
        self.record.set_state(state);
    }

    /// When the present interval of the rate limit ends, if the limit is reached.
    pub(super) fn limited_until(&self, now: Instant) -> Option<Instant> {
        let rate = self.rate.as_ref()?;
        let over = rate.began + rate.interval;
        (rate.calls >= rate.limit && now < over).then_some(over)
    }
}

/// Where a source is. With ten thousand sources an event finds none of them in the cache, so what it reads of its own
/// are two lines that are fetched together.
#[repr(align(128))]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

const _: () = assert!(size_of::<Slot>() == 128);

/// All sources.
#[derive(Default)]
pub(super) struct Entries {
    slots: Vec<Slot>,
    free: Vec<u32>,
}

impl Entries {
    /// The id of the next source that is inserted.
    pub(super) fn next_id(&self) -> SourceId {
        match self.free.last() {
            Some(&index) => SourceId { index, generation: self.slots[index as usize].generation },
            None => {
                let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 sources");
                SourceId { index, generation: 0 }
            }
        }
    }

    pub(super) fn insert(&mut self, entry: Entry) -> SourceId {
        let id = self.next_id();
        if self.free.pop().is_some() {
            self.slots[id.index as usize].entry = Some(entry);
        } else {
            self.slots.push(Slot { generation: 0, entry: Some(entry) });
        }
        id
    }

    pub(super) fn ids(&self) -> Vec<SourceId> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.entry.is_some());
        used.map(|(index, slot)| SourceId { index: index as u32, generation: slot.generation }).collect()
    }

    pub(super) fn get(&self, id: SourceId) -> Option<&Entry> {
        let slot = self.slots.get(id.index as usize)?;
        slot.entry.as_ref().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn get_mut(&mut self, id: SourceId) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(id.index as usize)?;
        slot.entry.as_mut().filter(|_| slot.generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: SourceId) -> Option<Entry> {
        self.get(id)?;
        let Slot { generation, entry } = &mut self.slots[id.index as usize];
        // The last generation is of no source, so that no token is one of the loop's own.
        *generation = if *generation == u32::MAX - 1 { 0 } else { *generation + 1 };
        self.free.push(id.index);
        entry.take()
    }
}
