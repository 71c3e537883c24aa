//! A tasklet before it is submitted: a closure, a description, a priority, a deadline.

use crate::Priority;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::marker::PhantomData;
use std::time::Instant;

/// The error of a tasklet.
pub type TaskletError = Box<dyn Error + Send + Sync>;

/// What one run of a tasklet answers.
pub type Answer<T> = Result<Step<T>, TaskletError>;

/// How a tasklet goes on after a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// It ends, with a value.
    Done(T),
    /// It goes to the end of its queue and runs again.
    Again,
}

/// What happens to a tasklet that is picked after its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// It runs all the same, and is counted as late.
    Run,
    /// It does not run, is counted as late, and ends as [`Expired`](crate::agenda::End::Expired).
    Expire,
}

/// What a tasklet can know about its present run.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Run, Step, Tasklet};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(1).start()?;
/// let tries = Tasklet::repeating("a third try", |run: &Run| {
///     Ok(if run.count < 3 { Step::Again } else { Step::Done(run.count) })
/// });
/// assert_eq!(agenda.submit(tries)?.wait(Duration::from_secs(30))?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Run {
    /// The number of the tasklet in its agenda.
    pub number: u64,
    /// Which run this is; the first is 1.
    pub count: u64,
}

/// A piece of work for an [`Agenda`](crate::agenda::Agenda).
///
/// The description is what dumps and reports of hold-ups show: say what it does, for an operator. The closure runs on a
/// worker; a panic of it, or of the destructor of what it captured, ends the tasklet and nothing else.
///
/// ```
/// use myelon_runtime::agenda::{Agenda, Late, Priority, Step, Tasklet};
/// use std::time::{Duration, Instant};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let agenda = Agenda::builder().workers(2).start()?;
/// let patience = Duration::from_secs(30);
///
/// // Runs once, cannot fail.
/// let sum = Tasklet::new("a sum", || 6 * 7).priority(Priority::High);
/// assert_eq!(agenda.submit(sum)?.wait(patience)?, 42);
///
/// // Runs once, may fail. If it has not begun after a minute, it is dropped.
/// let number = Tasklet::fallible("parsing", || "12".parse::<u32>())
///     .deadline(Instant::now() + Duration::from_secs(60), Late::Expire);
/// assert_eq!(agenda.submit(number)?.wait(patience)?, 12);
///
/// // Runs until it has finished, and lets others in between two runs.
/// let mut left = 3;
/// let saving = Tasklet::repeating("saving in parts", move |run| {
///     left -= 1;
///     Ok(if left == 0 { Step::Done(run.count) } else { Step::Again })
/// });
/// assert_eq!(agenda.submit(saving)?.wait(patience)?, 3);
/// # Ok(())
/// # }
/// ```
#[must_use = "a tasklet does nothing until it is submitted"]
pub struct Tasklet<T, F> {
    pub(crate) closure: F,
    pub(crate) description: Cow<'static, str>,
    pub(crate) priority: Priority,
    pub(crate) deadline: Option<(Instant, Late)>,
    pub(crate) repeats: bool,
    value: PhantomData<fn() -> T>,
}

impl<T, F> fmt::Debug for Tasklet<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tasklet")
            .field("description", &self.description)
            .field("priority", &self.priority)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl<T, F> Tasklet<T, F> {
    fn of(description: Cow<'static, str>, closure: F, repeats: bool) -> Self {
        Self { closure, description, priority: Priority::Normal, deadline: None, repeats, value: PhantomData }
    }

    /// How urgent it is; *normal* if nothing is said.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// When it should have begun at the latest, on the agenda's clock, and what happens if it has not. A deadline never
    /// interrupts a tasklet that runs. A repeating tasklet is compared before each run.
    pub fn deadline(mut self, at: Instant, late: Late) -> Self {
        self.deadline = Some((at, late));
        self
    }
}

impl<T: Send + 'static> Tasklet<T, ()> {
    /// A tasklet that runs once and has a value.
    pub fn new(
        description: impl Into<Cow<'static, str>>,
        closure: impl FnOnce() -> T + Send + 'static,
    ) -> Tasklet<T, impl FnMut(&Run) -> Answer<T> + Send + 'static> {
        let mut closure = Some(closure);
        let once = move |_: &Run| Ok(Step::Done(closure.take().expect("it runs once")()));
        Tasklet::of(description.into(), once, false)
    }

    /// A tasklet that runs once and has a value or an error. An error ends it as
    /// [`Failed`](crate::agenda::End::Failed).
    pub fn fallible<E: Into<TaskletError>>(
        description: impl Into<Cow<'static, str>>,
        closure: impl FnOnce() -> Result<T, E> + Send + 'static,
    ) -> Tasklet<T, impl FnMut(&Run) -> Answer<T> + Send + 'static> {
        let mut closure = Some(closure);
        let once = move |_: &Run| closure.take().expect("it runs once")().map(Step::Done).map_err(Into::into);
        Tasklet::of(description.into(), once, false)
    }

    /// A tasklet that runs until it answers [`Done`](Step::Done) or an error. Between two runs it waits at the end of
    /// the queue of the worker that ran it.
    pub fn repeating<F: FnMut(&Run) -> Answer<T> + Send + 'static>(
        description: impl Into<Cow<'static, str>>,
        closure: F,
    ) -> Tasklet<T, F> {
        Tasklet::of(description.into(), closure, true)
    }
}
