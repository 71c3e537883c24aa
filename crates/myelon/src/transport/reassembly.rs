//! Whole messages from frames: frames go in; messages or counted faults come out.
//!
//! No content of a frame is trusted.
//!
//! ```text
//!             a beginning                      the frame that comes next
//! Lost ----------------------> Joining ------------------------------------> Ready
//!   ^  <--- any other frame ------'  `<----------- a beginning ---------------'  |
//!   `--------------------------------- a frame without a beginning -------------'
//! ```
//! A reader that starts in the middle is lost until the next beginning. A message of one frame is a beginning and an
//! end.

use super::buffer::AlignedBuffer;
use super::flags;
use super::frame::{FRAMES_PER_MESSAGE_MAX, FrameHeader, FrameShape};
use super::malformed::Malformed;
use super::prefix::{Envelope, PREFIX_BYTES_MAX, Prefix};
use std::fmt;
use std::ops::Range;

/// Puts messages together from their frames, in a buffer that it keeps.
///
/// Its memory grows with the bytes that have arrived, never with the length in a header, and never beyond the limit.
///
/// ```
/// use myelon::transport::reassembly::{Pushed, Reassembler};
/// use myelon::transport::{FixedFrame, FrameHeader, FramedTransportFrame};
///
/// let mut reassembler = Reassembler::new(FixedFrame::<64>::SHAPE, 1 << 20);
/// let header = FrameHeader { len: 5, kind: 1, flags: 3, index: 0, msg_id: 0 };
/// let mut data = [0; 64];
/// data[..5].copy_from_slice(b"hello");
/// let Ok(Pushed::Single(envelope, range)) = reassembler.push(header, &data) else { panic!("one frame, one message") };
/// assert_eq!((envelope.kind, &data[range]), (1, &b"hello"[..]));
/// ```
/// Source: RFC 0007, "Receiving" and "Faults".
pub struct Reassembler {
    shape: FrameShape,
    limit_bytes: usize,
    state: State,
    /// The payload of the message that is being joined, or was joined last.
    buffer: AlignedBuffer,
    skipped: u64,
}

/// The state of a [`Reassembler`] before frames that may have to be undone.
#[derive(Clone, Copy)]
pub struct Bookmark {
    state: State,
    /// Bytes that had been joined of the current message.
    len_bytes: usize,
}

/// What the next frame may be.
#[derive(Clone, Copy)]
enum State {
    /// A beginning. Other frames belong to a message that is counted as skipped, or will be.
    Lost { is_counted: bool },
    /// A beginning, and nothing else.
    Ready,
    /// The next frame of this message.
    Joining(Joining),
}

/// A message that is not complete.
#[derive(Clone, Copy)]
struct Joining {
    envelope: Envelope,
    total_bytes: usize,
    frames: u32,
    next_index: u32,
}

impl Joining {
    /// Takes the data of the next frame, `data_len` bytes in use or not, of which `copy` gives the first ones.
    #[inline(never)]
    fn go_on(
        &mut self,
        shape: FrameShape,
        buffer: &mut AlignedBuffer,
        header: FrameHeader,
        data_len: usize,
        copy: impl FnOnce(&mut [u8]),
    ) -> Result<Pushed, Malformed> {
        if header.msg_id != self.envelope.msg_id {
            return Err(Malformed::Foreign { found: header.msg_id, wanted: self.envelope.msg_id });
        }
        let used_len = header.check_len(shape, data_len)?;
        if u32::from(header.index) != self.next_index {
            return Err(Malformed::Index { found: header.index, wanted: self.next_index });
        }
        let missing = self.total_bytes - buffer.len();
        let wanted_bytes = missing.min(shape.data_bytes);
        if used_len != wanted_bytes {
            return Err(Malformed::Length { len_bytes: header.len, wanted_bytes });
        }
        let is_complete = wanted_bytes == missing;
        if flags::is_last_frame(header.flags) != is_complete {
            return Err(Malformed::End { frames: self.frames, index: header.index });
        }
        buffer.extend_with(used_len, copy);
        self.next_index += 1;
        Ok(if is_complete { Pushed::Joined(self.envelope) } else { Pushed::More })
    }
}

/// The result of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pushed {
    /// It is a whole message: the range of the payload in its data.
    Single(Envelope, Range<usize>),
    /// It completes a message, which [`Reassembler::message`] returns until the next frame.
    Joined(Envelope),
    /// It belongs to a message of which frames are missing.
    More,
    /// It belongs to a message that is skipped.
    Passed,
}

impl Malformed {
    /// Whether the fault is in the frames before the one that was pushed. That one begins a message: push it again.
    pub fn is_of_earlier_frames(&self) -> bool {
        matches!(self, Self::Unfinished { .. })
    }
}

impl Reassembler {
    /// A new one, for frames of that shape and messages of at most `limit_bytes` bytes.
    pub fn new(shape: FrameShape, limit_bytes: usize) -> Self {
        let state = State::Lost { is_counted: false };
        let buffer = AlignedBuffer::new(limit_bytes);
        Self { shape, limit_bytes, state, buffer, skipped: 0 }
    }

    /// Takes the next frame: its header and all of its data, in use or not.
    ///
    /// # Errors
    /// [`Malformed`]: a message is skipped, and counted. Go on with the next frame; with this one, if the error
    /// [is of earlier frames](Malformed::is_of_earlier_frames).
    #[inline(always)]
    pub fn push(&mut self, header: FrameHeader, data: &[u8]) -> Result<Pushed, Malformed> {
        let is_first = flags::is_first_frame(header.flags);
        let pushed = match &mut self.state {
            &mut State::Joining(joining) if is_first => Err(self.unfinished(joining)),
            State::Joining(joining) => {
                let copy = |place: &mut [u8]| place.copy_from_slice(&data[..place.len()]);
                let pushed = joining.go_on(self.shape, &mut self.buffer, header, data.len(), copy);
                self.gone_on(pushed)
            }
            State::Lost { .. } | State::Ready if is_first => self.begin(header, data),
            State::Lost { is_counted } => {
                self.skipped += u64::from(!*is_counted);
                self.state = State::Lost { is_counted: true };
                Ok(Pushed::Passed)
            }
            State::Ready => Err(Malformed::NoBeginning { msg_id: header.msg_id, index: header.index }),
        };
        if pushed.is_err() {
            self.lose();
        }
        pushed
    }

    /// Takes a frame of a split message before the ring has confirmed it: `copy` copies its data from an offset on,
    /// `data_len` bytes in use or not, perhaps while they are written. Show the result only once it is known that they
    /// were not being written; until then [`return_to`](Self::return_to) undoes it. `None`: it seems to be no such
    /// frame.
    pub fn push_ahead(
        &mut self,
        header: FrameHeader,
        data_len: usize,
        copy: impl Fn(usize, &mut [u8]),
    ) -> Option<Pushed> {
        let pushed = match &mut self.state {
            State::Joining(joining) if !flags::is_first_frame(header.flags) => {
                let copy = |place: &mut [u8]| copy(0, place);
                let pushed = joining.go_on(self.shape, &mut self.buffer, header, data_len, copy);
                self.gone_on(pushed)
            }
            State::Lost { .. } | State::Ready if flags::is_first_frame(header.flags) => {
                self.begin_ahead(header, data_len, copy)
            }
            _ => return None,
        };
        pushed.ok()
    }

    /// The state to [return to](Self::return_to) if frames that were [pushed ahead](Self::push_ahead) must be undone.
    pub fn bookmark(&self) -> Bookmark {
        Bookmark { state: self.state, len_bytes: self.buffer.len() }
    }

    /// Undoes the frames that were [pushed ahead](Self::push_ahead) since the bookmark.
    pub fn return_to(&mut self, bookmark: Bookmark) {
        self.state = bookmark.state;
        self.buffer.truncate(bookmark.len_bytes);
    }

    /// Gives up the message that has begun, because no frame follows. `None` if none has.
    pub fn give_up(&mut self) -> Option<Malformed> {
        let State::Joining(joining) = self.state else { return None };
        let fault = self.unfinished(joining);
        self.lose();
        Some(fault)
    }

    /// The payload of the message that the last frame completed; aligned to 16 bytes.
    pub fn message(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// Adds the messages that `before`, which this one replaces, has skipped.
    pub(super) fn count_skipped_by(&mut self, before: &Self) {
        self.skipped += before.skipped;
    }

    /// The number of skipped messages, as far as can be known: frames without a beginning count as one message, however
    /// many they are.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn lose(&mut self) {
        self.skipped += 1;
        self.state = State::Lost { is_counted: true };
    }

    fn unfinished(&self, joining: Joining) -> Malformed {
        let (msg_id, total_bytes) = (joining.envelope.msg_id, joining.total_bytes);
        Malformed::Unfinished { msg_id, have_bytes: self.buffer.len(), total_bytes }
    }

    /// The result of a further frame of a message. If it completes the message, a beginning comes next.
    #[inline(always)]
    fn gone_on(&mut self, pushed: Result<Pushed, Malformed>) -> Result<Pushed, Malformed> {
        if let Ok(Pushed::Joined(_)) = pushed {
            self.state = State::Ready;
        }
        pushed
    }

    #[inline(always)]
    fn begin(&mut self, header: FrameHeader, data: &[u8]) -> Result<Pushed, Malformed> {
        let used = header.check(self.shape, data)?;
        if header.index != 0 {
            return Err(Malformed::Index { found: header.index, wanted: 0 });
        }
        if header.flags == flags::FRAME_SINGLE {
            // Most messages take this path. No prefix is copied around.
            self.check_limit(used.len() as u64)?;
            self.state = State::Ready;
            return Ok(Pushed::Single(envelope(header, &Prefix::default()), 0..used.len()));
        }
        let is_split = !flags::is_single_frame(header.flags);
        let (prefix, prefix_len) = Prefix::read(header.flags, is_split, used, self.shape.payload_align)?;
        let envelope = envelope(header, &prefix);
        if let Some(total_bytes) = prefix.total {
            let payload = &used[prefix_len..];
            return self.begin_split(envelope, total_bytes, prefix_len, used.len(), |place| {
                place.copy_from_slice(payload);
            });
        }
        self.check_limit((used.len() - prefix_len) as u64)?;
        self.state = State::Ready;
        Ok(Pushed::Single(envelope, prefix_len..used.len()))
    }

    /// [`begin`](Self::begin) of a split message, for [`push_ahead`](Self::push_ahead).
    fn begin_ahead(
        &mut self,
        header: FrameHeader,
        data_len: usize,
        copy: impl Fn(usize, &mut [u8]),
    ) -> Result<Pushed, Malformed> {
        let used_len = header.check_len(self.shape, data_len)?;
        if header.index != 0 || flags::is_single_frame(header.flags) {
            return Err(Malformed::Index { found: header.index, wanted: 0 });
        }
        let mut before = [0; PREFIX_BYTES_MAX];
        let before = &mut before[..used_len.min(PREFIX_BYTES_MAX)];
        copy(0, before);
        let (prefix, prefix_len) = Prefix::read(header.flags, true, before, self.shape.payload_align)?;
        let total_bytes = prefix.total.unwrap_or(0);
        self.begin_split(envelope(header, &prefix), total_bytes, prefix_len, used_len, |place| copy(prefix_len, place))
    }

    /// Begins to join a message of `total_bytes`. `copy` gives its first bytes: the `used_len` bytes in use of the
    /// first frame, without the `prefix_len` bytes before the payload.
    #[inline(never)]
    fn begin_split(
        &mut self,
        envelope: Envelope,
        total_bytes: u64,
        prefix_len: usize,
        used_len: usize,
        copy: impl FnOnce(&mut [u8]),
    ) -> Result<Pushed, Malformed> {
        let total = self.check_limit(total_bytes)?;
        // The limit fits into memory, so this does not overflow.
        let frames = self.shape.frames_for(prefix_len + total);
        if !(2..=FRAMES_PER_MESSAGE_MAX).contains(&frames) {
            return Err(Malformed::Total { total_bytes });
        }
        if used_len != self.shape.data_bytes {
            return Err(Malformed::Length { len_bytes: used_len as u32, wanted_bytes: self.shape.data_bytes });
        }
        self.buffer.clear();
        self.buffer.extend_with(used_len - prefix_len, copy);
        self.state = State::Joining(Joining { envelope, total_bytes: total, frames: frames as u32, next_index: 1 });
        Ok(Pushed::More)
    }

    /// `total_bytes` as a length, if it is within the limit.
    fn check_limit(&self, total_bytes: u64) -> Result<usize, Malformed> {
        let within = usize::try_from(total_bytes).ok().filter(|total| *total <= self.limit_bytes);
        within.ok_or(Malformed::BeyondLimit { total_bytes, limit_bytes: self.limit_bytes })
    }
}

/// The envelope of a message with this header and prefix.
fn envelope(header: FrameHeader, prefix: &Prefix) -> Envelope {
    let FrameHeader { kind, flags, msg_id, .. } = header;
    let Prefix { mark, trace_id, .. } = *prefix;
    Envelope { kind, flags, msg_id, mark, trace_id }
}

impl fmt::Debug for Bookmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bookmark").finish_non_exhaustive()
    }
}

impl fmt::Debug for Reassembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reassembler")
            .field("shape", &self.shape)
            .field("limit_bytes", &self.limit_bytes)
            .field("skipped", &self.skipped)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
