//! Named steps at which a test may end or stop this process.
//!
//! `step!` is empty outside the crate's own tests. `turn!` marks a point at which another process may come between
//! although nothing is stored; `rule!` marks what tests take away. The kill tests arm one step; the tests of races stop
//! at all of them.

/// Names a point between two stores. Expands to nothing unless the crate's own tests are compiled.
#[cfg(not(all(test, not(loom))))]
macro_rules! step {
    ($name:ident) => {};
}

#[cfg(all(test, not(loom)))]
macro_rules! step {
    ($name:ident) => {
        $crate::step::reached($crate::step::Step::$name)
    };
}
pub(crate) use step;

/// A point at which a process checks, takes or releases a lock or a name. Expands to nothing unless the crate's own
/// tests are compiled.
#[cfg(not(all(test, not(loom))))]
macro_rules! turn {
    () => {};
    (unlocking) => {};
}

#[cfg(all(test, not(loom)))]
macro_rules! turn {
    () => {
        $crate::races::turn()
    };
    (unlocking) => {
        $crate::races::turn_of_unlocking()
    };
}
pub(crate) use turn;

/// A condition that a protocol depends on, with its name in the table of mutants. Tests disable it to see that one of
/// them fails. Just the condition unless the crate's own tests are compiled.
#[cfg(not(all(test, not(loom))))]
macro_rules! rule {
    ($name:ident, $condition:expr) => {
        $condition
    };
}

#[cfg(all(test, not(loom)))]
macro_rules! rule {
    ($name:ident, $condition:expr) => {
        $crate::races::is_lifted($crate::races::Rule::$name) || $condition
    };
}
#[cfg(not(loom))]
pub(crate) use rule;

/// Sleeps. In a test of races, which decides the turns of processes, lets another process go on instead.
#[cfg(not(loom))]
pub(crate) fn nap(time: std::time::Duration) {
    #[cfg(test)]
    if crate::races::yield_turn() {
        return;
    }
    std::thread::sleep(time);
}

/// Every step, in the order of the protocols.
#[cfg(all(test, not(loom)))]
macro_rules! steps {
    ($($name:ident),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Step { $($name),* }

        impl Step {
            pub(crate) const ALL: &[Self] = &[$(Self::$name),*];
        }
    };
}

#[cfg(all(test, not(loom)))]
steps! {
    // create
    ProducerLocked, SegmentReserved, SegmentWritten, SegmentReady, SegmentNamed,
    // publish; the middle of a payload is application code, for which the kill tests have their own `fill`
    StampInvalidated, PayloadHalfWritten, PayloadWritten, StampStored, InsideBatch, BatchStamped, WrittenStored, CursorStored, StoredNotWoken, FencedStored, LimitStored,
    GroupInvalidated, GroupWritten, InsideGroup, GroupStamped, GroupUndone, AttemptBegun,
    SentinelLifted, WriterAnnounced,
    // publish a record
    ClaimedStored, BeginNoted, PayloadBuffered, NextWordCleared, NextNumberStored, WordCommitted,
    // consume
    ReaderAnnounced, DeliveredStored, GateStored, ReleasedStored,
    // join, rejoin and leave
    TableLocked, EntryLocked, EntryNamed, ReleasedCleared, JoinFirstGate, JoinVisible, JoinCounted, JoinSecondGate, JoinActive, RejoinEpoch, RejoinMarked, RejoinDelivered,
    RejoinIdentity, ReadStored, OlderLeft, PlaceRenewed, PlaceHandedOn, GivenUpFreed, LeaveFreed, LeaveCounted, LeaveWoken, EndingStored, EndingCounted, EntryUnlocked,
    // be refused
    RefusalRowStored, RefusalStored,
    // take over, replace and close
    TakeOverLocked, TakeOverWrittenStored, TakeOverCursorStored, LeftoversCleared, TakeOverCleared, TakeOverOpened, TakeOverWoken, SecondNameGiven, ReplacementMade, ReplaceMarked, ReplaceWoken, ClosedStored,
    CloseWoken, CloseUnlinked, CollectUnlinked, CollectMarked,
}

/// The step at which this process is killed: its name and how many times to pass it first, from
/// `MYELON_TEST_STEP=name:count`.
#[cfg(all(test, not(loom)))]
struct Armed {
    name: String,
    left: crate::sync::primitive::AtomicI64,
}

/// Kills this process here with SIGKILL if the environment says so.
#[cfg(all(test, not(loom)))]
#[track_caller]
pub(crate) fn reached(step: Step) {
    use crate::sync::primitive::{AtomicI64, Ordering};
    crate::races::turn();
    static ARMED: std::sync::OnceLock<Option<Armed>> = std::sync::OnceLock::new();
    let armed = ARMED.get_or_init(|| {
        let value = std::env::var("MYELON_TEST_STEP").ok()?;
        let (name, count) = value.split_once(':').expect("MYELON_TEST_STEP is name:count");
        assert!(Step::ALL.iter().any(|step| format!("{step:?}") == name), "no step is called {name}");
        Some(Armed { name: name.to_owned(), left: AtomicI64::new(count.parse().expect("a count")) })
    });
    let Some(armed) = armed else { return };
    if format!("{step:?}") == armed.name && armed.left.fetch_sub(1, Ordering::Relaxed) == 0 {
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::thread::sleep(std::time::Duration::from_secs(60)); // never returns: the signal is on its way
    }
}
