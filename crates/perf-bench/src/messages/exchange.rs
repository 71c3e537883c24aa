//! What is measured of a carrier: how long a message and its answer take, and how many messages go one way.
//!
//! **Lives here:** [`ask`] and [`answer`], [`pour`] and [`drain`]: the sides of the two measurements.
//! **Builds on:** `carrier`, `workload::payload`, `workload::round_trips`. **May touch it:** `messages`, for each
//! carrier.

use std::time::{Duration, Instant};

use super::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::{Measurement, Side, Stop};
use crate::stats::{Unit, sum_below};
use crate::workload::payload::{self, Payload};
use crate::workload::round_trips::{self, Asking, Questioner};

/// The direction from role 0 to role 1.
const THERE: usize = 0;
/// The direction of the answers.
const BACK: usize = 1;

/// The message that ends a conversation.
const STOP: u64 = u64::MAX;

/// How long what is not measured may take. A slow carrier has shown all its pages by then, or does not hurry anyway.
const WARM_UP_MAX: Duration = Duration::from_millis(300);

/// Role 0's ends of a round trip.
struct Ends<S, R> {
    there: S,
    back: R,
    message_bytes: usize,
}

impl<S: Sender, R: Receiver> Asking for Ends<S, R> {
    fn ask(&mut self, number: u64) -> Result<(), Stop> {
        let question = Payload::new(number, self.message_bytes);
        self.there.send(question)?;
        let mut found = None;
        self.back.receive(|answer| found = Some(payload::sum(answer)))?;
        round_trips::check(number, found.ok_or_else(received_nothing)?, question.sum())
    }

    /// The other side leaves [`answer_until_stop`].
    fn stop(&mut self) -> Result<(), Stop> {
        self.there.send(Payload::new(STOP, self.message_bytes))
    }
}

fn received_nothing() -> Stop {
    Stop::Failed("a carrier has received without a message".into())
}

/// Role 0 of a round trip.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn ask<C: Carrier>(side: &Side, message_bytes: usize) -> Result<Option<Measurement>, Stop> {
    let link = Link::new(side, THERE, message_bytes);
    let mut there = C::create(&link)?;
    side.rendezvous()?;
    let back = C::attach(&Link::new(side, BACK, message_bytes))?;
    side.rendezvous()?;
    there.join()?;
    side.rendezvous()?;
    let mut questioner = Questioner::new(Ends { there, back, message_bytes });
    warm_up::<C>(&link, |_| questioner.ask())?;
    questioner.stop()?;
    side.measured(|| questioner.measure(side.window(), group(message_bytes)))
}

/// Role 1 of a round trip.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn answer<C: Carrier>(side: &Side, message_bytes: usize) -> Result<Option<Measurement>, Stop> {
    let mut back = C::create(&Link::new(side, BACK, message_bytes))?;
    side.rendezvous()?;
    let mut there = C::attach(&Link::new(side, THERE, message_bytes))?;
    side.rendezvous()?;
    back.join()?;
    side.rendezvous()?;
    answer_until_stop(&mut there, &mut back, message_bytes)?;
    side.measured(|| {
        answer_until_stop(&mut there, &mut back, message_bytes)?;
        Ok(None)
    })
}

/// Answers every question with a message that depends on every byte of it.
fn answer_until_stop(there: &mut impl Receiver, back: &mut impl Sender, message_bytes: usize) -> Result<(), Stop> {
    let words = payload::words(message_bytes);
    loop {
        let mut question = None;
        there.receive(|bytes| question = Some(payload::read(bytes)))?;
        let question = question.ok_or_else(received_nothing)?;
        if question.number == STOP {
            return Ok(());
        }
        back.send(Payload::new(question.sum / words, message_bytes))?;
    }
}

/// Calls `once` with the numbers from zero until it has gone round the memory of a link twice: that touches every page,
/// which no later lap does.
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
pub(crate) fn pour<C: Carrier>(side: &Side, message_bytes: usize) -> Result<Option<Measurement>, Stop> {
    let link = Link::new(side, THERE, message_bytes);
    let mut sender = C::create(&link)?;
    side.rendezvous()?;
    side.rendezvous()?;
    sender.join()?;
    side.rendezvous()?;
    warm_up::<C>(&link, |number| sender.send(Payload::new(number, message_bytes)))?;
    sender.send(Payload::new(STOP, message_bytes))?;
    side.measured(|| {
        let begin = Instant::now();
        let mut number = 0;
        while begin.elapsed() < side.window() {
            let end = number + messages_per_look(message_bytes);
            sender.send_all((number..end).map(|number| Payload::new(number, message_bytes)))?;
            number = end;
        }
        sender.send(Payload::new(STOP, message_bytes))?;
        Ok(None)
    })
}

/// Role 1 of a one-way measurement: the rate from the arrival of the first message to that of the end.
///
/// # Errors
/// See [`Stop`].
pub(crate) fn drain<C: Carrier>(side: &Side, message_bytes: usize) -> Result<Option<Measurement>, Stop> {
    side.rendezvous()?;
    let mut receiver = C::attach(&Link::new(side, THERE, message_bytes))?;
    side.rendezvous()?;
    side.rendezvous()?;
    drain_until_stop(&mut receiver, message_bytes)?;
    side.measured(|| {
        let (count, elapsed) = drain_until_stop(&mut receiver, message_bytes)?;
        Ok(Some(Measurement::of(count as f64 / elapsed.as_secs_f64(), Unit::EventsPerSecond)))
    })
}

/// Reads every message up to the end and checks them together. Returns how many there were, and how long that took.
fn drain_until_stop(receiver: &mut impl Receiver, message_bytes: usize) -> Result<(u64, Duration), Stop> {
    let (mut count, mut total, mut stopped) = (0_u64, 0_u64, false);
    let mut begin = None;
    while !stopped {
        receiver.receive(|bytes| {
            begin.get_or_insert_with(Instant::now);
            let message = payload::read(bytes);
            if message.number == STOP {
                stopped = true;
            } else {
                count += 1;
                total = total.wrapping_add(message.sum);
            }
        })?;
    }
    let elapsed = begin.map_or_else(Default::default, |begin: Instant| begin.elapsed());
    let expected = sum_below(count).wrapping_mul(payload::words(message_bytes));
    if total != expected {
        return Err(Stop::Failed(format!("{count} messages came to {total} and not to {expected}")));
    }
    Ok((count, elapsed))
}
