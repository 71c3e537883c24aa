//! What can precede a payload: the length of a split message, the time it was sent or the message that it answers, the
//! trace it belongs to.
//!
//! The optional parts mean the same in every format.
//!
//! ```text
//! | total: u64, split messages | send time: u64, flag 4,      | trace id: 16 bytes, flag 8 | padding to the      |
//! |                            | or in reply to: i64, flag 16 |                            | payload's alignment |
//! ```

use super::clock::monotonic_ns;
use super::flags::{FRAME_HAS_SEND_TIME, FRAME_HAS_TRACE_ID, FRAME_IS_REPLY, MARK};
use super::malformed::Malformed;
use disruptor_mp::Sequence;

/// A trace id as W3C Trace Context has it: 16 bytes, in the order in which they are written as text.
pub type TraceId = [u8; 16];

/// The longest prefix: all three parts, which are 32 bytes together and so need no padding.
pub(super) const PREFIX_BYTES_MAX: usize = 32;

/// The optional number that a sender puts before a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mark {
    /// None.
    #[default]
    Nothing,
    /// When the message was sent, in nanoseconds of the machine's monotonic clock.
    SendTime(u64),
    /// The sequence of the message that this one answers.
    InReplyTo(Sequence),
}

impl Mark {
    /// The time of sending, if it is one.
    pub fn timestamp_ns(self) -> Option<u64> {
        match self {
            Self::SendTime(timestamp_ns) => Some(timestamp_ns),
            _ => None,
        }
    }

    /// The message that is answered, if it is one.
    pub fn in_reply_to(self) -> Option<Sequence> {
        match self {
            Self::InReplyTo(sequence) => Some(sequence),
            _ => None,
        }
    }

    /// The flag that announces it.
    #[inline(always)]
    fn flag(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::SendTime(_) => FRAME_HAS_SEND_TIME,
            Self::InReplyTo(_) => FRAME_IS_REPLY,
        }
    }

    /// The bits of its number.
    fn number(self) -> Option<u64> {
        match self {
            Self::Nothing => None,
            Self::SendTime(number) => Some(number),
            Self::InReplyTo(sequence) => Some(sequence.cast_unsigned()),
        }
    }

    /// The mark that `flags` announce, from the bits of its number.
    fn of(flags: u8, number: Option<u64>) -> Self {
        match number {
            None => Self::Nothing,
            Some(number) if flags & FRAME_IS_REPLY == 0 => Self::SendTime(number),
            Some(number) => Self::InReplyTo(number.cast_signed()),
        }
    }
}

/// What travels with a payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Envelope {
    /// The application's kind.
    pub kind: u8,
    /// See [`FRAME_FIRST`](super::FRAME_FIRST) and the other flags; for a message in several frames, those of the
    /// first.
    pub flags: u8,
    /// Number of the message, given by its sender; wraps.
    pub msg_id: u32,
    /// When it was sent, or which message it answers, if its sender says so.
    pub mark: Mark,
    /// The trace that it belongs to, if its sender says so.
    pub trace_id: Option<TraceId>,
}

/// What a sender sends with a payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Letter {
    pub(crate) kind: u8,
    /// Number of the message; wraps.
    pub(crate) msg_id: u32,
    /// Its optional parts. The format decides whether a total is needed.
    pub(crate) prefix: Prefix,
}

impl Letter {
    /// Prepares it for the next message, of that kind, with a send time if `has_send_time`.
    #[inline(always)]
    pub(super) fn address(&mut self, kind: u8, has_send_time: bool) {
        self.kind = kind;
        if has_send_time {
            self.note_send_time();
        }
    }

    #[inline(never)]
    fn note_send_time(&mut self) {
        if !matches!(self.prefix.mark, Mark::InReplyTo(_)) {
            self.prefix.mark = Mark::SendTime(monotonic_ns());
        }
    }
}

/// The parts that are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Prefix {
    /// Bytes of the payload of a split message.
    pub(crate) total: Option<u64>,
    /// When the message was sent, or which one it answers.
    pub(crate) mark: Mark,
    /// The trace that it belongs to.
    pub(crate) trace_id: Option<TraceId>,
}

impl Prefix {
    /// Every optional part: the longest that can go with a message.
    pub(crate) fn full() -> Self {
        Self { total: None, mark: Mark::SendTime(0), trace_id: Some([0; 16]) }
    }

    /// The flags that announce the optional parts.
    pub(crate) fn flags(&self) -> u8 {
        self.announced()
    }

    /// [`flags`](Self::flags), for places where most messages have none: a check costs less than the call.
    #[inline(always)]
    pub(super) fn announced(&self) -> u8 {
        // Most messages have none of them: they pay two branches for it.
        if matches!(self.mark, Mark::Nothing) && self.trace_id.is_none() {
            return 0;
        }
        self.mark.flag() | if self.trace_id.is_some() { FRAME_HAS_TRACE_ID } else { 0 }
    }

    /// Bytes before the payload, padded to a multiple of `align`.
    pub(crate) fn len(&self, align: usize) -> usize {
        Self::len_of(self.flags(), self.total.is_some(), align)
    }

    /// [`len`](Self::len) of the prefix that `flags` announce.
    #[inline(always)]
    pub(super) fn len_of(flags: u8, has_total: bool, align: usize) -> usize {
        // Most messages have no prefix: they pay one branch for it.
        if !has_total && flags & (MARK | FRAME_HAS_TRACE_ID) == 0 {
            return 0;
        }
        let part = |is_there: bool, len: usize| if is_there { len } else { 0 };
        let bytes = part(has_total, 8)
            + part(flags & MARK != 0, 8)
            + part(flags & FRAME_HAS_TRACE_ID != 0, size_of::<TraceId>());
        bytes.next_multiple_of(align)
    }

    /// Writes the prefix to the beginning of `into`.
    ///
    /// # Panics
    /// If `into` is shorter than the prefix.
    #[inline(always)]
    pub(crate) fn write(&self, into: &mut [u8], align: usize) {
        let len = self.len(align);
        if len > 0 {
            self.write_parts(&mut into[..len]);
        }
    }

    fn write_parts(&self, mut rest: &mut [u8]) {
        let numbers = [self.total, self.mark.number()].map(|number| number.map(u64::to_le_bytes));
        for bytes in numbers.iter().flatten().map(<[u8; 8]>::as_slice).chain(self.trace_id.as_ref().map(|id| &id[..])) {
            let (place, behind) = rest.split_at_mut(bytes.len());
            place.copy_from_slice(bytes);
            rest = behind;
        }
        // Clears the padding: the slot still holds bytes of an older message.
        rest.fill(0);
    }

    /// The prefix that `flags` announce at the beginning of `bytes`, and its length with padding.
    ///
    /// # Errors
    /// `Length`: `bytes` are fewer than the prefix has.
    #[inline(always)]
    pub(crate) fn read(flags: u8, has_total: bool, bytes: &[u8], align: usize) -> Result<(Self, usize), Malformed> {
        match Self::len_of(flags, has_total, align) {
            0 => Ok((Self::default(), 0)),
            len => Self::read_parts(flags, has_total, bytes, len),
        }
    }

    fn read_parts(flags: u8, has_total: bool, bytes: &[u8], len: usize) -> Result<(Self, usize), Malformed> {
        let short = Malformed::Length { len_bytes: bytes.len() as u32, wanted_bytes: len };
        let mut rest = bytes.get(..len).ok_or(short)?;
        let mut number = |is_there: bool| {
            let (number, behind) = rest.split_first_chunk().filter(|_| is_there)?;
            rest = behind;
            Some(u64::from_le_bytes(*number))
        };
        let (total, mark) = (number(has_total), Mark::of(flags, number(flags & MARK != 0)));
        let trace_id = rest.first_chunk().copied().filter(|_| flags & FRAME_HAS_TRACE_ID != 0);
        Ok((Self { total, mark, trace_id }, len))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_comes_back_from_its_bytes() {
        for total in [None, Some(0x0102_0304_0506_0708)] {
            for mark in [Mark::Nothing, Mark::SendTime(u64::MAX - 1), Mark::InReplyTo(-7)] {
                for trace_id in [None, Some(*b"0123456789abcdef")] {
                    for (align, longest) in [(1, 32), (16, 32)] {
                        let prefix = Prefix { total, mark, trace_id };
                        let mut bytes = [0xee; 40];
                        prefix.write(&mut bytes, align);
                        let len = prefix.len(align);
                        assert!(len.is_multiple_of(align) && len <= longest);
                        assert!(bytes[len..].iter().all(|byte| *byte == 0xee), "wrote beyond its length");
                        let read = Prefix::read(prefix.flags(), total.is_some(), &bytes, align);
                        assert_eq!(read, Ok((prefix, len)));
                        if len > 0 {
                            assert!(Prefix::read(prefix.flags(), total.is_some(), &bytes[..len - 1], align).is_err());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_prefix_of_all_parts_is_the_longest() {
        let all = Prefix { total: Some(1), mark: Mark::SendTime(2), trace_id: Some([3; 16]) };
        assert_eq!((all.len(1), all.len(16)), (PREFIX_BYTES_MAX, PREFIX_BYTES_MAX));
        assert_eq!(Prefix::default().len(16), 0, "a plain message of one frame begins at the frame's data");
    }
}
