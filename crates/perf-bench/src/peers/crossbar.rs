//! crossbar 1.2.0: blocks of a pool in shared memory, handed over through a ring for each topic.
//!
//! **Lives here:** [`Credited`]. **Builds on:** its public interface. **May touch it:** `messages`.
//!
//! A slow subscriber of it misses what the ring has gone past. So that nothing is lost, its publisher gets credits here:
//! the receiver counts what it has read in a shared word, and the sender looks at that word only when it has used up what
//! it knew of. The ring has as many entries as everybody's, blocks are as long as the message, messages are written and
//! read in place, the receiver spins on `try_recv`, and `publish` wakes sleepers, of which there are none.

use crossbar::error::Error;
use crossbar::{Config, Publisher, Stream, Subscriber, Topic};

use crate::messages::carrier::{Carrier, Link, Receiver, Sender};
use crate::raw::Word;
use crate::side::Stop;
use crate::workload::payload::Payload;

/// The carrier.
pub(crate) enum Credited {}

const TOPIC: &str = "/messages";

/// What a block has beside its message.
const BLOCK_HEADER_BYTES: usize = 8;
/// Blocks begin on cache lines of their own when they are as long as some.
const BLOCK_BYTES_MULTIPLE: usize = 64;
/// Blocks beyond those in the ring: eight in the publisher's own cache, one that is being written, one that is being read.
const BLOCKS_BESIDE_RING: usize = 10;

impl Carrier for Credited {
    const NAME: &'static str = "crossbar 1.2.0 with credits";

    type Sender<'s> = CreditedSender<'s>;
    type Receiver<'s> = CreditedReceiver<'s>;

    fn create<'s>(link: &Link<'s>) -> Result<CreditedSender<'s>, Stop> {
        let depth = link.depth();
        let block_bytes = (link.message_bytes() + BLOCK_HEADER_BYTES).next_multiple_of(BLOCK_BYTES_MULTIPLE);
        let config = Config {
            max_topics: 1,
            block_count: (depth + BLOCKS_BESIDE_RING) as u32,
            block_size: block_bytes as u32,
            ring_depth: depth as u32,
            ..Config::default()
        };
        let mut publisher = Publisher::create(&link.name(), config).map_err(unavailable)?;
        let topic = publisher.register(TOPIC).map_err(unavailable)?;
        // One less than the ring has, so that the entry which is being read is not the next one to be written.
        let credits = depth as u64 - 1;
        Ok(CreditedSender { publisher, topic, credits, sent: 0, known_read: 0, read: link.word() })
    }

    fn attach<'s>(link: &Link<'s>) -> Result<CreditedReceiver<'s>, Stop> {
        let subscriber = Subscriber::connect(&link.name()).map_err(unavailable)?;
        let stream = subscriber.subscribe(TOPIC).map_err(unavailable)?;
        Ok(CreditedReceiver { stream, _subscriber: subscriber, count: 0, read: link.word() })
    }
}

fn unavailable(error: Error) -> Stop {
    Stop::Unavailable(error.to_string())
}

/// The end that publishes.
pub(crate) struct CreditedSender<'s> {
    publisher: Publisher,
    topic: Topic,
    /// How many messages may be underway.
    credits: u64,
    sent: u64,
    /// How many the receiver had read when we last looked.
    known_read: u64,
    /// How many it has read.
    read: &'s Word,
}

impl Sender for CreditedSender<'_> {
    fn send(&mut self, payload: Payload) -> Result<(), Stop> {
        while self.sent - self.known_read >= self.credits {
            self.known_read = self.read.acquire();
        }
        let failed = |error: Error| Stop::Failed(error.to_string());
        let mut loan = self.publisher.loan(&self.topic).map_err(failed)?;
        payload.write(&mut loan.as_mut_slice()[..payload.len_bytes()]);
        loan.set_len(payload.len_bytes()).map_err(failed)?;
        loan.publish();
        self.sent += 1;
        Ok(())
    }
}

/// The end that subscribes. The stream is declared, and so dropped, before what it reads from.
pub(crate) struct CreditedReceiver<'s> {
    stream: Stream,
    _subscriber: Subscriber,
    count: u64,
    read: &'s Word,
}

impl Receiver for CreditedReceiver<'_> {
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        let sample = loop {
            if let Some(sample) = self.stream.try_recv() {
                break sample;
            }
        };
        read(&sample);
        drop(sample);
        self.count += 1;
        self.read.publish(self.count);
        Ok(())
    }
}
