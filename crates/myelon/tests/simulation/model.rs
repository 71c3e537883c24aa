//! What each reader of a ring is entitled to: a list, and a position in it for each reader.

use myelon::Origin;
use std::collections::BTreeMap;

/// The expected state of one ring.
#[derive(Default)]
pub(crate) struct Model {
    sent: Vec<u64>,
    /// Whether any reader was ever handed a message.
    was_read: bool,
    readers: BTreeMap<usize, Reader>,
}

struct Reader {
    is_alive: bool,
    /// The next message, as an index into what was sent.
    next: usize,
    /// Everything before this was handed out at least once, to this reader or to an earlier owner of its entry.
    handed_out: usize,
    /// Everything before this must be marked as handed out before.
    marked_until: usize,
}

impl Model {
    /// A producer has come to the ring. It continues the ring if a reader lives in it or has not read everything;
    /// otherwise the ring is a new one.
    pub(crate) fn began(&mut self, origin: Origin) {
        let is_kept = self.readers.values().any(|reader| reader.is_alive || reader.next < self.sent.len());
        assert_eq!(origin == Origin::TookOver, is_kept, "{origin:?}");
        if !is_kept {
            *self = Self::default();
        }
    }

    pub(crate) fn sent(&mut self, value: u64, sequence: i64) {
        assert_eq!(sequence, self.sent.len() as i64, "sequences have no gap, whichever process dies");
        self.sent.push(value);
    }

    /// There was no room, so some reader must lag.
    pub(crate) fn was_full(&self) {
        assert!(
            self.readers.values().any(|reader| reader.next < self.sent.len()),
            "full, and every reader has read all"
        );
    }

    /// A reader joined at message `start`, or came back to the entry that it had in this ring. The first one begins
    /// with what is there.
    pub(crate) fn joined(&mut self, reader: usize, has_rejoined: bool, start: usize) {
        assert_eq!(has_rejoined, self.readers.contains_key(&reader), "reader {reader} has rejoined");
        let end = self.sent.len();
        assert!(has_rejoined || start == end || (start < end && !self.was_read), "joined at {start} of {end}");
        let fresh = Reader { is_alive: true, next: start, handed_out: start, marked_until: start };
        let reader = self.readers.entry(reader).or_insert(fresh);
        reader.is_alive = true;
        reader.marked_until = reader.handed_out;
    }

    /// A reader was handed `value`.
    pub(crate) fn handed(&mut self, reader: usize, value: u64, is_marked: bool) {
        let reader = self.readers.get_mut(&reader).expect("it has joined");
        assert_eq!(Some(&value), self.sent.get(reader.next), "message {} of the ring", reader.next);
        assert_eq!(is_marked, reader.next < reader.marked_until, "message {} is marked as redelivered", reader.next);
        reader.handed_out = reader.handed_out.max(reader.next + 1);
        self.was_read = true;
    }

    pub(crate) fn acknowledged(&mut self, reader: usize) {
        self.readers.get_mut(&reader).expect("it has joined").next += 1;
    }

    /// A reader found nothing.
    pub(crate) fn was_empty(&self, reader: usize) {
        assert!(self.has_all(reader), "nothing for {reader}, who has not read everything");
    }

    pub(crate) fn died(&mut self, reader: usize) {
        if let Some(reader) = self.readers.get_mut(&reader) {
            reader.is_alive = false;
        }
    }

    /// Whether a reader lives and has read everything.
    pub(crate) fn has_all(&self, reader: usize) -> bool {
        self.readers.get(&reader).is_some_and(|reader| reader.is_alive && reader.next == self.sent.len())
    }
}
