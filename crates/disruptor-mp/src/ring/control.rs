//! The words of a ring: the producer's lines and the consumers' table.
//!
//! **Lives here:** [`Control`], [`Entry`], [`Status`], [`Identity`]: who writes which word, and the layout. **Builds on:** `sync`.
//! **May touch it:** see each field; a number read from here is copied once, checked, then used.
//!
//! ```text
//! Control, 512 bytes                                    Entry, 384 bytes, one per consumer
//! 0    published position        producer               0    position (gate)        its consumer
//! 128  readers' bell             who parks, who rings   8    delivered position     its consumer
//! 256  claim limit               producer               16   status                 who holds its lock byte
//! 264  sentinel                  producer               24   announce               its consumer
//! 272  high water of the table   joiners                28   writer's bell          producer parks, consumer rings
//! 276  announce                  producer               128  identity, redelivery   who holds its lock byte
//! 280  closed                    producer               168  id length, 176 its text who holds its lock byte
//! 384  identity, reign           producer               384  -
//! ```

use crate::sync::bell::Bell;
use crate::sync::cursor::Cursor;
use crate::sync::primitive::{AtomicI64, AtomicU32, AtomicU64, Ordering, Site, order};

/// The sentinel's value once it is lifted: it gates nobody.
pub(crate) const SENTINEL_LIFTED: i64 = i64::MAX;

/// Longest consumer id in bytes.
pub const CONSUMER_ID_MAX_LEN: usize = 128;

/// The lines that belong to the ring as a whole.
#[repr(C)]
pub(crate) struct Control {
    /// How many events may be read. The only line that a publish writes beside the slot.
    pub(crate) cursor: Cursor,
    /// Readers sleep here for events.
    pub(crate) readers: PaddedBell,
    pub(crate) gate: GateLine,
    pub(crate) producer: ProducerLine,
}

/// A bell alone on its lines: every publish reads it, and it must not move when something beside it is written.
#[repr(C, align(128))]
pub(crate) struct PaddedBell(pub(crate) Bell);

/// What joiners and waiters read and the producer seldom writes.
#[repr(C, align(128))]
pub(crate) struct GateLine {
    /// The highest position that may be written without another rescan. Stored by the producer before the fence of a rescan.
    pub(crate) claim_limit: AtomicI64,
    /// Bound on positions until the expected consumers have joined; [`SENTINEL_LIFTED`] when there is none.
    pub(crate) sentinel: AtomicI64,
    /// One more than the highest index ever used in the table. Only grows.
    pub(crate) high_water: AtomicU32,
    /// How the producer announces: `Announce` as a number.
    pub(crate) announce: AtomicU32,
    /// Nonzero once nothing more will be published.
    pub(crate) closed: AtomicU32,
}

/// Who the producer is, for the message to the human.
#[repr(C, align(128))]
pub(crate) struct ProducerLine {
    pub(crate) identity: Identity,
    /// Counts producers of this segment: 1 for the creator, one more for each take-over.
    pub(crate) reign: AtomicU64,
}

#[cfg(not(loom))]
const _: () = assert!(size_of::<Control>() == 512 && size_of::<Entry>() == 384);

impl Control {
    /// The words of a new ring: `limit` positions may be written before the first rescan.
    pub(crate) fn new(limit: i64, sentinel: i64) -> Self {
        Self {
            cursor: Cursor::new(),
            readers: PaddedBell(Bell::new()),
            gate: GateLine {
                claim_limit: AtomicI64::new(limit),
                sentinel: AtomicI64::new(sentinel),
                high_water: AtomicU32::new(0),
                announce: AtomicU32::new(0),
                closed: AtomicU32::new(0),
            },
            producer: ProducerLine { identity: Identity::none(), reign: AtomicU64::new(1) },
        }
    }
}

/// Process id, start time and pid namespace. Decisions rest on the kernel's locks, never on these.
#[repr(C)]
pub(crate) struct Identity {
    pid: AtomicU32,
    start_time_ticks: AtomicU64,
    pid_namespace: AtomicU64,
}

impl Identity {
    pub(crate) fn none() -> Self {
        Self { pid: AtomicU32::new(0), start_time_ticks: AtomicU64::new(0), pid_namespace: AtomicU64::new(0) }
    }
}

#[cfg(not(loom))]
impl Identity {
    pub(crate) fn store(&self, process: crate::liveness::ProcessIdentity) {
        self.start_time_ticks.store(process.start_time_ticks, Ordering::Relaxed);
        self.pid_namespace.store(process.pid_namespace, Ordering::Relaxed);
        self.pid.store(process.pid, Ordering::Release);
    }

    pub(crate) fn load(&self) -> crate::liveness::ProcessIdentity {
        crate::liveness::ProcessIdentity {
            pid: self.pid.load(Ordering::Acquire),
            start_time_ticks: self.start_time_ticks.load(Ordering::Relaxed),
            pid_namespace: self.pid_namespace.load(Ordering::Relaxed),
        }
    }
}

/// One consumer's place in the table. Written by whoever holds its lock byte.
#[repr(C, align(128))]
pub(crate) struct Entry {
    /// The next sequence that the consumer will read: everything before it is released.
    pub(crate) position: AtomicI64,
    /// The end of what was handed to the application: up to here it may have seen events.
    pub(crate) delivered: AtomicI64,
    status: AtomicU64,
    /// How the consumer announces: `Announce` as a number.
    pub(crate) announce: AtomicU32,
    /// The producer sleeps here while this consumer is the one it waits for.
    pub(crate) writer: Bell,
    pub(crate) member: MemberLine,
}

/// Who the consumer is.
#[repr(C, align(128))]
pub(crate) struct MemberLine {
    pub(crate) identity: Identity,
    /// The position at which it last rejoined, and how often it has done so there.
    pub(crate) redelivered_from: AtomicI64,
    pub(crate) redeliveries: AtomicU32,
    /// The application's rank of this consumer, plus one; 0 if it gave none.
    pub(crate) rank_plus_one: AtomicU32,
    id_len_bytes: AtomicU32,
    /// The id was made by us: nobody will come back for it.
    generated: AtomicU32,
    id: [AtomicU64; CONSUMER_ID_MAX_LEN / 8],
    /// How far events had been handed out when it last rejoined: `delivered` begins again at the position.
    pub(crate) redelivered_until: AtomicI64,
}

/// Life of an entry. What a crash in each state leaves behind: RFC 0003.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    /// Gates, but the start is not yet decided.
    Joining,
    Active,
    /// Has let go of everything and no longer gates.
    Leaving,
}

/// State and epoch of an entry in one word: `epoch << 8 | state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// Counts the owners that the entry has had, so that a late look is not taken for the present owner.
    pub(crate) epoch: u64,
}

impl Status {
    fn from_word(word: u64) -> Self {
        let state = match word & 0xff {
            1 => State::Joining,
            2 => State::Active,
            3 => State::Leaving,
            // 0, and whatever a confused peer left: an entry that we do not understand gates nobody.
            _ => State::Free,
        };
        Self { state, epoch: word >> 8 }
    }

    fn word(self) -> u64 {
        let state = match self.state {
            State::Free => 0,
            State::Joining => 1,
            State::Active => 2,
            State::Leaving => 3,
        };
        self.epoch << 8 | state
    }

    /// Whether nobody has the entry.
    #[cfg(not(loom))]
    pub(crate) fn is_free(&self) -> bool {
        self.state == State::Free
    }

    /// Whether somebody has the entry, or had it and is dead.
    #[cfg(not(loom))]
    pub(crate) fn is_taken(&self) -> bool {
        !self.is_free()
    }

    /// Whether the producer must not pass this entry's position.
    pub(crate) fn gates(self) -> bool {
        matches!(self.state, State::Joining | State::Active)
    }
}

impl Entry {
    /// An entry that nobody has; in a segment that is what zeros mean.
    #[cfg(test)]
    pub(crate) fn new() -> Self {
        Self {
            position: AtomicI64::new(0),
            delivered: AtomicI64::new(0),
            status: AtomicU64::new(0),
            announce: AtomicU32::new(0),
            writer: Bell::new(),
            member: MemberLine {
                identity: Identity::none(),
                redelivered_from: AtomicI64::new(0),
                redeliveries: AtomicU32::new(0),
                rank_plus_one: AtomicU32::new(0),
                id_len_bytes: AtomicU32::new(0),
                generated: AtomicU32::new(0),
                id: std::array::from_fn(|_| AtomicU64::new(0)),
                redelivered_until: AtomicI64::new(0),
            },
        }
    }

    /// State and epoch. Acquire: who sees a state sees the words that were written before it, and who sees that the owner has left
    /// may write into the slots that it had read.
    #[inline]
    pub(crate) fn status(&self) -> Status {
        Status::from_word(self.status.load(order(Site::StatusAcquire, Ordering::Acquire)))
    }

    /// Moves to another state; the caller holds the entry's lock byte.
    pub(crate) fn set_state(&self, state: State) {
        let epoch = self.status().epoch;
        self.status.store(Status { state, epoch }.word(), order(Site::StatusRelease, Ordering::Release));
    }

    /// Begins a new owner's time: same state, next epoch. The caller holds the entry's lock byte.
    pub(crate) fn next_epoch(&self) {
        let Status { state, epoch } = self.status();
        self.status.store(Status { state, epoch: epoch.wrapping_add(1) & (u64::MAX >> 8) }.word(), Ordering::Release);
    }
}

#[cfg(not(loom))]
impl MemberLine {
    /// Writes the id; the caller holds the entry's lock byte and the entry gates nobody yet.
    pub(crate) fn set_id(&self, id: &ConsumerId) {
        let mut bytes = [0; CONSUMER_ID_MAX_LEN];
        bytes[..id.text.len()].copy_from_slice(id.text.as_bytes());
        for (word, chunk) in self.id.iter().zip(bytes.chunks_exact(8)) {
            word.store(u64::from_le_bytes(chunk.try_into().expect("chunks of eight")), Ordering::Relaxed);
        }
        self.id_len_bytes.store(id.text.len() as u32, Ordering::Relaxed);
        self.generated.store(id.generated.into(), Ordering::Relaxed);
    }

    /// The id, copied. Bytes that are not text, or a length beyond the field, come out as what can be read of them.
    pub(crate) fn id(&self) -> String {
        let mut bytes = [0; CONSUMER_ID_MAX_LEN];
        for (word, chunk) in self.id.iter().zip(bytes.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let len = (self.id_len_bytes.load(Ordering::Relaxed) as usize).min(CONSUMER_ID_MAX_LEN);
        String::from_utf8_lossy(&bytes[..len]).into_owned()
    }

    /// Whether the id was made by us.
    pub(crate) fn is_generated(&self) -> bool {
        self.generated.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn set_rank(&self, rank: Option<u32>) {
        self.rank_plus_one.store(rank.map_or(0, |rank| rank.saturating_add(1)), Ordering::Relaxed);
    }

    pub(crate) fn rank(&self) -> Option<u32> {
        self.rank_plus_one.load(Ordering::Relaxed).checked_sub(1)
    }
}

/// What a consumer is called, and whether anybody could come back under that name.
#[cfg(not(loom))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerId {
    text: String,
    generated: bool,
}

/// A consumer id that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("consumer id of {len_bytes} bytes: an id has 1 to {CONSUMER_ID_MAX_LEN} bytes and no control characters")]
pub struct InvalidConsumerId {
    /// Length of what was given.
    pub len_bytes: usize,
}

#[cfg(not(loom))]
impl ConsumerId {
    /// An id that the user chose, and may come back with.
    pub(crate) fn chosen(text: &str) -> Result<Self, InvalidConsumerId> {
        if text.is_empty() || text.len() > CONSUMER_ID_MAX_LEN || text.chars().any(char::is_control) {
            return Err(InvalidConsumerId { len_bytes: text.len() });
        }
        Ok(Self { text: text.to_owned(), generated: false })
    }

    /// An id for somebody who gave none: unique on this host, and never seen again.
    pub(crate) fn generated() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = crate::liveness::ProcessIdentity::current();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let text =
            format!("anon-{}-{:x}-{number}", process.pid, process.start_time_ticks ^ process.pid_namespace << 20);
        Self { text, generated: true }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}
