//! crossbar 1.2.0: blocks of a pool in shared memory, passed on through a ring for each topic.
//!
//! A slow subscriber misses messages that the ring has overwritten. So that nothing is lost, its publisher gets credits
//! here: each receiver counts what it has read in a shared word, and the sender looks at those words only when it has
//! used up its credits. The ring has as many entries as those of all others, blocks are as long as the message,
//! messages
//! are copied into their block and read there. Receivers spin on `try_recv`, so it publishes without looking for
//! sleepers.
//!
//! Its pinned mode writes the same block again and again, which has the lowest latency. Nothing is lost if each message
//! is answered before the next one, so round trips are measured that way as well.

use crossbar::error::Error;
use crossbar::{Config, Publisher, Stream, Subscriber, Topic};

use crate::messages::carrier::{Carrier, Link, Receiver, Sender};
use crate::raw::Word;
use crate::side::Stop;

/// The carrier that loses nothing.
pub(crate) enum Credited {}

/// The carrier of one message.
pub(crate) enum Pinned {}

const TOPIC: &str = "/messages";

/// What a block has beside its message.
const BLOCK_HEADER_BYTES: usize = 8;
/// Blocks begin on cache lines of their own when they are as long as some.
const BLOCK_BYTES_MULTIPLE: usize = 64;
/// Blocks beyond those in the ring, and one for each receiver that reads: eight in the publisher's own cache, one that
/// is being written.
const BLOCKS_BESIDE_RING: usize = 9;

impl Carrier for Credited {
    const NAME: &'static str = "crossbar 1.2.0 with credits";

    type Sender<'s> = CreditedSender<'s>;
    type Receiver<'s> = CreditedReceiver<'s>;

    fn create<'s>(link: &Link<'s>) -> Result<CreditedSender<'s>, Stop> {
        let (publisher, topic) = publisher(link)?;
        // One less than the ring has, so that the entry which is being read is not the next one to be written.
        let credits = link.depth() as u64 - 1;
        let read = link.each().map(|link| link.word()).collect();
        Ok(CreditedSender { publisher, topic, credits, sent: 0, known_read: 0, read })
    }

    fn attach<'s>(link: &Link<'s>) -> Result<CreditedReceiver<'s>, Stop> {
        let (subscriber, stream) = subscriber(link)?;
        Ok(CreditedReceiver { stream, _subscriber: subscriber, count: 0, read: link.word() })
    }
}

impl Carrier for Pinned {
    const NAME: &'static str = "crossbar 1.2.0 pinned";

    type Sender<'s> = PinnedSender;
    type Receiver<'s> = PinnedReceiver;

    fn lap(_: &Link<'_>) -> usize {
        WARM_UP
    }

    fn create(link: &Link<'_>) -> Result<PinnedSender, Stop> {
        let (publisher, topic) = publisher(link)?;
        Ok(PinnedSender { publisher, topic })
    }

    fn attach(link: &Link<'_>) -> Result<PinnedReceiver, Stop> {
        let (subscriber, stream) = subscriber(link)?;
        Ok(PinnedReceiver { stream, _subscriber: subscriber })
    }
}

/// Messages through one block before anything is measured.
const WARM_UP: usize = 64;

/// A publisher on the link's segment, and its one topic.
fn publisher(link: &Link<'_>) -> Result<(Publisher, Topic), Stop> {
    let depth = link.depth();
    let block_bytes = (link.message_bytes() + BLOCK_HEADER_BYTES).next_multiple_of(BLOCK_BYTES_MULTIPLE);
    let config = Config {
        max_topics: 1,
        block_count: (depth + BLOCKS_BESIDE_RING + link.receivers()) as u32,
        block_size: block_bytes as u32,
        ring_depth: depth as u32,
        ..Config::default()
    };
    let mut publisher = Publisher::create(&link.name(), config).map_err(unavailable)?;
    let topic = publisher.register(TOPIC).map_err(unavailable)?;
    Ok((publisher, topic))
}

fn subscriber(link: &Link<'_>) -> Result<(Subscriber, Stream), Stop> {
    let subscriber = Subscriber::connect(&link.name()).map_err(unavailable)?;
    let stream = subscriber.subscribe(TOPIC).map_err(unavailable)?;
    Ok((subscriber, stream))
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
    /// How many the slowest receiver had read when we last looked.
    known_read: u64,
    /// How many each of them has read.
    read: Vec<&'s Word>,
}

fn failed(error: Error) -> Stop {
    Stop::Failed(error.to_string())
}

impl Sender for CreditedSender<'_> {
    #[inline]
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        let len_bytes = message.len();
        self.send_within(len_bytes, |place| place.copy_from_slice(message))
    }

    fn send_made(&mut self, buffer: &mut [u8], write: impl FnOnce(&mut [u8])) -> Result<(), Stop> {
        self.send_within(buffer.len(), write)
    }
}

impl CreditedSender<'_> {
    #[inline(always)]
    fn send_within(&mut self, len_bytes: usize, write: impl FnOnce(&mut [u8])) -> Result<(), Stop> {
        while self.sent - self.known_read >= self.credits {
            self.known_read = self.read.iter().map(|word| word.acquire()).min().unwrap_or(0);
        }
        let mut loan = self.publisher.loan(&self.topic).map_err(failed)?;
        write(&mut loan.as_mut_slice()[..len_bytes]);
        loan.set_len(len_bytes).map_err(failed)?;
        loan.publish_silent();
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
    #[inline]
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        let Some(sample) = self.stream.try_recv() else { return Ok(false) };
        read(&sample);
        drop(sample);
        self.count += 1;
        self.read.publish(self.count);
        Ok(true)
    }
}

/// The end that writes the one block.
pub(crate) struct PinnedSender {
    publisher: Publisher,
    topic: Topic,
}

impl Sender for PinnedSender {
    #[inline]
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        let mut loan = loop {
            match self.publisher.loan_pinned(&self.topic) {
                Ok(loan) => break loan,
                // The receiver has not let go of the message that it has just answered.
                Err(Error::PinnedReadersActive { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        };
        loan.set_data(message).map_err(failed)?;
        loan.publish();
        Ok(())
    }
}

/// The end that reads it.
pub(crate) struct PinnedReceiver {
    stream: Stream,
    _subscriber: Subscriber,
}

impl Receiver for PinnedReceiver {
    #[inline]
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        let Some(guard) = self.stream.try_recv_pinned() else { return Ok(false) };
        read(&guard);
        Ok(true)
    }
}
