//! The agenda as a program uses it: ends, order, waits, safe points, the close, a fork, and all of it at once.

mod balance;
mod closing;
mod dying_threads;
mod ends;
mod forked;
mod idle;
mod order;
mod safe_points;
mod stress;
mod waiting;

use myelon_runtime::agenda::{Agenda, Handle, Submitter, Tasklet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
pub(crate) use testkit::watchdog::{PATIENCE, Watchdog, eventually};

pub(crate) fn agenda(workers: usize) -> Agenda {
    Agenda::builder().workers(workers).start().expect("threads start")
}

/// A tasklet that occupies one worker until it is let go.
pub(crate) struct Blocker {
    go: Sender<()>,
    begun: Receiver<()>,
    pub(crate) handle: Handle<()>,
}

impl Blocker {
    /// Submits one, and returns when it runs.
    pub(crate) fn start(submitter: &Submitter) -> Self {
        let (go, gone) = channel();
        let (begin, begun) = channel();
        let tasklet = Tasklet::new("block a worker", move || {
            begin.send(()).expect("the test listens");
            // The other end is dropped if the test fails; then this ends too.
            let _ = gone.recv();
        });
        let blocker = Self { go, begun, handle: submitter.submit(tasklet).expect("the agenda is open") };
        blocker.begun.recv_timeout(PATIENCE).expect("a worker is free");
        blocker
    }

    /// What lets it go, and its handle.
    pub(crate) fn into_parts(self) -> (Sender<()>, Handle<()>) {
        (self.go, self.handle)
    }

    pub(crate) fn release(mut self) {
        self.go.send(()).expect("it waits for this");
        self.handle.wait(PATIENCE).expect("it ends");
    }
}

/// Longer than a thread needs to come to a wait, if the machine is not overloaded. Tests that use it stay right if it
/// is too short; they only see less.
pub(crate) const A_MOMENT: Duration = Duration::from_millis(20);
