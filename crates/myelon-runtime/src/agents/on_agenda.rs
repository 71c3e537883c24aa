//! A group on the workers of an agenda: a tasklet that runs one cycle a time, and ends while there is nothing to do.
//!
//! ```text
//!             a cycle
//! tasklet ──────────────> again ──> ...                    with work, a deadline or a descriptor
//!    ^                      │ nothing to do
//!    └────── a wake ─────── away                           the group lies in its place, without a thread
//! ```

use super::invoker::{Deadline, Invoker};
use super::{Group, Runner};
use crate::agenda::{Attended, Priority, Step, SubmitError, Submitter, Tasklet};
use std::sync::{Arc, Mutex, PoisonError};

/// Where the group lies. Its lock is never contended: a group is in one tasklet, or away.
struct Place {
    invoker: Mutex<Option<Invoker>>,
    submitter: Submitter,
    description: String,
    priority: Priority,
}

impl Group {
    /// Runs the group on the workers of an agenda, one cycle a run of a tasklet, with other tasklets in between. Its
    /// agents move between workers. It is asked to stop at the agenda's safe points like other tasklets, and between two
    /// agents.
    ///
    /// When no agent has work, a deadline or a descriptor, the group costs nothing until it is
    /// [woken](super::GroupHandle::wake). An agenda has neither timers nor a poll, so with a deadline, a back-off or a
    /// descriptor it is called again and again; a group with these is better in a loop or on a thread.
    ///
    /// If the agenda ends first, the agents are closed where it leaves the tasklet, or, if the group had nothing to do,
    /// when the runner is closed or dropped.
    ///
    /// # Errors
    /// The agenda accepts nothing. The agents are dropped, and were not started.
    ///
    /// ```
    /// use myelon_runtime::agenda::{Agenda, Priority};
    /// use myelon_runtime::agents::{Group, GroupEnd, Work, from_fn};
    /// use std::time::Duration;
    ///
    /// let agenda = Agenda::builder().workers(1).start()?;
    /// let mut left = 100;
    /// let counter = from_fn("counter", move |_| {
    ///     left -= 1;
    ///     Ok(if left == 0 { Work::Finished } else { Work::Count(1) })
    /// });
    /// let mut runner = Group::new("counters").agent(counter).submit(&agenda, Priority::Low)?;
    /// assert_eq!(runner.wait(Duration::from_secs(30))?, GroupEnd::Finished);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit(mut self, agenda: impl AsRef<Submitter>, priority: Priority) -> Result<Runner, SubmitError> {
        let submitter = agenda.as_ref().clone();
        // The worker is a party already; so this only adds the looks between two agents.
        self.attended.get_or_insert_with(|| Attended::new(&submitter));
        let description = format!("agents of {}", self.name);
        let invoker = self.into_invoker();
        let shared = Arc::clone(&invoker.shared);
        let place = Arc::new(Place { invoker: Mutex::new(Some(invoker)), submitter, description, priority });
        // The group holds this, and it holds the place of the group: `close` breaks the circle.
        let brought = Arc::clone(&place);
        shared.waker.set_bring(move || drop(Turn::submit(&brought)));
        Turn::submit(&place)?;
        Ok(Runner::new(shared, None))
    }
}

impl Place {
    /// Takes the group out, and closes its agents here.
    fn close(&self) {
        // Out of the lock: an agent's `on_close` may be anything.
        let invoker = self.invoker.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(invoker);
    }
}

/// The right of a tasklet to run the group. If the tasklet is dropped before it has run, the group ends.
struct Turn(Option<Arc<Place>>);

impl Turn {
    fn submit(place: &Arc<Place>) -> Result<(), SubmitError> {
        let mut turn = Self(Some(Arc::clone(place)));
        // If it is refused, the closure is dropped, and closes the agents.
        let tasklet = Tasklet::repeating(place.description.clone(), move |_| Ok(turn.run()));
        place.submitter.spawn(tasklet.priority(place.priority))
    }

    fn run(&mut self) -> Step<()> {
        let Some(place) = self.0.clone() else { return Step::Done(()) };
        let mut lying = place.invoker.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(invoker) = &mut *lying else { return Step::Done(()) };
        let worked = invoker.invoke() > 0;
        if invoker.end().is_some() {
            drop(lying);
            place.close();
            return Step::Done(());
        }
        if worked || !can_be_away(invoker) {
            if !worked {
                std::thread::yield_now();
            }
            return Step::Again;
        }
        // From now on a wake may submit the next tasklet, which waits for the lock until we are out.
        if invoker.go_away(|_| true) {
            self.0 = None;
            return Step::Done(());
        }
        Step::Again
    }
}

/// Whether only a wake can bring news.
fn can_be_away(invoker: &mut Invoker) -> bool {
    matches!(invoker.deadline(), Some(Deadline(None)))
        && invoker.with_doorbells(|_, doorbells| doorbells.list.is_empty()) == Some(true)
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(place) = self.0.take() {
            place.close();
        }
    }
}
