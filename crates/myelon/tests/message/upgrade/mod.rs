//! A type is upgraded while its stream lives: a writer of another version replaces the ring, and every reader with an
//! id of its own gets all of both.

mod away;
mod going_on;
mod older_rings;
mod places;
mod refused;

use myelon::codec::Codec;
use myelon::liveness::{Ending, RefusalCause, WaitingFor};
use myelon::prelude::*;
use myelon::typed_transport::{TypedPublishError, TypedReceiveError, TypedTap};
use myelon::{GcOutcome, Origin, PublishError, StartAt, gc, message};
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::process::{Respawn, say, wait_to_be_killed};
use testkit::test_name;
use testkit::watchdog::Watchdog;

/// Three versions of one message. The last one is [`Step`], and takes the two before it.
pub(crate) mod version {
    use super::message;

    #[message(name = "Step")]
    pub(crate) struct First {
        pub(crate) number: u32,
    }

    #[message(name = "Step")]
    pub(crate) struct Second {
        pub(crate) number: u32,
        pub(crate) version: u8,
    }
}
use version::{First, Second};

#[message(name = "Step", takes(First, Second))]
#[derive(Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) version: u8,
    pub(crate) number: u64,
}

impl From<First> for Step {
    fn from(First { number }: First) -> Self {
        Self { version: 1, number: number.into() }
    }
}

impl From<Second> for Step {
    fn from(Second { number, version }: Second) -> Self {
        Self { version, number: number.into() }
    }
}

/// A writer of one of the versions.
pub(crate) enum Writer<F: Format = Records> {
    First(TypedProducer<First, F>),
    Second(TypedProducer<Second, F>),
    Third(TypedProducer<Step, F>),
}

impl<F: Format> Writer<F> {
    pub(crate) fn build(builder: TransportBuilder<F>, version: u8) -> Self {
        Self::try_build(builder, version).unwrap()
    }

    pub(crate) fn try_build(builder: TransportBuilder<F>, version: u8) -> Result<Self, TransportError> {
        Ok(match version {
            1 => Self::First(TypedProducer::build(builder)?),
            2 => Self::Second(TypedProducer::build(builder)?),
            _ => Self::Third(TypedProducer::build(builder)?),
        })
    }

    pub(crate) fn origin(&self) -> Origin {
        match self {
            Self::First(it) => it.origin(),
            Self::Second(it) => it.origin(),
            Self::Third(it) => it.origin(),
        }
    }

    pub(crate) fn publish(&mut self, number: u64) {
        match self {
            Self::First(it) => it.publish(&First { number: number as u32 }, 0),
            Self::Second(it) => it.publish(&Second { number: number as u32, version: 2 }, 0),
            Self::Third(it) => it.publish(&Step { version: 3, number }, 0),
        }
        .unwrap();
    }

    pub(crate) fn hand_over(self) {
        match self {
            Self::First(it) => it.hand_over(),
            Self::Second(it) => it.hand_over(),
            Self::Third(it) => it.hand_over(),
        }
    }
}

/// One stream, its ring in shared memory or in a file.
struct Stage {
    names: ShmGuard,
    place: Place,
    _watchdog: Watchdog,
}

const DEPTH: usize = 1 << 16;

impl Stage {
    fn new() -> Self {
        let names = ShmGuard::new();
        let place = Place::from(names.name("s"));
        Self { names, place, _watchdog: Watchdog::new(Duration::from_secs(120), "a stream is upgraded") }
    }

    fn builder<F: Format>(&self, depth: usize) -> TransportBuilder<F> {
        TransportBuilder::new(&self.place, depth)
    }

    fn writer(&self, version: u8) -> Writer {
        Writer::build(self.builder(DEPTH), version)
    }

    fn reader(&self, id: &str) -> TypedConsumer<Step> {
        TypedConsumer::build(self.builder(0).with_consumer_id(id)).unwrap()
    }

    fn assert_one_ring(&self) {
        assert_eq!(self.names.leftovers().len(), 1, "{:?}", self.names.leftovers());
    }
}

/// A stream with a writer of the first version, and a reader of all versions with the id `a`.
fn scene() -> (Stage, Writer, TypedConsumer<Step>) {
    let stage = Stage::new();
    let (writer, reader) = (stage.writer(1), stage.reader("a"));
    (stage, writer, reader)
}

/// Checks the next messages of a reader: they have this version and these numbers, and come for the first time.
#[track_caller]
fn expect<F: Format>(reader: &mut TypedConsumer<Step, F>, version: u8, numbers: std::ops::Range<u64>) {
    for number in numbers {
        let message = reader.next(Patience::Endless).unwrap().unwrap();
        assert_eq!(message.decode().unwrap(), Step { version, number });
        assert_eq!(message.is_of_older_version(), version < 3);
        assert!(!message.is_redelivered(), "{number}");
        drop(message);
        assert_eq!(reader.is_of_older_version(), version < 3);
    }
}
