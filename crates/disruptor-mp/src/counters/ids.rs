//! The ids that mean the same in every program, what each counts, and in which unit.
//!
//! Ids below [`APPLICATION_BASE`] belong to this project; numbers that are missing here are reserved. An id says what
//! is counted, the label says whose it is (a ring, a consumer), and a counter is told apart by both. All of them only
//! grow, and wrap after 2^64.
//!
//! **Lives here:** numbers. **Builds on:** nothing. **May touch it:** new ids are added, a published one never changes.

/// Events that a producer has published.
pub const EVENTS_PUBLISHED: u32 = 0x10;
/// Bytes of payload that a producer has published, without stamps, headers and padding.
pub const EVENTS_PUBLISHED_BYTES: u32 = 0x11;
/// Times a producer found the ring full. A publish that waits counts once, however long it waits.
pub const PRODUCER_FULL_EVENTS: u32 = 0x12;
/// Times a producer went to sleep because there was no space. One wait may sleep several times.
pub const PRODUCER_PARK_COUNT: u32 = 0x13;
/// Times a producer was woken from such a sleep, rather than waking because its time slice was over.
pub const PRODUCER_UNPARK_COUNT: u32 = 0x14;
/// Events that were overwritten, or given up to be overwritten next, although no consumer was registered that could have read them. The ring
/// is opened by eighths while there is none.
pub const OVERWRITTEN_UNREAD: u32 = 0x15;
/// Stalls that a producer has reported: waits in which a required consumer made no progress for too long.
pub const PRODUCER_STALLS: u32 = 0x16;
/// Times a producer continued a ring whose former producer was dead.
pub const TAKE_OVERS: u32 = 0x17;
/// Times a producer put a new ring in the place of one of the same name.
pub const REPLACEMENTS: u32 = 0x18;
/// Entries of dead consumers that were freed because nobody can come back for them (they were joining or leaving, or
/// their id was generated).
pub const DEAD_CONSUMERS_FREED: u32 = 0x19;
/// Dead consumers that were evicted by the liveness policy or by an explicit call, although they could have come back.
pub const CONSUMERS_EVICTED: u32 = 0x1A;
/// Consumer positions that were refused because no correct consumer can have stored them.
pub const FORGED_CURSORS: u32 = 0x1B;
/// Sleeps at whose end a producer found space that a live consumer had freed without waking it. More than 0 is a bug.
pub const PRODUCER_LOST_WAKEUPS: u32 = 0x1C;

/// Events that a consumer has consumed: their lease was given back, or they were skipped.
pub const EVENTS_CONSUMED: u32 = 0x20;
/// Bytes of payload that a consumer has consumed, without stamps, headers and padding.
pub const EVENTS_CONSUMED_BYTES: u32 = 0x21;
/// Turns of the loop in which a consumer looked for an event and found none.
pub const CONSUMER_EMPTY_SPINS: u32 = 0x22;
/// Times a consumer went to sleep because there was no event. One wait may sleep several times.
pub const CONSUMER_PARK_COUNT: u32 = 0x23;
/// Times a consumer was woken from such a sleep, rather than waking because its time slice was over.
pub const CONSUMER_UNPARK_COUNT: u32 = 0x24;
/// The largest number of events that a consumer has found itself behind: a maximum, not a sum. One that is close behind follows the
/// events one by one and counts a lag of 1; it looks how many there are once 32 have been there without waiting.
pub const CONSUMER_LAG_MAX: u32 = 0x25;
/// Sleeps at whose end a consumer found an event that a live producer had published without waking it. More than 0 is a
/// bug.
pub const CONSUMER_LOST_WAKEUPS: u32 = 0x26;
/// Times a consumer took over the entry of a dead one with the same id and continued where that one had stopped.
pub const CONSUMER_REJOINS: u32 = 0x27;
/// Events that were handed out a second time, marked as redelivered, after a rejoin.
pub const EVENTS_REDELIVERED: u32 = 0x28;
/// Events that a tap missed because the producer had overwritten them before they were copied.
pub const TAP_MISSED: u32 = 0x29;
/// Events, or records, that a consumer has stepped over because what stood there was written by no producer. More than 0 means that a process
/// writes where it must not.
pub const RECORDS_SKIPPED_DAMAGED: u32 = 0x2A;

/// Messages that a framed producer has published, whatever the number of their frames.
pub const FRAME_PUBLISH_TOTAL: u32 = 0x30;
/// Frames that a framed producer has published.
pub const FRAME_FRAGMENT_COUNT: u32 = 0x31;
/// Messages that a framed consumer has put together from more than one frame.
pub const FRAME_REASSEMBLE_COUNT: u32 = 0x32;
/// Messages that a typed producer has encoded.
pub const CODEC_ENCODE_TOTAL: u32 = 0x33;
/// Messages that a typed consumer has decoded, or checked to read them in place.
pub const CODEC_DECODE_TOTAL: u32 = 0x34;
/// Bytes of messages that a transport has copied: into slots, unless they were encoded there, and out of slots to put a message together.
pub const FRAME_BYTES_COPIED: u32 = 0x35;
/// Messages that a framed consumer has skipped because they could not be read.
pub const FRAME_SKIPPED_COUNT: u32 = 0x36;
/// Messages whose bytes a typed consumer found to be none of its type.
pub const CODEC_UNDECODABLE_COUNT: u32 = 0x37;

/// The first id that an application may give to a counter of its own.
pub const APPLICATION_BASE: u32 = 0x100;
