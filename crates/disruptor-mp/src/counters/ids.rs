//! The ids with the same meaning in every program: what each counts, its unit, and a sentence about it.
//!
//! Ids below [`APPLICATION_BASE`] belong to this project; numbers that are missing here are reserved. Counters only
//! grow, and wrap after 2^64.
//!
//! New ids may be added; a published id never changes.

/// What a well-known counter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Description {
    /// The number by which tables and [`describe`] know the counter.
    pub id: u32,
    /// The name that a program prints: lower-case letters and `_`.
    pub name: &'static str,
    /// What is counted, in the plural.
    pub unit: &'static str,
    /// One sentence that says what is counted, and when.
    pub help: &'static str,
    /// Whether the value is the largest that was seen, and not a sum.
    pub is_maximum: bool,
}

/// The description of counter `id`. `None`: it belongs to an application, or to a later version.
pub fn describe(id: u32) -> Option<&'static Description> {
    ALL.iter().find(|description| description.id == id)
}

/// Declares each id once: its documentation is also its `help` sentence.
macro_rules! declare {
    ($($(#[$maximum:ident])? $constant:ident = $id:literal, $name:literal, $unit:literal: $help:literal;)+) => {
        $(#[doc = $help] #[doc = concat!("\n\nUnit: ", $unit, ".")] pub const $constant: u32 = $id;)+

        /// Every well-known counter, by id.
        pub const ALL: &[Description] = &[$(Description {
            id: $id,
            name: $name,
            unit: $unit,
            help: $help,
            is_maximum: declare!(@is_maximum $($maximum)?),
        }),+];
    };
    (@is_maximum maximum) => { true };
    (@is_maximum) => { false };
}

declare! {
    EVENTS_PUBLISHED = 0x10, "events_published", "events": "Events that a producer has published.";
    EVENTS_PUBLISHED_BYTES = 0x11, "events_published_bytes", "bytes":
        "Bytes of payload that a producer has published, without stamps, headers and padding.";
    PRODUCER_FULL_EVENTS = 0x12, "producer_full_events", "times":
        "Times a producer found the ring full. A publish that waits counts once, however long it waits.";
    PRODUCER_PARK_COUNT = 0x13, "producer_park_count", "sleeps":
        "Times a producer went to sleep because there was no space. One wait may sleep several times.";
    PRODUCER_UNPARK_COUNT = 0x14, "producer_unpark_count", "wake-ups":
        "Times a producer was woken from such a sleep, rather than waking because its time slice was over.";
    OVERWRITTEN_UNREAD = 0x15, "overwritten_unread", "events":
        "Events that were overwritten, or given up to be overwritten next, although no consumer was registered that could have read them. \
         The ring is opened by eighths while there is none.";
    PRODUCER_STALLS = 0x16, "producer_stalls", "stalls":
        "Stalls that a producer has reported: waits in which a required consumer made no progress for too long.";
    TAKE_OVERS = 0x17, "take_overs", "times": "Times a producer continued a ring whose former producer was dead.";
    REPLACEMENTS = 0x18, "replacements", "times":
        "Times a producer put a new ring in the place of one of the same name.";
    DEAD_CONSUMERS_FREED = 0x19, "dead_consumers_freed", "consumers":
        "Dead consumers whose entry was freed because no process can come back for it: they were joining, or their id was generated.";
    CONSUMERS_EVICTED = 0x1A, "consumers_evicted", "consumers":
        "Dead consumers that were evicted by the liveness policy or by an explicit call, although they could have come back.";
    FORGED_CURSORS = 0x1B, "forged_cursors", "positions":
        "Consumer positions that were refused because no correct consumer can have stored them.";
    PRODUCER_LOST_WAKEUPS = 0x1C, "producer_lost_wakeups", "sleeps":
        "Sleeps at whose end a producer found space that a live consumer had freed without waking it. More than 0 is a bug.";
    PAYLOADS_VIA_BUFFER = 0x1D, "payloads_via_buffer", "payloads":
        "Payloads that a producer has written in a buffer of its own and then copied into the ring. It writes the others in the ring.";

    EVENTS_CONSUMED = 0x20, "events_consumed", "events":
        "Events that a consumer has consumed: their lease was given back, or they were skipped.";
    EVENTS_CONSUMED_BYTES = 0x21, "events_consumed_bytes", "bytes":
        "Bytes of payload that a consumer has consumed, without stamps, headers and padding.";
    CONSUMER_EMPTY_SPINS = 0x22, "consumer_empty_spins", "turns":
        "Turns of the loop in which a consumer looked for an event and found none.";
    CONSUMER_PARK_COUNT = 0x23, "consumer_park_count", "sleeps":
        "Times a consumer went to sleep because there was no event. One wait may sleep several times.";
    CONSUMER_UNPARK_COUNT = 0x24, "consumer_unpark_count", "wake-ups":
        "Times a consumer was woken from such a sleep, rather than waking because its time slice was over.";
    #[maximum] CONSUMER_LAG_MAX = 0x25, "consumer_lag_max", "events":
        "The largest number of events by which a consumer found itself lagging: a maximum, not a sum. A consumer that lags by little \
         follows the events one by one and counts a lag of 1; it looks how many there are after 32 that were there without waiting.";
    CONSUMER_LOST_WAKEUPS = 0x26, "consumer_lost_wakeups", "sleeps":
        "Sleeps at whose end a consumer found an event that a live producer had published without waking it. More than 0 is a bug.";
    CONSUMER_REJOINS = 0x27, "consumer_rejoins", "times":
        "Times a consumer took over the entry of a dead one with the same id and continued where that one had stopped.";
    EVENTS_REDELIVERED = 0x28, "events_redelivered", "events":
        "Events that were handed out a second time, marked as redelivered, after a rejoin.";
    TAP_MISSED = 0x29, "tap_missed", "events":
        "Events that a tap missed because the producer had overwritten them before they were copied.";
    RECORDS_SKIPPED_DAMAGED = 0x2A, "records_skipped_damaged", "events":
        "Events, or records, that a consumer skipped because no producer wrote what was in their places. More than 0 means that a process \
         writes where it must not.";
    CONSUMER_LINGERS = 0x2B, "consumer_lingers", "times":
        "Times a consumer of a saturated stream let its producer run ahead for some microseconds before it read on.";

    FRAME_PUBLISH_TOTAL = 0x30, "frame_publish_total", "messages":
        "Messages that a transport has sent, whatever the number of their frames.";
    FRAME_FRAGMENT_COUNT = 0x31, "frame_fragment_count", "frames":
        "Frames that a transport has sent; a record counts as one.";
    FRAME_REASSEMBLE_COUNT = 0x32, "frame_reassemble_count", "messages":
        "Messages that a transport has put together from more than one frame.";
    CODEC_ENCODE_TOTAL = 0x33, "codec_encode_total", "messages": "Messages that a typed producer has encoded.";
    CODEC_DECODE_TOTAL = 0x34, "codec_decode_total", "messages":
        "Messages that a typed consumer has decoded, or checked to read them in place.";
    FRAME_BYTES_COPIED = 0x35, "frame_bytes_copied", "bytes":
        "Bytes of messages that a transport has copied: into slots, unless they were encoded there, and out of slots to put a message \
         together.";
    FRAME_SKIPPED_COUNT = 0x36, "frame_skipped_count", "messages":
        "Messages that a transport has skipped because they could not be read.";
    CODEC_UNDECODABLE_COUNT = 0x37, "codec_undecodable_count", "messages":
        "Messages whose bytes a typed consumer found to be none of its type.";
    ANSWERS_LATE = 0x38, "answers_late", "messages":
        "Answers to an earlier broadcast than the one that a topology's scheduler was waiting for. They were dropped.";
    ANSWERS_REPEATED = 0x39, "answers_repeated", "messages":
        "Answers to a broadcast that the same worker had answered before. They were dropped.";
    ANSWERS_WITHOUT_STEP = 0x3A, "answers_without_step", "messages":
        "Messages of a worker that answer no broadcast, which a topology's scheduler dropped while it was waiting for answers to one.";
}

/// The first id that an application may give to a counter of its own. The label that it registers is the counter's
/// name.
pub const APPLICATION_BASE: u32 = 0x100;

/// What a producer counts in its block, word by word. A published word never changes its meaning; new ones are added at
/// the end.
pub(super) const OF_PRODUCER: &[u32] = &[
    EVENTS_PUBLISHED,
    EVENTS_PUBLISHED_BYTES,
    PRODUCER_FULL_EVENTS,
    PRODUCER_PARK_COUNT,
    PRODUCER_UNPARK_COUNT,
    OVERWRITTEN_UNREAD,
    PRODUCER_STALLS,
    TAKE_OVERS,
    REPLACEMENTS,
    DEAD_CONSUMERS_FREED,
    CONSUMERS_EVICTED,
    FORGED_CURSORS,
    PRODUCER_LOST_WAKEUPS,
    FRAME_PUBLISH_TOTAL,
    FRAME_FRAGMENT_COUNT,
    FRAME_BYTES_COPIED,
    CODEC_ENCODE_TOTAL,
    PAYLOADS_VIA_BUFFER,
];

/// What a consumer counts in its block, as [`OF_PRODUCER`].
pub(super) const OF_CONSUMER: &[u32] = &[
    EVENTS_CONSUMED,
    EVENTS_CONSUMED_BYTES,
    CONSUMER_EMPTY_SPINS,
    CONSUMER_LAG_MAX,
    CONSUMER_PARK_COUNT,
    CONSUMER_UNPARK_COUNT,
    CONSUMER_LOST_WAKEUPS,
    CONSUMER_REJOINS,
    EVENTS_REDELIVERED,
    RECORDS_SKIPPED_DAMAGED,
    FRAME_REASSEMBLE_COUNT,
    FRAME_BYTES_COPIED,
    FRAME_SKIPPED_COUNT,
    CODEC_DECODE_TOTAL,
    CODEC_UNDECODABLE_COUNT,
    ANSWERS_LATE,
    ANSWERS_REPEATED,
    ANSWERS_WITHOUT_STEP,
    CONSUMER_LINGERS,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_a_name_a_unit_and_a_sentence_of_its_own() {
        for (index, description) in ALL.iter().enumerate() {
            let Description { id, name, unit, help, .. } = *description;
            assert!(id < APPLICATION_BASE && describe(id) == Some(description), "{name}");
            assert!(ALL[..index].iter().all(|earlier| earlier.id < id && earlier.name != name), "{name}");
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!unit.is_empty() && help.ends_with('.') && !help.contains("  "), "{name}: {help}");
        }
        assert_eq!(describe(EVENTS_PUBLISHED).unwrap().name, "events_published");
        assert_eq!(describe(APPLICATION_BASE), None);
        assert!(describe(CONSUMER_LAG_MAX).unwrap().is_maximum && !describe(EVENTS_CONSUMED).unwrap().is_maximum);
    }

    #[test]
    fn every_id_is_counted_by_a_producer_a_consumer_or_a_tap() {
        for description in ALL {
            let counted = OF_PRODUCER.contains(&description.id) || OF_CONSUMER.contains(&description.id);
            assert!(counted || description.id == TAP_MISSED, "{}", description.name);
        }
    }
}
