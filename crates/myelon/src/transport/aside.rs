//! Messages that are encoded outside the ring, because the free space in it is too small or may be.
//!
//! A sender encodes in the ring only what is likely to fit into the space that is free there now. Everything else is
//! encoded here first. Then its length is known: a message that the ring can never hold is refused at once, and any
//! other waits for its own room and no more.

use super::buffer::AlignedBuffer;
use super::recent::RecentLengths;
use crate::codec::{CodecError, EncodeShort};

/// The buffer for messages that are encoded outside the ring and copied into it. Its memory is kept.
pub(super) struct Aside {
    buffer: AlignedBuffer,
    /// The lengths of the last messages, wherever they were encoded.
    recent: RecentLengths,
}

/// Why a message was not encoded.
pub(super) enum NotEncoded {
    /// It is longer than the limit.
    TooLarge {
        len_bytes: usize,
    },
    Codec(CodecError),
}

/// An encoder was given as many bytes as it had asked for, and asks for more.
#[derive(Debug, thiserror::Error)]
#[error("encoded again, the message takes {len_bytes} bytes instead of {room_bytes}: encoding must be repeatable")]
struct NotRepeatable {
    room_bytes: usize,
    len_bytes: usize,
}

/// Panics because an encoder claims to have written more than it was given. Out of line, and with its numbers by value:
/// otherwise every message would store them for a text that is never made.
#[cold]
#[inline(never)]
pub(super) fn beyond_the_room(len: usize, room: usize) -> ! {
    panic!("an encoder claims {len} bytes of {room}")
}

/// The room for a message that did not fit, if it is within the limit.
fn needed(short: EncodeShort, most: usize) -> Result<usize, NotEncoded> {
    match short {
        EncodeShort::Failed(error) => Err(NotEncoded::Codec(error)),
        EncodeShort::Needs { len_bytes } if len_bytes <= most => Ok(len_bytes),
        EncodeShort::Needs { len_bytes } => Err(NotEncoded::TooLarge { len_bytes }),
        EncodeShort::TooSmall => Err(NotEncoded::TooLarge { len_bytes: most.saturating_add(1) }),
    }
}

impl Aside {
    /// A buffer without memory.
    pub(super) fn new() -> Self {
        Self { buffer: AlignedBuffer::new(usize::MAX), recent: RecentLengths::new() }
    }

    /// How long the next message is likely to be, given the sender's `size_hint`.
    #[inline]
    pub(super) fn likely_len(&self, size_hint: usize) -> usize {
        size_hint.max(self.recent.longest_bytes())
    }

    /// A message of `len_bytes` bytes was encoded, here or in the ring.
    #[inline]
    pub(super) fn note_len(&mut self, len_bytes: usize) {
        self.recent.note(len_bytes);
    }

    /// The bytes that were encoded here last.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Encodes a message of at most `most` bytes. `encode` is called at most twice, counting the attempt in the ring,
    /// if there was one: `first` is the result of that attempt.
    #[cold]
    pub(super) fn encode(
        &mut self,
        first: Option<EncodeShort>,
        likely_len: usize,
        most: usize,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> Result<(), NotEncoded> {
        let short = match first {
            Some(short) => short,
            None => {
                // Room that is not written to costs next to nothing, and may save a second encoding if messages grow.
                let room = likely_len.saturating_mul(2).max(self.buffer.capacity_bytes()).min(most);
                match self.attempt(room, &mut encode) {
                    Ok(()) => return Ok(()),
                    Err(short) => short,
                }
            }
        };
        // If the length is not known, offer as much room as the longest message may have. That is address space rather
        // than memory until it is written. A codec that knows the length reports it now, even for a message that is too
        // long.
        let room = match short {
            EncodeShort::TooSmall => most,
            short => needed(short, most)?,
        };
        match self.attempt(room, &mut encode) {
            Err(EncodeShort::Needs { len_bytes }) if len_bytes <= most => {
                Err(NotEncoded::Codec(CodecError::encode("the encoder", NotRepeatable { room_bytes: room, len_bytes })))
            }
            Err(short) => needed(short, most).map(|_| ()),
            Ok(()) => Ok(()),
        }
    }

    fn attempt(
        &mut self,
        room: usize,
        encode: &mut impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> Result<(), EncodeShort> {
        let len = encode(self.buffer.take(room))?;
        if len > room {
            beyond_the_room(len, room);
        }
        self.buffer.truncate(len);
        self.note_len(len);
        Ok(())
    }
}
