//! What a worker runs now, readable by every thread.

use super::job::{Description, Head};
use crate::Priority;
use crate::primitive::{AtomicU64, Mutex, Ordering, lock};
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A tasklet that runs.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Running};
///
/// let agenda = Agenda::builder().workers(2).start()?;
/// let running: Vec<Running> = agenda.running();
/// for Running { worker, description, since, .. } in &running {
///     println!("worker {worker}: {description}, for {since:?}");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Running {
    /// The worker, from 0 on.
    pub worker: usize,
    /// The tasklet's number.
    pub number: u64,
    /// Its description.
    pub description: Cow<'static, str>,
    /// Its priority.
    pub priority: Priority,
    /// How long it has run. With one time in 16 it can be too long by up to 16 tasklets that ran before it.
    pub since: Duration,
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { worker, number, description, since, .. } = self;
        write!(f, "worker {worker} has run tasklet {number}, `{description}`, for {since:.1?}")
    }
}

/// What one worker runs. Set before the closure is called, cleared after it, also if it failed or panicked.
pub(crate) struct Now {
    /// What runs, or what ran last.
    what: Mutex<Option<What>>,
    /// When it began, in nanoseconds of the agenda's time; 0 if nothing runs.
    began_ns: AtomicU64,
}

struct What {
    number: u64,
    description: Description,
    priority: Priority,
}

/// What ran until something else was set.
pub(crate) struct Before {
    what: Option<What>,
    began_ns: u64,
}

impl Now {
    pub(crate) fn new() -> Self {
        Self { what: Mutex::new(None), began_ns: AtomicU64::new(0) }
    }

    /// Sets what runs; returns what ran until now, for [`restore`](Self::restore).
    pub(crate) fn set(&self, head: &Head, began_ns: u64) -> Before {
        let what = What { number: head.number, description: head.description.clone(), priority: head.priority };
        let mut place = lock(&self.what);
        let before = self.began_ns.load(Ordering::Relaxed);
        // Under the lock, so that a reader never sees this time with another tasklet.
        self.began_ns.store(began_ns.max(1), Ordering::Relaxed);
        Before { what: place.replace(what), began_ns: before }
    }

    /// Goes back to what ran before: nothing, or the tasklet that waits for the one that ended. Where nothing ran, only
    /// the time is cleared.
    pub(crate) fn restore(&self, before: Before) {
        if before.began_ns == 0 {
            self.began_ns.store(0, Ordering::Relaxed);
        } else {
            let mut place = lock(&self.what);
            self.began_ns.store(before.began_ns, Ordering::Relaxed);
            *place = before.what;
        }
    }

    pub(crate) fn read(&self, worker: usize, now_ns: u64) -> Option<Running> {
        let place = lock(&self.what);
        let began_ns = self.began_ns.load(Ordering::Relaxed);
        let what = place.as_ref().filter(|_| began_ns != 0)?;
        Some(Running {
            worker,
            number: what.number,
            description: what.description.to_cow(),
            priority: what.priority,
            since: Duration::from_nanos(now_ns.saturating_sub(began_ns)),
        })
    }
}
