//! The flag byte of a frame: its position in its message, and what precedes the payload.
//!
//! A published bit never changes.

/// The frame begins its message.
pub const FRAME_FIRST: u8 = 1;
/// The frame ends its message.
pub const FRAME_LAST: u8 = 2;
/// The frame is its message.
pub const FRAME_SINGLE: u8 = FRAME_FIRST | FRAME_LAST;
/// The time at which the message was sent precedes the payload. Only on a message's first frame.
pub const FRAME_HAS_SEND_TIME: u8 = 4;
/// A trace id precedes the payload. Only on a message's first frame.
pub const FRAME_HAS_TRACE_ID: u8 = 8;
/// The sequence of the message that this one answers precedes the payload, in the place of the send time: a message has
/// at most one of the two. Only on a message's first frame.
pub const FRAME_IS_REPLY: u8 = 16;

/// The flags of a first frame about the bytes before its payload.
pub(super) const PREFIX: u8 = MARK | FRAME_HAS_TRACE_ID;

/// The flags of the number that may precede a payload: a message has at most one of them.
pub(super) const MARK: u8 = FRAME_HAS_SEND_TIME | FRAME_IS_REPLY;

/// Every bit with a meaning.
pub(super) const KNOWN: u8 = FRAME_SINGLE | PREFIX;

/// Whether the flags are known and may occur together. A frame with other flags is refused: it is not known how many
/// bytes they put before the payload.
pub(super) const fn are_known(flags: u8) -> bool {
    flags & !KNOWN == 0 && flags & MARK != MARK
}

/// The flags of a frame that begins or does not begin its message, and ends it or does not.
pub const fn frame_flags(is_first: bool, is_last: bool) -> u8 {
    (if is_first { FRAME_FIRST } else { 0 }) | (if is_last { FRAME_LAST } else { 0 })
}

/// Whether the frame is its whole message.
pub const fn is_single_frame(flags: u8) -> bool {
    flags & FRAME_SINGLE == FRAME_SINGLE
}

/// Whether the frame begins its message.
pub const fn is_first_frame(flags: u8) -> bool {
    flags & FRAME_FIRST != 0
}

/// Whether the frame ends its message.
pub const fn is_last_frame(flags: u8) -> bool {
    flags & FRAME_LAST != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_that_begins_and_ends_a_message_is_single() {
        assert_eq!(frame_flags(true, true), 3);
        assert_eq!((frame_flags(true, false), frame_flags(false, true), frame_flags(false, false)), (1, 2, 0));
        assert!(is_single_frame(3 | FRAME_HAS_SEND_TIME) && !is_single_frame(FRAME_FIRST | FRAME_HAS_TRACE_ID));
        assert!(are_known(3 | FRAME_IS_REPLY) && !are_known(3 | MARK) && !are_known(0x23));
        assert!(is_last_frame(2) && is_last_frame(3) && !is_last_frame(1));
    }
}
