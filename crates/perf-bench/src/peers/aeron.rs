//! Aeron IPC (crates rusteron 0.2.16, which bring its C source): an exclusive publication through a media driver's log
//! buffers in shared memory.
//!
//! **Lives here:** [`Ipc`]. **Builds on:** its public interface. **May touch it:** `messages`. Only with the feature
//! `aeron`, because it needs cmake and libclang to be built.
//!
//! The sending process has the media driver, as one thread that sleeps when it has nothing to do, and both processes have
//! a client's thread of the same kind. Messages do not go through these, but the driver tells the sender how far it may
//! go, half a term ahead, and here it shares the sender's one cpu: a driver on a cpu of its own would be quicker. The
//! log's three terms have 16 MiB each, which is what the longest message demands; shorter ones would leave a fast sender
//! waiting for the driver. The transmission unit is the largest there is. A message that fits one is claimed and written
//! in place, a longer one is written into a buffer, offered, and put together again by the receiver's assembler. Both
//! ends spin.

use std::ffi::CString;
use std::time::{Duration, Instant};

use rusteron_client::{
    Aeron, AeronCError, AeronExclusivePublication, AeronFragmentClosureAssembler, AeronHeader, AeronOfferError,
    AeronSubscription, Handlers,
};
use rusteron_media_driver::bindings::aeron_threading_mode_enum;
use rusteron_media_driver::{AeronDriver, AeronDriverContext, EmbeddedMediaDriver, IntoCString};

use crate::messages::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::Stop;
use crate::workload::payload::Payload;

/// The carrier.
pub(crate) enum Ipc {}

/// Any stream; the driver has no other.
const STREAM: i32 = 1;
/// The largest transmission unit.
const UNIT_BYTES: usize = 65504;
/// A message may be an eighth of a term, and the longest has 2 MiB.
const TERM_BYTES: usize = 16 << 20;
/// Terms of a log.
const TERMS: usize = 3;
/// What a message has beside its bytes in the log.
const HEADER_BYTES: usize = 32;
/// Fragments that one poll takes.
const FRAGMENTS: usize = 64;
/// What the driver may take to answer, and the ends to find each other.
const JOIN_TIMEOUT: Duration = Duration::from_secs(10);

impl Carrier for Ipc {
    const NAME: &'static str = "Aeron IPC (rusteron 0.2.16)";
    const HAS_THREADS: bool = true;

    type Sender<'s> = LogSender;
    type Receiver<'s> = LogReceiver;

    fn lap(link: &Link<'_>) -> usize {
        TERMS * TERM_BYTES / (link.message_bytes() + HEADER_BYTES)
    }

    fn create(link: &Link<'_>) -> Result<LogSender, Stop> {
        let driver = driver(link)?;
        let publish = || -> Result<_, AeronCError> {
            let client = Aeron::connect_dir(&directory(link))?;
            let publication = client.async_add_exclusive_publication(&channel(), STREAM)?;
            let publication = publication.poll_blocking(JOIN_TIMEOUT)?;
            let in_place_bytes_max = publication.max_payload_length()?;
            Ok((publication, in_place_bytes_max, client))
        };
        let (publication, in_place_bytes_max, client) = publish().map_err(unavailable)?;
        Ok(LogSender { publication, in_place_bytes_max, message: Vec::new(), _client: client, _driver: driver })
    }

    fn attach(link: &Link<'_>) -> Result<LogReceiver, Stop> {
        let subscribe = || -> Result<_, AeronCError> {
            let client = Aeron::connect_dir(&directory(link))?;
            let subscription = client.async_add_subscription(&channel(), STREAM, Handlers::NONE, Handlers::NONE)?;
            let subscription = subscription.poll_blocking(JOIN_TIMEOUT)?;
            Ok(LogReceiver { subscription, assembler: AeronFragmentClosureAssembler::new()?, _client: client })
        };
        subscribe().map_err(unavailable)
    }
}

/// Where the driver of a link has its files: in a directory of its own making.
fn directory(link: &Link<'_>) -> String {
    format!("{}/{}-aeron", crate::limits::reserve::SHARED_MEMORY_DIR, link.name())
}

fn channel() -> CString {
    format!("aeron:ipc?term-length={TERM_BYTES}|mtu={UNIT_BYTES}").into_c_string()
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

/// The end that publishes. Fields are dropped in this order: the driver after its client.
pub(crate) struct LogSender {
    publication: AeronExclusivePublication,
    /// The longest message that can be claimed.
    in_place_bytes_max: usize,
    /// A message that cannot.
    message: Vec<u8>,
    _client: Aeron,
    _driver: EmbeddedMediaDriver,
}

impl Sender for LogSender {
    fn join(&mut self) -> Result<(), Stop> {
        let begin = Instant::now();
        while !self.publication.is_connected() {
            if begin.elapsed() > JOIN_TIMEOUT {
                return Err(Stop::Unavailable(format!("its publication had no subscriber after {JOIN_TIMEOUT:?}")));
            }
        }
        Ok(())
    }

    fn send(&mut self, payload: Payload) -> Result<(), Stop> {
        if payload.len_bytes() <= self.in_place_bytes_max {
            let mut claim = until_there_is_room(|| self.publication.try_claim_owned(payload.len_bytes()))?;
            payload.write(claim.data());
            claim.commit().map_err(|error| Stop::Failed(error.to_string()))?;
        } else {
            self.message.resize(payload.len_bytes(), 0);
            payload.write(&mut self.message);
            until_there_is_room(|| self.publication.offer(&self.message))?;
        }
        Ok(())
    }
}

/// Asks until the answer is not that there is no room just now.
fn until_there_is_room<T>(mut ask: impl FnMut() -> Result<T, AeronOfferError>) -> Result<T, Stop> {
    loop {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_retryable() => {}
            Err(error) => return Err(Stop::Failed(error.to_string())),
        }
    }
}

/// The end that subscribes.
pub(crate) struct LogReceiver {
    subscription: AeronSubscription,
    assembler: AeronFragmentClosureAssembler,
    _client: Aeron,
}

/// A reader, and whether it has been shown a message.
struct Shown<F> {
    read: F,
    any: bool,
}

impl Receiver for LogReceiver {
    fn receive(&mut self, read: impl FnMut(&[u8])) -> Result<(), Stop> {
        fn show<F: FnMut(&[u8])>(shown: &mut Shown<F>, message: &[u8], _: AeronHeader) {
            (shown.read)(message);
            shown.any = true;
        }
        let mut shown = Shown { read, any: false };
        while !shown.any {
            self.assembler
                .poll(&self.subscription, &mut shown, show, FRAGMENTS)
                .map_err(|error| Stop::Failed(error.to_string()))?;
        }
        Ok(())
    }
}
