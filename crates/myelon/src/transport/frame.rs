//! The slots of a ring of frames.
//!
//! Their layout is RFC 0007's and does not change.

use super::flags;
use super::malformed::Malformed;
use super::prefix::{PREFIX_BYTES_MAX, Prefix};
use disruptor_mp::{Event, event};
use std::fmt;
use zerocopy::{FromZeros, Unaligned};

/// The first twelve bytes of a frame. Little-endian, with alignment 1, so that a frame of any size is an event.
#[event]
#[derive(Unaligned)]
struct HeaderBytes {
    len: [u8; 4],
    kind: u8,
    flags: u8,
    index: [u8; 2],
    msg_id: [u8; 4],
}

impl HeaderBytes {
    fn load(&self) -> FrameHeader {
        FrameHeader {
            len: u32::from_le_bytes(self.len),
            kind: self.kind,
            flags: self.flags,
            index: u16::from_le_bytes(self.index),
            msg_id: u32::from_le_bytes(self.msg_id),
        }
    }

    fn store(&mut self, header: FrameHeader) {
        self.len = header.len.to_le_bytes();
        self.kind = header.kind;
        self.flags = header.flags;
        self.index = header.index.to_le_bytes();
        self.msg_id = header.msg_id.to_le_bytes();
    }
}

/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = size_of::<HeaderBytes>();

/// A frame's header as numbers. It is a copy, so that the checked values are the ones that are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameHeader {
    /// How many bytes of this frame are in use, prefix included.
    pub len: u32,
    /// The kind that the sender gave the message; the application says what it means.
    pub kind: u8,
    /// See [`FRAME_FIRST`](super::FRAME_FIRST) and the other flags.
    pub flags: u8,
    /// Number of this frame in its message, from 0.
    pub index: u16,
    /// Number of the message, given by its sender.
    pub msg_id: u32,
}

/// A header of 12 bytes and `DATA_BYTES` bytes of data after it: for bytes that need no alignment.
///
/// `DATA_BYTES` is at least 32, so that everything that can precede a payload fits into one frame. Source: RFC 0007,
/// "Layout".
#[event]
pub struct FixedFrame<const DATA_BYTES: usize> {
    header: HeaderBytes,
    data: [u8; DATA_BYTES],
}

/// A header of 16 bytes and `DATA_BYTES` bytes of data after it, in a slot aligned to 16: a message of one frame is
/// read at a multiple of 16 bytes, as archives that are read in place need it.
///
/// `DATA_BYTES` is at least 32. Source: RFC 0007, "Layout".
#[event(align = 16)]
pub struct AlignedFixedFrame<const DATA_BYTES: usize> {
    header: HeaderBytes,
    reserved: [u8; 4],
    data: [u8; DATA_BYTES],
}

/// The sizes of a kind of frame, from which both ends compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameShape {
    /// How many bytes of a message and its prefix one frame holds.
    pub data_bytes: usize,
    /// The alignment of a payload in bytes, 1 or 16: the prefix is padded to a multiple of it.
    pub payload_align: usize,
}

impl FrameShape {
    /// The number of frames for `bytes` bytes; an empty message takes one.
    pub(super) const fn frames_for(self, bytes: usize) -> usize {
        if bytes == 0 { 1 } else { bytes.div_ceil(self.data_bytes) }
    }
}

/// The most frames that a message can have: their index has 16 bits.
pub const FRAMES_PER_MESSAGE_MAX: usize = 1 << 16;

/// What the two kinds of frames have in common. Sealed, because processes rely on a frame's layout.
pub trait FramedTransportFrame: Event + sealed::Frame {
    /// The frame's sizes.
    const SHAPE: FrameShape;

    /// The offset of the data in a frame.
    #[doc(hidden)]
    const DATA_OFFSET: usize = size_of::<Self>() - Self::SHAPE.data_bytes;

    /// How many bytes of a payload fit into one frame without a prefix.
    fn payload_capacity() -> usize {
        Self::SHAPE.data_bytes
    }

    /// The header, copied.
    fn header(&self) -> FrameHeader;

    /// All bytes after the header, in use or not.
    fn data(&self) -> &[u8];

    /// All bytes after the header, for writing.
    fn data_mut(&mut self) -> &mut [u8];

    /// Writes the header.
    fn set_header(&mut self, header: FrameHeader);

    /// Lets `fill` write the bytes after the header, then writes the header. The rest of the frame is not touched.
    #[inline]
    fn write_frame(&mut self, header: FrameHeader, fill: impl FnOnce(&mut [u8])) {
        fill(self.data_mut());
        self.set_header(header);
    }

    /// The header's fields and the bytes of a frame. For a frame that is a whole message, this is the message.
    ///
    /// # Errors
    /// [`Malformed`]: the header contradicts itself.
    fn frame_meta(&self) -> Result<FrameMeta<'_>, Malformed> {
        let header = self.header();
        let data = header.check(Self::SHAPE, self.data())?;
        let is_split = !flags::is_single_frame(header.flags);
        let is_first = flags::is_first_frame(header.flags);
        let (prefix, prefix_len) = match is_first {
            true => Prefix::read(header.flags, is_split, data, Self::SHAPE.payload_align)?,
            false => (Prefix::default(), 0),
        };
        let data = &data[prefix_len..];
        Ok(FrameMeta {
            len: data.len(),
            kind: header.kind,
            flags: header.flags,
            msg_id: header.msg_id,
            timestamp_ns: prefix.mark.timestamp_ns(),
            data,
        })
    }
}

/// The properties and the bytes of a message, or of one frame.
///
/// ```
/// # use myelon::prelude::*;
/// # fn main() -> TransportResult<()> {
/// # let name = portable_shm_segment_name("doc");
/// # let mut producer = TransportProducer::create_default(&name)?;
/// # let mut consumer = TransportConsumer::join(&name, "worker-0")?;
/// # producer.publish(b"a step", 1)?;
/// // What is there now, handed to a closure.
/// let handled = consumer.process_available(|meta| println!("kind {}: {:?}", meta.kind, meta.data))?;
/// assert_eq!(handled, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FrameMeta<'a> {
    /// Length of `data`, in bytes.
    pub len: usize,
    /// The kind that its sender gave it; the application says what it means.
    pub kind: u8,
    /// See [`FRAME_FIRST`](super::FRAME_FIRST) and the other flags; for a message that was put together, those of its
    /// first frame.
    pub flags: u8,
    /// Number of the message, given by its sender.
    pub msg_id: u32,
    /// When it was sent, in nanoseconds of the machine's monotonic clock, if its sender says so.
    pub timestamp_ns: Option<u64>,
    /// The bytes of the message, without prefix.
    pub data: &'a [u8],
}

impl FrameHeader {
    /// The header at the beginning of a frame.
    pub(super) fn of(bytes: [u8; HEADER_BYTES]) -> Self {
        HeaderBytes::load(&zerocopy::transmute!(bytes))
    }

    /// The bytes of `data` that are in use, if the header is valid.
    #[inline(always)]
    pub(super) fn check(self, shape: FrameShape, data: &[u8]) -> Result<&[u8], Malformed> {
        self.check_len(shape, data.len()).map(|len| &data[..len])
    }

    /// How many of `data_len` bytes are in use, if the header is valid.
    #[inline(always)]
    pub(super) fn check_len(self, shape: FrameShape, data_len: usize) -> Result<usize, Malformed> {
        if !flags::are_known(self.flags) || (self.flags & flags::FRAME_FIRST == 0 && self.flags & flags::PREFIX != 0) {
            return Err(Malformed::Flags { flags: self.flags });
        }
        let capacity = shape.data_bytes.min(data_len);
        let len = usize::try_from(self.len).ok().filter(|len| *len <= capacity);
        len.ok_or(Malformed::Length { len_bytes: self.len, wanted_bytes: capacity })
    }
}

const fn checked_shape(data_bytes: usize, payload_align: usize) -> FrameShape {
    assert!(data_bytes >= PREFIX_BYTES_MAX, "a frame has room for what can precede a payload: 32 bytes");
    assert!(data_bytes <= u32::MAX as usize, "a frame's length has 32 bits");
    FrameShape { data_bytes, payload_align }
}

/// The two implementations differ only in the shape.
macro_rules! frame {
    ($name:ident, $payload_align:literal) => {
        impl<const DATA_BYTES: usize> FramedTransportFrame for $name<DATA_BYTES> {
            const SHAPE: FrameShape = checked_shape(DATA_BYTES, $payload_align);

            #[inline]
            fn header(&self) -> FrameHeader {
                self.header.load()
            }

            #[inline]
            fn data(&self) -> &[u8] {
                &self.data
            }

            #[inline]
            fn data_mut(&mut self) -> &mut [u8] {
                &mut self.data
            }

            #[inline]
            fn set_header(&mut self, header: FrameHeader) {
                self.header.store(header);
            }
        }

        /// An empty frame, for the slots of a ring of frames that was not built by a transport.
        impl<const DATA_BYTES: usize> Default for $name<DATA_BYTES> {
            fn default() -> Self {
                Self::new_zeroed()
            }
        }

        impl<const DATA_BYTES: usize> sealed::Frame for $name<DATA_BYTES> {}
    };
}

frame!(FixedFrame, 1);
frame!(AlignedFixedFrame, 16);

mod sealed {
    /// Seals the trait.
    pub trait Frame {}
}

impl<const DATA_BYTES: usize> fmt::Debug for FixedFrame<DATA_BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FixedFrame").field("header", &self.header()).finish_non_exhaustive()
    }
}

impl<const DATA_BYTES: usize> fmt::Debug for AlignedFixedFrame<DATA_BYTES> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlignedFixedFrame").field("header", &self.header()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use disruptor_mp::schema::slot_align;
    use zerocopy::IntoBytes;

    #[test]
    fn the_layout_is_that_of_the_rfc() {
        assert_eq!((size_of::<FixedFrame<100>>(), slot_align::<FixedFrame<100>>()), (112, 1));
        assert_eq!((size_of::<AlignedFixedFrame<100>>(), slot_align::<AlignedFixedFrame<100>>()), (116, 16));
        let header = FrameHeader { len: 0x0403_0201, kind: 5, flags: 6, index: 0x0807, msg_id: 0x0c0b_0a09 };
        let mut frame = FixedFrame::<32>::new_zeroed();
        frame.write_frame(header, |data| data.fill(0xdd));
        assert_eq!(frame.as_bytes()[..12], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
        assert_eq!(frame.as_bytes()[12..], [0xdd; 32]);
        assert_eq!(frame.header(), header);
        let mut frame = AlignedFixedFrame::<32>::new_zeroed();
        frame.write_frame(header, |data| data.fill(0xdd));
        assert_eq!(frame.as_bytes()[..16], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0, 0, 0, 0]);
        assert_eq!(frame.as_bytes()[16..], [0xdd; 32]);
    }

    #[test]
    fn a_frame_of_one_message_shows_the_message() {
        let mut frame = FixedFrame::<64>::new_zeroed();
        let header = FrameHeader { len: 13, kind: 7, flags: 3 | flags::FRAME_HAS_SEND_TIME, index: 0, msg_id: 9 };
        frame.write_frame(header, |data| {
            data[..8].copy_from_slice(&77_u64.to_le_bytes());
            data[8..13].copy_from_slice(b"hello");
        });
        let meta = frame.frame_meta().unwrap();
        assert_eq!((meta.data, meta.len, meta.kind, meta.msg_id), (&b"hello"[..], 5, 7, 9));
        assert_eq!(meta.timestamp_ns, Some(77));
    }

    #[test]
    fn a_header_that_contradicts_itself_is_refused() {
        let refused = |header: FrameHeader| {
            let mut frame = FixedFrame::<32>::new_zeroed();
            frame.write_frame(header, |_| ());
            frame.frame_meta().map(|meta| meta.len).unwrap_err()
        };
        let good = FrameHeader { len: 4, kind: 0, flags: 3, index: 0, msg_id: 0 };
        assert_eq!(refused(FrameHeader { len: 33, ..good }), Malformed::Length { len_bytes: 33, wanted_bytes: 32 });
        assert_eq!(refused(FrameHeader { flags: 0x23, ..good }), Malformed::Flags { flags: 0x23 });
        // A message has a send time or answers another message, but not both.
        assert_eq!(refused(FrameHeader { flags: 0x17, ..good }), Malformed::Flags { flags: 0x17 });
        // Only a first frame can have a send time.
        assert_eq!(refused(FrameHeader { flags: 6, ..good }), Malformed::Flags { flags: 6 });
        assert_eq!(
            refused(FrameHeader { flags: 7, ..good }),
            Malformed::Length { len_bytes: 4, wanted_bytes: 8 },
            "no room for the time that the flags announce"
        );
    }
}
