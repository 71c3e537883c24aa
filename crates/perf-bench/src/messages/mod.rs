//! Messages of many sizes between two processes, through whatever carries them: round trips, and rates one way.
//!
//! **Lives here:** [`Messages`], the subject; [`Carried`], the list of carriers; the list of [`cases`].
//! **Builds on:** `exchange` for what is measured, one module for each carrier, here or in `peers`.
//! **May touch it:** `main`; `workload` lists the subject. A new carrier implements [`carrier::Carrier`] and adds its
//! variant to [`Carried`], its place in [`Carried::ALL`] and its line in `with_carrier`, nothing else.

pub(crate) mod carrier;
pub(crate) mod comparison;
mod exchange;
pub(crate) mod frames;
mod records;
mod transport;
mod unix_stream;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::schedule::{Aim, Case, Judged};
use crate::side::{Measurement, Side, Stop};
use crate::workload::{Subject, Workload};

use carrier::{Carrier, Link};
use transport::OverFrames;

#[cfg(feature = "peers")]
use crate::peers::alpha_framed::AlphaFramed;

/// Something that carries messages, in a form that can be handed to another process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Carried {
    Records,
    RecordBatches,
    TransportRecords,
    TransportFrames,
    UnixStreams,
    #[cfg(feature = "peers")]
    AlphaFramed,
    #[cfg(feature = "peers")]
    Crossbar,
    #[cfg(feature = "peers")]
    Iceoryx2,
    #[cfg(feature = "peers")]
    ZeroMq,
    #[cfg(feature = "aeron")]
    AeronIpc,
}

impl Carried {
    /// All of them; the first one is what the rates of the others are compared with.
    const ALL: &[Self] = &[
        Self::Records,
        Self::RecordBatches,
        Self::TransportRecords,
        Self::TransportFrames,
        Self::UnixStreams,
        #[cfg(feature = "peers")]
        Self::AlphaFramed,
        #[cfg(feature = "peers")]
        Self::Crossbar,
        #[cfg(feature = "peers")]
        Self::Iceoryx2,
        #[cfg(feature = "peers")]
        Self::ZeroMq,
        #[cfg(feature = "aeron")]
        Self::AeronIpc,
    ];

    /// Whether there is something of its own to measure: a batch of one question is a question.
    fn has(self, figure: Figure) -> bool {
        (self, figure) != (Self::RecordBatches, Figure::RoundTrip)
    }
}

/// Names the type of a carrier whose frames have a fixed size, which its users choose to suit their messages.
macro_rules! with_frames {
    ($bytes:expr, $carrier:ident = $framed:ident => $result:expr) => {
        match $bytes {
            64 => {
                type $carrier = $framed<64>;
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
            Carried::TransportFrames => with_frames!($bytes, $carrier = OverFrames => $result),
            Carried::UnixStreams => {
                type $carrier = unix_stream::UnixStreams;
                $result
            }
            #[cfg(feature = "peers")]
            Carried::AlphaFramed => with_frames!($bytes, $carrier = AlphaFramed => $result),
            #[cfg(feature = "peers")]
            Carried::Crossbar => {
                type $carrier = crate::peers::crossbar::Credited;
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
                type $carrier = crate::peers::aeron::Ipc;
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

/// One carrier, one size, one figure. Every byte of every message is written by its sender and read by its receiver.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Messages {
    pub(crate) carried: Carried,
    pub(crate) figure: Figure,
    pub(crate) message_bytes: usize,
}

impl Messages {
    /// How the report calls the carrier.
    fn carrier_name(&self) -> &'static str {
        with_carrier!(self.carried, self.message_bytes, C => C::NAME)
    }

    /// The figure and the size: what carriers are compared in.
    fn discipline(&self) -> String {
        format!("{}, {}", self.figure.name(), limits::size(self.message_bytes))
    }

    fn case(self) -> Case {
        let (wait, has_threads) = with_carrier!(self.carried, self.message_bytes, C => (C::WAIT, C::HAS_THREADS));
        let name = format!("{}: {}", self.discipline(), self.carrier_name());
        let judged = if has_threads { Judged::Threads } else { Judged::Everybody };
        let aim = self.aim();
        Case { judged, aim, ..Case::new(name, wait, Workload::Messages(self)) }
    }

    /// What our own rings ought to reach: what throw-away programs with nothing else in them came to, and a little more
    /// time.
    fn aim(&self) -> Option<Aim> {
        match (self.carried, self.figure, self.message_bytes) {
            (Carried::Records, Figure::RoundTrip, 64) => Some(Aim::RatioAtMost(1.7)),
            (Carried::Records, Figure::RoundTrip, 1024) => Some(Aim::AtMost(600.0)),
            (Carried::Records, Figure::RoundTrip, 4096) => Some(Aim::AtMost(900.0)),
            (Carried::Records, Figure::RoundTrip, 16384) => Some(Aim::AtMost(2400.0)),
            (Carried::Records, Figure::RoundTrip, 65536) => Some(Aim::AtMost(7500.0)),
            (Carried::Records, Figure::RoundTrip, 2_097_152) => Some(Aim::AtMost(205e3)),
            (Carried::RecordBatches, Figure::OneWay, 64) => Some(Aim::AtLeast(100e6)),
            (Carried::RecordBatches, Figure::OneWay, 1024) => Some(Aim::AtLeast(35e6)),
            (Carried::RecordBatches, Figure::OneWay, 4096) => Some(Aim::AtLeast(8e6)),
            (Carried::RecordBatches, Figure::OneWay, 16384) => Some(Aim::AtLeast(2.1e6)),
            (Carried::RecordBatches, Figure::OneWay, 65536) => Some(Aim::AtLeast(420e3)),
            (Carried::RecordBatches, Figure::OneWay, 2_097_152) => Some(Aim::AtLeast(14e3)),
            _ => None,
        }
    }
}

impl Subject for Messages {
    fn shared_bytes(&self) -> usize {
        Link::SHARED_BYTES
    }

    fn is_peers(&self) -> bool {
        let is_ours = matches!(
            self.carried,
            Carried::Records | Carried::RecordBatches | Carried::TransportRecords | Carried::TransportFrames
        );
        !is_ours
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_carrier!(self.carried, self.message_bytes, C => match self.figure {
            Figure::RoundTrip => exchange::ask::<C>(side, self.message_bytes),
            Figure::OneWay => exchange::pour::<C>(side, self.message_bytes),
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_carrier!(self.carried, self.message_bytes, C => match self.figure {
            Figure::RoundTrip => exchange::answer::<C>(side, self.message_bytes),
            Figure::OneWay => exchange::drain::<C>(side, self.message_bytes),
        })
    }
}

/// From a cache line to what a large batch of requests comes to.
const MESSAGE_BYTES: [usize; 7] = [64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 2 << 20];

/// Every carrier with every size: round trips beside the cache line's, rates beside the first carrier's, because a bare
/// ring of words has nothing to say about messages.
pub(crate) fn cases() -> Vec<Case> {
    let cache_line = limits::cache_line_case();
    let case = |carried, figure, message_bytes| Messages { carried, figure, message_bytes }.case();
    let mut cases = vec![cache_line.clone()];
    for figure in [Figure::RoundTrip, Figure::OneWay] {
        for message_bytes in MESSAGE_BYTES {
            let first = case(Carried::ALL[0], figure, message_bytes);
            let of = |&carried| match figure {
                Figure::RoundTrip => case(carried, figure, message_bytes).beside(&cache_line),
                Figure::OneWay if carried == Carried::ALL[0] => first.clone(),
                Figure::OneWay => case(carried, figure, message_bytes).beside(&first),
            };
            cases.extend(Carried::ALL.iter().filter(|carried| carried.has(figure)).map(of));
        }
    }
    cases
}

/// The round trip of 1 KiB through records, which larger things are read beside.
pub(crate) fn record_round_trip_case() -> Case {
    let messages = Messages { carried: Carried::Records, figure: Figure::RoundTrip, message_bytes: 1 << 10 };
    messages.case().beside(&limits::cache_line_case())
}
