//! The one word that says where a tasklet is, so that each of its ends happens once.
//!
//! ```text
//! waiting --start--> running --end--> done | failed | panicked
//!    ^                  |
//!    +------again-------+
//! waiting --end_unstarted--> cancelled | expired | left
//! ```
//!
//! Each step out of *waiting* is one exchange, so a cancel and a start decide between them. Two bits beside the place
//! are the asker's: *watched* (a thread waits for the end; call it) and *abandoned* (no one will take the result).

use crate::primitive::{AtomicU32, Ordering, Site, weakened};

const WAITING: u32 = 0;
const RUNNING: u32 = 1;
const PLACE: u32 = 0xff;
const WATCHED: u32 = 1 << 8;
const ABANDONED: u32 = 1 << 9;

/// How a tasklet ended. Each ends in exactly one of these ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum End {
    /// It has run and has a value.
    Done = 2,
    /// It has run and answered with an error.
    Failed,
    /// It has run and panicked.
    Panicked,
    /// It was cancelled before it ran, or before it ran again.
    Cancelled,
    /// It was late, and was to be dropped in that case.
    Expired,
    /// The agenda ended first.
    Left,
}

impl End {
    /// In the order in which reports name them.
    pub const ALL: [Self; 6] = [Self::Done, Self::Failed, Self::Panicked, Self::Cancelled, Self::Expired, Self::Left];

    /// Its place in a table with one row an end.
    pub(crate) const fn index(self) -> usize {
        self as usize - Self::Done as usize
    }

    const fn of(word: u32) -> Option<Self> {
        match word & PLACE {
            2 => Some(Self::Done),
            3 => Some(Self::Failed),
            4 => Some(Self::Panicked),
            5 => Some(Self::Cancelled),
            6 => Some(Self::Expired),
            7 => Some(Self::Left),
            _ => None,
        }
    }
}

/// What the asker had said when a tasklet ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) watched: bool,
    pub(crate) abandoned: bool,
}

impl Asked {
    const fn of(word: u32) -> Self {
        Self { watched: word & WATCHED != 0, abandoned: word & ABANDONED != 0 }
    }
}

/// Where a tasklet is.
#[derive(Debug)]
pub(crate) struct State(AtomicU32);

impl State {
    pub(crate) fn new() -> Self {
        Self(AtomicU32::new(WAITING))
    }

    /// From waiting to `place`, unless another thread was first.
    fn leave_waiting(&self, site: Site, place: u32) -> Option<Asked> {
        let mut word = self.0.load(Ordering::Acquire);
        loop {
            if word & PLACE != WAITING {
                return None;
            }
            if weakened(site) {
                self.0.store(word | place, Ordering::Release);
                return Some(Asked::of(word));
            }
            // Acquire: the last run of a tasklet that runs again happened before this one.
            match self.0.compare_exchange_weak(word, word | place, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(Asked::of(word)),
                Err(now) => word = now,
            }
        }
    }

    /// Whether the caller is the one that runs it now.
    pub(crate) fn start(&self) -> bool {
        self.leave_waiting(Site::StartExchange, RUNNING).is_some()
    }

    /// The running tasklet waits again. Release: the next start sees what this run did.
    pub(crate) fn again(&self) -> Asked {
        Asked::of(self.0.fetch_sub(RUNNING, Ordering::Release))
    }

    /// The running tasklet ends. Its result was stored before; Release shows it.
    pub(crate) fn end(&self, end: End) -> Asked {
        Asked::of(self.0.fetch_add(end as u32 - RUNNING, Ordering::AcqRel))
    }

    /// It ends without a start, unless another thread was first.
    pub(crate) fn end_unstarted(&self, end: End) -> Option<Asked> {
        self.leave_waiting(Site::CancelExchange, end as u32)
    }

    /// How it ended, if it has. From then on the answer stays, and the result can be seen.
    pub(crate) fn ended(&self) -> Option<End> {
        End::of(self.0.load(Ordering::Acquire))
    }

    /// Asks for a call at the end; the answer is the end if it was there first. Where to call was stored before.
    pub(crate) fn watch(&self) -> Option<End> {
        let word = self.0.fetch_or(WATCHED, Ordering::AcqRel);
        if weakened(Site::WatchSecondLook) { None } else { End::of(word) }
    }

    /// No one will take the result; the answer is the end if it was there first, and then the caller drops the result.
    pub(crate) fn abandon(&self) -> Option<End> {
        End::of(self.0.fetch_or(ABANDONED, Ordering::AcqRel))
    }

    /// Whether it runs now. It may have ended at the next look.
    pub(crate) fn is_running(&self) -> bool {
        self.0.load(Ordering::Relaxed) & PLACE == RUNNING
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_started_cannot_be_cancelled_and_what_was_cancelled_cannot_be_started() {
        let state = State::new();
        assert!(state.start() && state.is_running());
        assert_eq!(state.end_unstarted(End::Cancelled), None);
        assert!(!state.start());
        state.again();
        assert!(state.end_unstarted(End::Cancelled).is_some());
        assert!(!state.start() && state.end_unstarted(End::Left).is_none());
        assert_eq!(state.ended(), Some(End::Cancelled));
    }

    #[test]
    fn every_end_can_be_read_back_and_says_what_the_asker_had_said() {
        for end in End::ALL {
            let state = State::new();
            assert_eq!(state.watch(), None);
            assert!(state.start());
            assert_eq!(state.abandon(), None);
            assert_eq!(state.end(end), Asked { watched: true, abandoned: true });
            assert_eq!((state.ended(), state.watch(), state.abandon()), (Some(end), Some(end), Some(end)));
            assert_eq!(End::ALL[end.index()], end);
        }
    }
}
