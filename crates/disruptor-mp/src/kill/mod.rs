//! Kills real processes at every step of every protocol, and checks what the surviving processes see.
//!
//! A protocol with a new step adds a row to the table of scenarios below.
//!
//! ```text
//! event      the event that is published: it shows its author, and whether it is torn
//! victim     the processes that die
//! survivor   the threads that live, and the watch on a lock
//! writer     plays in which a producer dies: creating, publishing, closing, taking over, replacing; or a collector
//! records    plays in which a producer of records dies
//! upgrade    plays in which a producer or a consumer dies while the messages of a ring get another type
//! reader     plays in which a consumer dies: joining, reading, leaving, coming back
//! ```
//!
//! `KILL_TEST_ONLY=text` plays only the scenarios whose line contains that text, for instance `Replacing` or `at
//! GateStored`.

mod event;
mod reader;
mod records;
mod survivor;
mod upgrade;
mod victim;
mod writer;

use crate::step::Step;
use crate::{
    CoordinationMode, Dense, GcOutcome, SharedDisruptorBuilder, SlotForm, Stamped, Tap, WaitStrategy,
    build_shared_single_producer, gc,
};
use event::Event;
use std::fmt;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;
use survivor::Reader;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;
use victim::{BATCH, BUFFER, Doomed, Role};

/// Slots of the ring: few, so that the ends soon meet each other.
const CAPACITY: usize = 8;

/// Entries in the table of the ring: one for each of two survivors, and one for a victim.
const TABLE_LEN: usize = 3;

/// The id of a consumer that will die, if it has one.
const ID: &str = "victim";

/// A form in which the ring of a scenario can be.
trait InForm: SlotForm {
    /// The name by which a victim is told the form.
    const NAME: &'static str;

    /// The builder with which each process, also a victim, makes or finds the ring.
    fn ring(name: &str) -> SharedDisruptorBuilder<Event, Self>;
}

impl InForm for Stamped {
    const NAME: &'static str = "stamped";

    fn ring(name: &str) -> SharedDisruptorBuilder<Event> {
        build_shared_single_producer(name, CAPACITY)
            .enable_discovery(TABLE_LEN)
            .with_coordination(CoordinationMode::Immediate)
    }
}

impl InForm for Dense {
    const NAME: &'static str = "dense";

    fn ring(name: &str) -> SharedDisruptorBuilder<Event, Self> {
        Stamped::ring(name).dense()
    }
}

/// One way in which a process dies, and what the other processes must see.
#[derive(Clone, Copy)]
struct Scenario {
    /// The [name](InForm::NAME) of the form of its ring.
    form: &'static str,
    step: Step,
    /// How often the victim passes the step before it dies there.
    passes: u32,
    play: Play,
}

/// Which end dies, and what follows from that.
#[derive(Clone, Copy, Debug)]
enum Play {
    /// A producer dies. Each reader gets every visible event, and then the error that the producer died. All readers
    /// get the same events. The next producer continues after the last whole event.
    Publishing(Role, Visible),
    /// A producer of records dies. Its reader gets every committed record. The next producer continues after the last
    /// of them.
    PublishingRecords(Role, Visible),
    /// A producer dies while it closes a ring in which it published `published` events. Its readers get the events and
    /// then `Closed`. The next producer has a new ring.
    Closing { role: Role, published: usize, name_stays: bool },
    /// A producer dies while it creates a ring under a free name. `is_named`: the ring has that name by then.
    Creating { is_named: bool },
    /// A producer of that role has died. The next producer dies while it takes over. The third producer takes over as
    /// well.
    TakingOver(Role),
    /// A producer has died. The next producer dies while it replaces the ring.
    Replacing(Old),
    /// The next producer has messages of another type, and dies. `is_replaced`: it has replaced the ring by then.
    Upgrading { is_replaced: bool },
    /// The same, but no consumer has anything left to read, so the old ring is not kept.
    UpgradingRead { is_replaced: bool },
    /// A consumer dies while it moves over from a ring that a producer with messages of another type has replaced.
    ComingOver,
    /// A consumer dies while it leaves a ring. Two later rings follow that ring, and no other consumer needs it.
    LeavingOlder,
    /// A collector dies while it removes a ring and the older ring that this one has replaced.
    CollectingBoth,
    /// A collector dies while it removes a ring in which no process lives.
    Collecting,
    /// A ring of another kind is there, and its producer is dead. The next producer dies while it replaces that ring.
    Clearing,
    /// A consumer dies while it reads. Under its own id it comes back to `position`. Every event before `delivered` is
    /// marked as redelivered.
    Reading { role: Role, position: i64, delivered: i64 },
    /// A consumer without an id dies while it reads: no consumer comes back.
    ReadingNameless(Role),
    /// A consumer that holds messages dies. Its successor gets the messages in `left` and all that follow them. Those
    /// before `delivered` are marked as redelivered.
    Holding { role: Role, left: &'static [i64], delivered: i64 },
    /// A consumer dies while it joins in an entry whose last owner had released messages out of order.
    JoiningAfterHolder,
    /// A consumer with an id dies while it leaves.
    Leaving(Role),
    /// A required consumer goes, and its process dies at that step. Then a managed publish fails. If the departure
    /// `is_counted`, it is the next one; otherwise it is one within a lap. Once a successor is there, publishing goes
    /// on.
    GoingAlthoughRequired { role: Role, is_counted: bool },
    /// A consumer dies while it joins. `is_kept`: its entry is kept for it. That needs an id, and a join that got far
    /// enough.
    Joining { id: Option<&'static str>, is_kept: bool },
    /// Events wait in a ring for its first consumer, which dies. The next consumer gets these events, unless the dead
    /// one was handed one of them.
    Alone { role: Role, id: Option<&'static str>, is_read: bool },
    /// A process asks for other events than the ring has, and dies while it is refused. `is_told`: the producer is told
    /// of that refusal. It is told of the next refusal in any case.
    BeingRefused { is_told: bool },
    /// A consumer died with an event in hand. The next one comes back under its id, and dies before it is handed
    /// anything. `redeliveries`: the event's count afterwards.
    Rejoining { redeliveries: u32 },
}

/// How many events the victim's readers must see.
#[derive(Clone, Copy, Debug)]
enum Visible {
    Exactly(usize),
    AtLeast(usize),
}

/// What the old ring is after the death of the producer that was replacing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Old {
    /// The old ring is as it was, and has its name.
    Untouched,
    /// Another ring has the name of the old ring.
    Renamed,
    /// Another ring has the name of the old ring, and the old ring is marked as replaced.
    Marked,
}

/// The scenarios. Each step has at least one.
fn scenarios() -> Vec<Scenario> {
    use Play::*;
    use Role::*;
    use Step::*;
    use Visible::*;
    let (batch, id) = (BATCH, Some(ID));
    let at = |step, passes, play| Scenario { form: Stamped::NAME, step, passes, play };
    let dense = |step, passes, play| Scenario { form: Dense::NAME, step, passes, play };
    vec![
        at(ProducerLocked, 0, Creating { is_named: false }),
        at(SegmentReserved, 0, Creating { is_named: false }),
        at(SegmentWritten, 0, Creating { is_named: false }),
        at(SegmentReady, 0, Creating { is_named: false }),
        at(SegmentNamed, 0, Creating { is_named: true }),
        // A slot is empty in the first lap. Later it holds an old event.
        at(StampInvalidated, 0, Publishing(Publish, Exactly(0))),
        at(StampInvalidated, 13, Publishing(Publish, Exactly(13))),
        at(PayloadHalfWritten, 2, Publishing(Publish, Exactly(2))),
        at(PayloadHalfWritten, 8, Publishing(Publish, Exactly(8))),
        at(PayloadHalfWritten, 21, Publishing(Publish, Exactly(21))),
        at(PayloadWritten, 0, Publishing(Publish, Exactly(0))),
        at(PayloadWritten, 17, Publishing(Publish, Exactly(17))),
        at(StampStored, 0, Publishing(Publish, Exactly(1))),
        at(StampStored, 15, Publishing(Publish, Exactly(16))),
        at(CursorStored, 0, Publishing(Publish, Exactly(1))),
        at(CursorStored, 40, Publishing(Publish, Exactly(41))),
        at(StampInvalidated, 14, Publishing(PublishBatches, Exactly(14))),
        at(PayloadHalfWritten, 9, Publishing(PublishBatches, Exactly(9))),
        at(StampStored, 18, Publishing(PublishBatches, Exactly(19))),
        at(InsideBatch, 1, Publishing(PublishBatches, Exactly(2))),
        at(InsideBatch, 22, Publishing(PublishBatches, Exactly(23))),
        at(BatchStamped, 0, Publishing(PublishBatches, Exactly(batch))),
        at(BatchStamped, 6, Publishing(PublishBatches, Exactly(7 * batch))),
        at(CursorStored, 3, Publishing(PublishBatches, Exactly(4 * batch))),
        // Each event of a group gets a stamp when it is written. The first event gets its final stamp last, so no
        // reader sees a part of the group.
        at(GroupInvalidated, 0, Publishing(PublishGroups, Exactly(0))),
        at(GroupInvalidated, 7, Publishing(PublishGroups, Exactly(7 * batch))),
        at(PayloadHalfWritten, 10, Publishing(PublishGroups, Exactly(2 * batch))),
        at(GroupWritten, 5, Publishing(PublishGroups, Exactly(5 * batch))),
        at(InsideGroup, 0, Publishing(PublishGroups, Exactly(0))),
        at(InsideGroup, 2, Publishing(PublishGroups, Exactly(0))),
        at(InsideGroup, 3, Publishing(PublishGroups, Exactly(0))),
        at(InsideGroup, 14, Publishing(PublishGroups, Exactly(3 * batch))),
        at(GroupStamped, 0, Publishing(PublishGroups, Exactly(batch))),
        at(GroupStamped, 6, Publishing(PublishGroups, Exactly(7 * batch))),
        // Before each group, the victim gives up another group at its third event.
        at(InsideGroup, 1, Publishing(PublishGroupsAtSecondTry, Exactly(0))),
        at(InsideGroup, 13, Publishing(PublishGroupsAtSecondTry, Exactly(2 * batch))),
        at(GroupUndone, 0, Publishing(PublishGroupsAtSecondTry, Exactly(0))),
        at(GroupUndone, 3, Publishing(PublishGroupsAtSecondTry, Exactly(3 * batch))),
        at(AttemptBegun, 2, Publishing(PublishGroupsAtSecondTry, Exactly(2 * batch))),
        // The victim publishes two groups with one store of the cursor. Readers see each group as a whole, or not at
        // all.
        at(GroupInvalidated, 1, Publishing(PublishGroupBatches, Exactly(batch))),
        at(GroupWritten, 3, Publishing(PublishGroupBatches, Exactly(3 * batch))),
        at(InsideGroup, 4, Publishing(PublishGroupBatches, Exactly(batch))),
        at(GroupStamped, 0, Publishing(PublishGroupBatches, Exactly(batch))),
        at(GroupStamped, 5, Publishing(PublishGroupBatches, Exactly(6 * batch))),
        // The event is written in the producer's buffer, and is then copied into the slot.
        at(PayloadHalfWritten, 19, Publishing(PublishBuffered, Exactly(19))),
        at(PayloadBuffered, 0, Publishing(PublishBuffered, Exactly(0))),
        at(PayloadBuffered, 15, Publishing(PublishBuffered, Exactly(15))),
        at(PayloadWritten, 17, Publishing(PublishBuffered, Exactly(17))),
        at(PayloadBuffered, 22, Publishing(PublishBufferedBatches, Exactly(22))),
        dense(PayloadBuffered, 18, Publishing(PublishBuffered, Exactly(18))),
        dense(PayloadBuffered, 23, Publishing(PublishBufferedBatches, Exactly(5 * batch))),
        at(StoredNotWoken, 0, Publishing(PublishToSleepers, AtLeast(1))),
        at(StoredNotWoken, 4, Publishing(PublishToSleepers, AtLeast(5))),
        at(FencedStored, 0, Publishing(PublishToSleepers, AtLeast(1))),
        // The producer first looks at the gates at the end of the first lap.
        at(LimitStored, 0, Publishing(Publish, Exactly(CAPACITY))),
        at(LimitStored, 3, Publishing(Publish, AtLeast(CAPACITY))),
        at(LimitStored, 0, Publishing(PublishUnread, Exactly(CAPACITY))),
        at(WriterAnnounced, 0, Publishing(PublishUnread, Exactly(CAPACITY))),
        at(WriterAnnounced, 0, Publishing(Publish, AtLeast(CAPACITY))),
        // Records are published one by one, every second one in a batch of its own. The ring wraps about every 20
        // records.
        at(PayloadHalfWritten, 0, PublishingRecords(PublishRecords, Exactly(0))),
        at(PayloadHalfWritten, 37, PublishingRecords(PublishRecords, Exactly(37))),
        at(PayloadWritten, 12, PublishingRecords(PublishRecords, Exactly(12))),
        at(ClaimedStored, 0, PublishingRecords(PublishRecords, Exactly(0))),
        at(ClaimedStored, 9, PublishingRecords(PublishRecords, AtLeast(20))),
        at(NextWordCleared, 0, PublishingRecords(PublishRecords, Exactly(0))),
        at(BeginNoted, 3, PublishingRecords(PublishRecords, AtLeast(5))),
        at(BeginNoted, 20, PublishingRecords(PublishRecords, AtLeast(40))),
        at(NextWordCleared, 29, PublishingRecords(PublishRecords, Exactly(29))),
        at(NextNumberStored, 8, PublishingRecords(PublishRecords, Exactly(8))),
        at(NextNumberStored, 41, PublishingRecords(PublishRecords, Exactly(41))),
        at(WordCommitted, 0, PublishingRecords(PublishRecords, Exactly(1))),
        at(WordCommitted, 23, PublishingRecords(PublishRecords, Exactly(24))),
        at(WordCommitted, 60, PublishingRecords(PublishRecords, Exactly(61))),
        at(CursorStored, 17, PublishingRecords(PublishRecords, AtLeast(10))),
        at(LimitStored, 2, PublishingRecords(PublishRecords, AtLeast(5))),
        // Records are published in batches of four. Readers see every committed record whole, wherever it is in its
        // batch.
        at(PayloadHalfWritten, 6, PublishingRecords(PublishRecordBatches, Exactly(6))),
        at(PayloadWritten, 9, PublishingRecords(PublishRecordBatches, Exactly(9))),
        at(NextWordCleared, 14, PublishingRecords(PublishRecordBatches, Exactly(14))),
        at(NextNumberStored, 5, PublishingRecords(PublishRecordBatches, Exactly(5))),
        at(WordCommitted, 0, PublishingRecords(PublishRecordBatches, Exactly(1))),
        at(WordCommitted, 22, PublishingRecords(PublishRecordBatches, Exactly(23))),
        at(CursorStored, 2, PublishingRecords(PublishRecordBatches, AtLeast(4))),
        // The record is written in the producer's buffer, and the commit copies it into the ring.
        at(PayloadHalfWritten, 5, PublishingRecords(PublishBufferedRecords, Exactly(5))),
        // The first record has no payload, and others are too short for the buffer: they do not pass this step.
        at(PayloadBuffered, 0, PublishingRecords(PublishBufferedRecords, Exactly(1))),
        at(PayloadBuffered, 36, PublishingRecords(PublishBufferedRecords, Exactly(46))),
        at(PayloadWritten, 13, PublishingRecords(PublishBufferedRecords, Exactly(13))),
        at(NextWordCleared, 28, PublishingRecords(PublishBufferedRecords, Exactly(28))),
        at(WordCommitted, 61, PublishingRecords(PublishBufferedRecords, Exactly(62))),
        // In a dense ring nothing is visible before the cursor is stored. Then a whole batch is visible at once.
        dense(ClaimedStored, 0, Publishing(Publish, Exactly(0))),
        dense(ClaimedStored, 9, Publishing(Publish, AtLeast(CAPACITY))),
        dense(PayloadHalfWritten, 21, Publishing(Publish, Exactly(21))),
        dense(PayloadWritten, 0, Publishing(Publish, Exactly(0))),
        dense(PayloadWritten, 17, Publishing(Publish, Exactly(17))),
        dense(WrittenStored, 2, Publishing(Publish, Exactly(2))),
        dense(WrittenStored, 15, Publishing(Publish, Exactly(15))),
        dense(CursorStored, 0, Publishing(Publish, Exactly(1))),
        dense(CursorStored, 40, Publishing(Publish, Exactly(41))),
        dense(PayloadHalfWritten, 9, Publishing(PublishBatches, Exactly(2 * batch))),
        dense(InsideBatch, 22, Publishing(PublishBatches, Exactly(5 * batch))),
        dense(BatchStamped, 6, Publishing(PublishBatches, Exactly(6 * batch))),
        dense(WrittenStored, 3, Publishing(PublishBatches, Exactly(3 * batch))),
        dense(CursorStored, 3, Publishing(PublishBatches, Exactly(4 * batch))),
        dense(PayloadHalfWritten, 10, Publishing(PublishGroups, Exactly(2 * batch))),
        dense(GroupWritten, 5, Publishing(PublishGroups, Exactly(5 * batch))),
        dense(CursorStored, 0, Publishing(PublishGroups, Exactly(batch))),
        dense(StoredNotWoken, 4, Publishing(PublishToSleepers, AtLeast(5))),
        dense(LimitStored, 3, Publishing(Publish, AtLeast(CAPACITY))),
        dense(LimitStored, 0, Publishing(PublishUnread, Exactly(CAPACITY))),
        at(SentinelLifted, 0, Publishing(PublishToBuffer, Exactly(BUFFER))),
        dense(SentinelLifted, 0, Publishing(PublishToBuffer, Exactly(BUFFER))),
        dense(ClosedStored, 0, Closing { role: Close, published: 5, name_stays: true }),
        dense(ClosedStored, 0, Publishing(PublishAndPanic, Exactly(5))),
        dense(TakeOverWrittenStored, 0, TakingOver(Publish)),
        dense(TakeOverCursorStored, 0, TakingOver(Publish)),
        dense(LimitStored, 0, TakingOver(PublishGroups)),
        dense(TakeOverWoken, 0, TakingOver(Publish)),
        dense(ReplaceMarked, 0, Replacing(Old::Marked)),
        dense(SegmentNamed, 0, Replacing(Old::Renamed)),
        dense(DeliveredStored, 5, Reading { role: Consume, position: 5, delivered: 6 }),
        dense(GateStored, 11, Reading { role: Consume, position: 12, delivered: 12 }),
        dense(DeliveredStored, 1, Reading { role: ConsumeBatches, position: 4, delivered: 8 }),
        dense(ReleasedStored, 1, Holding { role: Hold, left: &[0, 1, 2, 3, 5, 7], delivered: 7 }),
        dense(GateStored, 1, Holding { role: HoldOn, left: &[3, 5, 7], delivered: 7 }),
        dense(JoinVisible, 0, Alone { role: Join, id, is_read: false }),
        dense(RejoinDelivered, 0, Rejoining { redeliveries: 1 }),
        at(ClosedStored, 0, Closing { role: Close, published: 5, name_stays: true }),
        at(StoredNotWoken, 0, Closing { role: CloseUnused, published: 0, name_stays: true }),
        at(CloseWoken, 0, Closing { role: Close, published: 5, name_stays: true }),
        at(CloseUnlinked, 0, Closing { role: Close, published: 5, name_stays: false }),
        // A producer that a panic drops has not closed its ring.
        at(ClosedStored, 0, Publishing(PublishAndPanic, Exactly(5))),
        at(StoredNotWoken, 0, Publishing(PublishAndPanic, AtLeast(1))),
        at(CloseWoken, 0, Publishing(PublishAndPanic, Exactly(5))),
        at(TakeOverCleared, 0, TakingOver(PublishAndPanic)),
        at(TakeOverOpened, 0, TakingOver(PublishAndPanic)),
        at(TakeOverLocked, 0, TakingOver(Publish)),
        at(TakeOverCursorStored, 0, TakingOver(Publish)),
        at(TakeOverCursorStored, 0, TakingOver(PublishGroups)),
        at(LeftoversCleared, 0, TakingOver(PublishGroups)),
        at(AttemptBegun, 0, TakingOver(PublishGroups)),
        at(TakeOverCleared, 0, TakingOver(PublishGroups)),
        at(LimitStored, 0, TakingOver(Publish)),
        at(StoredNotWoken, 0, TakingOver(Publish)),
        at(TakeOverWoken, 0, TakingOver(Publish)),
        at(TakeOverLocked, 0, Replacing(Old::Untouched)),
        at(ProducerLocked, 0, Replacing(Old::Untouched)),
        at(SegmentReserved, 0, Replacing(Old::Untouched)),
        at(SegmentWritten, 0, Replacing(Old::Untouched)),
        at(SegmentReady, 0, Replacing(Old::Untouched)),
        at(ReplacementMade, 0, Replacing(Old::Untouched)),
        at(SegmentNamed, 0, Replacing(Old::Renamed)),
        at(ReplaceMarked, 0, Replacing(Old::Marked)),
        at(StoredNotWoken, 0, Replacing(Old::Marked)),
        at(ReplaceWoken, 0, Replacing(Old::Marked)),
        at(SecondNameGiven, 0, Upgrading { is_replaced: false }),
        at(ProducerLocked, 0, Upgrading { is_replaced: false }),
        at(SegmentWritten, 0, Upgrading { is_replaced: false }),
        at(SegmentReady, 0, Upgrading { is_replaced: false }),
        at(ReplacementMade, 0, Upgrading { is_replaced: false }),
        at(SegmentNamed, 0, Upgrading { is_replaced: true }),
        at(ReplaceMarked, 0, Upgrading { is_replaced: true }),
        at(ReplaceWoken, 0, Upgrading { is_replaced: true }),
        at(TakeOverLocked, 0, UpgradingRead { is_replaced: false }),
        at(ProducerLocked, 0, UpgradingRead { is_replaced: false }),
        at(SegmentReserved, 0, UpgradingRead { is_replaced: false }),
        at(SegmentWritten, 0, UpgradingRead { is_replaced: false }),
        at(SegmentReady, 0, UpgradingRead { is_replaced: false }),
        at(ReplacementMade, 0, UpgradingRead { is_replaced: false }),
        at(SegmentNamed, 0, UpgradingRead { is_replaced: true }),
        at(ReplaceMarked, 0, UpgradingRead { is_replaced: true }),
        at(StoredNotWoken, 0, UpgradingRead { is_replaced: true }),
        at(ReplaceWoken, 0, UpgradingRead { is_replaced: true }),
        at(TableLocked, 0, ComingOver),
        at(RejoinEpoch, 0, ComingOver),
        at(RejoinMarked, 0, ComingOver),
        at(RejoinIdentity, 0, ComingOver),
        at(OlderLeft, 0, ComingOver),
        at(LeaveFreed, 0, LeavingOlder),
        at(LeaveCounted, 0, LeavingOlder),
        at(EntryUnlocked, 0, LeavingOlder),
        at(LeaveWoken, 0, LeavingOlder),
        at(PlaceRenewed, 0, LeavingOlder),
        at(PlaceHandedOn, 0, LeavingOlder),
        at(CollectUnlinked, 0, LeavingOlder),
        at(CollectMarked, 0, LeavingOlder),
        at(GivenUpFreed, 0, LeavingOlder),
        at(CollectUnlinked, 0, CollectingBoth),
        at(CollectMarked, 0, CollectingBoth),
        at(CollectUnlinked, 1, CollectingBoth),
        at(CollectMarked, 1, CollectingBoth),
        at(CollectUnlinked, 0, Collecting),
        at(CollectMarked, 0, Collecting),
        at(CollectUnlinked, 0, Clearing),
        at(CollectMarked, 0, Clearing),
        at(SegmentReady, 0, Clearing),
        at(SegmentNamed, 0, Clearing),
        // When the victim begins, the ring is full of events that it has not read.
        at(DeliveredStored, 0, Reading { role: Consume, position: 0, delivered: 1 }),
        at(DeliveredStored, 5, Reading { role: Consume, position: 5, delivered: 6 }),
        at(GateStored, 0, Reading { role: Consume, position: 1, delivered: 1 }),
        at(GateStored, 11, Reading { role: Consume, position: 12, delivered: 12 }),
        // A consumer that joins passes this step as well, so this is the second time.
        at(StoredNotWoken, 1, Reading { role: Consume, position: 1, delivered: 1 }),
        at(DeliveredStored, 0, Reading { role: ConsumeBatches, position: 0, delivered: 4 }),
        at(DeliveredStored, 1, Reading { role: ConsumeBatches, position: 4, delivered: 8 }),
        at(GateStored, 0, Reading { role: ConsumeBatches, position: 4, delivered: 4 }),
        at(ReaderAnnounced, 0, Reading { role: Consume, position: 0, delivered: 0 }),
        at(DeliveredStored, 3, ReadingNameless(Consume)),
        at(GateStored, 3, ReadingNameless(Consume)),
        at(StoredNotWoken, 1, ReadingNameless(Consume)),
        at(DeliveredStored, 1, ReadingNameless(ConsumeBatches)),
        at(ReaderAnnounced, 0, ReadingNameless(Consume)),
        // The victim takes events 0 to 5, reads 6, and then releases 4, 2, 0, 1, 3, 5.
        at(DeliveredStored, 3, Holding { role: Hold, left: &[0, 1, 2, 3, 4], delivered: 4 }),
        at(ReleasedStored, 0, Holding { role: Hold, left: &[0, 1, 2, 3, 4, 5, 7], delivered: 7 }),
        at(ReleasedStored, 1, Holding { role: Hold, left: &[0, 1, 2, 3, 5, 7], delivered: 7 }),
        at(ReleasedStored, 2, Holding { role: Hold, left: &[0, 1, 3, 5, 7], delivered: 7 }),
        at(GateStored, 0, Holding { role: Hold, left: &[1, 3, 5, 7], delivered: 7 }),
        at(GateStored, 1, Holding { role: Hold, left: &[3, 5, 7], delivered: 7 }),
        at(GateStored, 2, Holding { role: Hold, left: &[5, 7], delivered: 7 }),
        at(GateStored, 3, Holding { role: Hold, left: &[7], delivered: 7 }),
        // The same, but the victim drops its consumer before it releases the events.
        at(ReleasedStored, 2, Holding { role: HoldOn, left: &[0, 1, 3, 5, 7], delivered: 7 }),
        at(GateStored, 1, Holding { role: HoldOn, left: &[3, 5, 7], delivered: 7 }),
        at(EndingStored, 0, Holding { role: HoldOn, left: &[7], delivered: 7 }),
        at(ReleasedCleared, 0, JoiningAfterHolder),
        at(ReleasedCleared, 2, JoiningAfterHolder),
        at(ReadStored, 0, Reading { role: Leave, position: 3, delivered: 3 }),
        at(LeaveFreed, 0, Leaving(Leave)),
        at(StoredNotWoken, 1, Leaving(LeaveUnread)),
        at(LeaveCounted, 0, Leaving(Leave)),
        at(EntryUnlocked, 0, Leaving(Leave)),
        at(LeaveWoken, 0, Leaving(Leave)),
        at(LeaveFreed, 0, GoingAlthoughRequired { role: Leave, is_counted: false }),
        at(LeaveCounted, 0, GoingAlthoughRequired { role: Leave, is_counted: true }),
        at(EntryUnlocked, 0, GoingAlthoughRequired { role: Leave, is_counted: true }),
        at(LeaveWoken, 0, GoingAlthoughRequired { role: Leave, is_counted: true }),
        // The victim panics with the event in hand, and dies while the panic unwinds.
        at(EndingStored, 0, Reading { role: Panic, position: 3, delivered: 4 }),
        at(EndingCounted, 0, Reading { role: Panic, position: 3, delivered: 4 }),
        at(EntryUnlocked, 0, Reading { role: Panic, position: 3, delivered: 4 }),
        at(EndingStored, 0, GoingAlthoughRequired { role: Panic, is_counted: false }),
        at(EndingCounted, 0, GoingAlthoughRequired { role: Panic, is_counted: true }),
        at(EntryUnlocked, 0, GoingAlthoughRequired { role: Panic, is_counted: true }),
        at(DeliveredStored, 0, GoingAlthoughRequired { role: Consume, is_counted: false }),
        at(TableLocked, 0, Joining { id, is_kept: false }),
        at(EntryLocked, 0, Joining { id, is_kept: false }),
        at(EntryNamed, 0, Joining { id, is_kept: false }),
        at(JoinFirstGate, 0, Joining { id, is_kept: false }),
        at(JoinVisible, 0, Joining { id, is_kept: false }),
        at(JoinVisible, 0, Joining { id: None, is_kept: false }),
        at(JoinCounted, 0, Joining { id, is_kept: false }),
        at(JoinSecondGate, 0, Joining { id, is_kept: false }),
        at(JoinActive, 0, Joining { id, is_kept: true }),
        at(JoinActive, 0, Joining { id: None, is_kept: false }),
        at(StoredNotWoken, 0, Joining { id, is_kept: true }),
        at(JoinVisible, 0, Alone { role: Join, id, is_read: false }),
        at(JoinVisible, 0, Alone { role: Join, id: None, is_read: false }),
        at(JoinActive, 0, Alone { role: Join, id, is_read: false }),
        at(JoinActive, 0, Alone { role: Join, id: None, is_read: false }),
        at(DeliveredStored, 0, Alone { role: Consume, id, is_read: true }),
        at(DeliveredStored, 0, Alone { role: Consume, id: None, is_read: true }),
        at(ReadStored, 0, Alone { role: Leave, id, is_read: true }),
        at(LeaveFreed, 0, Alone { role: Leave, id, is_read: true }),
        at(LeaveFreed, 0, Alone { role: LeaveUnread, id, is_read: false }),
        at(RefusalRowStored, 0, BeingRefused { is_told: false }),
        at(RefusalStored, 0, BeingRefused { is_told: true }),
        at(TableLocked, 0, Rejoining { redeliveries: 1 }),
        at(RejoinEpoch, 0, Rejoining { redeliveries: 1 }),
        at(RejoinMarked, 0, Rejoining { redeliveries: 2 }),
        at(RejoinDelivered, 0, Rejoining { redeliveries: 1 }),
        at(RejoinIdentity, 0, Rejoining { redeliveries: 1 }),
    ]
}

/// The number of kills, and how long threads waited for victims. Each wait counts from the last moment at which the
/// victim's lock was certainly still held.
#[derive(Default)]
struct Log {
    kills: usize,
    waits: Vec<Duration>,
}

impl Log {
    /// Counts a victim that is dead.
    fn killed(&mut self) {
        self.kills += 1;
    }

    /// Adds a wait for a victim. The wait has ended.
    fn waited(&mut self, wait: Duration) {
        self.waits.push(wait);
    }

    /// The distribution, in one line.
    fn summary(&mut self) -> String {
        self.waits.sort();
        let quantile = |q: f64| self.waits[((self.waits.len() - 1) as f64 * q) as usize];
        format!(
            "{} kills; {} waits ended after the lock was dropped by: p50 {:.1?}, p90 {:.1?}, max {:.1?}",
            self.kills,
            self.waits.len(),
            quantile(0.5),
            quantile(0.9),
            quantile(1.0)
        )
    }
}

/// The builder of a process that says, in a content tag, which version of events the ring carries.
fn versioned(name: &str, version: u32) -> SharedDisruptorBuilder<Event> {
    Stamped::ring(name).with_content_tag(format!("event/{version}"))
}

/// The stage of one scenario: a name in shared memory. At the end nothing may be left under that name.
struct Stage<F> {
    name: String,
    shm: ShmGuard,
    form: PhantomData<F>,
}

impl<F: InForm> Stage<F> {
    fn new() -> Self {
        let shm = ShmGuard::new();
        Self { name: shm.name("k"), shm, form: PhantomData }
    }

    fn ring(&self) -> SharedDisruptorBuilder<Event, F> {
        F::ring(&self.name)
    }

    /// A reader that has not yet been told to begin.
    fn reader(&self, wait: WaitStrategy) -> Reader {
        Reader::start(self.ring().with_wait_strategy(wait).build_consumer().unwrap())
    }

    fn tap(&self) -> Tap<Event, F> {
        self.ring().build_tap().unwrap()
    }

    fn doomed(&self, scenario: &Scenario, role: Role, id: Option<&str>) -> Doomed {
        Doomed::spawn::<F>(&self.name, role, id, scenario.step, scenario.passes)
    }

    /// Ends the scenario, when all processes have gone. A collector removes what is left.
    fn strike(self) {
        let outcome = gc(self.name.as_str()).unwrap();
        assert!(matches!(outcome, GcOutcome::NotFound | GcOutcome::Removed), "{outcome:?}");
        self.shm.assert_nothing_left();
    }
}

fn play<F: InForm>(scenario: &Scenario, log: &mut Log) {
    match scenario.play {
        Play::Publishing(role, visible) => writer::publishing::<F>(scenario, role, visible, log),
        Play::PublishingRecords(role, visible) => records::publishing(scenario, role, visible, log),
        Play::Closing { role, published, name_stays } => {
            writer::closing::<F>(scenario, role, published, name_stays, log)
        }
        Play::Creating { is_named } => writer::creating::<F>(scenario, is_named, log),
        Play::TakingOver(first) => writer::taking_over::<F>(scenario, first, log),
        Play::Replacing(old) => writer::replacing::<F>(scenario, old, log),
        Play::Upgrading { is_replaced } => upgrade::upgrading(scenario, is_replaced, log),
        Play::UpgradingRead { is_replaced } => upgrade::upgrading_read(scenario, is_replaced, log),
        Play::ComingOver => upgrade::coming_over(scenario, log),
        Play::LeavingOlder => upgrade::leaving_older(scenario, log),
        Play::CollectingBoth => upgrade::collecting_both(scenario, log),
        Play::Reading { role, position, delivered } => reader::reading::<F>(scenario, role, position, delivered, log),
        Play::ReadingNameless(role) => reader::reading_nameless::<F>(scenario, role, log),
        Play::Collecting => writer::collecting::<F>(scenario, log),
        Play::Clearing => writer::clearing::<F>(scenario, log),
        Play::Holding { role, left, delivered } => reader::holding::<F>(scenario, role, left, delivered, log),
        Play::JoiningAfterHolder => reader::joining_after_holder::<F>(scenario, log),
        Play::Leaving(role) => reader::leaving::<F>(scenario, role, log),
        Play::GoingAlthoughRequired { role, is_counted } => {
            reader::going_although_required::<F>(scenario, role, is_counted, log)
        }
        Play::Joining { id, is_kept } => reader::joining::<F>(scenario, id, is_kept, log),
        Play::Alone { role, id, is_read } => reader::alone::<F>(scenario, role, id, is_read, log),
        Play::BeingRefused { is_told } => reader::being_refused::<F>(scenario, is_told, log),
        Play::Rejoining { redeliveries } => reader::rejoining::<F>(scenario, redeliveries, log),
    }
}

#[test]
fn every_step_has_a_scenario() {
    let scenarios = scenarios();
    for step in Step::ALL {
        assert!(scenarios.iter().any(|scenario| scenario.step == *step), "no process dies at {step:?}");
    }
}

#[test]
fn whoever_is_killed_wherever_the_others_go_on_or_are_told_and_nothing_is_left() {
    let only = std::env::var("KILL_TEST_ONLY").ok();
    let (mut log, mut failed) = (Log::default(), Vec::new());
    for (number, scenario) in scenarios().iter().enumerate() {
        let what = format!("scenario {number}, {scenario}");
        if only.as_ref().is_some_and(|only| !what.contains(only.as_str())) {
            continue;
        }
        // A scenario takes a tenth of a second. If it hangs, the watchdog must say where it is.
        let _watchdog = Watchdog::new(Duration::from_secs(120), &what);
        if catch_unwind(AssertUnwindSafe(|| match scenario.form {
            Dense::NAME => play::<Dense>(scenario, &mut log),
            _ => play::<Stamped>(scenario, &mut log),
        }))
        .is_err()
        {
            failed.push(what);
        }
    }
    assert!(failed.is_empty(), "{failed:#?}; each has a panic above");
    assert!(log.kills >= 50 || only.is_some(), "{} kills are too few to measure", log.kills);
    if !log.waits.is_empty() {
        eprintln!("{}", log.summary());
    }
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}, passed {} times before, {}", self.play, self.step, self.passes, self.form)
    }
}
