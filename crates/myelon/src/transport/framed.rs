//! Messages in frames: the frames' implementation of [`Format`].

use super::ahead::{self, Copied};
use super::aside::{Aside, NotEncoded, beyond_the_room};
use super::batch::Batch;
use super::buffer::AlignedBuffer;
use super::builder::Settings;
use super::counting::{ReceiverCounters, SenderCounters};
use super::error::{TransportError, TransportResult};
use super::format::{Format, Handed, Held, Kept, Receiver, Sender, Sends, Writes};
use super::frame::{FrameShape, FramedTransportFrame};
use super::malformed::Malformed;
use super::prefix::{Envelope, Letter, Prefix};
use super::reassembly::{Pushed, Reassembler};
use super::split::{Outline, bare_header, payload_max, single_payload_max};
use crate::codec::EncodeShort;
use disruptor_mp::__private::ends::{GroupBatch, PeekedRun};
use disruptor_mp::segment::SegmentPlan;
use disruptor_mp::{
    BatchLease, CAPACITY_MAX, ConsumeError, HeldBatch, NoRoom, Patience, Sequence, ShapeError, SharedConsumer,
    SharedDisruptorBuilder, SharedProducer, Slots, Stamped,
};
use std::convert::Infallible;
use std::fmt;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::ops::Range;

// This makes the compiler's error about a type that is no frame the one about formats.
#[diagnostic::do_not_recommend]
impl<E: FramedTransportFrame> Format for E {
    const PAYLOAD_ALIGN: usize = E::SHAPE.payload_align;
    const DEPTH_PER_MESSAGE_MIN: usize = 1;

    type Carries = Slots<E>;
    type Sender = FrameSender<E>;
    type Receiver = FrameReceiver<E>;

    fn depth_for(in_flight: usize, message_bytes: usize) -> Result<usize, ShapeError> {
        let slots = most_frames::<E>(message_bytes)
            .and_then(|frames| frames.checked_mul(in_flight.max(1)))
            .and_then(usize::checked_next_power_of_two);
        slots.filter(|slots| *slots <= CAPACITY_MAX).ok_or(ShapeError::InFlight { in_flight, message_bytes })
    }

    fn in_flight_for(depth: usize, message_bytes: usize) -> Result<usize, ShapeError> {
        disruptor_mp::plan::<E>(depth, 1)?;
        Ok(most_frames::<E>(message_bytes).map_or(0, |frames| depth / frames))
    }

    fn plan(depth: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
        disruptor_mp::plan::<E>(depth, max_consumers)
    }

    fn sender(settings: Settings) -> TransportResult<FrameSender<E>> {
        let limit = settings.message_limit;
        let builder = settings.apply(ring::<E>(&settings));
        // Frames are published as groups, and the slots of a group begin as zeros. So the factory is never called; it
        // would put each first frame on the stack.
        Ok(FrameSender::new(builder.build_producer(E::new_zeroed)?, limit))
    }

    fn receiver(settings: Settings) -> TransportResult<FrameReceiver<E>> {
        let limit = settings.message_limit;
        let builder = settings.apply(ring::<E>(&settings));
        Ok(FrameReceiver::new(builder.keep_place().build_consumer()?, limit))
    }
}

/// The number of frames of a message with every optional part; `None` if no ring can have that many.
fn most_frames<E: FramedTransportFrame>(message_bytes: usize) -> Option<usize> {
    let letter = Letter { prefix: Prefix::full(), ..Letter::default() };
    let is_possible = message_bytes <= payload_max(E::SHAPE, &letter.prefix, usize::MAX);
    is_possible.then(|| Outline::new(E::SHAPE, &letter, message_bytes).frames())
}

/// The builder of the ring in the settings; a consumer need not give a size.
fn ring<E: FramedTransportFrame>(settings: &Settings) -> SharedDisruptorBuilder<E> {
    SharedDisruptorBuilder::new(settings.place.clone(), settings.depth.unwrap_or(0))
}

/// Cuts messages into the frames of a ring.
pub struct FrameSender<E: FramedTransportFrame> {
    producer: SharedProducer<E>,
    writing: FrameWriting<E>,
}

impl<E: FramedTransportFrame> FrameSender<E> {
    fn new(producer: SharedProducer<E>, limit_bytes: Option<usize>) -> Self {
        let (capacity, counters) = (producer.capacity(), SenderCounters::of(&producer));
        let limit_bytes = limit_bytes.unwrap_or(usize::MAX);
        let writing = FrameWriting { capacity, limit_bytes, aside: Aside::new(), counters, frame: PhantomData };
        Self { producer, writing }
    }
}

/// The state of a sender apart from its ring.
pub struct FrameWriting<E> {
    /// Slots of the ring.
    capacity: usize,
    /// The user's limit.
    limit_bytes: usize,
    aside: Aside,
    counters: SenderCounters,
    frame: PhantomData<fn(E)>,
}

/// Where frames are published: in a ring, or in a batch.
pub trait Groups<E> {
    /// As [`SharedProducer::publish_group`].
    fn publish_group<X>(
        &mut self,
        count: usize,
        patience: &Patience,
        fill: impl FnMut(&mut E, usize) -> Result<(), X>,
    ) -> Result<Result<Sequence, X>, NoRoom>;

    /// As [`SharedProducer::has_room_now`].
    fn has_room_now(&mut self, count: usize, patience: &Patience) -> bool;
}

/// The ring and the batch have the same methods.
macro_rules! groups {
    ($ring:ty) => {
        impl<E: FramedTransportFrame> Groups<E> for $ring {
            #[inline(always)]
            fn publish_group<X>(
                &mut self,
                count: usize,
                patience: &Patience,
                fill: impl FnMut(&mut E, usize) -> Result<(), X>,
            ) -> Result<Result<Sequence, X>, NoRoom> {
                self.publish_group_within(count, patience, fill)
            }

            #[inline(always)]
            fn has_room_now(&mut self, count: usize, patience: &Patience) -> bool {
                self.has_room_within(count, patience)
            }
        }
    };
}

groups!(SharedProducer<E>);
groups!(GroupBatch<'_, E, Stamped>);

impl<E: FramedTransportFrame> FrameWriting<E> {
    /// The longest payload that can go with `letter`.
    fn payload_max(&self, letter: &Letter) -> usize {
        self.ring_max(letter).min(self.limit_bytes)
    }

    /// The longest that the ring can hold.
    fn ring_max(&self, letter: &Letter) -> usize {
        payload_max(E::SHAPE, &letter.prefix, self.capacity)
    }

    fn too_large(&self, letter: &Letter, len_bytes: usize) -> TransportError {
        let (limit_bytes, ring_max) = (self.payload_max(letter), self.ring_max(letter));
        match limit_bytes < ring_max {
            // The user's limit forbids it, so no other ring would help.
            true => TransportError::TooLarge { len_bytes, limit_bytes, depth_wanted: None },
            false => beyond_the_ring(E::SHAPE, letter, len_bytes, ring_max),
        }
    }

    /// The longest payload of a message of one frame without a prefix. Most messages have no prefix, and for them
    /// everything else is a constant.
    #[inline(always)]
    fn bare_max(&self) -> usize {
        E::SHAPE.data_bytes.min(self.limit_bytes)
    }

    /// For a message of one frame with a prefix: where the payload begins in the frame, and how long it may be.
    #[inline(never)]
    fn place_behind_prefix(&self, letter: &Letter) -> (usize, usize) {
        let room = single_payload_max(E::SHAPE, &letter.prefix).min(self.payload_max(letter));
        (Outline::new(E::SHAPE, letter, 0).payload_start(), room)
    }

    /// Sends `payload` with its prefix, in as many frames as needed.
    #[inline(never)]
    fn send_split(
        &self,
        ring: &mut impl Groups<E>,
        letter: &Letter,
        payload: &[u8],
        patience: &Patience,
    ) -> TransportResult<Sequence> {
        if payload.len() > self.payload_max(letter) {
            return Err(self.too_large(letter, payload.len()));
        }
        self.copy_in(ring, letter, payload, patience)
    }

    /// Waits for the slots of `payload`, as `patience` says, and copies it there.
    #[inline]
    fn copy_in(
        &self,
        ring: &mut impl Groups<E>,
        letter: &Letter,
        payload: &[u8],
        patience: &Patience,
    ) -> TransportResult<Sequence> {
        let outline = Outline::new(E::SHAPE, letter, payload.len());
        let sequence = publish(ring, &outline, payload, patience)?;
        self.counters.count(outline.frames(), payload.len());
        Ok(sequence)
    }

    /// Encodes into `aside`; a message that can never be sent is `TooLarge`.
    #[cold]
    fn encode_aside(
        &mut self,
        letter: &Letter,
        first: Option<EncodeShort>,
        likely_len: usize,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<()> {
        let most = self.payload_max(letter);
        self.aside.encode(first, likely_len, most, encode).map_err(|error| match error {
            NotEncoded::TooLarge { len_bytes } => self.too_large(letter, len_bytes),
            NotEncoded::Codec(error) => error.into(),
        })
    }
}

impl<E: FramedTransportFrame, R: Groups<E>> Writes<R> for FrameWriting<E> {
    #[inline(always)]
    fn send(
        &mut self,
        ring: &mut R,
        letter: &Letter,
        payload: &[u8],
        patience: &Patience,
    ) -> TransportResult<Sequence> {
        if letter.prefix.announced() > 0 || payload.len() > self.bare_max() {
            return self.send_split(ring, letter, payload, patience);
        }
        let published = ring.publish_group(1, patience, |frame: &mut E, _| {
            let header = bare_header(letter, payload.len());
            frame.write_frame(header, |data| data[..payload.len()].copy_from_slice(payload));
            Ok::<(), Infallible>(())
        })?;
        let Ok(sequence) = published;
        self.counters.count(1, payload.len());
        Ok(sequence)
    }

    #[inline(always)]
    fn send_with(
        &mut self,
        ring: &mut R,
        letter: &Letter,
        size_hint: usize,
        patience: &Patience,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        let is_bare = letter.prefix.announced() == 0;
        let (start, room) = if is_bare { (0, self.bare_max()) } else { self.place_behind_prefix(letter) };
        let likely_len = self.aside.likely_len(size_hint);
        let mut first = None;
        if likely_len <= room && ring.has_room_now(1, patience) {
            let aside = &mut self.aside;
            let published = ring.publish_group(1, patience, |frame: &mut E, _| {
                let len = encode(&mut frame.data_mut()[start..start + room])?;
                if len > room {
                    beyond_the_room(len, room);
                }
                match is_bare {
                    true => frame.set_header(bare_header(letter, len)),
                    false => Outline::new(E::SHAPE, letter, len).write_around(frame),
                }
                aside.note_len(len);
                Ok(())
            })?;
            match published {
                Ok(sequence) => {
                    self.counters.count(1, 0);
                    return Ok(sequence);
                }
                Err(short) => first = Some(short),
            }
        }
        self.encode_aside(letter, first, likely_len, encode)?;
        self.send_kept(ring, letter, patience)
    }

    #[inline(never)]
    fn send_kept(&mut self, ring: &mut R, letter: &Letter, patience: &Patience) -> TransportResult<Sequence> {
        self.copy_in(ring, letter, self.aside.bytes(), patience)
    }
}

/// The error for a message that is too large for a ring that takes `limit_bytes`.
pub(super) fn beyond_the_ring(
    shape: FrameShape,
    letter: &Letter,
    len_bytes: usize,
    limit_bytes: usize,
) -> TransportError {
    let is_possible = len_bytes <= payload_max(shape, &letter.prefix, usize::MAX);
    let depth_wanted = is_possible.then(|| Outline::new(shape, letter, len_bytes).frames().next_power_of_two());
    TransportError::TooLarge { len_bytes, limit_bytes, depth_wanted }
}

/// Publishes `payload` as a message with this outline.
pub(super) fn publish<E: FramedTransportFrame>(
    ring: &mut impl Groups<E>,
    outline: &Outline,
    payload: &[u8],
    patience: &Patience,
) -> TransportResult<Sequence> {
    let published = ring.publish_group(outline.frames(), patience, |frame, index| {
        outline.write(frame, index, payload);
        Ok::<(), Infallible>(())
    })?;
    let Ok(sequence) = published;
    Ok(sequence)
}

impl<E: FramedTransportFrame> Sends for FrameSender<E> {
    type Ring = SharedProducer<E>;
    type Writing = FrameWriting<E>;

    #[inline(always)]
    fn parts(&mut self) -> (&mut SharedProducer<E>, &mut FrameWriting<E>) {
        (&mut self.producer, &mut self.writing)
    }
}

impl<E: FramedTransportFrame> Sender for FrameSender<E> {
    type Batch<'a> = Batch<'a, GroupBatch<'a, E, Stamped>, FrameWriting<E>>;

    fn producer(&self) -> &SharedProducer<E> {
        &self.producer
    }

    fn max_message_bytes(&self) -> usize {
        self.writing.payload_max(&Letter { prefix: Prefix::full(), ..Letter::default() })
    }

    #[inline(always)]
    fn batch(&mut self) -> Self::Batch<'_> {
        Batch::new(self.producer.group_batch(), &mut self.writing)
    }

    fn counts_anew(&mut self) {
        self.writing.counters = SenderCounters::of(&self.producer);
    }
}

/// Puts the messages of a ring of frames together.
pub struct FrameReceiver<E: FramedTransportFrame> {
    consumer: SharedConsumer<E>,
    reassembler: Reassembler,
    /// A message that could not be read and was found by a wait; the next call reports it.
    untold: Option<Malformed>,
    counters: ReceiverCounters,
}

impl<E: FramedTransportFrame> FrameReceiver<E> {
    fn new(consumer: SharedConsumer<E>, limit_bytes: Option<usize>) -> Self {
        let reassembler = Reassembler::new(E::SHAPE, limit_bytes.unwrap_or_else(|| receivable_max::<E>(&consumer)));
        let counters = ReceiverCounters::of(&consumer);
        Self { consumer, reassembler, untold: None, counters }
    }
}

/// The longest message that the ring can hold.
pub(super) fn receivable_max<E: FramedTransportFrame>(consumer: &SharedConsumer<E>) -> usize {
    payload_max(E::SHAPE, &Prefix::default(), consumer.capacity())
}

/// Where the next message is.
pub(super) struct Found {
    pub(super) frames: usize,
    pub(super) envelope: Envelope,
    /// The range of its bytes in the only frame's data; `None`: it was put together.
    pub(super) range: Option<Range<usize>>,
}

/// Waits for the next message and looks at its frames, which are not taken. Frames before it that belong to no message
/// are taken.
pub(super) fn find<E: FramedTransportFrame>(
    consumer: &mut SharedConsumer<E>,
    reassembler: &mut Reassembler,
    patience: Patience,
) -> TransportResult<Option<Found>> {
    let mut copied = 0;
    loop {
        if let Some(found) = gather(consumer, reassembler, copied)? {
            return Ok(Some(found));
        }
        let Copied { frames, whole } = match ahead::wait(consumer, reassembler, patience) {
            Err(ConsumeError::TimedOut { .. }) if patience == Patience::Now => return Ok(None),
            waited => waited?,
        };
        if let Some(envelope) = whole {
            return Ok(Some(Found { frames, envelope, range: None }));
        }
        copied = frames;
    }
}

/// A source of frames that are looked at before they are taken.
trait Frames<E> {
    /// The frame `index` places after the next one, if it is there.
    fn peek_at(&mut self, index: usize) -> Option<&E>;

    /// Takes and drops the next `count` frames, which were looked at before.
    fn pass(&mut self, count: usize);
}

impl<E: FramedTransportFrame> Frames<E> for SharedConsumer<E> {
    #[inline(always)]
    fn peek_at(&mut self, index: usize) -> Option<&E> {
        self.peek_at(index)
    }

    fn pass(&mut self, count: usize) {
        drop(self.lease_peeked(count));
    }
}

impl<E: FramedTransportFrame> Frames<E> for PeekedRun<'_, E, Stamped> {
    #[inline(always)]
    fn peek_at(&mut self, index: usize) -> Option<&E> {
        self.peek_at(index)
    }

    fn pass(&mut self, count: usize) {
        self.take(count);
        self.finish();
    }
}

/// Looks at the available frames, up to the end of one message; the reassembler has copies of its first `frames`
/// frames.
#[inline(always)]
fn gather<E: FramedTransportFrame>(
    ring: &mut impl Frames<E>,
    reassembler: &mut Reassembler,
    mut frames: usize,
) -> Result<Option<Found>, Malformed> {
    loop {
        let Some(frame) = ring.peek_at(frames) else {
            // A group becomes visible as a whole. A message that has begun and does not continue now was not sent as a
            // group, so nothing waits for its rest.
            let fault = reassembler.give_up();
            pass(ring, frames);
            return fault.map_or(Ok(None), Err);
        };
        match reassembler.push(frame.header(), frame.data()) {
            Ok(Pushed::Single(envelope, range)) => return Ok(Some(Found { frames: 1, envelope, range: Some(range) })),
            Ok(Pushed::Joined(envelope)) => return Ok(Some(Found { frames: frames + 1, envelope, range: None })),
            Ok(Pushed::More) => frames += 1,
            Ok(Pushed::Passed) => pass(ring, 1),
            Err(fault) => {
                pass(ring, if fault.is_of_earlier_frames() { frames } else { frames + 1 });
                return Err(fault);
            }
        }
    }
}

/// [`Frames::pass`] of frames, if there are any.
fn pass<E>(ring: &mut impl Frames<E>, count: usize) {
    if count > 0 {
        ring.pass(count);
    }
}

impl<E: FramedTransportFrame> Receiver for FrameReceiver<E> {
    type Consumer = SharedConsumer<E>;
    type Held<'a> = HeldFrames<'a, E>;
    type Kept = KeptFrames<E>;

    fn consumer(&self) -> &SharedConsumer<E> {
        &self.consumer
    }

    fn consumer_mut(&mut self) -> &mut SharedConsumer<E> {
        &mut self.consumer
    }

    #[inline]
    fn next_or(
        &mut self,
        patience: Patience,
        mut dry: impl FnMut(&mut SharedConsumer<E>, Option<ConsumeError>) -> TransportResult<Option<Self>>,
    ) -> TransportResult<Option<HeldFrames<'_, E>>> {
        if let Some(fault) = self.untold.take() {
            return Err(fault.into());
        }
        let Found { frames, envelope, range } = loop {
            let skipped = self.reassembler.skipped();
            let found = find(&mut self.consumer, &mut self.reassembler, patience);
            self.counters.skipped.add(self.reassembler.skipped() - skipped);
            let reason = match found {
                Ok(Some(found)) => break found,
                Ok(None) => None,
                Err(TransportError::Consume(reason)) => Some(reason),
                Err(error) => return Err(error),
            };
            let Some(mut other) = dry(&mut self.consumer, reason)? else { return Ok(None) };
            other.reassembler.count_skipped_by(&self.reassembler);
            *self = other;
        };
        let payload = payload(range, &self.reassembler, &self.counters);
        Ok(Some(HeldFrames { lease: self.consumer.lease_peeked(frames), envelope, payload }))
    }

    fn process<C>(
        &mut self,
        context: &C,
        mut handler: impl for<'h> FnMut(ManuallyDrop<HeldFrames<'h, E>>, &'h C),
    ) -> TransportResult<usize> {
        if let Some(fault) = self.untold.take() {
            return Err(fault.into());
        }
        let most = self.consumer.capacity();
        let mut run = self.consumer.peeked_run();
        let skipped = self.reassembler.skipped();
        let mut handled = 0;
        let answer = loop {
            if handled == most {
                break Ok(handled);
            }
            match gather(&mut run, &mut self.reassembler, 0) {
                Ok(Some(Found { frames, envelope, range })) => {
                    let payload = payload(range, &self.reassembler, &self.counters);
                    let lease = ManuallyDrop::into_inner(run.take(frames));
                    handler(ManuallyDrop::new(HeldFrames { lease, envelope, payload }), context);
                    run.finish();
                    handled += 1;
                }
                Ok(None) => break Ok(handled),
                Err(fault) => break Err(fault.into()),
            }
        };
        self.counters.skipped.add(self.reassembler.skipped() - skipped);
        answer
    }

    fn wait_until_available(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        if self.untold.is_some() {
            return Ok(());
        }
        let skipped = self.reassembler.skipped();
        let answer = loop {
            match gather(&mut self.consumer, &mut self.reassembler, 0) {
                Ok(Some(_)) => break Ok(()),
                Ok(None) => {
                    if let Err(end) = self.consumer.wait_until_available(patience) {
                        break Err(end);
                    }
                }
                Err(fault) => {
                    self.untold = Some(fault);
                    break Ok(());
                }
            }
        };
        self.counters.skipped.add(self.reassembler.skipped() - skipped);
        answer
    }

    fn skipped(&self) -> u64 {
        self.reassembler.skipped()
    }

    fn counts_anew(&mut self) {
        self.counters = ReceiverCounters::of(&self.consumer);
    }
}

/// The payload of a message that was found: in its only frame at `range`, or put together.
#[inline(always)]
fn payload<'a>(range: Option<Range<usize>>, joined: &'a Reassembler, counters: &ReceiverCounters) -> Payload<'a> {
    match range {
        Some(range) => Payload::InPlace(range),
        None => {
            let joined = joined.message();
            counters.reassembled.inc();
            counters.copied_bytes.add(joined.len() as u64);
            Payload::Joined(joined)
        }
    }
}

/// A message with all of its frames.
pub struct HeldFrames<'a, E: FramedTransportFrame> {
    lease: BatchLease<'a, E>,
    envelope: Envelope,
    payload: Payload<'a>,
}

enum Payload<'a> {
    /// The range of its bytes in the only frame's data.
    InPlace(Range<usize>),
    /// The copy of all frames' bytes.
    Joined(&'a [u8]),
}

impl<E: FramedTransportFrame> Handed for HeldFrames<'_, E> {
    #[inline]
    fn envelope(&self) -> Envelope {
        self.envelope
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        match &self.payload {
            Payload::InPlace(range) => &self.lease.get(0).data()[range.clone()],
            Payload::Joined(bytes) => bytes,
        }
    }

    fn sequence(&self) -> Sequence {
        self.lease.first_sequence() + self.lease.len() as Sequence - 1
    }

    fn redeliveries(&self) -> u32 {
        self.lease.redeliveries(0)
    }

    fn is_in_place(&self) -> bool {
        matches!(self.payload, Payload::InPlace(_))
    }
}

impl<E: FramedTransportFrame> Held for HeldFrames<'_, E> {
    type Kept = KeptFrames<E>;

    fn hold(self) -> KeptFrames<E> {
        let payload = match self.payload {
            Payload::InPlace(range) => KeptPayload::InPlace(range),
            // The buffer in which they were put together belongs to the receiver, which needs it for the next message.
            Payload::Joined(bytes) => {
                let mut copy = AlignedBuffer::new(bytes.len());
                copy.extend(bytes);
                KeptPayload::Joined(copy)
            }
        };
        KeptFrames { batch: self.lease.hold(), envelope: self.envelope, payload }
    }

    fn release_unread(self) {
        self.lease.release_first(0);
    }
}

impl<E: FramedTransportFrame> fmt::Debug for FrameSender<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameSender").field("producer", &self.producer).finish_non_exhaustive()
    }
}

impl<E> fmt::Debug for FrameWriting<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameWriting").field("limit_bytes", &self.limit_bytes).finish_non_exhaustive()
    }
}

impl<E: FramedTransportFrame> fmt::Debug for FrameReceiver<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReceiver").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl<E: FramedTransportFrame> fmt::Debug for HeldFrames<'_, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldFrames").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// A message with all of its frames, independent of its consumer.
pub struct KeptFrames<E: FramedTransportFrame> {
    batch: HeldBatch<E>,
    envelope: Envelope,
    payload: KeptPayload,
}

enum KeptPayload {
    /// The range of its bytes in the only frame's data.
    InPlace(Range<usize>),
    /// A copy of all frames' bytes.
    Joined(AlignedBuffer),
}

impl<E: FramedTransportFrame> Handed for KeptFrames<E> {
    fn envelope(&self) -> Envelope {
        self.envelope
    }

    fn bytes(&self) -> &[u8] {
        match &self.payload {
            KeptPayload::InPlace(range) => &self.batch.get(0).data()[range.clone()],
            KeptPayload::Joined(copy) => copy.bytes(),
        }
    }

    fn sequence(&self) -> Sequence {
        self.batch.first_sequence() + self.batch.len() as Sequence - 1
    }

    fn redeliveries(&self) -> u32 {
        self.batch.redeliveries()
    }

    fn is_in_place(&self) -> bool {
        matches!(self.payload, KeptPayload::InPlace(_))
    }
}

impl<E: FramedTransportFrame> Kept for KeptFrames<E> {
    fn release(self) {
        self.batch.release();
    }
}

impl<E: FramedTransportFrame> fmt::Debug for KeptFrames<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptFrames").field("batch", &self.batch).finish_non_exhaustive()
    }
}
