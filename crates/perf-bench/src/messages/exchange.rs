//! What is measured of a carrier: how long a message and its answer take, and how many messages go one way.

use std::time::{Duration, Instant};

use super::Messages;
use super::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::{Measurement, Side, Stop};
use crate::stats::Unit;
use crate::workload::payload::{self, STOP, Source};
use crate::workload::round_trips::{self, Asking, Questioner};

/// The direction from role 0 to role 1.
const THERE: usize = 0;
/// The direction of the answers.
const BACK: usize = 1;

/// How long the warm-up may take. A slow carrier has touched all its pages by then, or is slow in any case.
const WARM_UP_MAX: Duration = Duration::from_millis(300);

/// Role 0's ends of a round trip.
struct Ends<S, R> {
    there: S,
    back: R,
    source: Source,
}

impl<S: Sender, R: Receiver> Asking for Ends<S, R> {
    fn ask(&mut self, number: u64) -> Result<(), Stop> {
        self.there.send(self.source.bytes(number))?;
        let mut found = None;
        self.back.receive(|answer| found = Some(payload::sum(answer)))?;
        round_trips::check(number, found.ok_or_else(received_nothing)?, self.source.sum(number))
    }

    /// The other side leaves [`answer_until_stop`].
    fn stop(&mut self) -> Result<(), Stop> {
        self.there.send(self.source.stop_bytes(0))
    }
}

fn received_nothing() -> Stop {
    Stop::Failed("a carrier has received without a message".into())
}

/// Role 0 of a round trip.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn ask<C: Carrier>(side: &Side, of: &Messages) -> Result<Option<Measurement>, Stop> {
    let link = of.link(side, THERE);
    let mut there = C::create(&link)?;
    side.rendezvous()?;
    let back = C::attach(&of.link(side, BACK))?;
    side.rendezvous()?;
    there.join()?;
    side.rendezvous()?;
    let mut questioner = Questioner::new(Ends { there, back, source: Source::new(of.message_bytes) });
    warm_up::<C>(&link, |_| questioner.ask())?;
    questioner.stop()?;
    side.measured(|| questioner.measure(side.window(), group(of.message_bytes)))
}

/// Role 1 of a round trip.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn answer<C: Carrier>(side: &Side, of: &Messages) -> Result<Option<Measurement>, Stop> {
    let mut back = C::create(&of.link(side, BACK))?;
    side.rendezvous()?;
    let mut there = C::attach(&of.link(side, THERE))?;
    side.rendezvous()?;
    back.join()?;
    side.rendezvous()?;
    let source = Source::new(of.message_bytes);
    answer_until_stop(&mut there, &mut back, &source)?;
    side.measured(|| {
        answer_until_stop(&mut there, &mut back, &source)?;
        Ok(None)
    })
}

/// Answers every question with a message that depends on every byte of it.
fn answer_until_stop(there: &mut impl Receiver, back: &mut impl Sender, source: &Source) -> Result<(), Stop> {
    loop {
        let mut question = None;
        there.receive(|bytes| question = Some(payload::read(bytes)))?;
        let question = question.ok_or_else(received_nothing)?;
        if question.first == STOP {
            return Ok(());
        }
        let answer = source.answer(question).ok_or_else(|| Stop::Failed(format!("no question is {question:?}")))?;
        back.send(source.bytes(answer))?;
    }
}

/// Calls `once` with the numbers from zero until it has gone round the memory of a link twice. That touches every page;
/// no later lap does that for the first time.
fn warm_up<C: Carrier>(link: &Link<'_>, mut once: impl FnMut(u64) -> Result<(), Stop>) -> Result<(), Stop> {
    let messages = 2 * C::lap(link) as u64;
    let begin = Instant::now();
    for number in (0..messages).take_while(|_| begin.elapsed() < WARM_UP_MAX) {
        once(number)?;
    }
    Ok(())
}

/// How many round trips are timed together. Long ones take far longer than a step of the clock.
fn group(message_bytes: usize) -> u64 {
    (64 * 1024 / message_bytes as u64).clamp(1, round_trips::GROUP)
}

/// Messages between two looks at the clock: those of this many bytes, or as many as a slow carrier takes in a
/// millisecond.
fn messages_per_look(message_bytes: usize) -> u64 {
    (256 * 1024 / message_bytes as u64).clamp(1, 256)
}

/// Role 0 of a one-way measurement.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn pour<C: Carrier>(side: &Side, of: &Messages) -> Result<Option<Measurement>, Stop> {
    let link = of.link(side, THERE);
    let mut sender = C::create(&link)?;
    side.rendezvous()?;
    side.rendezvous()?;
    sender.join()?;
    side.rendezvous()?;
    let mut source = Source::new(of.message_bytes);
    let mut sent = 0;
    warm_up::<C>(&link, |number| {
        sent = number + 1;
        sender.send(source.bytes(number))
    })?;
    sender.send(source.stop_bytes(sent))?;
    side.measured(|| {
        let begin = Instant::now();
        let mut number = 0;
        while begin.elapsed() < side.window() {
            let end = number + messages_per_look(of.message_bytes);
            sender.send_all((number..end).map(|number| source.bytes(number)))?;
            number = end;
        }
        sender.send(source.stop_bytes(number))?;
        Ok(None)
    })
}

/// Role 1 of a one-way measurement: the rate from the arrival of the first message to that of the end at the last
/// receiver. Several receivers take turns.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn drain<C: Carrier>(side: &Side, of: &Messages) -> Result<Option<Measurement>, Stop> {
    side.rendezvous()?;
    let receivers = of.link(side, THERE).each().map(|link| C::attach(&link)).collect::<Result<Vec<_>, Stop>>();
    let mut receivers = receivers?;
    side.rendezvous()?;
    side.rendezvous()?;
    let source = Source::new(of.message_bytes);
    drain_until_stop(&mut receivers, &source)?;
    side.measured(|| {
        let (count, elapsed) = drain_until_stop(&mut receivers, &source)?;
        Ok(Some(Measurement::of(count as f64 / elapsed.as_secs_f64(), Unit::EventsPerSecond)))
    })
}

/// What a receiver has seen.
#[derive(Default)]
struct Tally {
    count: u64,
    total: u64,
    /// How many messages its sender says there were; `None` before the end.
    sent: Option<u64>,
}

impl Tally {
    #[inline(always)]
    fn take(&mut self, bytes: &[u8]) {
        let message = payload::read(bytes);
        if message.first == STOP {
            self.sent = Some(payload::count_before(bytes));
        } else {
            self.count += 1;
            self.total = self.total.wrapping_add(message.sum);
        }
    }

    /// Whether every message came, and as it was sent.
    fn check(&self, source: &Source) -> Result<(), Stop> {
        let expected = source.total(0, self.count);
        if self.sent == Some(self.count) && self.total == expected {
            return Ok(());
        }
        let (count, total, sent) = (self.count, self.total, self.sent);
        Err(Stop::Failed(format!("{count} of {sent:?} messages came to {total} and not to {expected}")))
    }
}

/// Reads every message up to the end and checks them together. Returns how many there were, and how long that took.
fn drain_until_stop(receivers: &mut [impl Receiver], source: &Source) -> Result<(u64, Duration), Stop> {
    let mut begin = None;
    let mut tallies: Vec<_> = receivers.iter().map(|_| Tally::default()).collect();
    if let ([receiver], [tally]) = (&mut *receivers, &mut tallies[..]) {
        // Alone, it may wait.
        while tally.sent.is_none() {
            receiver.receive(|bytes| {
                begin.get_or_insert_with(Instant::now);
                tally.take(bytes);
            })?;
        }
    }
    while tallies.iter().any(|tally| tally.sent.is_none()) {
        for (receiver, tally) in receivers.iter_mut().zip(&mut tallies).filter(|(_, tally)| tally.sent.is_none()) {
            receiver.poll(|bytes| {
                begin.get_or_insert_with(Instant::now);
                tally.take(bytes);
            })?;
        }
    }
    let elapsed = begin.map_or_else(Default::default, |begin: Instant| begin.elapsed());
    tallies.iter().try_for_each(|tally| tally.check(source))?;
    Ok((tallies[0].count, elapsed))
}
