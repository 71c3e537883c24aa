//! How a message is cut into frames.

use super::flags::frame_flags;
use super::frame::{FRAMES_PER_MESSAGE_MAX, FrameHeader, FrameShape, FramedTransportFrame};
use super::prefix::{Letter, Prefix};

/// Which bytes of a message go into which frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outline {
    shape: FrameShape,
    prefix: Prefix,
    prefix_flags: u8,
    prefix_len: usize,
    payload_len: usize,
    kind: u8,
    msg_id: u32,
}

/// The header of a message of one frame with `len_bytes` bytes of payload and no prefix.
#[inline(always)]
pub(super) fn bare_header(letter: &Letter, len_bytes: usize) -> FrameHeader {
    FrameHeader {
        len: len_bytes as u32,
        kind: letter.kind,
        flags: frame_flags(true, true),
        index: 0,
        msg_id: letter.msg_id,
    }
}

impl Outline {
    /// The outline of a message of `payload_len` bytes with `letter`.
    pub(super) fn new(shape: FrameShape, letter: &Letter, payload_len: usize) -> Self {
        let Letter { kind, msg_id, prefix } = *letter;
        let fits = payload_len <= single_payload_max(shape, &prefix);
        let prefix = Prefix { total: (!fits).then_some(payload_len as u64), ..prefix };
        let (prefix_flags, prefix_len) = (prefix.flags(), prefix.len(shape.payload_align));
        Self { shape, prefix, prefix_flags, prefix_len, payload_len, kind, msg_id }
    }

    /// The number of frames. Saturates if no ring could hold them.
    pub(super) fn frames(&self) -> usize {
        self.shape.frames_for(self.prefix_len.saturating_add(self.payload_len))
    }

    /// The offset of the payload in the first frame's data.
    pub(super) fn payload_start(&self) -> usize {
        self.prefix_len
    }

    /// Writes frame `index` of the message.
    #[inline(always)]
    pub(super) fn write<E: FramedTransportFrame>(&self, frame: &mut E, index: usize, payload: &[u8]) {
        let (header, pieces) = self.piece(index, E::SHAPE.data_bytes);
        frame.write_frame(header, |data| {
            let start = if index == 0 { self.begin(data) } else { 0 };
            data[start..header.len as usize].copy_from_slice(&payload[pieces]);
        });
    }

    /// Writes the header and the prefix of the only frame of a message whose payload is in its place already.
    pub(super) fn write_around<E: FramedTransportFrame>(&self, frame: &mut E) {
        debug_assert_eq!(self.frames(), 1, "a split message cannot be encoded in place");
        frame.write_frame(self.piece(0, E::SHAPE.data_bytes).0, |data| {
            self.begin(data);
        });
    }

    /// Writes the prefix, and returns the offset of the payload in the first frame's data.
    fn begin(&self, data: &mut [u8]) -> usize {
        self.prefix.write(data, self.shape.payload_align);
        self.prefix_len
    }

    /// The header of frame `index`, and the range of the payload in it. Each frame holds `capacity` bytes.
    #[inline(always)]
    fn piece(&self, index: usize, capacity: usize) -> (FrameHeader, std::ops::Range<usize>) {
        let start = index * capacity;
        let end = (start + capacity).min(self.prefix_len + self.payload_len);
        let prefix_flags = if index == 0 { self.prefix_flags } else { 0 };
        let header = FrameHeader {
            len: (end - start) as u32,
            kind: self.kind,
            flags: frame_flags(index == 0, end == self.prefix_len + self.payload_len) | prefix_flags,
            index: index as u16,
            msg_id: self.msg_id,
        };
        // The prefix is in the first frame, so the payload of the others begins after it.
        (header, start.saturating_sub(self.prefix_len)..end - self.prefix_len)
    }
}

/// The longest payload that fits into one frame after the optional parts of `prefix`.
pub(super) fn single_payload_max(shape: FrameShape, prefix: &Prefix) -> usize {
    let alone = Prefix { total: None, ..*prefix };
    shape.data_bytes - alone.len(shape.payload_align)
}

/// The longest payload that fits into this many frames after the optional parts of `prefix`.
pub(super) fn payload_max(shape: FrameShape, prefix: &Prefix, frames: usize) -> usize {
    let single = single_payload_max(shape, prefix);
    if frames < 2 {
        return single;
    }
    let before = Prefix { total: Some(0), ..*prefix }.len(shape.payload_align);
    frames.min(FRAMES_PER_MESSAGE_MAX).saturating_mul(shape.data_bytes) - before
}
