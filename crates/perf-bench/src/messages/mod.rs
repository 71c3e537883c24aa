//! Messages of many sizes between two processes, through every carrier: round trips, and rates one way.
//!
//! A new carrier implements [`carrier::Carrier`] and adds its variant to [`Carried`], its place in [`Carried::ALL`] and
//! its line in `with_carrier`, nothing else.

pub(crate) mod carrier;
pub(crate) mod comparison;
mod exchange;
pub(crate) mod frames;
mod records;
mod transport;
mod unix_stream;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::side::{Measurement, Side, Stop};
use crate::subject::Subject;
use crate::workload::waiting::Waiting;

use carrier::{Carrier, Link};
use transport::OverFrames;

#[cfg(feature = "peers")]
use crate::peers::alpha_framed::AlphaFramed;

/// A carrier of messages, in a form that can be passed to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Carried {
    Records,
    RecordBatches,
    TransportRecords,
    TransportBatches,
    TransportFrames,
    UnixStreams,
    #[cfg(feature = "peers")]
    AlphaFramed,
    #[cfg(feature = "peers")]
    AlphaLargeFrames,
    #[cfg(feature = "peers")]
    Crossbar,
    #[cfg(feature = "peers")]
    CrossbarPinned,
    #[cfg(feature = "peers")]
    Iceoryx2,
    #[cfg(feature = "peers")]
    ZeroMq,
    #[cfg(feature = "aeron")]
    AeronIpc,
    #[cfg(feature = "aeron")]
    AeronYielding,
}

impl Carried {
    /// All of them; the rates of the others are compared with the first one.
    pub(crate) const ALL: &[Self] = &[
        Self::Records,
        Self::RecordBatches,
        Self::TransportRecords,
        Self::TransportBatches,
        Self::TransportFrames,
        Self::UnixStreams,
        #[cfg(feature = "peers")]
        Self::AlphaFramed,
        #[cfg(feature = "peers")]
        Self::AlphaLargeFrames,
        #[cfg(feature = "peers")]
        Self::Crossbar,
        #[cfg(feature = "peers")]
        Self::CrossbarPinned,
        #[cfg(feature = "peers")]
        Self::Iceoryx2,
        #[cfg(feature = "peers")]
        Self::ZeroMq,
        #[cfg(feature = "aeron")]
        Self::AeronIpc,
        #[cfg(feature = "aeron")]
        Self::AeronYielding,
    ];

    /// Whether this figure differs from the other figures of the carrier: a batch of one question is a question, and a
    /// block that is written again and again holds one message.
    pub(crate) fn has(self, figure: Figure) -> bool {
        match self {
            Self::RecordBatches | Self::TransportBatches => figure == Figure::OneWay,
            #[cfg(feature = "peers")]
            Self::CrossbarPinned => figure == Figure::RoundTrip,
            _ => true,
        }
    }

    /// Whether it is ours.
    pub(crate) fn is_ours(self) -> bool {
        matches!(
            self,
            Self::Records
                | Self::RecordBatches
                | Self::TransportRecords
                | Self::TransportBatches
                | Self::TransportFrames
        )
    }
}

/// Names the type of a carrier whose frames have a fixed size, which its users choose for their messages.
macro_rules! with_frames {
    ($bytes:expr, $carrier:ident = $framed:ident => $result:expr) => {
        match $bytes {
            64 => {
                type $carrier = $framed<64>;
                $result
            }
            256 => {
                type $carrier = $framed<256>;
                $result
            }
            1024 => {
                type $carrier = $framed<1024>;
                $result
            }
            4096 => {
                type $carrier = $framed<4096>;
                $result
            }
            16384 => {
                type $carrier = $framed<16384>;
                $result
            }
            _ => {
                type $carrier = $framed<65536>;
                $result
            }
        }
    };
}

/// Evaluates an expression with `$carrier` as the name of the type that a [`Carried`] stands for, where it carries
/// messages of `$bytes`.
macro_rules! with_carrier {
    ($carried:expr, $bytes:expr, $carrier:ident => $result:expr) => {
        match $carried {
            Carried::Records => {
                type $carrier = records::OwnRecords;
                $result
            }
            Carried::RecordBatches => {
                type $carrier = records::OwnBatches;
                $result
            }
            Carried::TransportRecords => {
                type $carrier = transport::OverRecords;
                $result
            }
            Carried::TransportBatches => {
                type $carrier = transport::OverRecordsInBatches;
                $result
            }
            Carried::TransportFrames => with_frames!($bytes, $carrier = OverFrames => $result),
            Carried::UnixStreams => {
                type $carrier = unix_stream::UnixStreams;
                $result
            }
            #[cfg(feature = "peers")]
            Carried::AlphaFramed => with_frames!($bytes, $carrier = AlphaFramed => $result),
            #[cfg(feature = "peers")]
            Carried::AlphaLargeFrames => {
                type $carrier = crate::peers::alpha_framed::AlphaLargeFrames;
                $result
            }
            #[cfg(feature = "peers")]
            Carried::Crossbar => {
                type $carrier = crate::peers::crossbar::Credited;
                $result
            }
            #[cfg(feature = "peers")]
            Carried::CrossbarPinned => {
                type $carrier = crate::peers::crossbar::Pinned;
                $result
            }
            #[cfg(feature = "peers")]
            Carried::Iceoryx2 => {
                type $carrier = crate::peers::iceoryx2::PublishSubscribe;
                $result
            }
            #[cfg(feature = "peers")]
            Carried::ZeroMq => {
                type $carrier = crate::peers::zeromq::PushPull;
                $result
            }
            #[cfg(feature = "aeron")]
            Carried::AeronIpc => {
                type $carrier = crate::peers::aeron::Spinning;
                $result
            }
            #[cfg(feature = "aeron")]
            Carried::AeronYielding => {
                type $carrier = crate::peers::aeron::Yielding;
                $result
            }
        }
    };
}

/// What is measured of a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Figure {
    /// A message there, and one of the same size back.
    RoundTrip,
    /// As many messages as go through.
    OneWay,
}

impl Figure {
    /// As the report calls it.
    fn name(self) -> &'static str {
        match self {
            Self::RoundTrip => "message round trip",
            Self::OneWay => "messages one way",
        }
    }
}

/// One carrier, one size, one figure. Every byte of every message is copied by its sender and read by its receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Messages {
    pub(crate) carried: Carried,
    pub(crate) figure: Figure,
    pub(crate) message_bytes: usize,
    /// How our ends wait; those of others wait as their carrier says.
    pub(crate) waiting: Waiting,
    /// How many receive each message that goes one way. All are in one process, which looks at one after the other:
    /// processes that spin need a cpu each, and a measurement has two.
    pub(crate) receivers: usize,
}

impl Messages {
    /// To one receiver.
    pub(crate) const fn new(carried: Carried, figure: Figure, message_bytes: usize, waiting: Waiting) -> Self {
        Self { carried, figure, message_bytes, waiting, receivers: 1 }
    }

    /// How the report calls the carrier.
    pub(crate) fn carrier_name(&self) -> &'static str {
        with_carrier!(self.carried, self.message_bytes, C => C::NAME)
    }

    /// The figure and the size: carriers are compared within them.
    pub(crate) fn discipline(&self) -> String {
        format!("{}, {}", self.figure.name(), limits::size(self.message_bytes))
    }

    /// How its sides wait, in a word, and whether they have threads beside their own.
    pub(crate) fn manners(&self) -> (&'static str, bool) {
        with_carrier!(self.carried, self.message_bytes, C => (C::WAIT.unwrap_or(self.waiting.name()), C::HAS_THREADS))
    }

    /// Direction `index` of a measurement.
    fn link<'s>(&self, side: &'s Side, index: usize) -> Link<'s> {
        Link::new(side, index, self.message_bytes, self.waiting).to(self.receivers)
    }
}

impl Subject for Messages {
    fn shared_bytes(&self) -> usize {
        Link::SHARED_BYTES
    }

    fn is_peers(&self) -> bool {
        !self.carried.is_ours()
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_carrier!(self.carried, self.message_bytes, C => match self.figure {
            Figure::RoundTrip => exchange::ask::<C>(side, self),
            Figure::OneWay => exchange::pour::<C>(side, self),
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_carrier!(self.carried, self.message_bytes, C => match self.figure {
            Figure::RoundTrip => exchange::answer::<C>(side, self),
            Figure::OneWay => exchange::drain::<C>(side, self),
        })
    }
}
