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
use crate::calls::place::{Place, PutDown};
use std::sync::Arc;

/// Where the group lies, and what a tasklet that runs it needs.
struct Lodging {
    place: Place<Invoker>,
    submitter: Submitter,
    description: String,
    priority: Priority,
}

impl Group {
    /// Runs the group on the workers of an agenda, one cycle a run of a tasklet, with other tasklets in between. Its
    /// agents move between workers. It is asked to stop at the agenda's safe points like other tasklets, and between
    /// two agents.
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
        let place = Place::new(invoker);
        let lodging = Arc::new(Lodging { place, submitter, description, priority });
        // The group holds this, and it holds the place of the group: `Turn::drop` breaks the circle.
        let brought = Arc::clone(&lodging);
        shared.waker.set_bring(move || drop(Turn::submit(&brought)));
        Turn::submit(&lodging)?;
        Ok(Runner::new(shared, None))
    }
}

/// The right of a tasklet to run the group. If the tasklet is dropped before it has run, the group ends.
struct Turn(Option<Arc<Lodging>>);

impl Turn {
    fn submit(lodging: &Arc<Lodging>) -> Result<(), SubmitError> {
        let mut turn = Self(Some(Arc::clone(lodging)));
        // If it is refused, the closure is dropped, and closes the agents.
        let tasklet = Tasklet::repeating(lodging.description.clone(), move |_| Ok(turn.run()));
        lodging.submitter.spawn(tasklet.priority(lodging.priority))
    }

    fn run(&mut self) -> Step<()> {
        let Some(lodging) = self.0.clone() else { return Step::Done(()) };
        let Some(mut invoker) = lodging.place.take() else {
            // It is out: a wake has brought it before the tasklet that it left, or in which it waits, has put it down.
            self.0 = None;
            return Step::Done(());
        };
        let worked = invoker.invoke() > 0;
        let has_ended = invoker.end().is_some();
        // From now on a wake may submit the next tasklet, which runs it when we have put it down, or leaves it to us.
        let is_away = !has_ended && !worked && can_be_away(&mut invoker) && invoker.go_away(|_| true);
        if !worked && !is_away && !has_ended {
            std::thread::yield_now();
        }
        match lodging.place.put_down(invoker) {
            PutDown::Ends(invoker) => {
                self.0 = None;
                drop(invoker);
                Step::Done(())
            }
            // Dropping our right ends it.
            _ if has_ended => Step::Done(()),
            PutDown::Lies if is_away => {
                self.0 = None;
                Step::Done(())
            }
            PutDown::Lies | PutDown::RunAgain => Step::Again,
        }
    }
}

/// Whether only a wake can bring news.
fn can_be_away(invoker: &mut Invoker) -> bool {
    matches!(invoker.deadline(), Some(Deadline(None)))
        && invoker.with_doorbells(|_, doorbells| doorbells.list.is_empty()) == Some(true)
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(lodging) = self.0.take() {
            // Out of the lock: an agent's `on_close` may be anything.
            drop(lodging.place.end());
        }
    }
}
