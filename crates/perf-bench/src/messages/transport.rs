//! Our transport over records and over frames. It knows kinds, splits what is too long for a frame, and names faults.
//!
//! Messages are copied into the ring and read by a handler.

use disruptor_mp::DEFAULT_RECORD_RING_BYTES;
use myelon::Patience;
use myelon::transport::{
    AlignedFixedFrame, Format, Records, TransportBuilder, TransportConsumer, TransportError, TransportProducer,
};

use super::carrier::{Carrier, Link, Receiver, Sender, consumer_id};
use crate::side::Stop;

/// Over records.
pub(crate) enum OverRecords {}

/// The same, where messages that are sent together are announced together.
pub(crate) enum OverRecordsInBatches {}

/// Over aligned frames of this many bytes; longer messages are split.
pub(crate) enum OverFrames<const FRAME_BYTES: usize> {}

/// The same with few frames, so that rings of large ones and of small ones can hold equally many.
pub(crate) enum InFewFrames<const FRAME_BYTES: usize> {}

/// Few frames: of 64 KiB they make a ring of 4 MiB.
const FRAMES_FEW: usize = 64;

impl From<TransportError> for Stop {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::Build(error) => error.into(),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// The builder of either end of a transport.
fn builder<F: Format>(link: &Link<'_>, depth: usize) -> TransportBuilder<F> {
    TransportBuilder::new(link.name(), depth).with_wait_strategy(link.waiting().strategy())
}

fn create<F: Format>(link: &Link<'_>, depth: usize) -> Result<Outbound<F>, Stop> {
    Ok(Outbound(builder(link, depth).create().build_producer()?))
}

/// An end takes the depth that it finds.
fn attach<F: Format>(link: &Link<'_>) -> Result<Inbound<F>, Stop> {
    Ok(Inbound(builder(link, 0).with_consumer_id(consumer_id(link.receiver())).build_consumer()?))
}

impl Carrier for OverRecords {
    const NAME: &'static str = "transport, records";

    type Sender<'s> = Outbound<Records>;
    type Receiver<'s> = Inbound<Records>;

    fn create(link: &Link<'_>) -> Result<Outbound<Records>, Stop> {
        create(link, DEFAULT_RECORD_RING_BYTES)
    }

    fn attach(link: &Link<'_>) -> Result<Inbound<Records>, Stop> {
        attach(link)
    }
}

impl Carrier for OverRecordsInBatches {
    const NAME: &'static str = "transport, records in batches";

    type Sender<'s> = InBatches;
    type Receiver<'s> = Inbound<Records>;

    fn create(link: &Link<'_>) -> Result<InBatches, Stop> {
        create(link, DEFAULT_RECORD_RING_BYTES).map(InBatches)
    }

    fn attach(link: &Link<'_>) -> Result<Inbound<Records>, Stop> {
        attach(link)
    }
}

impl<const FRAME_BYTES: usize> Carrier for OverFrames<FRAME_BYTES> {
    const NAME: &'static str = "transport, frames";

    type Sender<'s> = Outbound<AlignedFixedFrame<FRAME_BYTES>>;
    type Receiver<'s> = Inbound<AlignedFixedFrame<FRAME_BYTES>>;

    fn create(link: &Link<'_>) -> Result<Self::Sender<'static>, Stop> {
        create(link, link.depth() * link.message_bytes().div_ceil(FRAME_BYTES))
    }

    fn attach(link: &Link<'_>) -> Result<Self::Receiver<'static>, Stop> {
        attach(link)
    }
}

impl<const FRAME_BYTES: usize> Carrier for InFewFrames<FRAME_BYTES> {
    const NAME: &'static str = "transport, few frames";

    type Sender<'s> = Outbound<AlignedFixedFrame<FRAME_BYTES>>;
    type Receiver<'s> = Inbound<AlignedFixedFrame<FRAME_BYTES>>;

    fn lap(_: &Link<'_>) -> usize {
        FRAMES_FEW
    }

    fn create(link: &Link<'_>) -> Result<Self::Sender<'static>, Stop> {
        create(link, FRAMES_FEW)
    }

    fn attach(link: &Link<'_>) -> Result<Self::Receiver<'static>, Stop> {
        attach(link)
    }
}

/// Any kind; no receiver looks at it.
const KIND: u8 = 0;

/// The end that sends.
pub(crate) struct Outbound<F: Format>(TransportProducer<F>);

impl<F: Format> Sender for Outbound<F> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.0.send(message, KIND, Patience::Endless)?;
        Ok(())
    }
}

/// The end that sends batches.
pub(crate) struct InBatches(Outbound<Records>);

impl Sender for InBatches {
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.0.send(message)
    }

    #[inline]
    fn send_all<'m>(&mut self, messages: impl Iterator<Item = &'m [u8]>) -> Result<(), Stop> {
        self.0.0.send_batch(messages, KIND, Patience::Endless).map_err(TransportError::from)?;
        Ok(())
    }
}

/// The end that receives: everything that is there, or the next message when nothing is.
pub(crate) struct Inbound<F: Format>(TransportConsumer<F>);

impl<F: Format> Receiver for Inbound<F> {
    #[inline]
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        Ok(self.0.process_available(|meta| read(meta.data))? > 0)
    }

    #[inline]
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        if self.poll(&mut read)? {
            return Ok(());
        }
        if let Some(message) = self.0.next(Patience::Endless)? {
            read(&message);
        }
        Ok(())
    }
}
