//! A tasklet that was submitted: one allocation with its state, its closure and, at its end, its result.

use super::error::NotDone;
use super::parked::Parker;
use super::state::{Asked, End, State};
use super::tasklet::{Answer, Late, Run, Step, TaskletError};
use crate::Priority;
use crate::primitive::{AtomicU64, Mutex, Ordering, lock};
use std::any::Any;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A tasklet as the queues hold it.
pub(crate) type Queued = Arc<dyn Job>;

/// What a thread can do with a tasklet without knowing its type.
pub(crate) trait Job: Send + Sync {
    fn head(&self) -> &Head;
    /// Runs the closure. Only for the thread that has started it. `None`: it wants to run again.
    fn run(&self, run: &Run) -> Option<End>;
    /// Gives the asker the result, after the last run. Only for the thread that has run it.
    fn conclude(&self, end: End, asked: Asked);
    /// Drops the closure, and gives the asker the reason. Only for the thread that has ended it without a run.
    fn conclude_unrun(&self, end: End, asked: Asked);
    /// Drops the result: no one will ask for it.
    fn discard(&self);
}

/// The same, for a handle.
pub(crate) trait JobOf<T>: Job {
    /// The result after the end; `None` if it was taken.
    fn take(&self, end: End) -> Option<Result<T, NotDone>>;
}

/// A description that costs nothing to copy if it is a literal, and no allocation otherwise.
#[derive(Clone, Debug)]
pub(crate) enum Description {
    Literal(&'static str),
    Shared(Arc<str>),
}

impl Description {
    pub(crate) fn new(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Literal(text),
            Cow::Owned(text) => Self::Shared(text.into()),
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Literal(text) => text,
            Self::Shared(text) => text,
        }
    }

    pub(crate) fn to_cow(&self) -> Cow<'static, str> {
        match self {
            Self::Literal(text) => Cow::Borrowed(text),
            Self::Shared(text) => Cow::Owned(text.as_ref().to_owned()),
        }
    }
}

/// What is known of a tasklet beside its closure.
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) priority: Priority,
    pub(crate) description: Description,
    /// In nanoseconds of the agenda's time.
    pub(crate) deadline: Option<(u64, Late)>,
    pub(crate) repeats: bool,
    pub(crate) state: State,
    /// Nanoseconds of the agenda's time; 0 if it was not taken or has not come.
    pub(crate) created_ns: u64,
    pub(crate) queued_ns: AtomicU64,
    pub(crate) started_ns: AtomicU64,
    pub(crate) ended_ns: AtomicU64,
    pub(crate) runs: AtomicU64,
    /// Where to call at the end.
    pub(crate) watcher: Mutex<Option<Arc<Parker>>>,
}

impl Head {
    pub(crate) fn call_watcher(&self) {
        let watcher = lock(&self.watcher).clone();
        if let Some(watcher) = watcher {
            watcher.call();
        }
    }
}

/// What is done with the result, without its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Handle,
    Dropped,
    Closure,
}

/// What is done with the result.
pub(crate) enum Asker<T> {
    /// A handle takes it.
    Handle,
    /// It is dropped.
    Dropped,
    /// A closure gets it, on the thread that ended the tasklet.
    Closure(Box<dyn FnOnce(Result<T, NotDone>) + Send>),
}

enum Why {
    Failed(TaskletError),
    Panicked(String),
}

struct Body<T, F> {
    /// Until the last run ends, or the tasklet ends without one.
    closure: Option<F>,
    result: Option<Result<T, Why>>,
    asker: Asker<T>,
}

/// A tasklet that was submitted.
pub(crate) struct Submitted<T, F> {
    head: Head,
    kind: Kind,
    /// Locked by the thread that runs it, or that has ended it. So it is never contended.
    body: Mutex<Body<T, F>>,
}

impl<T, F> Submitted<T, F> {
    pub(crate) fn new(head: Head, closure: F, asker: Asker<T>) -> Self {
        let kind = match &asker {
            Asker::Handle => Kind::Handle,
            Asker::Dropped => Kind::Dropped,
            Asker::Closure(_) => Kind::Closure,
        };
        Self { head, kind, body: Mutex::new(Body { closure: Some(closure), result: None, asker }) }
    }

    /// Gives the result to the closure that asked for it.
    fn tell(&self, end: End) {
        let mut body = lock(&self.body);
        let (asker, result) = (std::mem::replace(&mut body.asker, Asker::Dropped), body.result.take());
        drop(body);
        if let (Asker::Closure(ask), Some(outcome)) = (asker, self.outcome(end, result)) {
            contained(|| ask(outcome));
        }
    }

    /// Drops the closure and the asker of a tasklet that was not accepted. Neither is called.
    pub(crate) fn withdraw(&self) {
        let mut body = lock(&self.body);
        let closure = body.closure.take();
        let asker = std::mem::replace(&mut body.asker, Asker::Dropped);
        drop(body);
        drop((closure, asker));
    }

    /// The result, or the reason why there is none, as the asker sees it.
    fn outcome(&self, end: End, result: Option<Result<T, Why>>) -> Option<Result<T, NotDone>> {
        let description = self.head.description.to_cow();
        Some(match (end, result) {
            (_, Some(Ok(value))) => Ok(value),
            (_, Some(Err(Why::Failed(source)))) => Err(NotDone::Failed { description, source }),
            (_, Some(Err(Why::Panicked(message)))) => Err(NotDone::Panicked { description, message }),
            (End::Cancelled, None) => Err(NotDone::Cancelled { description }),
            (End::Expired, None) => Err(NotDone::Expired { description }),
            (End::Left, None) => Err(NotDone::Left { description }),
            (End::Done | End::Failed | End::Panicked, None) => return None,
        })
    }
}

/// Runs code of the user whose panic costs nothing but itself.
fn contained(user: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(user)) {
        let _ = message_of(payload);
    }
}

/// What a panic said. Its payload may panic when it is dropped; then it stays in memory.
fn message_of(payload: Box<dyn Any + Send>) -> String {
    let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "a panic without a text".to_owned(),
    };
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(second);
    }
    text
}

impl<T: Send + 'static, F: FnMut(&Run) -> Answer<T> + Send + 'static> Job for Submitted<T, F> {
    fn head(&self) -> &Head {
        &self.head
    }

    fn run(&self, run: &Run) -> Option<End> {
        let mut body = lock(&self.body);
        let Body { closure, result, .. } = &mut *body;
        let answer = catch_unwind(AssertUnwindSafe(|| {
            let answer = closure.as_mut().expect("it has not ended")(run);
            if !matches!(answer, Ok(Step::Again)) {
                // Here, so that a panic of a destructor is caught.
                *closure = None;
            }
            answer
        }));
        let (end, outcome) = match answer {
            Ok(Ok(Step::Again)) => return None,
            Ok(Ok(Step::Done(value))) => (End::Done, Ok(value)),
            Ok(Err(error)) => (End::Failed, Err(Why::Failed(error))),
            Err(payload) => {
                contained(|| *closure = None);
                (End::Panicked, Err(Why::Panicked(message_of(payload))))
            }
        };
        if self.kind == Kind::Dropped {
            contained(|| drop(outcome));
        } else {
            *result = Some(outcome);
        }
        Some(end)
    }

    fn conclude(&self, end: End, asked: Asked) {
        match self.kind {
            Kind::Closure => self.tell(end),
            Kind::Handle if asked.abandoned => self.discard(),
            Kind::Handle | Kind::Dropped => (),
        }
        if asked.watched {
            self.head.call_watcher();
        }
    }

    fn conclude_unrun(&self, end: End, asked: Asked) {
        let closure = lock(&self.body).closure.take();
        // Without the lock: the closure may have captured its own handle.
        contained(|| drop(closure));
        self.conclude(end, asked);
    }

    fn discard(&self) {
        let result = lock(&self.body).result.take();
        contained(|| drop(result));
    }
}

impl<T: Send + 'static, F: FnMut(&Run) -> Answer<T> + Send + 'static> JobOf<T> for Submitted<T, F> {
    fn take(&self, end: End) -> Option<Result<T, NotDone>> {
        let result = lock(&self.body).result.take();
        self.outcome(end, result)
    }
}

/// Reads a time of a head.
pub(crate) fn taken(at_ns: &AtomicU64) -> Option<u64> {
    Some(at_ns.load(Ordering::Relaxed)).filter(|at| *at != 0)
}
