//! A scheduler's step as a typed message, there and back, through each codec; and beside it as many bytes without one.
//!
//! **Lives here:** [`TypedRoundTrip`], the subject; [`costs`], the differences that a table does not show. **Builds
//! on:** `way`, `step`, `workload::round_trips`. **May touch it:** `main`; `workload` lists the subject.

mod step;
mod way;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::probe::Label;
use crate::report::Row;
use crate::side::{Measurement, Side, Stop};
use crate::stats::Unit;
use crate::subject::Subject;
use crate::workload::round_trips::{Asking, Questioner, check};

use way::{Bytes, Owned, StepReceiver, StepSender, Trusted, Typed, Validated, Way};

/// What the step travels as, and how it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Form {
    Bytes,
    RkyvTrusted,
    RkyvValidated,
    BincodeOwned,
}

impl Form {
    fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes alone",
            Self::RkyvTrusted => "rkyv in place, trusted",
            Self::RkyvValidated => "rkyv in place, validated",
            Self::BincodeOwned => "bincode, owned",
        }
    }

    /// How the report calls the case.
    pub(crate) fn case_name(self) -> String {
        format!("step of 26 KiB round trip: {}", self.name())
    }
}

/// A step there, and one back. Both are encoded from values that are there already, and every field of both is read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct TypedRoundTrip {
    pub(crate) form: Form,
}

/// The segment of the questions.
const THERE: usize = 0;
/// The segment of the answers.
const BACK: usize = 1;

/// The kind of a message that is answered.
const KIND_STEP: u8 = 0;
/// The kind of one that ends the conversation.
const KIND_STOP: u8 = 1;

/// Round trips before anything is measured: more than twice round the rings, so that all their pages have been touched.
const WARM_UP: usize = 512;

/// Round trips that are timed together. They are long, so few hide the clock.
const GROUP: u64 = 4;

/// Role 0's ends.
struct Ends<W: Way> {
    there: W::Sender,
    back: W::Receiver,
}

impl<W: Way> Asking for Ends<W> {
    fn ask(&mut self, number: u64) -> Result<(), Stop> {
        self.there.send(number, KIND_STEP)?;
        let (_, found) = self.back.receive()?;
        // The answer's number is what the question came to.
        check(number, found, self.there.sum(self.there.sum(number)))
    }

    fn stop(&mut self) -> Result<(), Stop> {
        self.there.send(0, KIND_STOP)
    }
}

fn ask<W: Way>(side: &Side) -> Result<Option<Measurement>, Stop> {
    let there = W::create(side.segment(THERE))?;
    side.rendezvous()?;
    let back = W::attach(side.segment(BACK))?;
    side.rendezvous()?;
    let mut questioner = Questioner::new(Ends::<W> { there, back });
    (0..WARM_UP).try_for_each(|_| questioner.ask())?;
    side.measured(|| questioner.measure(side.window(), GROUP))
}

fn answer<W: Way>(side: &Side) -> Result<Option<Measurement>, Stop> {
    let mut back = W::create(side.segment(BACK))?;
    side.rendezvous()?;
    let mut there = W::attach(side.segment(THERE))?;
    side.rendezvous()?;
    for _ in 0..WARM_UP {
        let (_, sum) = there.receive()?;
        back.send(sum, KIND_STEP)?;
    }
    side.measured(|| {
        loop {
            match there.receive()? {
                (KIND_STOP, _) => return Ok(None),
                (_, sum) => back.send(sum, KIND_STEP)?,
            }
        }
    })
}

impl Subject for TypedRoundTrip {
    fn shared_bytes(&self) -> usize {
        0
    }

    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        match self.form {
            Form::Bytes => ask::<Bytes>(side),
            Form::RkyvTrusted => ask::<Typed<Trusted>>(side),
            Form::RkyvValidated => ask::<Typed<Validated>>(side),
            Form::BincodeOwned => ask::<Typed<Owned>>(side),
        }
    }

    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop> {
        match self.form {
            Form::Bytes => answer::<Bytes>(side),
            Form::RkyvTrusted => answer::<Typed<Trusted>>(side),
            Form::RkyvValidated => answer::<Typed<Validated>>(side),
            Form::BincodeOwned => answer::<Typed<Owned>>(side),
        }
    }
}

/// A sentence for each label: what the codec adds to the bytes' way, and validation to that.
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
