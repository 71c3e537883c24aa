//! A scheduler's step as a typed message, through each codec: round trips, and rates one way; and for comparison the
//! same number of bytes without a codec.

#[cfg(feature = "peers")]
mod plain;
mod step;
mod way;

use std::collections::BTreeMap;
use std::time::Instant;

use disruptor_mp::DEFAULT_RECORD_RING_BYTES;
use serde::{Deserialize, Serialize};

use crate::messages::Figure;
use crate::messages::carrier::Link;
use crate::probe::Label;
use crate::report::Row;
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Unit, sum_below};
use crate::subject::Subject;
use crate::workload::round_trips::{Asking, Questioner, check};
use crate::workload::waiting::Waiting;

#[cfg(feature = "peers")]
use plain::{Bincode, Over, Postcard, Rkyv};
use step::{BincodeStep, PostcardStep, number_of};
use way::{Bytes, Owned, StepReceiver, StepSender, Trusted, Typed, Validated, Way};

/// What the step travels as, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    Bytes,
    RkyvTrusted,
    RkyvValidated,
    BincodeOwned,
    PostcardOwned,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes alone",
            Self::RkyvTrusted => "rkyv in place, trusted",
            Self::RkyvValidated => "rkyv in place, validated",
            Self::BincodeOwned => "bincode, owned",
            Self::PostcardOwned => "postcard, owned",
        }
    }

    /// How the report calls the case.
    pub(crate) fn case_name(self) -> String {
        format!("step of 26 KiB round trip: {}", self.name())
    }
}

/// What carries the step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Through {
    /// A typed stream of ours.
    Ours,
    /// The same through a ring of [`SHORT_RING_BYTES`].
    OursShort,
    #[cfg(feature = "peers")]
    AlphaLargeFrames,
    #[cfg(feature = "peers")]
    Crossbar,
    #[cfg(feature = "peers")]
    Iceoryx2,
    #[cfg(feature = "aeron")]
    AeronSpinning,
    #[cfg(feature = "aeron")]
    AeronYielding,
}

/// So few bytes stay in a second-level cache. It has room for 19 steps.
const SHORT_RING_BYTES: usize = 512 << 10;

impl Through {
    pub(crate) fn is_ours(self) -> bool {
        matches!(self, Self::Ours | Self::OursShort)
    }

    /// Whether an end has threads of its own.
    pub(crate) fn has_threads(self) -> bool {
        match self {
            #[cfg(feature = "aeron")]
            Self::AeronSpinning | Self::AeronYielding => true,
            _ => false,
        }
    }
}

/// A step there, and one back; or steps one way. All are encoded from values that are there already, and every field of
/// all is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TypedStep {
    pub(crate) form: Form,
    pub(crate) figure: Figure,
    pub(crate) through: Through,
    /// How our ends wait.
    pub(crate) waiting: Waiting,
}

/// The link of the questions.
const THERE: usize = 0;
/// The link of the answers.
const BACK: usize = 1;

/// The number of the step that ends the conversation. No other step has it: no count reaches it.
const STOP: u64 = u64::MAX;

/// Round trips before anything is measured: more than twice round the rings, so that all their pages have been touched.
const WARM_UP: u64 = 512;

/// Round trips that are timed together. They are long, so few hide the clock.
const GROUP: u64 = 4;

/// Steps between two looks at the clock.
const STEPS_PER_LOOK: u64 = 16;

/// Role 0's ends.
struct Ends<S, R> {
    there: S,
    back: R,
}

impl<S: StepSender, R: StepReceiver> Asking for Ends<S, R> {
    fn ask(&mut self, number: u64) -> Result<(), Stop> {
        self.there.send(number)?;
        // The answer's number is the sum of the question.
        check(number, self.back.receive()?, self.there.sum(self.there.sum(number)))
    }

    fn stop(&mut self) -> Result<(), Stop> {
        self.there.send(STOP)
    }
}

/// The sum of a step without its number, and the sum of the step that ends the conversation.
fn rest_and_stop<W: Way>() -> Result<(u64, u64), Stop> {
    let rest = W::rest()?;
    Ok((rest, rest.wrapping_add(number_of(STOP))))
}

impl TypedStep {
    fn link<'s, W: Way>(&self, side: &'s Side, index: usize) -> Link<'s> {
        Link::new(side, index, W::len_bytes(), self.waiting)
    }

    /// Role 0 of a round trip.
    fn ask<W: Way>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut there = W::create(&self.link::<W>(side, THERE))?;
        side.rendezvous()?;
        let back = W::attach(&self.link::<W>(side, BACK))?;
        side.rendezvous()?;
        there.join()?;
        side.rendezvous()?;
        let mut questioner = Questioner::new(Ends { there, back });
        (0..WARM_UP).try_for_each(|_| questioner.ask())?;
        side.measured(|| questioner.measure(side.window(), GROUP))
    }

    /// Role 1 of a round trip.
    fn answer<W: Way>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut back = W::create(&self.link::<W>(side, BACK))?;
        side.rendezvous()?;
        let mut there = W::attach(&self.link::<W>(side, THERE))?;
        side.rendezvous()?;
        back.join()?;
        side.rendezvous()?;
        let (_, stop) = rest_and_stop::<W>()?;
        for _ in 0..WARM_UP {
            let sum = there.receive()?;
            back.send(sum)?;
        }
        side.measured(|| {
            loop {
                match there.receive()? {
                    sum if sum == stop => return Ok(None),
                    sum => back.send(sum)?,
                }
            }
        })
    }

    /// Role 0 one way.
    fn pour<W: Way>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        let mut there = W::create(&self.link::<W>(side, THERE))?;
        side.rendezvous()?;
        side.rendezvous()?;
        there.join()?;
        side.rendezvous()?;
        (0..WARM_UP).try_for_each(|number| there.send(number))?;
        side.measured(|| {
            let (begin, mut number) = (Instant::now(), 0);
            while begin.elapsed() < side.window() {
                (number..number + STEPS_PER_LOOK).try_for_each(|number| there.send(number))?;
                number += STEPS_PER_LOOK;
            }
            there.send(STOP)?;
            Ok(None)
        })
    }

    /// Role 1 one way: the rate from the first step to the end.
    fn drain<W: Way>(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        side.rendezvous()?;
        let mut there = W::attach(&self.link::<W>(side, THERE))?;
        side.rendezvous()?;
        side.rendezvous()?;
        let (rest, stop) = rest_and_stop::<W>()?;
        (0..WARM_UP).try_for_each(|_| there.receive().map(drop))?;
        side.measured(|| {
            let (mut count, mut total, mut begin, mut is_over) = (0_u64, 0_u64, None, false);
            while !is_over {
                there.receive_some(|sum| {
                    is_over |= sum == stop;
                    if !is_over {
                        begin.get_or_insert_with(Instant::now);
                        count += 1;
                        total = total.wrapping_add(sum);
                    }
                })?;
            }
            let elapsed = begin.map_or_else(Default::default, |begin: Instant| begin.elapsed());
            let expected = rest.wrapping_add(number_of(0)).wrapping_mul(count).wrapping_add(sum_below(count));
            if total != expected {
                return Err(Stop::Failed(format!("{count} steps came to {total} and not to {expected}")));
            }
            Ok(Some(Measurement::of(count as f64 / elapsed.as_secs_f64(), Unit::EventsPerSecond)))
        })
    }
}

/// Evaluates an expression with `$way` as the name of the type that a form through a ring of ours stands for.
macro_rules! with_ours {
    ($form:expr, $ring_bytes:expr, $way:ident => $result:expr) => {
        match $form {
            Form::Bytes => {
                type $way = Bytes;
                $result
            }
            Form::RkyvTrusted => {
                type $way = Typed<Trusted, { $ring_bytes }>;
                $result
            }
            Form::RkyvValidated => {
                type $way = Typed<Validated, { $ring_bytes }>;
                $result
            }
            Form::BincodeOwned => {
                type $way = Typed<Owned<BincodeStep>, { $ring_bytes }>;
                $result
            }
            Form::PostcardOwned => {
                type $way = Typed<Owned<PostcardStep>, { $ring_bytes }>;
                $result
            }
        }
    };
}

/// The same for a form through another's carrier.
#[cfg(feature = "peers")]
macro_rules! with_plain {
    ($form:expr, $carrier:ty, $way:ident => $result:expr) => {
        match $form {
            Form::RkyvValidated => {
                type $way = Over<Rkyv, $carrier>;
                $result
            }
            Form::BincodeOwned => {
                type $way = Over<Bincode, $carrier>;
                $result
            }
            Form::PostcardOwned => {
                type $way = Over<Postcard, $carrier>;
                $result
            }
            form => Err(Stop::Failed(format!("{form:?} is not measured through others"))),
        }
    };
}

/// The same for its carrier.
macro_rules! with_way {
    ($step:expr, $way:ident => $result:expr) => {
        match $step.through {
            Through::Ours => with_ours!($step.form, DEFAULT_RECORD_RING_BYTES, $way => $result),
            Through::OursShort => with_ours!($step.form, SHORT_RING_BYTES, $way => $result),
            #[cfg(feature = "peers")]
            Through::AlphaLargeFrames => {
                with_plain!($step.form, crate::peers::alpha_framed::AlphaLargeFrames, $way => $result)
            }
            #[cfg(feature = "peers")]
            Through::Crossbar => with_plain!($step.form, crate::peers::crossbar::Credited, $way => $result),
            #[cfg(feature = "peers")]
            Through::Iceoryx2 => with_plain!($step.form, crate::peers::iceoryx2::PublishSubscribe, $way => $result),
            #[cfg(feature = "aeron")]
            Through::AeronSpinning => with_plain!($step.form, crate::peers::aeron::Spinning, $way => $result),
            #[cfg(feature = "aeron")]
            Through::AeronYielding => with_plain!($step.form, crate::peers::aeron::Yielding, $way => $result),
        }
    };
}

impl Subject for TypedStep {
    fn shared_bytes(&self) -> usize {
        Link::SHARED_BYTES
    }

    fn is_peers(&self) -> bool {
        !self.through.is_ours()
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_way!(self, W => match self.figure {
            Figure::RoundTrip => self.ask::<W>(side),
            Figure::OneWay => self.pour::<W>(side),
        })
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        with_way!(self, W => match self.figure {
            Figure::RoundTrip => self.answer::<W>(side),
            Figure::OneWay => self.drain::<W>(side),
        })
    }
}

/// A sentence for each label: what the codec adds to the cost of the bytes, and what validation adds to that.
pub(crate) fn costs(rows: &[Row]) -> Vec<String> {
    let medians = |form: Form| {
        let name = form.case_name();
        let rows = rows.iter().filter(move |row| row.case == name);
        rows.filter_map(|row| Some((row.label?, row.measured.as_ref()?.summary.median))).collect::<BTreeMap<_, _>>()
    };
    let [bytes, trusted, validated] = [Form::Bytes, Form::RkyvTrusted, Form::RkyvValidated].map(medians);
    let written = |more: f64| format!("{}{}", if more < 0.0 { "-" } else { "" }, Unit::Nanoseconds.written(more.abs()));
    let sentence = |(label, trusted): (&Label, &f64)| {
        let (bytes, validated) = (bytes.get(label)?, validated.get(label)?);
        let (codec, validation) = (written(trusted - bytes), written(validated - trusted));
        Some(format!("typed step ({label}), there and back: rkyv adds {codec} to its bytes, validation {validation}"))
    };
    trusted.iter().filter_map(sentence).collect()
}
