//! The reading end of a ring of records. One process has it, and one thread at a time uses it.

use super::batch_lease::{RecordBatchLease, Span};
use super::found::{Found, look_at, look_at_next};
use super::held::HeldRecord;
use super::lease::{RecordLease, RecordMeta};
use crate::ring::ends::consumer_end::ConsumerBase;
use crate::ring::ends::consumer_face::{ConsumerMut, HasConsumer};
use crate::ring::ends::consumer_side::ConsumerSide;
use crate::ring::ends::error::{ConsumeError, or_end};
use crate::ring::ends::messages::{Holds, Messages};
use crate::ring::ends::pace::coarse_now_ns;
use crate::ring::ends::patience::Patience;
use crate::ring::protocol::records::line::Lines;
use std::fmt;
use std::mem::ManuallyDrop;

/// One consumer of a ring of records: it sees every record from its start on, in order, and the producer waits for it.
/// Delivery is *at least once*, as for [`SharedConsumer`](crate::SharedConsumer).
///
/// ```
/// use disruptor_mp::{Patience, SharedDisruptorBuilder};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let name = disruptor_mp::portable_shm_segment_name("doc");
/// # const STEP: u8 = 1;
/// # const CANCEL: u8 = 2;
/// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
/// // No size: it accepts the ring as it is. With an id it continues where it stopped after a restart.
/// let mut consumer = SharedDisruptorBuilder::records_at(&name).with_consumer_id("worker-0").build_record_consumer()?;
/// # producer.publish(b"7", STEP, 0, Patience::Now)?;
/// # producer.publish(b"", CANCEL, 0, Patience::Now)?;
/// # drop(producer);
/// # let mut log = vec![];
/// while let Some(record) = consumer.next_or_end(Patience::Endless)? {
///     // The bytes are read in place, until the record is dropped.
///     match record.kind() {
///         STEP => println!("step of {} bytes", record.len()),
///         CANCEL => println!("cancelled"),
///         other => println!("record {} is of kind {other}, which this program does not know", record.sequence()),
///     }
/// #   log.push((record.kind(), record.len()));
/// }
/// # assert_eq!(log, [(STEP, 1), (CANCEL, 0)]);
/// # Ok(())
/// # }
/// ```
pub struct RecordConsumer {
    end: ConsumerBase<Lines>,
}

impl RecordConsumer {
    pub(crate) fn new(end: ConsumerBase<Lines>) -> Self {
        Self { end }
    }

    /// The next record, in place; waits for it as `patience` says. `None` only for [`Patience::Now`], if there is none
    /// yet.
    ///
    /// # Errors
    /// See [`ConsumeError`]; everything published before the end is delivered first. `Now` reads the end in the ring
    /// and asks no process, so it does not notice a killed producer: use [`check_producer`](Self::check_producer) for
    /// that.
    #[inline(always)]
    pub fn next(&mut self, patience: impl Into<Patience>) -> Result<Option<RecordLease<'_>>, ConsumeError> {
        // Inlined, so that a lease is made where it is used: a lease that is returned through memory costs more than
        // all the rest.
        let patience = patience.into();
        loop {
            if self.end.side.look()
                && let Found::Record { bytes, meta, end } = look_at_next(&self.end.side)
            {
                let begin = self.end.side.core.next();
                self.end.side.core.deliver_to(end);
                let meta = RecordMeta { redeliveries: self.end.side.redelivery_of(begin), ..meta };
                // SAFETY: `look_at_numbered` has checked that they are in the ring. They were committed before `look`
                // found them (Acquire), and our gate, which keeps the producer off them, advances only when the lease
                // is dropped. The memory is mapped as long as the consumer lives, which the lease borrows.
                let bytes = unsafe { bytes.as_ref() };
                return Ok(Some(RecordLease::new(&mut self.end.side, bytes, meta, (begin, end))));
            }
            if !self.go_on(patience)? {
                return Ok(None);
            }
        }
    }

    /// Whether [`next`](Self::next) finds a record at once. For the layers above.
    #[doc(hidden)]
    #[inline(always)]
    pub fn has_record(&mut self) -> bool {
        self.end.side.look() && matches!(look_at_next(&self.end.side), Found::Record { .. })
    }

    /// Waits as `patience` says until [`next`](Self::next) finds a record at once; returns whether it does. Where there
    /// is nothing (`None`, without waiting), or a wait has ended, `dry` returns the consumer to go on with, or that
    /// this is the answer. For the layers above.
    #[doc(hidden)]
    #[inline(never)]
    pub fn prepare_or<E>(
        &mut self,
        patience: Patience,
        mut dry: impl FnMut(&mut Self, Option<ConsumeError>) -> Result<Option<Self>, E>,
    ) -> Result<bool, E> {
        while !self.has_record() {
            let reason = match self.go_on(patience) {
                Ok(true) => continue,
                Ok(false) => None,
                Err(reason) => Some(reason),
            };
            match dry(self, reason)? {
                Some(other) => *self = other,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// [`next`](Self::next) for loops that end where the ring ends. `None`: the producer has closed it and everything
    /// was read. If there is nothing yet, the error is [`TimedOut`](ConsumeError::TimedOut).
    ///
    /// ```
    /// # use disruptor_mp::{Patience, SharedDisruptorBuilder};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
    /// # let mut consumer = SharedDisruptorBuilder::records(&name, 0).build_record_consumer()?;
    /// # producer.publish(b"a step", 0, 0, Patience::Endless)?;
    /// # drop(producer);
    /// let mut bytes = 0;
    /// while let Some(record) = consumer.next_or_end(Patience::Endless)? {
    ///     bytes += record.len();
    /// }
    /// # assert_eq!(bytes, 6);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`next`](Self::next), without `Closed`.
    #[inline(always)]
    pub fn next_or_end(&mut self, patience: impl Into<Patience>) -> Result<Option<RecordLease<'_>>, ConsumeError> {
        or_end(self.next(patience), ConsumeError::is_closed)
    }

    /// What can be read now, at most `max` records, as one lease that is acknowledged as a whole; waits for the first
    /// as `patience` says. `None` only for [`Patience::Now`], if there is none.
    ///
    /// # Errors
    /// See [`next`](Self::next).
    ///
    /// # Panics
    /// If `max` is 0.
    pub fn next_batch(
        &mut self,
        max: usize,
        patience: impl Into<Patience>,
    ) -> Result<Option<RecordBatchLease<'_>>, ConsumeError> {
        self.batch_within(max, patience.into())
    }

    fn batch_within(&mut self, max: usize, patience: Patience) -> Result<Option<RecordBatchLease<'_>>, ConsumeError> {
        assert!(max > 0, "a batch has room for at least one record");
        loop {
            if self.end.side.look_for_all() {
                let span = Span::of(&self.end.side, max);
                if !span.is_empty() {
                    return Ok(Some(RecordBatchLease::new(&mut self.end.side, span)));
                }
            }
            if !self.go_on(patience)? {
                return Ok(None);
            }
        }
    }

    /// Waits as `patience` says if there is nothing, and skips what is no record. `false`: there is nothing, and it
    /// does not wait.
    #[inline(never)]
    fn go_on(&mut self, patience: Patience) -> Result<bool, ConsumeError> {
        if self.end.side.look() {
            self.step_to_record();
            Ok(true)
        } else {
            self.end.wait_as(patience)
        }
    }

    /// Whether what a look has found is a record; anything else is skipped.
    fn step_to_record(&mut self) -> bool {
        let begin = self.end.side.core.next();
        match look_at_next(&self.end.side) {
            Found::Record { .. } => return true,
            Found::Padding { end } => self.end.side.pass_padding(end),
            Found::Damage => self.end.side.core.forget_readable_from(begin),
        }
        false
    }

    /// The next record, to be released from any thread while newer ones are read: see
    /// [`SharedConsumer::next_held`](crate::SharedConsumer::next_held).
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub fn next_held(&mut self, patience: impl Into<Patience>) -> Result<Option<HeldRecord>, ConsumeError> {
        Ok(self.next(patience)?.map(RecordLease::hold))
    }

    /// The records of the ring, one by one, until the producer has closed it: see
    /// [`SharedConsumer::messages`](crate::SharedConsumer::messages).
    ///
    /// ```
    /// # use disruptor_mp::{Patience, SharedDisruptorBuilder};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let name = disruptor_mp::portable_shm_segment_name("doc");
    /// # let mut producer = SharedDisruptorBuilder::records(&name, 4096).build_record_producer()?;
    /// # let mut consumer = SharedDisruptorBuilder::records(&name, 0).build_record_consumer()?;
    /// # producer.publish(b"a step", 0, 0, Patience::Endless)?;
    /// # drop(producer);
    /// let mut bytes = 0;
    /// for record in consumer.messages() {
    ///     bytes += record?.len();
    /// }
    /// assert_eq!(bytes, 6);
    /// # Ok(())
    /// # }
    /// ```
    pub fn messages(&mut self) -> Messages<'_, Self> {
        Messages::new(self)
    }

    /// Hands every record that can be read now to `handler`, and returns how many those were.
    ///
    /// They are acknowledged on the way: every 64 records, or an eighth of the ring, and once 10 ms have passed since
    /// the last time. So the producer sees that a slow handler makes progress, and gets room. If `handler` panics, the
    /// records before that one are acknowledged, and that one is not.
    #[inline]
    pub fn process_available(&mut self, mut handler: impl FnMut(&[u8], RecordMeta)) -> usize {
        self.process_while(|record, _| {
            handler(&record, record.meta());
            Then::GoOn
        })
    }

    /// [`process_available`](Self::process_available) as long as `handler` returns so; each record is lent to it. For
    /// the layers above.
    #[doc(hidden)]
    #[inline(always)]
    pub fn process_lent(&mut self, mut handler: impl FnMut(ManuallyDrop<RecordLease<'_>>) -> Then) -> usize {
        self.process_while(|record, _| handler(record))
    }

    /// [`process_available`](Self::process_available) as long as `handler` returns so; the record after which it stops
    /// is handled. It is told what of the batch is after that record.
    // The handler is called at one place, so it is inlined there: a lease that is made there need not be in memory.
    #[inline]
    pub(super) fn process_while(
        &mut self,
        mut handler: impl FnMut(ManuallyDrop<RecordLease<'_>>, Ahead) -> Then,
    ) -> usize {
        let (mut count, most) = (0, self.end.capacity());
        // Records that were handed out before are handed out one at a time, and so is padding between them. Where
        // messages are held, each record is handed out alone as well.
        while let Some((handled, goes_on)) = self.process_batch(&mut handler) {
            count += handled;
            if !goes_on || !self.end.side.core.hands_out_singly() || count >= most {
                break;
            }
        }
        count
    }

    /// The end of what can be read now as one batch.
    #[inline(always)]
    fn find_batch(&mut self) -> Option<i64> {
        if !self.end.side.is_plain() {
            return self.find_among_held();
        }
        self.end.side.look_for_all().then(|| self.end.side.core.readable())
    }

    /// [`find_batch`](Self::find_batch) where messages are held: the end of the next record.
    #[cold]
    #[inline(never)]
    fn find_among_held(&mut self) -> Option<i64> {
        while self.end.side.look() {
            // What is no record is skipped. If a word is not valid, a look finds nothing.
            if self.step_to_record()
                && let Found::Record { end, .. } = look_at_next(&self.end.side)
            {
                return Some(end);
            }
        }
        None
    }

    /// Hands what can be read now to `handler`, and returns how many records that were, and whether it goes on; `None`
    /// if there was nothing.
    #[inline(always)]
    fn process_batch(
        &mut self,
        handler: &mut impl FnMut(ManuallyDrop<RecordLease<'_>>, Ahead) -> Then,
    ) -> Option<(usize, bool)> {
        let until = self.find_batch()?;
        let begin = self.end.side.core.next();
        self.end.side.core.deliver_to(until);
        // Only a record that is handed out alone was handed out before.
        let redeliveries = self.end.side.redelivery_of(begin);
        let part = self.end.side.part();
        let mut batch = InHandler {
            number: self.end.side.core.number_found(),
            consumer: &mut self.end.side,
            position: begin,
            last: begin,
            until,
            part_end: begin,
            count: 0,
            looked: 0,
            acknowledged: 0,
            bytes: 0,
        };
        let mut run = batch.consumer.pace.run();
        let mut goes_on = true;
        while batch.position < batch.until {
            batch.part_end = batch.until.min(batch.position + part);
            while batch.position < batch.part_end {
                let number = batch.number + batch.count as i64;
                match look_at(batch.consumer, batch.position, number, until) {
                    Found::Record { bytes, meta, end } => {
                        // SAFETY: as in `next`; our gate is not beyond `position`, where `acknowledge` moves it.
                        let in_place = unsafe { bytes.as_ref() };
                        let meta = RecordMeta { redeliveries, ..meta };
                        let record = RecordLease::lent(batch.consumer, in_place, meta, batch.position);
                        let then = handler(record, Ahead { number: number + 1, position: end, until });
                        batch.last = batch.position;
                        batch.position = end;
                        batch.count += 1;
                        batch.bytes += bytes.len() as u64;
                        run -= 1;
                        if run == 0 {
                            run = batch.look();
                        }
                        match then {
                            Then::GoOn => {}
                            Then::Acknowledge => batch.acknowledge(),
                            Then::Stop => {
                                goes_on = false;
                                batch.end_here();
                            }
                        }
                    }
                    Found::Padding { end } => (batch.last, batch.position) = (batch.position, end),
                    Found::Damage => {
                        batch.consumer.core.forget_readable_from(batch.position);
                        batch.end_here();
                    }
                }
            }
            if batch.position < batch.until {
                batch.acknowledge();
            }
        }
        batch.look();
        Some((batch.count as usize, goes_on))
    }

    /// Gives the entry up: see [`SharedConsumer::leave`](crate::SharedConsumer::leave).
    pub fn leave(mut self) {
        self.end.leave_on_drop();
    }

    /// Skips the next record without looking at it: for a record that has killed its consumer before. `false` if there
    /// is none now.
    ///
    /// # Errors
    /// See [`next`](Self::next).
    pub fn skip(&mut self) -> Result<bool, ConsumeError> {
        Ok(self.next(Patience::Now)?.is_some())
    }

    crate::consumer_end_methods!(end [pub]);
}

impl Holds for RecordConsumer {
    type Held = HeldRecord;
    type Error = ConsumeError;

    fn take_held(&mut self, patience: Patience) -> Result<Option<HeldRecord>, ConsumeError> {
        self.next_held(patience)
    }

    fn consume_error(error: &ConsumeError) -> Option<&ConsumeError> {
        Some(error)
    }
}

/// Records that a handler goes through. Dropping this acknowledges those before `position`.
struct InHandler<'a> {
    consumer: &'a mut ConsumerSide<Lines>,
    /// The number of the first of them.
    number: i64,
    /// Everything before it was handled, or was padding.
    position: i64,
    /// Where the last of those begins.
    last: i64,
    /// The end of what the handler gets; not reached only if it panics.
    until: i64,
    /// Where it is acknowledged at the latest.
    part_end: i64,
    /// How many records were handled, how many at the last look, and how many of them are acknowledged.
    count: u64,
    looked: u64,
    acknowledged: u64,
    /// The bytes of those that are not acknowledged.
    bytes: u64,
}

/// What is done after a record was handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next one is handed over.
    GoOn,
    /// What was handled is acknowledged, and the next one is handed over.
    Acknowledge,
    /// No other record is handed over.
    Stop,
}

/// What of a batch is after the record in hand.
#[derive(Clone, Copy)]
pub(super) struct Ahead {
    /// Its first number and position, and its end.
    number: i64,
    position: i64,
    until: i64,
}

impl Ahead {
    /// Whether no record is; `in_hand` is the record in hand.
    pub(super) fn is_empty(self, in_hand: &RecordLease<'_>) -> bool {
        let Self { number, mut position, until } = self;
        while position < until
            && let Found::Padding { end } = look_at(in_hand.consumer(), position, number, until)
        {
            position = end;
        }
        position >= until
    }
}

impl InHandler<'_> {
    /// Nothing from our position on is handed out.
    fn end_here(&mut self) {
        (self.until, self.part_end) = (self.position, self.position);
        self.consumer.note_not_handed(self.position);
    }

    /// Acknowledges what is handled if that is due, and returns how many records may pass before the next look.
    #[inline(always)]
    fn look(&mut self) -> u64 {
        let handled = self.count - std::mem::replace(&mut self.looked, self.count);
        if self.consumer.pace.is_due(handled, coarse_now_ns) {
            self.acknowledge();
        }
        self.consumer.pace.run()
    }

    #[inline(always)]
    fn acknowledge(&mut self) {
        if self.position > self.consumer.core.next() {
            self.consumer.acknowledge_handled(self.position, self.count - self.acknowledged, self.bytes, self.last);
            (self.acknowledged, self.bytes) = (self.count, 0);
        }
    }
}

/// The handler has panicked in the record at `position`. The records that it had not come to are not in its hands.
#[cold]
#[inline(never)]
fn note_panic(consumer: &mut ConsumerSide<Lines>, position: i64, number: i64, until: i64) {
    if let Found::Record { end, .. } = look_at(consumer, position, number, until) {
        consumer.note_panic(end);
    }
}

impl Drop for InHandler<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.acknowledge();
        if self.position < self.until {
            note_panic(self.consumer, self.position, self.number + self.count as i64, self.until);
        }
    }
}

impl HasConsumer for RecordConsumer {
    type Carries = Lines;

    fn base(&self) -> &ConsumerBase<Lines> {
        &self.end
    }

    fn base_mut(&mut self) -> ConsumerMut<'_, Lines> {
        ConsumerMut(&mut self.end)
    }

    fn wait_for_next(&mut self, patience: Patience) -> Result<(), ConsumeError> {
        loop {
            self.end.wait_until_readable(patience)?;
            if self.step_to_record() {
                return Ok(());
            }
        }
    }
}

impl fmt::Debug for RecordConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.end.describe("RecordConsumer", f)
    }
}
