//! `myelon` 0.1.0-alpha.2, as it is published: its framed transport over a ring of fixed-size frames in shared memory.
//!
//! **Lives here:** [`AlphaFramed`]. **Builds on:** its public interface. **May touch it:** `messages`.
//!
//! Frames are its aligned ones, as long as the message up to 64 KiB; longer messages are split into frames of that size,
//! and put together again in the receiver's one reused buffer. The ring holds as many messages as everybody's. The
//! receiver spins on its batch reception, which shows a message of one frame where it lies. `publish` takes a slice, so
//! the message is written into a buffer and copied into the frames.

use std::time::Duration;

use alpha_myelon::MyelonWaitStrategy;
use alpha_myelon::transport::{AlignedFixedFrame, FramedTransportConsumer, FramedTransportProducer, ReassemblyBuffer};

use crate::messages::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::Stop;
use crate::workload::payload::Payload;

/// The carrier, with frames of so many bytes.
pub(crate) enum AlphaFramed<const FRAME_BYTES: usize> {}

/// The consumer's id. The producer looks for it by name, because its other ways of finding consumers write to standard
/// output, which is where a role gives its answer.
const CONSUMER_ID: &str = "c";

/// What the producer may take to find its consumer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

/// Any kind; nobody looks at it.
const KIND: u8 = 0;

/// How many frames the ring of a link has.
fn frames(link: &Link<'_>, frame_bytes: usize) -> usize {
    link.depth() * link.message_bytes().div_ceil(frame_bytes)
}

impl<const FRAME_BYTES: usize> Carrier for AlphaFramed<FRAME_BYTES> {
    const NAME: &'static str = "myelon 0.1.0-alpha.2, framed";

    type Sender<'s> = FrameSender<FRAME_BYTES>;
    type Receiver<'s> = FrameReceiver<FRAME_BYTES>;

    fn create(link: &Link<'_>) -> Result<FrameSender<FRAME_BYTES>, Stop> {
        let producer = FramedTransportProducer::create(&link.name(), frames(link, FRAME_BYTES)).map_err(unavailable)?;
        Ok(FrameSender { producer, message: vec![0; link.message_bytes()] })
    }

    fn attach(link: &Link<'_>) -> Result<FrameReceiver<FRAME_BYTES>, Stop> {
        let frames = frames(link, FRAME_BYTES);
        let (name, wait) = (link.name(), MyelonWaitStrategy::BusySpin);
        let consumer = FramedTransportConsumer::attach_with_consumer_id(&name, frames, CONSUMER_ID, wait);
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
    message: Vec<u8>,
}

impl<const FRAME_BYTES: usize> Sender for FrameSender<FRAME_BYTES> {
    /// Before this the producer would overwrite what nobody has read.
    fn join(&mut self) -> Result<(), Stop> {
        if self.producer.discover_consumer_id(CONSUMER_ID, JOIN_TIMEOUT) {
            Ok(())
        } else {
            Err(Stop::Unavailable(format!("its producer found no consumer within {JOIN_TIMEOUT:?}")))
        }
    }

    fn send(&mut self, payload: Payload) -> Result<(), Stop> {
        payload.write(&mut self.message);
        self.producer.publish(&self.message, KIND);
        Ok(())
    }
}

/// The end that consumes.
pub(crate) struct FrameReceiver<const FRAME_BYTES: usize> {
    consumer: FramedTransportConsumer<AlignedFixedFrame<FRAME_BYTES>>,
    parts: ReassemblyBuffer,
}

impl<const FRAME_BYTES: usize> Receiver for FrameReceiver<FRAME_BYTES> {
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        while self.consumer.process_available_messages(&mut self.parts, |_, message| read(message)) == 0 {}
        Ok(())
    }
}
