//! The words of a ring: the producer's lines and the consumers' table, their layout, and who writes which word.
//!
//! A number that is read from here is copied once, checked, then used.
//!
//! ```text
//! Control, 768 bytes                                    Entry, 1024 bytes, one per consumer
//! 0    published position        producer               0    position (gate)        its consumer
//! 128  readers' bell             readers, producer      8    delivered position     its consumer
//! 256  claim limit               producer               16   status                 holder of its lock byte
//! 264  sentinel                  producer               24   announce               its consumer
//! 272  high water of the table   joiners                28   writer's bell          producer parks, consumer rings
//! 276  announce                  producer               128  identity, redelivery   holder of its lock byte
//! 280  closed                    producer               168  id length, 176 its text holder of its lock byte
//! 284  departures                leaver or evictor      304  redelivered until      holder of its lock byte
//! 288  read                      consumers, evictor     312  ending                 holder of its lock byte
//! 292  refusals, 296 refusal     refused processes      320  times: joined, parked, woken, alerted (reserved)
//! 304  arrivals                  joiners
//! 312  claim limit, once more    producer
//! 320  row of the refusal        the process refused
//! 384  identity, 408 reign       producer               352  refusal, by rank       the process refused as that rank
//! 416  times: parked, woken, alerted (reserved)         360  given back until       holder of its lock byte
//! 440  attempt                   producer               368  held since             its consumer
//!                                                       376  released, events, 64   its consumer
//!                                                       504  row of the refusal     the process refused as that rank
//! 512  claimed                   producer               512  released, 64 words     its consumer
//! 640  begins, 8 positions       producer               1024 -
//! ```
//!
//! *Reserved* words are 0; this build does not read them. RFC 0011 says what each is for.

use super::ending::Ending;
use crate::step;
use crate::sync::bell::Bell;
use crate::sync::cursor::Cursor;
#[cfg(not(loom))]
use crate::sync::primitive::AtomicU16;
use crate::sync::primitive::{AtomicI64, AtomicU32, AtomicU64, Ordering, Site, order};
#[cfg(not(loom))]
use crate::text::disguises;

/// The sentinel's value once it is lifted: it gates no longer.
pub(crate) const SENTINEL_LIFTED: i64 = i64::MAX;

/// An entry's `delivered` until its owner is handed an event.
pub(crate) const NOTHING_DELIVERED: i64 = -1;

/// The word *closed* of a ring whose producer has closed it: nothing will follow. Any number other than 0 and
/// [`ABANDONED`] means the same.
pub(crate) const CLOSED: u32 = 1;

/// The word *closed* of a ring whose producer was dropped by a panic. It counts as dead.
pub(crate) const ABANDONED: u32 = 2;

/// Longest consumer id in bytes.
pub const CONSUMER_ID_MAX_LEN: usize = 128;

/// The lines that belong to the ring as a whole.
#[expect(missing_debug_implementations, reason = "words of other processes, which no interface hands out")]
#[repr(C)]
pub struct Control {
    /// How many events may be read. The only line that a publish writes beside the slot.
    pub(crate) cursor: Cursor,
    /// Readers sleep here for events.
    pub(crate) readers: PaddedBell,
    pub(crate) gate: GateLine,
    pub(crate) producer: ProducerLine,
    pub(crate) claimed: ClaimedLine,
    pub(crate) begins: BeginsLine,
}

/// A bell alone on its lines: every publish reads it, and a write to a neighbour must not take its line away.
#[repr(C, align(128))]
pub(crate) struct PaddedBell(pub(crate) Bell);

/// What joiners and waiters read and the producer seldom writes.
#[repr(C, align(128))]
pub(crate) struct GateLine {
    /// The highest position that may be written without another rescan. The producer stores it before the fence of a
    /// rescan.
    claim_limit: AtomicI64,
    /// Bound on positions until the expected consumers have joined; [`SENTINEL_LIFTED`] when there is none.
    sentinel: AtomicI64,
    /// One more than the highest index ever used in the table. Only grows. For its use with `arrivals` see
    /// `Sequencer::entries_in_use`.
    pub(crate) high_water: AtomicU32,
    /// How the producer announces: `Announce` as a number.
    pub(crate) announce: AtomicU32,
    /// Nonzero once the present producer publishes nothing more: [`CLOSED`] in good order, [`ABANDONED`] by a panic.
    pub(crate) closed: AtomicU32,
    /// Counts the entries that were given up, kept by an owner that went, or taken away. A managed publish compares it
    /// with the count that it last saw.
    departures: AtomicU32,
    /// Nonzero once a consumer has been handed an event.
    pub(crate) read: AtomicU32,
    /// Counts the refusals that were written, here or in an entry.
    pub(crate) refusals: AtomicU32,
    /// The last refusal of a process without a rank.
    pub(crate) refusal: AtomicU64,
    beside: BesideGate,
    /// In which row of the ring's schema that process differs: see `refused`.
    pub(crate) refusal_row: AtomicU64,
}

/// Second copies of words of the gate line, so that no single word has to be believed. A model damages nothing, and
/// loom pays for each word.
#[repr(C)]
struct BesideGate {
    /// Counts the consumers that have taken an entry.
    #[cfg(not(loom))]
    arrivals: AtomicU32,
    /// A copy of the claim limit. Where the two differ, one was damaged, or the producer is between the two looks of a
    /// rescan.
    #[cfg(not(loom))]
    claim_limit_again: AtomicI64,
}

/// Identifies the producer in messages to people.
#[repr(C, align(128))]
pub(crate) struct ProducerLine {
    pub(crate) identity: Identity,
    /// Counts producers of this segment: 1 for the creator, one more for each take-over.
    pub(crate) reign: AtomicU64,
    /// When the producer last parked, was woken, and raised an alert.
    _times: [AtomicU64; 3],
    /// The attempt that the stamps after the published end belong to: the lower half of `reign` in the upper half, and
    /// in the lower half how many attempts at groups were given up before. Stored by take-overs and undone groups.
    attempt: AtomicU64,
}

impl ProducerLine {
    /// The stamps after the published end are cleared: stamps that are stored from now on belong to another attempt.
    #[cold]
    pub(crate) fn begin_attempt(&self) {
        let given_up = (self.attempt.load(Ordering::Relaxed) as u32).wrapping_add(1);
        let attempt = attempt_of(self.reign.load(Ordering::Relaxed), given_up);
        // Release pairs with Acquire in `attempt`: a reader that finds this attempt finds no stamp of an older one.
        self.attempt.store(attempt, order(Site::AttemptRelease, Ordering::Release));
        step!(AttemptBegun);
    }

    /// The present attempt. `None`: the producer's build does not store it.
    #[inline(always)]
    pub(crate) fn attempt(&self) -> Option<u64> {
        // Acquire pairs with Release in `begin_attempt`.
        let attempt = self.attempt.load(order(Site::AttemptAcquire, Ordering::Acquire));
        let reign = self.reign.load(Ordering::Relaxed);
        (attempt == attempt_of(reign, attempt as u32)).then_some(attempt)
    }
}

/// The word of the attempt after `given_up` others, by the producer of that reign.
fn attempt_of(reign: u64, given_up: u32) -> u64 {
    reign << 32 | u64::from(given_up)
}

/// Up to where the producer may be writing, where its form stores that ([`Form::CLAIMS`](super::form::Form::CLAIMS)).
/// On a line of its own: taps read it with every copy.
#[repr(C, align(128))]
pub(crate) struct ClaimedLine(AtomicI64);

/// Eighths of a ring of records for each of which the position of the first record in it is kept.
pub(crate) const EIGHTHS: usize = 8;

/// Where records begin.
#[repr(C, align(128))]
pub(crate) struct BeginsLine {
    /// For each eighth of the ring, the position of the first record that began in it, in the last lap that reached it.
    pub(crate) first: [AtomicI64; EIGHTHS],
}

#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Control>() == 768 && size_of::<Entry>() == 1024);
    assert!(core::mem::offset_of!(Control, gate) == 256 && core::mem::offset_of!(GateLine, refusal) == 40);
    assert!(core::mem::offset_of!(GateLine, beside) == 48 && core::mem::offset_of!(BesideGate, claim_limit_again) == 8);
    assert!(
        core::mem::offset_of!(GateLine, refusal_row) == 64 && core::mem::offset_of!(MemberLine, refusal_row) == 376
    );
    assert!(core::mem::offset_of!(Control, producer) == 384 && core::mem::offset_of!(ProducerLine, reign) == 24);
    assert!(core::mem::offset_of!(ProducerLine, attempt) == 56);
    assert!(core::mem::offset_of!(Control, claimed) == 512 && core::mem::offset_of!(Control, begins) == 640);
    assert!(core::mem::offset_of!(Entry, member) == 128 && core::mem::offset_of!(MemberLine, id) == 48);
    assert!(core::mem::offset_of!(MemberLine, ending) == 184 && core::mem::offset_of!(MemberLine, refusal) == 224);
    assert!(core::mem::offset_of!(MemberLine, given_back_until) == 232);
    assert!(
        core::mem::offset_of!(MemberLine, held_since_ns) == 240
            && core::mem::offset_of!(MemberLine, released_events) == 248
    );
    assert!(core::mem::offset_of!(Entry, released) == 512);
};

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
                departures: AtomicU32::new(0),
                read: AtomicU32::new(0),
                refusals: AtomicU32::new(0),
                refusal: AtomicU64::new(0),
                beside: BesideGate {
                    #[cfg(not(loom))]
                    arrivals: AtomicU32::new(0),
                    #[cfg(not(loom))]
                    claim_limit_again: AtomicI64::new(limit),
                },
                refusal_row: AtomicU64::new(0),
            },
            producer: ProducerLine {
                identity: Identity::none(),
                reign: AtomicU64::new(1),
                _times: std::array::from_fn(|_| AtomicU64::new(0)),
                attempt: AtomicU64::new(attempt_of(1, 0)),
            },
            claimed: ClaimedLine(AtomicI64::new(0)),
            begins: BeginsLine { first: std::array::from_fn(|_| AtomicI64::new(0)) },
        }
    }
}

/// Process id, start time and pid namespace. Decisions rest on the kernel's locks, never on these.
#[repr(C)]
pub(crate) struct Identity {
    pub(crate) pid: AtomicU32,
    pub(crate) start_time_ticks: AtomicU64,
    pub(crate) pid_namespace: AtomicU64,
}

impl Identity {
    pub(crate) fn none() -> Self {
        Self { pid: AtomicU32::new(0), start_time_ticks: AtomicU64::new(0), pid_namespace: AtomicU64::new(0) }
    }
}

/// One consumer's entry in the table. Written by the holder of its lock byte.
#[expect(missing_debug_implementations, reason = "words of other processes, which no interface hands out")]
#[repr(C, align(128))]
pub struct Entry {
    /// The next sequence that the consumer will read: everything before it is released.
    pub(crate) position: AtomicI64,
    /// The end of what was handed to the application: it may have seen the events before it. [`NOTHING_DELIVERED`]
    /// before the first.
    pub(crate) delivered: AtomicI64,
    status: AtomicU64,
    /// How the consumer announces: `Announce` as a number.
    pub(crate) announce: AtomicU32,
    /// The producer sleeps here while it waits for this consumer.
    pub(crate) writer: Bell,
    pub(crate) member: MemberLine,
    /// Beginnings, plus one, of the messages after the position that are released. A word that names one before the
    /// position means nothing.
    pub(crate) released: [AtomicI64; RELEASED_WORDS],
}

/// Words for messages that are released out of order. Few in a model: loom pays for each.
pub(crate) const RELEASED_WORDS: usize = if cfg!(loom) { 2 } else { 64 };

/// Identifies the consumer.
#[repr(C, align(128))]
pub(crate) struct MemberLine {
    pub(crate) identity: Identity,
    /// The position at which it last rejoined, and how often it has done so there.
    pub(crate) redelivered_from: AtomicI64,
    pub(crate) redeliveries: AtomicU32,
    /// The application's rank of this consumer, plus one; 0 if it gave none.
    pub(crate) rank_plus_one: AtomicU32,
    id_len_bytes: AtomicU32,
    /// The id was made by us: no consumer comes back under it.
    generated: AtomicU32,
    id: [AtomicU64; CONSUMER_ID_MAX_LEN / 8],
    /// How far events had been handed out when it last rejoined. `delivered` then begins again at the position.
    pub(crate) redelivered_until: AtomicI64,
    /// How the owner went from the entry while its process lived: `epoch << 8 | how`. If its epoch is not the status's,
    /// it means nothing, so it is never reset.
    pub(crate) ending: AtomicU64,
    /// When the owner joined, last parked, was last woken, and was last named in an alert.
    _times: [AtomicU64; 4],
    /// Why the process with the rank of this *index* was refused, whichever process owns the entry.
    pub(crate) refusal: AtomicU64,
    /// How far events had been handed out when the application gave some of them back. Only grows under one id.
    pub(crate) given_back_until: AtomicI64,
    /// When the oldest held message was handed out, in nanoseconds of the monotonic clock; 0 if none is held.
    pub(crate) held_since_ns: AtomicU64,
    /// The number of events of each released message, less one.
    #[cfg(not(loom))]
    pub(crate) released_events: [AtomicU16; RELEASED_WORDS],
    /// The row of the ring's schema in which the process that `refusal` names differs: see `refused`.
    #[cfg(not(loom))]
    pub(crate) refusal_row: AtomicU64,
}

/// Life of an entry. What a crash in each state leaves in it: RFC 0003.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Free,
    /// Gates, but the start is not yet decided.
    Joining,
    Active,
    /// No state of this build: the word was damaged. Nothing is concluded from it, so the entry gates.
    Unknown,
}

/// State and epoch of an entry in one word: `epoch << 8 | state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) state: State,
    /// Counts the owners of the entry, so that a late look does not take an old owner for the present one.
    pub(crate) epoch: u64,
}

impl Status {
    fn from_word(word: u64) -> Self {
        let state = match word & 0xff {
            0 => State::Free,
            1 => State::Joining,
            2 => State::Active,
            _ => State::Unknown,
        };
        Self { state, epoch: word >> 8 }
    }

    fn word(self) -> u64 {
        let state = match self.state {
            State::Free => 0,
            State::Joining => 1,
            State::Active => 2,
            State::Unknown => 0xff,
        };
        self.epoch << 8 | state
    }

    /// Whether no consumer has the entry.
    #[cfg(not(loom))]
    pub(crate) fn is_free(&self) -> bool {
        self.state == State::Free
    }

    /// Whether a consumer has the entry, or had it and is dead.
    #[cfg(not(loom))]
    pub(crate) fn is_taken(&self) -> bool {
        !self.is_free()
    }

    /// Whether this is a state in which a consumer has the entry.
    pub(crate) fn is_owned(self) -> bool {
        matches!(self.state, State::Joining | State::Active)
    }

    /// Whether the producer must not pass this entry's position.
    pub(crate) fn gates(self) -> bool {
        self.state != State::Free
    }
}

/// The epoch after this one.
fn after(epoch: u64) -> u64 {
    epoch.wrapping_add(1) & (u64::MAX >> 8)
}

impl Entry {
    /// A free entry; in a segment that is what zeros mean.
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
                ending: AtomicU64::new(0),
                _times: std::array::from_fn(|_| AtomicU64::new(0)),
                refusal: AtomicU64::new(0),
                given_back_until: AtomicI64::new(0),
                held_since_ns: AtomicU64::new(0),
                #[cfg(not(loom))]
                released_events: std::array::from_fn(|_| AtomicU16::new(0)),
                #[cfg(not(loom))]
                refusal_row: AtomicU64::new(0),
            },
            released: std::array::from_fn(|_| AtomicI64::new(0)),
        }
    }

    /// State and epoch. Acquire: a reader that sees a state sees the words that were written before it. A producer that
    /// sees that the owner has left may write into the slots that the owner had read.
    #[inline]
    pub(crate) fn status(&self) -> Status {
        Status::from_word(self.status.load(order(Site::StatusAcquire, Ordering::Acquire)))
    }

    /// Whether the owner's application was handed an event, by this owner or by a predecessor whose entry it took over.
    pub(crate) fn was_handed_something(&self) -> bool {
        self.delivered.load(Ordering::Relaxed) != NOTHING_DELIVERED
    }

    /// Moves to another state; the caller holds the entry's lock byte.
    pub(crate) fn set_state(&self, state: State) {
        let epoch = self.status().epoch;
        self.status.store(Status { state, epoch }.word(), order(Site::StatusRelease, Ordering::Release));
    }

    /// Begins a new owner's time: same state, next epoch. The caller holds the entry's lock byte.
    pub(crate) fn next_epoch(&self) {
        let Status { state, epoch } = self.status();
        self.status.store(Status { state, epoch: after(epoch) }.word(), Ordering::Release);
    }

    /// Frees the entry of the owner of `epoch`: one store writes *free* and a later epoch. So no entry is ever free
    /// under its owner's own epoch. The caller holds the entry's lock byte.
    pub(crate) fn set_free_after(&self, epoch: u64) {
        let free = Status { state: State::Free, epoch: after(self.status().epoch.max(epoch)) };
        self.status.store(free.word(), order(Site::StatusRelease, Ordering::Release));
    }

    /// Stores how the owner of `epoch` goes from the entry, which goes on gating. The caller holds the entry's lock
    /// byte.
    pub(crate) fn set_ending(&self, epoch: u64, ending: Ending) {
        // Relaxed: the count of departures is stored after it with Release, and a process that finds the lock byte free
        // asked the kernel.
        self.member.ending.store(epoch << 8 | ending.number(), Ordering::Relaxed);
    }

    /// How the owner that `status` names went from the entry; `None` if it stored nothing.
    pub(crate) fn ending(&self, status: Status) -> Option<Ending> {
        let word = self.member.ending.load(Ordering::Relaxed);
        (word >> 8 == status.epoch).then(|| Ending::from_number(word & 0xff)).flatten()
    }
}

impl ClaimedLine {
    /// Stores that the producer may be writing everything before `position`. Called before the fence in
    /// `Sequencer::claim`, and before anything there is written.
    pub(crate) fn store(&self, position: i64) {
        self.0.store(position, Ordering::Relaxed);
    }

    /// Up to where the producer may be writing; 0 if it has stored nothing. After a tap's fence, it is at least what
    /// was claimed before the bytes that the tap copied were written.
    pub(crate) fn load(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether a producer at `published` may have stored this word. The caller loaded `published` first.
    pub(crate) fn allows(&self, published: i64) -> bool {
        let claimed = self.load();
        claimed == 0 || published <= claimed
    }
}

impl GateLine {
    /// The bound on positions in a ring of that `capacity`, of which `published` events are known; [`SENTINEL_LIFTED`]
    /// if there is none. A number that no start-up buffer can have, or that was passed, counts as no bound.
    pub(crate) fn sentinel(&self, capacity: i64, published: i64) -> i64 {
        let sentinel = self.sentinel.load(Ordering::Relaxed);
        if (published.max(1)..=capacity).contains(&sentinel) { sentinel } else { SENTINEL_LIFTED }
    }

    /// Lifts the sentinel. Before the fence of a rescan.
    pub(crate) fn lift_sentinel(&self) {
        self.sentinel.store(SENTINEL_LIFTED, Ordering::Relaxed);
    }

    /// Stores up to where the producer may write if a second look at the table finds no more than the first. Before the
    /// fence between the two looks.
    pub(crate) fn try_claim_limit(&self, limit: i64) {
        self.claim_limit.store(limit, Ordering::Relaxed);
    }

    /// Stores up to where the producer may write without another rescan: at most a lap after any consumer.
    pub(crate) fn set_claim_limit(&self, limit: i64) {
        self.claim_limit.store(limit, Ordering::Relaxed);
        #[cfg(not(loom))]
        self.beside.claim_limit_again.store(limit, Ordering::Relaxed);
    }

    /// The claim limit, or the lower of the two copies: it only grows, so the producer may write at least up to there.
    pub(crate) fn claim_limit_at_least(&self) -> i64 {
        let limit = self.claim_limit.load(Ordering::Relaxed);
        #[cfg(not(loom))]
        let limit = limit.min(self.beside.claim_limit_again.load(Ordering::Relaxed));
        limit
    }

    /// The claim limit, or the higher of the two copies: if one of them is right, the producer does not write beyond
    /// it.
    pub(crate) fn claim_limit_at_most(&self) -> i64 {
        let limit = self.claim_limit.load(Ordering::Relaxed);
        #[cfg(not(loom))]
        let limit = limit.max(self.beside.claim_limit_again.load(Ordering::Relaxed));
        limit
    }

    /// Counts a consumer that has taken an entry and stored its state there.
    pub(crate) fn count_arrival(&self) {
        // Release pairs with Acquire in `arrivals`: a producer that sees the arrival finds the consumer in the table.
        #[cfg(not(loom))]
        self.beside.arrivals.fetch_add(1, Ordering::Release);
    }

    /// How many consumers have taken an entry. Acquire: see `count_arrival`.
    pub(crate) fn arrivals(&self) -> u32 {
        #[cfg(not(loom))]
        return self.beside.arrivals.load(Ordering::Acquire);
        #[cfg(loom)]
        0
    }

    /// Whether the producer has closed the ring. Acquire: see `Sequencer::close`.
    pub(crate) fn is_closed(&self) -> bool {
        !matches!(self.closing(), 0 | ABANDONED)
    }

    /// Whether the producer was dropped by a panic, and no other has taken the ring over.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.closing() == ABANDONED
    }

    /// The word *closed*: 0 while the ring is open.
    pub(crate) fn closing(&self) -> u32 {
        self.closed.load(order(Site::CloseAcquire, Ordering::Acquire))
    }

    /// Counts a consumer that has left, was dropped, or was taken out of the table. How it went is stored in its entry
    /// before.
    pub(crate) fn count_departure(&self) {
        // Release pairs with Acquire in `departures`: a producer that finds another count finds what was stored in the
        // entry.
        self.departures.fetch_add(1, order(Site::DepartureRelease, Ordering::Release));
    }

    /// How many consumers have gone. Acquire: see `count_departure`.
    pub(crate) fn departures(&self) -> u32 {
        self.departures.load(order(Site::DepartureAcquire, Ordering::Acquire))
    }

    /// How many consumers have gone, at the price of a plain load. For a comparison with an earlier answer of
    /// [`departures`](Self::departures).
    #[inline(always)]
    pub(crate) fn departures_now(&self) -> u32 {
        self.departures.load(Ordering::Relaxed)
    }
}

#[cfg(not(loom))]
impl MemberLine {
    /// Writes the id. The caller holds the entry's lock byte, and the entry does not gate yet.
    pub(crate) fn set_id(&self, id: &str, is_generated: bool) {
        let mut bytes = [0; CONSUMER_ID_MAX_LEN];
        bytes[..id.len()].copy_from_slice(id.as_bytes());
        for (word, chunk) in self.id.iter().zip(bytes.chunks_exact(8)) {
            word.store(u64::from_le_bytes(chunk.try_into().expect("chunks of eight")), Ordering::Relaxed);
        }
        self.id_len_bytes.store(id.len() as u32, Ordering::Relaxed);
        self.generated.store(is_generated.into(), Ordering::Relaxed);
    }

    /// The id, copied. Bytes that are not text, characters that no id has, and a length beyond the field are replaced
    /// by what can be shown of them.
    pub(crate) fn id(&self) -> String {
        let mut bytes = [0; CONSUMER_ID_MAX_LEN];
        for (word, chunk) in self.id.iter().zip(bytes.chunks_exact_mut(8)) {
            chunk.copy_from_slice(&word.load(Ordering::Relaxed).to_le_bytes());
        }
        let len = (self.id_len_bytes.load(Ordering::Relaxed) as usize).min(CONSUMER_ID_MAX_LEN);
        String::from_utf8_lossy(&bytes[..len]).replace(disguises, "\u{fffd}")
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

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_id_that_no_consumer_can_have_is_shown_without_what_disguises_a_line() {
        let entry = Entry::new();
        for (forged, shown) in
            [("a\u{202e}b", "a\u{fffd}b"), ("\u{200b}a\n", "\u{fffd}a\u{fffd}"), ("rank 3", "rank 3")]
        {
            entry.member.set_id(forged, false);
            assert_eq!(entry.member.id(), shown);
        }
    }
}
