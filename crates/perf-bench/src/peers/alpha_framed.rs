//! `myelon` 0.1.0-alpha.2, as it is published: its framed transport over a ring of fixed-size frames in shared memory.
//!
//! Frames are its aligned ones, as long as the message up to 64 KiB. Longer messages are split into frames of that
//! size, and assembled in the receiver's one reused buffer. The ring holds as many messages as those of all others. Its
//! other form has frames of 64 KiB for every message. Then each message is far from the next one in memory, which suits
//! the caches of the reader. There are as many as fit 64 MiB. The receiver spins on its batch reception, which shows a
//! message of one frame in place.

use std::time::Duration;

use alpha_myelon::MyelonWaitStrategy;
use alpha_myelon::transport::{AlignedFixedFrame, FramedTransportConsumer, FramedTransportProducer, ReassemblyBuffer};

use crate::messages::carrier::{Carrier, Link, Receiver, Sender, consumer_id};
use crate::side::Stop;

/// The carrier, with frames of this many bytes: as long as the messages, or long enough for any.
pub(crate) enum Framed<const FRAME_BYTES: usize, const FOR_ANY: bool> {}

/// Frames as long as the message, up to 64 KiB.
pub(crate) type AlphaFramed<const FRAME_BYTES: usize> = Framed<FRAME_BYTES, false>;
/// Frames of 64 KiB for every message.
pub(crate) type AlphaLargeFrames = Framed<LARGE_BYTES, true>;

/// Bytes of a large frame.
const LARGE_BYTES: usize = 64 << 10;
/// Bytes of a ring of large frames: enough that it is not full while the receiver reads.
const LARGE_RING_BYTES: usize = 64 << 20;

/// What the producer may take to find its consumer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Any kind; no consumer looks at it.
const KIND: u8 = 0;

/// How many frames the ring of a link has.
fn frames<const FOR_ANY: bool>(link: &Link<'_>, frame_bytes: usize) -> usize {
    let fitting = link.depth() * link.message_bytes().div_ceil(frame_bytes);
    if FOR_ANY { fitting.min(LARGE_RING_BYTES / frame_bytes) } else { fitting }
}

impl<const FRAME_BYTES: usize, const FOR_ANY: bool> Carrier for Framed<FRAME_BYTES, FOR_ANY> {
    const NAME: &'static str =
        if FOR_ANY { "myelon 0.1.0-alpha.2, 64 KiB frames" } else { "myelon 0.1.0-alpha.2, framed" };

    type Sender<'s> = FrameSender<FRAME_BYTES>;
    type Receiver<'s> = FrameReceiver<FRAME_BYTES>;

    fn lap(link: &Link<'_>) -> usize {
        frames::<FOR_ANY>(link, FRAME_BYTES) / link.message_bytes().div_ceil(FRAME_BYTES)
    }

    fn create(link: &Link<'_>) -> Result<FrameSender<FRAME_BYTES>, Stop> {
        let (frames, receivers) = (frames::<FOR_ANY>(link, FRAME_BYTES), link.receivers());
        let producer = FramedTransportProducer::create_with_consumers(&link.name(), frames, receivers);
        Ok(FrameSender { producer: producer.map_err(unavailable)?, receivers })
    }

    fn attach(link: &Link<'_>) -> Result<FrameReceiver<FRAME_BYTES>, Stop> {
        let frames = frames::<FOR_ANY>(link, FRAME_BYTES);
        let (name, wait, id) = (link.name(), MyelonWaitStrategy::BusySpin, consumer_id(link.receiver()));
        let consumer = FramedTransportConsumer::attach_with_consumer_id(&name, frames, &id, wait);
        let parts = ReassemblyBuffer::new(link.message_bytes());
        Ok(FrameReceiver { consumer: consumer.map_err(unavailable)?, parts })
    }
}

fn unavailable(error: alpha_myelon::MultiProcessError) -> Stop {
    Stop::Unavailable(error.to_string())
}

/// The end that publishes.
pub(crate) struct FrameSender<const FRAME_BYTES: usize> {
    producer: FramedTransportProducer<AlignedFixedFrame<FRAME_BYTES>>,
    receivers: usize,
}

impl<const FRAME_BYTES: usize> Sender for FrameSender<FRAME_BYTES> {
    /// Before this the producer would overwrite what has not been read. It looks for consumers by their names, because
    /// its other ways of finding them write to standard output, which is where a role gives its answer.
    fn join(&mut self) -> Result<(), Stop> {
        for receiver in 0..self.receivers {
            if !self.producer.discover_consumer_id(&consumer_id(receiver), JOIN_TIMEOUT) {
                let reason = format!("its producer did not find consumer {receiver} within {JOIN_TIMEOUT:?}");
                return Err(Stop::Unavailable(reason));
            }
        }
        Ok(())
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.producer.publish(message, KIND);
        Ok(())
    }
}

/// The end that consumes.
pub(crate) struct FrameReceiver<const FRAME_BYTES: usize> {
    consumer: FramedTransportConsumer<AlignedFixedFrame<FRAME_BYTES>>,
    parts: ReassemblyBuffer,
}

impl<const FRAME_BYTES: usize> Receiver for FrameReceiver<FRAME_BYTES> {
    #[inline]
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        Ok(self.consumer.process_available_messages(&mut self.parts, |_, message| read(message)) > 0)
    }
}
