//! Copies the frames of a split message while its sender writes the rest of it.
//!
//! Nothing of a copy is shown that the ring has not confirmed. Source: RFC 0007, "Copying ahead".

use super::frame::{FrameHeader, FramedTransportFrame, HEADER_BYTES};
use super::prefix::Envelope;
use super::reassembly::{Pushed, Reassembler};
use disruptor_mp::{ConsumeError, Patience, SharedConsumer};

/// Frames of this many bytes are copied while the next one is written. Copying a shorter frame takes less time than its
/// stamp needs to cross between the cores.
const FRAME_BYTES_MIN: usize = 4096;

/// What was copied of the next message, which is complete in the ring.
#[derive(Default)]
pub(super) struct Copied {
    /// How many of its frames.
    pub(super) frames: usize,
    /// Its envelope, if these are all of its frames.
    pub(super) whole: Option<Envelope>,
}

/// Waits for the next message, of which nothing has come yet; a message of several frames is copied while it is
/// written.
#[inline(never)]
pub(super) fn wait<E: FramedTransportFrame>(
    consumer: &mut SharedConsumer<E>,
    reassembler: &mut Reassembler,
    patience: Patience,
) -> Result<Copied, ConsumeError> {
    if E::SHAPE.data_bytes < FRAME_BYTES_MIN {
        consumer.wait_until_available(patience)?;
        return Ok(Copied::default());
    }
    consumer.wait_until_ahead(patience)?;
    if !consumer.is_ahead(0) {
        return Ok(Copied::default());
    }
    let bookmark = reassembler.bookmark();
    // It begins before the stamps that say what may be copied are read.
    let ahead = consumer.begin_ahead();
    let copied = if ahead.is_some() { copy(consumer, reassembler) } else { Copied::default() };
    let waited = consumer.wait_until_available(patience);
    let is_confirmed = ahead.is_some_and(|ahead| {
        // Reads all stamps once more: a lease of these frames reaches as far as the last look.
        waited.is_ok() && consumer.is_confirmed(ahead) && consumer.peek_at(copied.frames.max(1) - 1).is_some()
    });
    if !is_confirmed {
        reassembler.return_to(bookmark);
        return waited.map(|()| Copied::default());
    }
    Ok(copied)
}

/// Copies frames as they are written, up to the end of their message, or to the first frame that takes too long.
fn copy<E: FramedTransportFrame>(consumer: &mut SharedConsumer<E>, reassembler: &mut Reassembler) -> Copied {
    let mut frames = 0;
    while consumer.is_soon_ahead(frames) {
        let mut header = [0; HEADER_BYTES];
        consumer.copy_ahead(frames, 0, &mut header);
        let copy = |offset, into: &mut [u8]| consumer.copy_ahead(frames, E::DATA_OFFSET + offset, into);
        match reassembler.push_ahead(FrameHeader::of(header), E::SHAPE.data_bytes, copy) {
            Some(Pushed::Joined(envelope)) => return Copied { frames: frames + 1, whole: Some(envelope) },
            Some(_) => frames += 1,
            // It is an invalid frame, or one that is being overwritten. The look after the wait will tell.
            None => break,
        }
    }
    Copied { frames, whole: None }
}
