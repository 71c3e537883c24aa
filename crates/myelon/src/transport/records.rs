//! Messages as records: each is one contiguous piece, exactly as long as it needs to be.

use super::aside::{Aside, NotEncoded, beyond_the_room};
use super::batch::Batch;
use super::builder::Settings;
use super::counting::{ReceiverCounters, SenderCounters};
use super::error::{TransportError, TransportResult};
use super::flags::{FRAME_SINGLE, are_known};
use super::format::{Format, Handed, Held, Kept, Receiver, Sender, Sends, Writes};
use super::malformed::Malformed;
use super::prefix::{Envelope, Letter, Prefix};
use super::tap::TransportTap;
use crate::codec::EncodeShort;
use disruptor_mp::__private::ends::{Claims, Then};
use disruptor_mp::segment::SegmentPlan;
use disruptor_mp::{
    ConsumeError, Lines, Patience, RecordBatch, RecordClaim, RecordConsumer, RecordError, RecordLease, RecordProducer,
    Sequence, ShapeError, SharedDisruptorBuilder, plan_records, record_ring_bytes, records_in_flight,
};
use std::fmt;
use std::mem::ManuallyDrop;

/// The alignment of payloads, with any prefix.
const ALIGN: usize = 16;

/// A record of that many bytes is acknowledged as soon as its handler has returned: it costs far more than the
/// acknowledgement, and 64 such records would fill much of a ring.
const LONG_BYTES: usize = 4096;

/// Messages as records in a ring of bytes: the default format.
///
/// A message takes a header and its own bytes, rounded up to 64 bytes, so one ring serves small and large messages. It
/// is encoded in the ring and read in the ring, in one piece. The depth of such a transport is the ring's size in
/// bytes, rounded up to a power of two. [`DEFAULT_RECORD_RING_BYTES`](disruptor_mp::DEFAULT_RECORD_RING_BYTES) is the
/// default, and [`depth_for`](Format::depth_for) computes the depth for the messages in flight. Sequences number the
/// messages.
///
/// Source: RFC 0006.
#[derive(Clone, Copy, Debug)]
pub enum Records {}

impl Format for Records {
    const PAYLOAD_ALIGN: usize = ALIGN;
    // A line.
    const DEPTH_PER_MESSAGE_MIN: usize = 64;

    type Carries = Lines;
    type Sender = RecordSender;
    type Receiver = RecordReceiver;

    fn depth_for(in_flight: usize, message_bytes: usize) -> Result<usize, ShapeError> {
        record_ring_bytes(in_flight, message_bytes.saturating_add(Prefix::full().len(ALIGN)))
            .map_err(|_| ShapeError::InFlight { in_flight, message_bytes })
    }

    fn in_flight_for(depth: usize, message_bytes: usize) -> Result<usize, ShapeError> {
        records_in_flight(depth, message_bytes.saturating_add(Prefix::full().len(ALIGN)))
    }

    fn plan(depth: usize, max_consumers: usize) -> Result<SegmentPlan, ShapeError> {
        plan_records(depth, max_consumers)
    }

    fn sender(settings: Settings) -> TransportResult<RecordSender> {
        let builder = settings.apply(ring(&settings));
        Ok(RecordSender::new(builder.build_record_producer()?, settings.message_limit))
    }

    fn receiver(settings: Settings) -> TransportResult<RecordReceiver> {
        let builder = settings.apply(ring(&settings));
        let consumer = builder.keep_place().build_record_consumer()?;
        let counters = ReceiverCounters::of(&consumer);
        let limit_bytes = settings.message_limit.unwrap_or(usize::MAX);
        Ok(RecordReceiver { consumer, limit_bytes, skipped: 0, counters })
    }
}

/// A tap of the ring in the settings.
pub(super) fn tap(settings: Settings) -> TransportResult<TransportTap> {
    let tap = settings.apply(ring(&settings)).build_tap()?;
    Ok(TransportTap::new(tap, settings.message_limit))
}

/// The builder of the ring in the settings, with their size if they give one.
fn ring(settings: &Settings) -> SharedDisruptorBuilder<(), Lines> {
    match settings.depth {
        Some(bytes) => SharedDisruptorBuilder::records(settings.place.clone(), bytes),
        None => SharedDisruptorBuilder::records_at(settings.place.clone()),
    }
}

/// Writes messages as records.
pub struct RecordSender {
    producer: RecordProducer,
    writing: RecordWriting,
}

impl RecordSender {
    fn new(producer: RecordProducer, limit_bytes: Option<usize>) -> Self {
        let (record_max, counters) = (producer.max_record_bytes(), SenderCounters::of(&producer));
        let limit_bytes = limit_bytes.unwrap_or(usize::MAX);
        Self { producer, writing: RecordWriting { record_max, limit_bytes, aside: Aside::new(), counters } }
    }
}

/// The state of a sender apart from its ring.
pub struct RecordWriting {
    /// The longest record of the ring, and the user's limit for a payload.
    record_max: usize,
    limit_bytes: usize,
    aside: Aside,
    counters: SenderCounters,
}

impl RecordWriting {
    /// The longest payload that can follow a prefix of `prefix` bytes.
    #[inline(always)]
    fn payload_max(&self, prefix: usize) -> usize {
        (self.record_max - prefix).min(self.limit_bytes)
    }

    #[cold]
    fn too_large(&self, prefix: usize, len_bytes: usize) -> TransportError {
        let limit_bytes = self.payload_max(prefix);
        // If the user's limit forbids it, no other ring would help.
        let depth_wanted =
            (limit_bytes < self.limit_bytes).then(|| record_ring_bytes(1, prefix.saturating_add(len_bytes)).ok());
        TransportError::TooLarge { len_bytes, limit_bytes, depth_wanted: depth_wanted.flatten() }
    }

    /// Waits for the room of `payload` and no more, as `patience` says, and copies it there, after `prefix` bytes.
    #[inline(always)]
    fn copy_in(
        &self,
        ring: &mut impl Claims,
        letter: &Letter,
        prefix: usize,
        payload: &[u8],
        patience: &Patience,
    ) -> TransportResult<Sequence> {
        if payload.len() > self.payload_max(prefix) {
            return Err(self.too_large(prefix, payload.len()));
        }
        let mut claim = ring.claim_to_copy(prefix + payload.len(), patience).map_err(transport_error)?;
        claim[prefix..].copy_from_slice(payload);
        let sequence = commit(claim, letter, prefix, payload.len());
        self.counters.count(1, payload.len());
        Ok(sequence)
    }

    /// [`copy_in`](Self::copy_in) after the prefix of `letter`, which few messages have.
    #[inline(never)]
    fn copy_behind(
        &self,
        ring: &mut impl Claims,
        letter: &Letter,
        payload: &[u8],
        patience: &Patience,
    ) -> TransportResult<Sequence> {
        self.copy_in(ring, letter, letter.prefix.len(ALIGN), payload, patience)
    }

    /// Lets `encode` write into the free space now, after `prefix` bytes, or into `aside`.
    #[inline(always)]
    fn encode_in(
        &mut self,
        ring: &mut impl Claims,
        letter: &Letter,
        prefix: usize,
        size_hint: usize,
        patience: &Patience,
        mut encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        let most = self.payload_max(prefix);
        let likely_len = self.aside.likely_len(size_hint).min(most);
        let claimed = ring.try_claim_within(prefix + likely_len, prefix + most, patience);
        let first = match claimed.map_err(transport_error)? {
            Some(mut claim) => {
                let room = claim.len() - prefix;
                match encode(&mut claim[prefix..]) {
                    Ok(len) => {
                        if len > room {
                            beyond_the_room(len, room);
                        }
                        self.aside.note_len(len);
                        let sequence = commit(claim, letter, prefix, len);
                        self.counters.count(1, 0);
                        return Ok(sequence);
                    }
                    Err(short) => Some(short),
                }
            }
            None => None,
        };
        self.encode_aside(prefix, first, likely_len, encode)?;
        self.send_kept(ring, letter, patience)
    }

    /// [`encode_in`](Self::encode_in) after the prefix of `letter`.
    #[inline(never)]
    fn encode_behind(
        &mut self,
        ring: &mut impl Claims,
        letter: &Letter,
        size_hint: usize,
        patience: &Patience,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        self.encode_in(ring, letter, letter.prefix.len(ALIGN), size_hint, patience, encode)
    }

    /// Encodes into `aside`; a message that can never be sent is `TooLarge`.
    #[cold]
    #[inline(never)]
    fn encode_aside(
        &mut self,
        prefix: usize,
        first: Option<EncodeShort>,
        likely_len: usize,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<()> {
        let most = self.payload_max(prefix);
        self.aside.encode(first, likely_len, most, encode).map_err(|error| match error {
            NotEncoded::TooLarge { len_bytes } => self.too_large(prefix, len_bytes),
            NotEncoded::Codec(error) => error.into(),
        })
    }
}

impl<R: Claims> Writes<R> for RecordWriting {
    // Most messages have no prefix. For them its length is a constant.
    #[inline(always)]
    fn send(
        &mut self,
        ring: &mut R,
        letter: &Letter,
        payload: &[u8],
        patience: &Patience,
    ) -> TransportResult<Sequence> {
        match letter.prefix.announced() {
            0 => self.copy_in(ring, letter, 0, payload, patience),
            _ => self.copy_behind(ring, letter, payload, patience),
        }
    }

    #[inline(always)]
    fn send_with(
        &mut self,
        ring: &mut R,
        letter: &Letter,
        size_hint: usize,
        patience: &Patience,
        encode: impl FnMut(&mut [u8]) -> Result<usize, EncodeShort>,
    ) -> TransportResult<Sequence> {
        match letter.prefix.announced() {
            0 => self.encode_in(ring, letter, 0, size_hint, patience, encode),
            _ => self.encode_behind(ring, letter, size_hint, patience, encode),
        }
    }

    #[inline(never)]
    fn send_kept(&mut self, ring: &mut R, letter: &Letter, patience: &Patience) -> TransportResult<Sequence> {
        self.copy_behind(ring, letter, self.aside.bytes(), patience)
    }
}

/// Commits `claim`. Its payload of `len` bytes follows `prefix` bytes, which are written here.
#[inline(always)]
fn commit(mut claim: RecordClaim<'_>, letter: &Letter, prefix: usize, len: usize) -> Sequence {
    let mut flags = FRAME_SINGLE;
    if prefix > 0 {
        letter.prefix.write(&mut claim, ALIGN);
        flags |= letter.prefix.flags();
    }
    claim.commit(prefix + len, letter.kind, flags)
}

/// The error as a transport's. The caller has checked the case of records before.
#[cold]
fn transport_error(error: RecordError) -> TransportError {
    match error {
        RecordError::NoRoom(reason) => reason.into(),
        RecordError::TooLarge { len_bytes, max_bytes, ring_bytes_wanted } => {
            TransportError::TooLarge { len_bytes, limit_bytes: max_bytes, depth_wanted: ring_bytes_wanted }
        }
    }
}

impl Sends for RecordSender {
    type Ring = RecordProducer;
    type Writing = RecordWriting;

    #[inline(always)]
    fn parts(&mut self) -> (&mut RecordProducer, &mut RecordWriting) {
        (&mut self.producer, &mut self.writing)
    }
}

impl Sender for RecordSender {
    type Batch<'a> = Batch<'a, RecordBatch<'a>, RecordWriting>;

    fn producer(&self) -> &RecordProducer {
        &self.producer
    }

    fn max_message_bytes(&self) -> usize {
        self.writing.payload_max(Prefix::full().len(ALIGN))
    }

    #[inline(always)]
    fn batch(&mut self) -> Self::Batch<'_> {
        Batch::new(self.producer.batch(), &mut self.writing)
    }

    fn counts_anew(&mut self) {
        self.writing.counters = SenderCounters::of(&self.producer);
    }
}

/// Reads messages in place.
pub struct RecordReceiver {
    consumer: RecordConsumer,
    limit_bytes: usize,
    skipped: u64,
    counters: ReceiverCounters,
}

impl Receiver for RecordReceiver {
    type Consumer = RecordConsumer;
    type Held<'a> = HeldRecord<'a>;
    type Kept = KeptRecord;

    fn consumer(&self) -> &RecordConsumer {
        &self.consumer
    }

    fn consumer_mut(&mut self) -> &mut RecordConsumer {
        &mut self.consumer
    }

    #[inline(always)]
    fn next_or(
        &mut self,
        patience: Patience,
        mut dry: impl FnMut(&mut RecordConsumer, Option<ConsumeError>) -> TransportResult<Option<Self>>,
    ) -> TransportResult<Option<HeldRecord<'_>>> {
        // The path that may lead into another ring returns no message: returning one through memory costs more than all
        // the rest.
        if !self.consumer.has_record() {
            let counters = &mut self.counters;
            let is_there = self.consumer.prepare_or(patience, |end, reason| {
                let other = dry(end, reason)?;
                Ok::<_, TransportError>(other.map(|other| {
                    *counters = other.counters;
                    other.consumer
                }))
            });
            if !is_there? {
                return Ok(None);
            }
        }
        self.next(Patience::Now)
    }

    #[inline(always)]
    fn next(&mut self, patience: Patience) -> TransportResult<Option<HeldRecord<'_>>> {
        let Some(lease) = self.consumer.next(patience)? else { return Ok(None) };
        match check(lease.flags(), lease.len(), self.limit_bytes) {
            Ok(()) => Ok(Some(HeldRecord(lease))),
            Err(fault) => {
                drop(lease);
                Err(skip(&mut self.skipped, &self.counters, fault))
            }
        }
    }

    #[inline(always)]
    fn process<C>(
        &mut self,
        context: &C,
        mut handler: impl for<'h> FnMut(ManuallyDrop<HeldRecord<'h>>, &'h C),
    ) -> TransportResult<usize> {
        let (limit_bytes, mut fault) = (self.limit_bytes, None);
        let handled = self.consumer.process_lent(|lease| match check(lease.flags(), lease.len(), limit_bytes) {
            Ok(()) => {
                let is_long = lease.len() >= LONG_BYTES;
                handler(ManuallyDrop::new(HeldRecord(ManuallyDrop::into_inner(lease))), context);
                if is_long { Then::Acknowledge } else { Then::GoOn }
            }
            Err(found) => {
                fault = Some(found);
                Then::Stop
            }
        });
        fault.map_or(Ok(handled), |fault| Err(skip(&mut self.skipped, &self.counters, fault)))
    }

    fn wait_until_available(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        self.consumer.wait_until_available(patience)
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }

    fn counts_anew(&mut self) {
        self.counters = ReceiverCounters::of(&self.consumer);
    }
}

/// Counts a message that was taken and cannot be read.
#[cold]
fn skip(skipped: &mut u64, counters: &ReceiverCounters, fault: Malformed) -> TransportError {
    *skipped += 1;
    counters.skipped.inc();
    fault.into()
}

/// Where the payload of a record with these flags starts.
#[inline(always)]
fn start(flags: u8) -> usize {
    Prefix::len_of(flags, false, ALIGN)
}

/// Whether a record with these flags and of this length can be a message.
#[inline(always)]
fn check(flags: u8, len_bytes: usize, limit_bytes: usize) -> Result<(), Malformed> {
    if flags & FRAME_SINGLE != FRAME_SINGLE || !are_known(flags) {
        return Err(Malformed::Flags { flags });
    }
    match len_bytes.checked_sub(start(flags)) {
        None => Err(Malformed::Length { len_bytes: len_bytes as u32, wanted_bytes: start(flags) }),
        Some(payload) if payload > limit_bytes => {
            Err(Malformed::BeyondLimit { total_bytes: payload as u64, limit_bytes })
        }
        Some(_) => Ok(()),
    }
}

/// The envelope of a record that was [checked](check).
#[inline]
fn envelope(bytes: &[u8], kind: u8, flags: u8, sequence: Sequence) -> Envelope {
    // The prefix is there: the length was checked.
    let Prefix { mark, trace_id, .. } =
        Prefix::read(flags, false, bytes, ALIGN).map_or_else(|_| Prefix::default(), |(prefix, _)| prefix);
    // A record needs no number of its own to be told from its neighbours: it is one piece.
    Envelope { kind, flags, msg_id: sequence as u32, mark, trace_id }
}

/// The envelope of a record, and where its payload starts.
pub(super) fn parse(
    bytes: &[u8],
    kind: u8,
    flags: u8,
    sequence: Sequence,
    limit_bytes: usize,
) -> Result<(Envelope, usize), Malformed> {
    check(flags, bytes.len(), limit_bytes)?;
    Ok((envelope(bytes, kind, flags, sequence), start(flags)))
}

/// A message in its record, which was [checked](check). Its envelope is read when it is asked for: to move one about
/// with each message took longer than all else.
pub struct HeldRecord<'a>(RecordLease<'a>);

/// The same message, independent of its consumer.
pub struct KeptRecord(disruptor_mp::HeldRecord);

impl Handed for HeldRecord<'_> {
    #[inline]
    fn envelope(&self) -> Envelope {
        envelope(&self.0, self.0.kind(), self.0.flags(), self.0.sequence())
    }

    #[inline]
    fn bytes(&self) -> &[u8] {
        &self.0[start(self.0.flags())..]
    }

    fn sequence(&self) -> Sequence {
        self.0.sequence()
    }

    fn redeliveries(&self) -> u32 {
        self.0.redeliveries()
    }

    fn is_in_place(&self) -> bool {
        true
    }
}

impl Held for HeldRecord<'_> {
    type Kept = KeptRecord;

    fn hold(self) -> KeptRecord {
        KeptRecord(self.0.hold())
    }

    fn release_unread(self) {
        self.0.release_unread();
    }
}

impl fmt::Debug for RecordSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordSender").field("producer", &self.producer).finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordWriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordWriting").field("limit_bytes", &self.limit_bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for RecordReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordReceiver").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

impl fmt::Debug for HeldRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldRecord").field("lease", &self.0).finish_non_exhaustive()
    }
}

impl Handed for KeptRecord {
    fn envelope(&self) -> Envelope {
        envelope(&self.0, self.0.kind(), self.0.flags(), self.0.sequence())
    }

    fn bytes(&self) -> &[u8] {
        &self.0[start(self.0.flags())..]
    }

    fn sequence(&self) -> Sequence {
        self.0.sequence()
    }

    fn redeliveries(&self) -> u32 {
        self.0.redeliveries()
    }

    fn is_in_place(&self) -> bool {
        true
    }
}

impl Kept for KeptRecord {
    fn release(self) {
        self.0.release();
    }
}

impl fmt::Debug for KeptRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeptRecord").field("record", &self.0).finish_non_exhaustive()
    }
}
