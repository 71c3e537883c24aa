//! A step through any carrier of bytes, encoded by the plain library of its codec. Only with the feature `peers`: ours
//! encode in their own way.
//!
//! The sender encodes in the place from which the message is sent, if its carrier has such a place, and otherwise into
//! one buffer that is used again and again. The receiver reads rkyv in place, after validation, and decodes the others
//! into a value.

use std::marker::PhantomData;
use std::mem;

use bincode::config::legacy;
use myelon::codec::rkyv_support::rkyv;
use rkyv::rancor;
use rkyv::ser::writer::Buffer;

use super::step::{ArchivedRkyvStep, BincodeStep, PostcardStep, RkyvStep, Step, number_of};
use super::way::{StepReceiver, StepSender, Way};
use crate::messages::carrier::{Carrier, Link, Receiver, Sender};
use crate::side::Stop;

/// How the plain library of a codec is called.
pub(crate) trait PlainCodec {
    type Message: Step;

    /// Writes a message to the front of `into`, which has room for it, and returns how long it is.
    fn encode(message: &Self::Message, into: &mut [u8]) -> usize;

    /// Reads every field of a message. `None`: the bytes are none.
    fn sum(bytes: &[u8]) -> Option<u64>;
}

/// rkyv.
pub(crate) enum Rkyv {}

impl PlainCodec for Rkyv {
    type Message = RkyvStep;

    #[inline]
    fn encode(message: &RkyvStep, into: &mut [u8]) -> usize {
        let written = rkyv::api::high::to_bytes_in::<_, rancor::Error>(message, Buffer::from(into));
        written.expect("there is room for a step").len()
    }

    #[inline]
    fn sum(bytes: &[u8]) -> Option<u64> {
        rkyv::access::<ArchivedRkyvStep, rancor::Error>(bytes).ok().map(ArchivedRkyvStep::sum)
    }
}

/// bincode, in the form that ours has as well: numbers of fixed length.
pub(crate) enum Bincode {}

impl PlainCodec for Bincode {
    type Message = BincodeStep;

    #[inline]
    fn encode(message: &BincodeStep, into: &mut [u8]) -> usize {
        bincode::serde::encode_into_slice(message, into, legacy()).expect("there is room for a step")
    }

    #[inline]
    fn sum(bytes: &[u8]) -> Option<u64> {
        let decoded = bincode::serde::decode_from_slice::<BincodeStep, _>(bytes, legacy());
        decoded.ok().map(|(step, _)| step.sum())
    }
}

/// postcard.
pub(crate) enum Postcard {}

impl PlainCodec for Postcard {
    type Message = PostcardStep;

    #[inline]
    fn encode(message: &PostcardStep, into: &mut [u8]) -> usize {
        postcard::to_slice(message, into).expect("there is room for a step").len()
    }

    #[inline]
    fn sum(bytes: &[u8]) -> Option<u64> {
        postcard::from_bytes::<PostcardStep>(bytes).ok().map(|step| step.sum())
    }
}

/// A step of codec `K` through the carrier `C`.
pub(crate) struct Over<K, C>(PhantomData<(K, C)>);

/// More than any step has.
const STEP_BYTES_MAX: usize = 64 << 10;

impl<K: PlainCodec, C: Carrier> Way for Over<K, C> {
    type Sender<'s> = PlainSender<K, C::Sender<'s>>;
    type Receiver<'s> = PlainReceiver<K, C::Receiver<'s>>;

    /// Every step has the same length, whatever its number.
    fn len_bytes() -> usize {
        let mut step = K::Message::build();
        step.set_number(0);
        K::encode(&step, &mut vec![0; STEP_BYTES_MAX])
    }

    fn rest() -> Result<u64, Stop> {
        Ok(K::Message::build().sum())
    }

    fn create<'s>(link: &Link<'s>) -> Result<Self::Sender<'s>, Stop> {
        let (step, rest, buffer) = (K::Message::build(), Self::rest()?, vec![0; link.message_bytes()]);
        Ok(PlainSender { sender: C::create(link)?, step, rest, buffer, codec: PhantomData })
    }

    fn attach<'s>(link: &Link<'s>) -> Result<Self::Receiver<'s>, Stop> {
        Ok(PlainReceiver { receiver: C::attach(link)?, waiting: Vec::new(), codec: PhantomData })
    }
}

/// The end that encodes.
pub(crate) struct PlainSender<K: PlainCodec, S> {
    sender: S,
    step: K::Message,
    /// The sum of everything but the number.
    rest: u64,
    buffer: Vec<u8>,
    codec: PhantomData<K>,
}

impl<K: PlainCodec, S: Sender> StepSender for PlainSender<K, S> {
    fn join(&mut self) -> Result<(), Stop> {
        self.sender.join()
    }

    #[inline]
    fn send(&mut self, number: u64) -> Result<(), Stop> {
        self.step.set_number(number);
        let (step, len_bytes) = (&self.step, self.buffer.len());
        let mut written = len_bytes;
        self.sender.send_made(&mut self.buffer, |place| written = K::encode(step, place))?;
        if written == len_bytes {
            Ok(())
        } else {
            Err(Stop::Failed(format!("a step has {written} B, not {len_bytes}")))
        }
    }

    fn sum(&self, number: u64) -> u64 {
        self.rest.wrapping_add(number_of(number))
    }
}

/// The end that reads.
pub(crate) struct PlainReceiver<K, R> {
    receiver: R,
    /// What the carrier has shown beyond the requested message: the sum of each, the last one first.
    waiting: Vec<u64>,
    codec: PhantomData<K>,
}

impl<K: PlainCodec, R: Receiver> StepReceiver for PlainReceiver<K, R> {
    #[inline]
    fn receive(&mut self) -> Result<u64, Stop> {
        if let Some(sum) = self.waiting.pop() {
            return Ok(sum);
        }
        let mut waiting = mem::take(&mut self.waiting);
        self.receive_some(|sum| waiting.push(sum))?;
        waiting.reverse();
        self.waiting = waiting;
        self.waiting.pop().ok_or_else(no_step)
    }

    #[inline]
    fn receive_some(&mut self, mut each: impl FnMut(u64)) -> Result<(), Stop> {
        while let Some(sum) = self.waiting.pop() {
            each(sum);
        }
        let mut garbled = false;
        self.receiver.receive(|bytes| match K::sum(bytes) {
            Some(sum) => each(sum),
            None => garbled = true,
        })?;
        if garbled { Err(no_step()) } else { Ok(()) }
    }
}

fn no_step() -> Stop {
    Stop::Failed("a message is no step".into())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Shows all of its messages in one call, like a carrier whose receiver reads on.
    struct All<'a> {
        messages: Vec<Vec<u8>>,
        is_showing: &'a Cell<bool>,
    }

    impl Receiver for All<'_> {
        fn poll(&mut self, mut read: impl FnMut(&[u8])) -> Result<bool, Stop> {
            self.is_showing.set(true);
            self.messages.drain(..).for_each(|message| read(&message));
            self.is_showing.set(false);
            Ok(true)
        }
    }

    fn step(number: u64) -> (Vec<u8>, u64) {
        let mut step = PostcardStep::build();
        step.set_number(number);
        let mut bytes = vec![0; STEP_BYTES_MAX];
        let len = Postcard::encode(&step, &mut bytes);
        bytes.truncate(len);
        (bytes, step.sum())
    }

    #[test]
    fn steps_that_come_together_are_counted_as_each_is_read_and_asked_for_one_by_one() {
        let is_showing = Cell::new(false);
        let (messages, sums): (Vec<_>, Vec<_>) = (0..3).map(step).unzip();
        let receiver = All { messages, is_showing: &is_showing };
        let mut receiver = PlainReceiver { receiver, waiting: vec![], codec: PhantomData::<Postcard> };
        let mut seen = vec![];
        receiver
            .receive_some(|sum| {
                assert!(is_showing.get(), "the time of a step is that of its reading");
                seen.push(sum);
            })
            .unwrap_or_else(|_| panic!("three steps"));
        assert_eq!(seen, sums);
        receiver.receiver.messages = (0..3).map(|number| step(number).0).collect();
        for sum in sums {
            assert_eq!(receiver.receive().ok(), Some(sum));
        }
    }
}
