//! A thread outside the agenda that stops at safe points too: a loop, an agent's runner.

use super::safe_point::{Doing as ReadDoing, Member, QuiesceError};
use super::shared::Shared;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the thread does now, and since when.
type Doing = Arc<Mutex<Option<(Cow<'static, str>, Instant)>>>;

/// A party as the asker of a safe point, without the party itself.
pub(crate) struct PartyAsker(Arc<Shared>);

impl PartyAsker {
    pub(crate) fn quiesce<R>(
        &self,
        description: String,
        patience: Duration,
        closure: impl FnOnce() -> R,
    ) -> Result<R, QuiesceError> {
        self.0.points.quiesce(description.into(), patience, closure)
    }
}

/// The calling thread as a party of an agenda's safe points, until it is dropped. It stays on its thread.
///
/// Call [`look`](Self::look) before each handler or call of `do_work`, and put each sleep into [`rest`](Self::rest). A
/// party that does neither holds up every [`quiesce`](crate::agenda::Agenda::quiesce), and is named.
///
/// ```
/// use myelon_runtime::agenda::Agenda;
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// let party = agenda.register("the loop");
/// for handler in ["read a socket", "serve a timer"] {
///     party.look(handler); // stops here while a closure runs alone
/// }
/// party.rest(|| std::thread::sleep(Duration::from_millis(1))); // counts as stopped
/// // A party that asks counts as stopped itself.
/// agenda.quiesce("reload", Duration::from_secs(30), || ())?;
/// # Ok(())
/// # }
/// ```
pub struct Party {
    shared: Arc<Shared>,
    member: Arc<Member>,
    doing: Doing,
    /// Its membership is the thread's.
    stays: PhantomData<*const ()>,
}

impl fmt::Debug for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Party").field("member", &self.member).finish_non_exhaustive()
    }
}

fn set(doing: &Doing, what: Option<(Cow<'static, str>, Instant)>) {
    *doing.lock().unwrap_or_else(PoisonError::into_inner) = what;
}

impl Party {
    pub(crate) fn new(shared: Arc<Shared>, name: Cow<'static, str>) -> Self {
        let doing = Doing::default();
        let read = Arc::clone(&doing);
        let read = move || {
            let doing = read.lock().unwrap_or_else(PoisonError::into_inner);
            doing.as_ref().map(|(what, began)| (what.clone(), began.elapsed()))
        };
        let member = shared.points.join(name, Box::new(read));
        Self { shared, member, doing, stays: PhantomData }
    }

    /// A party that says in its own way what it does, and calls [`stop_if_asked`](Self::stop_if_asked) instead of
    /// [`look`](Self::look).
    pub(crate) fn with_doing(shared: Arc<Shared>, name: Cow<'static, str>, read: ReadDoing) -> Self {
        let member = shared.points.join(name, read);
        Self { shared, member, doing: Doing::default(), stays: PhantomData }
    }

    /// Stops here while a closure runs alone, or is about to.
    #[inline]
    pub(crate) fn stop_if_asked(&self) {
        self.shared.points.look(&self.member);
    }

    /// Leaves the thread to others until the result is dropped.
    #[cfg(all(feature = "tokio", target_os = "linux", not(loom)))]
    pub(crate) fn away(&self) -> super::safe_point::Away<'_> {
        self.shared.points.away(&self.member)
    }

    pub(crate) fn asker(&self) -> PartyAsker {
        PartyAsker(Arc::clone(&self.shared))
    }

    /// Stops here while a closure runs alone, or is about to. Then notes what the thread does next, for the report of a
    /// hold-up.
    pub fn look(&self, next: impl Into<Cow<'static, str>>) {
        self.shared.points.look(&self.member);
        set(&self.doing, Some((next.into(), Instant::now())));
    }

    /// Runs `sleep`, which must do nothing that a closure at a safe point may want to be alone with. It counts as
    /// stopped. If a closure runs when it ends, waits until that has finished.
    pub fn rest<R>(&self, sleep: impl FnOnce() -> R) -> R {
        set(&self.doing, None);
        self.shared.points.rest(&self.member, sleep)
    }

    /// As [`Agenda::quiesce`](crate::agenda::Agenda::quiesce), for a handler that has only this.
    ///
    /// # Errors
    /// Those of [`Agenda::quiesce`](crate::agenda::Agenda::quiesce).
    pub fn quiesce<R>(
        &self,
        description: impl Into<Cow<'static, str>>,
        patience: Duration,
        closure: impl FnOnce() -> R,
    ) -> Result<R, QuiesceError> {
        self.shared.points.quiesce(description.into(), patience, closure)
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.shared.points.leave(&self.member);
    }
}
