//! Our own rings of records, one by one and in batches, in their default size.

use disruptor_mp::{
    DEFAULT_RECORD_RING_BYTES, Patience, RecordConsumer, RecordError, RecordProducer, SharedDisruptorBuilder,
};

use super::carrier::{Carrier, Link, Receiver, Sender, consumer_id};
use crate::side::Stop;

/// Records, read in place, published one by one.
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
    Ok(builder.with_wait_strategy(link.waiting().strategy()).build_record_producer()?)
}

fn attach(link: &Link<'_>) -> Result<RecordReceiver, Stop> {
    let builder = SharedDisruptorBuilder::records(link.name(), 0).with_wait_strategy(link.waiting().strategy());
    Ok(RecordReceiver(builder.with_consumer_id(consumer_id(link.receiver())).build_record_consumer()?))
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

/// Any kind, and no flags; no receiver looks at them.
const MARKS: (u8, u8) = (0, 0);

/// The end that writes, one by one.
pub(crate) struct OneByOne(RecordProducer);

impl Sender for OneByOne {
    #[inline]
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.0.publish(message, MARKS.0, MARKS.1, Patience::Endless)?;
        Ok(())
    }
}

/// The end that writes batches.
pub(crate) struct InBatches(RecordProducer);

impl Sender for InBatches {
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        self.send_all(std::iter::once(message))
    }

    #[inline]
    fn send_all<'m>(&mut self, mut messages: impl Iterator<Item = &'m [u8]>) -> Result<(), Stop> {
        let mut batch = self.0.batch();
        messages.try_for_each(|message| batch.publish(message, MARKS.0, MARKS.1, Patience::Endless).map(drop))?;
        Ok(())
    }
}

/// The end that reads: everything that is there, or the next record when nothing is.
pub(crate) struct RecordReceiver(RecordConsumer);

impl Receiver for RecordReceiver {
    #[inline]
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        Ok(self.0.process_available(|bytes, _| read(bytes)) > 0)
    }

    #[inline]
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        if self.poll(&mut read)? {
            return Ok(());
        }
        // This call also learns of the ring's end; a handler is not told.
        if let Some(record) = self.0.next(Patience::Endless)? {
            read(&record);
        }
        Ok(())
    }
}
