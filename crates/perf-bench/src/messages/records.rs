//! Our own rings of records, one by one and in batches, in the one size that they have by default.
//!
//! **Lives here:** [`OwnRecords`], [`OwnBatches`]. **Builds on:** `disruptor_mp`. **May touch it:** `messages`.

use disruptor_mp::{
    DEFAULT_RECORD_RING_BYTES, Patience, RecordConsumer, RecordError, RecordProducer, SharedDisruptorBuilder,
    WaitStrategy,
};

use super::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::Stop;
use crate::workload::payload::Payload;

/// Records, written and read in place, published one by one.
pub(crate) enum OwnRecords {}

/// The same, where messages that are sent together are announced together.
pub(crate) enum OwnBatches {}

impl From<RecordError> for Stop {
    fn from(error: RecordError) -> Self {
        Self::Failed(error.to_string())
    }
}

fn create(link: &Link<'_>) -> Result<RecordProducer, Stop> {
    let builder = SharedDisruptorBuilder::records(link.name(), DEFAULT_RECORD_RING_BYTES).create();
    Ok(builder.with_wait_strategy(WaitStrategy::BusySpin).build_record_producer()?)
}

fn attach(link: &Link<'_>) -> Result<RecordReceiver, Stop> {
    let builder = SharedDisruptorBuilder::records(link.name(), 0).with_wait_strategy(WaitStrategy::BusySpin);
    Ok(RecordReceiver(builder.build_record_consumer()?))
}

impl Carrier for OwnRecords {
    const NAME: &'static str = "records";

    type Sender<'s> = OneByOne;
    type Receiver<'s> = RecordReceiver;

    fn create(link: &Link<'_>) -> Result<OneByOne, Stop> {
        create(link).map(OneByOne)
    }

    fn attach(link: &Link<'_>) -> Result<RecordReceiver, Stop> {
        attach(link)
    }
}

impl Carrier for OwnBatches {
    const NAME: &'static str = "records in batches";

    type Sender<'s> = InBatches;
    type Receiver<'s> = RecordReceiver;

    fn create(link: &Link<'_>) -> Result<InBatches, Stop> {
        create(link).map(InBatches)
    }

    fn attach(link: &Link<'_>) -> Result<RecordReceiver, Stop> {
        attach(link)
    }
}

/// The end that writes, one by one.
pub(crate) struct OneByOne(RecordProducer);

impl Sender for OneByOne {
    #[inline]
    fn send(&mut self, payload: Payload) -> Result<(), Stop> {
        let mut claim = self.0.claim(payload.len_bytes(), Patience::Endless)?;
        payload.write(&mut claim);
        claim.commit(payload.len_bytes(), 0, 0);
        Ok(())
    }
}

/// The end that writes batches.
pub(crate) struct InBatches(RecordProducer);

impl Sender for InBatches {
    fn send(&mut self, payload: Payload) -> Result<(), Stop> {
        self.send_all(std::iter::once(payload))
    }

    #[inline]
    fn send_all(&mut self, payloads: impl Iterator<Item = Payload>) -> Result<(), Stop> {
        let mut batch = self.0.batch();
        for payload in payloads {
            let mut claim = batch.claim(payload.len_bytes(), Patience::Endless)?;
            payload.write(&mut claim);
            claim.commit(payload.len_bytes(), 0, 0);
        }
        Ok(())
    }
}

/// The end that reads: everything that is there, or the next record when nothing is.
pub(crate) struct RecordReceiver(RecordConsumer);

impl Receiver for RecordReceiver {
    #[inline]
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        if self.0.process_available(|bytes, _| read(bytes)) > 0 {
            return Ok(());
        }
        // Also the way to hear of the ring's end, which a handler is not told.
        if let Some(record) = self.0.next(Patience::Endless)? {
            read(&record);
        }
        Ok(())
    }
}
