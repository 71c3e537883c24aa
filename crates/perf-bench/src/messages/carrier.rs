//! What carries messages from one process to another, as the measurements see it.

#[cfg(feature = "peers")]
use std::{io, path::PathBuf};

use crate::limits::RING_BYTES;
#[cfg(feature = "peers")]
use crate::raw::Word;
use crate::side::{Side, Stop};
use crate::workload::waiting::Waiting;

/// Something that carries messages of any length, in order and without loss, from one process to one other. A carrier
/// that may lose messages gets what it needs to avoid that, and its name says so.
///
/// A link is made in three steps, between which the sides meet: [`create`](Self::create), [`attach`](Self::attach),
/// [`Sender::join`].
pub(crate) trait Carrier {
    /// Its name in the report, with the version of another library.
    const NAME: &'static str;
    /// How its ends wait, in a word, where that cannot be chosen.
    const WAIT: Option<&'static str> = None;
    /// Whether an end has threads of its own, which then share its process's one cpu.
    const HAS_THREADS: bool = false;

    type Sender<'s>: Sender;
    type Receiver<'s>: Receiver;

    /// About how many messages go over a link before its memory is used again.
    fn lap(link: &Link<'_>) -> usize {
        link.depth()
    }

    /// Step one, in the sending process.
    ///
    /// # Errors
    /// [`Stop::Unavailable`] when this machine cannot have it: the case is then skipped with that reason.
    fn create<'s>(link: &Link<'s>) -> Result<Self::Sender<'s>, Stop>;

    /// Step two, in the receiving process, for each receiver.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    fn attach<'s>(link: &Link<'s>) -> Result<Self::Receiver<'s>, Stop>;
}

/// The end that messages go into.
pub(crate) trait Sender {
    /// Step three: the receiver has attached, and an end that has to look for it does so now.
    ///
    /// # Errors
    /// When it is not found.
    fn join(&mut self) -> Result<(), Stop> {
        Ok(())
    }

    /// Sends one message from a private buffer: copies it once where the carrier allows that. Waits while there is no
    /// room.
    ///
    /// # Errors
    /// See [`Stop`].
    fn send(&mut self, message: &[u8]) -> Result<(), Stop>;

    /// Sends several messages that are there together; a carrier that can announce them together does.
    ///
    /// # Errors
    /// See [`Stop`].
    fn send_all<'m>(&mut self, mut messages: impl Iterator<Item = &'m [u8]>) -> Result<(), Stop> {
        messages.try_for_each(|message| self.send(message))
    }

    /// Sends a message that `write` makes. It is written to the place from which it is sent, if the carrier has such a
    /// place before there is a message, and otherwise to `buffer`, which is as long as the message.
    ///
    /// # Errors
    /// See [`Stop`].
    #[cfg(feature = "peers")]
    fn send_made(&mut self, buffer: &mut [u8], write: impl FnOnce(&mut [u8])) -> Result<(), Stop> {
        write(buffer);
        self.send(buffer)
    }
}

/// The end that messages come out of.
pub(crate) trait Receiver {
    /// Shows what is there to `read`, which looks at every byte: at least one message; all that are there if the
    /// carrier
    /// gives them together; nothing if there is none. After this they are released. Returns whether there was any.
    ///
    /// # Errors
    /// See [`Stop`].
    fn poll(&mut self, read: impl FnMut(&[u8])) -> Result<bool, Stop>;

    /// As [`poll`](Self::poll), and waits for a message while there is none.
    ///
    /// # Errors
    /// See [`Stop`].
    #[inline]
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        while !self.poll(&mut read)? {}
        Ok(())
    }
}

/// What the two ends of one direction are made from.
pub(crate) struct Link<'s> {
    side: &'s Side,
    /// Which of the measurement's directions.
    index: usize,
    message_bytes: usize,
    waiting: Waiting,
    /// How many receivers there are.
    receivers: usize,
    /// Which of them attaches.
    receiver: usize,
}

/// The most receivers that a link has.
pub(crate) const RECEIVERS_MAX: usize = 4;

/// The shared word of a receiver, on a pair of cache lines of its own.
const WORD_BYTES: usize = 128;
/// Those of one direction.
const WORDS_BYTES: usize = RECEIVERS_MAX * WORD_BYTES;

/// The name of a receiver, for a sender that knows its receivers by name.
pub(crate) fn consumer_id(receiver: usize) -> String {
    format!("c{receiver}")
}

/// The most messages that a link is asked to hold, and the fewest: a sender that writes one while the receiver reads
/// another one still has a choice of two.
const DEPTH: (usize, usize) = (4, 32 * 1024);

impl<'s> Link<'s> {
    /// How many shared bytes the links of a measurement need, of which there are at most two.
    pub(crate) const SHARED_BYTES: usize = 2 * WORDS_BYTES;

    /// Direction `index` of the measurement that `side` is a part of, to one receiver.
    pub(crate) fn new(side: &'s Side, index: usize, message_bytes: usize, waiting: Waiting) -> Self {
        Self { side, index, message_bytes, waiting, receivers: 1, receiver: 0 }
    }

    /// The same to this many receivers.
    pub(crate) fn to(self, receivers: usize) -> Self {
        assert!((1..=RECEIVERS_MAX).contains(&receivers), "there are no words for {receivers} receivers");
        Self { receivers, ..self }
    }

    /// The links of its receivers.
    pub(crate) fn each(&self) -> impl Iterator<Item = Link<'s>> {
        (0..self.receivers).map(|receiver| Self { receiver, ..*self })
    }

    /// How the ends wait.
    pub(crate) fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// A name that no other link has. Every object in shared memory with this in its name is removed after the
    /// measurement, however that ends.
    pub(crate) fn name(&self) -> String {
        self.side.segment(self.index)
    }

    /// How long every message is.
    pub(crate) fn message_bytes(&self) -> usize {
        self.message_bytes
    }

    /// Which of the receivers attaches.
    pub(crate) fn receiver(&self) -> usize {
        self.receiver
    }

    /// How many messages it should hold, a power of two: those of the [footprint](RING_BYTES) that suits most machines.
    pub(crate) fn depth(&self) -> usize {
        let (fewest, most) = DEPTH;
        (RING_BYTES / self.message_bytes).clamp(fewest, most).next_power_of_two()
    }
}

#[cfg(feature = "peers")]
impl<'s> Link<'s> {
    /// How many receivers there are.
    pub(crate) fn receivers(&self) -> usize {
        self.receivers
    }

    /// A word that the sender and this receiver see, zero at the start, for a carrier that needs a count beside it.
    pub(crate) fn word(&self) -> &'s Word {
        self.side.word(self.index * WORDS_BYTES + self.receiver * WORD_BYTES)
    }

    /// An empty directory for the files of a carrier that has some. It exists after this call and is removed like the
    /// objects with our [name](Self::name).
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn folder(&self) -> io::Result<PathBuf> {
        let folder = PathBuf::from(crate::limits::reserve::SHARED_MEMORY_DIR).join(format!("{}-files", self.name()));
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }
}
