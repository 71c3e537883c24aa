//! Aeron IPC (crates rusteron 0.2.16, which bring its C source): an exclusive publication through a media driver's log
//! buffers in shared memory.
//!
//! Only with the feature `aeron`, because its build needs cmake and libclang.
//!
//! The sending process has the media driver, as one thread that sleeps when it has nothing to do, and both processes
//! have a client's thread of the same kind. Messages do not go through these threads. But the driver tells the sender
//! how far it may go, half a term ahead, and here it shares the sender's one cpu. Ends that look again at once answer
//! soonest. Ends that yield their cpu in between let the driver run when the sender waits for it, which its rates need.
//! So both are measured. The transmission unit is the largest one: `offer` copies a message that fits one, like a
//! message that does not. Such a message is polled without an assembler, which only longer messages need. A term is as
//! long as the longest message of a measurement needs (eight times it), and at least as long as the rings of all
//! others.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rusteron_client::{
    Aeron, AeronCError, AeronExclusivePublication, AeronFragmentClosureAssembler, AeronHeader, AeronSubscription,
    Handlers,
};
use rusteron_media_driver::bindings::aeron_threading_mode_enum;
use rusteron_media_driver::{AeronDriver, AeronDriverContext, EmbeddedMediaDriver, IntoCString};

use crate::limits::RING_BYTES;
use crate::messages::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::Stop;

/// The carrier, whose ends yield their cpu while they wait or do not.
pub(crate) enum Ipc<const YIELDS: bool> {}

/// Ends that look again at once.
pub(crate) type Spinning = Ipc<false>;
/// Ends that yield their cpu in between.
pub(crate) type Yielding = Ipc<true>;

/// Any stream; the driver has no other.
const STREAM: i32 = 1;
/// The largest transmission unit.
const UNIT_BYTES: usize = 65504;
/// A message may be an eighth of a term.
const MESSAGES_PER_TERM: usize = 8;
/// Terms of a log.
const TERMS: usize = 3;
/// What a message has beside its bytes in the log.
const HEADER_BYTES: usize = 32;
/// Fragments that one poll takes.
const FRAGMENTS: usize = 64;
/// What the driver may take to answer, and the ends to find each other.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

impl<const YIELDS: bool> Carrier for Ipc<YIELDS> {
    const NAME: &'static str =
        if YIELDS { "Aeron IPC (rusteron 0.2.16), yielding" } else { "Aeron IPC (rusteron 0.2.16), spinning" };
    const WAIT: Option<&'static str> = Some(if YIELDS { "yield" } else { "spin" });
    const HAS_THREADS: bool = true;

    type Sender<'s> = LogSender<YIELDS>;
    type Receiver<'s> = LogReceiver<YIELDS>;

    fn lap(link: &Link<'_>) -> usize {
        TERMS * term_bytes(link) / (link.message_bytes() + HEADER_BYTES)
    }

    fn create<'s>(link: &Link<'s>) -> Result<Self::Sender<'s>, Stop> {
        let driver = driver(link)?;
        let publish = || -> Result<_, AeronCError> {
            let client = Aeron::connect_dir(&directory(link))?;
            let publication = client.async_add_exclusive_publication(&channel(link), STREAM)?;
            Ok((publication.poll_blocking(JOIN_TIMEOUT)?, client))
        };
        let (publication, client) = publish().map_err(unavailable)?;
        Ok(LogSender { publication, _client: client, _driver: driver })
    }

    fn attach<'s>(link: &Link<'s>) -> Result<Self::Receiver<'s>, Stop> {
        let subscribe = || -> Result<_, AeronCError> {
            let client = Aeron::connect_dir(&directory(link))?;
            let subscription = client.async_add_subscription(&channel(link), STREAM, Handlers::NONE, Handlers::NONE)?;
            let subscription = subscription.poll_blocking(JOIN_TIMEOUT)?;
            let is_split = link.message_bytes() + HEADER_BYTES > UNIT_BYTES;
            let assembler = if is_split { Some(AeronFragmentClosureAssembler::new()?) } else { None };
            Ok(LogReceiver { subscription, assembler, _client: client })
        };
        subscribe().map_err(unavailable)
    }
}

/// How long the terms of a link's log are: a power of two.
fn term_bytes(link: &Link<'_>) -> usize {
    (link.message_bytes() * MESSAGES_PER_TERM).max(RING_BYTES).next_power_of_two()
}

/// Where the driver of a link has its files: in a directory of its own making.
fn directory(link: &Link<'_>) -> String {
    format!("{}/{}-aeron", crate::limits::reserve::SHARED_MEMORY_DIR, link.name())
}

fn channel(link: &Link<'_>) -> CString {
    format!("aeron:ipc?term-length={}|mtu={UNIT_BYTES}", term_bytes(link)).into_c_string()
}

fn driver(link: &Link<'_>) -> Result<EmbeddedMediaDriver, Stop> {
    let configure = || -> Result<_, rusteron_media_driver::AeronCError> {
        let context = AeronDriverContext::new()?;
        context.set_dir(&directory(link).into_c_string())?;
        context.set_dir_delete_on_shutdown(true)?;
        context.set_term_buffer_sparse_file(false)?;
        context.set_threading_mode(aeron_threading_mode_enum::AERON_THREADING_MODE_SHARED)?;
        Ok(context)
    };
    let context = configure().map_err(|error| Stop::Unavailable(error.to_string()))?;
    Ok(AeronDriver::launch_embedded_guard(context, false))
}

fn unavailable(error: AeronCError) -> Stop {
    Stop::Unavailable(error.to_string())
}

/// What an end does between two looks.
#[inline(always)]
fn idle<const YIELDS: bool>() {
    if YIELDS { std::thread::yield_now() } else { std::hint::spin_loop() }
}

fn failed(error: impl std::fmt::Display) -> Stop {
    Stop::Failed(error.to_string())
}

/// The end that publishes. Fields are dropped in this order: the driver after its client.
pub(crate) struct LogSender<const YIELDS: bool> {
    publication: AeronExclusivePublication,
    _client: Aeron,
    _driver: EmbeddedMediaDriver,
}

impl<const YIELDS: bool> Sender for LogSender<YIELDS> {
    fn join(&mut self) -> Result<(), Stop> {
        let begin = Instant::now();
        while !self.publication.is_connected() {
            if begin.elapsed() > JOIN_TIMEOUT {
                return Err(Stop::Unavailable(format!("its publication had no subscriber after {JOIN_TIMEOUT:?}")));
            }
        }
        Ok(())
    }

    #[inline]
    fn send(&mut self, message: &[u8]) -> Result<(), Stop> {
        loop {
            match self.publication.offer(message) {
                Ok(_) => return Ok(()),
                Err(error) if error.is_retryable() => idle::<YIELDS>(),
                Err(error) => return Err(failed(error)),
            }
        }
    }

    fn send_made(&mut self, buffer: &mut [u8], write: impl FnOnce(&mut [u8])) -> Result<(), Stop> {
        if buffer.len() + HEADER_BYTES > UNIT_BYTES {
            write(buffer);
            return self.send(buffer);
        }
        let mut claim = loop {
            match self.publication.try_claim_owned(buffer.len()) {
                Ok(claim) => break claim,
                Err(error) if error.is_retryable() => idle::<YIELDS>(),
                Err(error) => return Err(failed(error)),
            }
        };
        write(claim.data());
        claim.commit().map_err(failed)?;
        Ok(())
    }
}

/// The end that subscribes.
pub(crate) struct LogReceiver<const YIELDS: bool> {
    subscription: AeronSubscription,
    /// Where messages are longer than a transmission unit.
    assembler: Option<AeronFragmentClosureAssembler>,
    _client: Aeron,
}

/// A reader, and whether it has been shown a message.
struct Shown<F> {
    read: F,
    any: bool,
}

impl<const YIELDS: bool> Receiver for LogReceiver<YIELDS> {
    #[inline]
    fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
        fn show<F: FnMut(&[u8])>(shown: &mut Shown<F>, message: &[u8], _: AeronHeader) {
            (shown.read)(message);
            shown.any = true;
        }
        let Some(assembler) = &mut self.assembler else {
            let fragments = self.subscription.poll_fn(|message, _| read(message), FRAGMENTS).map_err(failed)?;
            return Ok(fragments > 0);
        };
        let mut shown = Shown { read, any: false };
        assembler.poll(&self.subscription, &mut shown, show, FRAGMENTS).map_err(failed)?;
        Ok(shown.any)
    }

    #[inline]
    fn receive(&mut self, mut read: impl FnMut(&[u8])) -> Result<(), Stop> {
        while !self.poll(&mut read)? {
            idle::<YIELDS>();
        }
        Ok(())
    }
}
