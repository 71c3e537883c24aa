//! Where a group lies while no thread runs it.
//!
//! The lock is never held while the group runs, so whatever its agents do may come back here.

use crate::primitive::{Mutex, lock};

/// Where it lies; one thread at a time takes it out.
pub(crate) struct Place<T>(Mutex<State<T>>);

enum State<T> {
    Here(T),
    /// A thread has it out.
    Out(Asked),
    Gone,
}

/// What was asked of it while it was out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Asked {
    /// Another thread came to run it, and has left it to the one that has it out.
    runs: bool,
    /// It is to end.
    ends: bool,
}

/// What becomes of it when it is put down.
pub(crate) enum PutDown<T> {
    /// It lies here. The next thread that takes it runs it.
    Lies,
    /// Another thread came for it meanwhile: run it again.
    RunAgain,
    /// It is to end here.
    Ends(T),
}

impl<T> Place<T> {
    pub(crate) fn new(it: T) -> Self {
        Self(Mutex::new(State::Here(it)))
    }

    /// Takes it out to run it. `None`: another thread has it out, and runs it once more; or it is gone.
    pub(crate) fn take(&self) -> Option<T> {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, State::Out(Asked::default())) {
            State::Here(it) => Some(it),
            State::Out(asked) => {
                *state = State::Out(Asked { runs: true, ..asked });
                None
            }
            State::Gone => {
                *state = State::Gone;
                None
            }
        }
    }

    /// The thread that has it out puts it down.
    pub(crate) fn put_down(&self, it: T) -> PutDown<T> {
        let mut state = lock(&self.0);
        match *state {
            State::Out(Asked { ends: true, .. }) | State::Gone => {
                *state = State::Gone;
                PutDown::Ends(it)
            }
            State::Out(Asked { runs, .. }) => {
                *state = State::Here(it);
                if runs { PutDown::RunAgain } else { PutDown::Lies }
            }
            State::Here(_) => unreachable!("one thread has it out"),
        }
    }

    /// It is to end: takes it, if it lies here. If it is out, it ends when it is put down.
    pub(crate) fn end(&self) -> Option<T> {
        let mut state = lock(&self.0);
        match std::mem::replace(&mut *state, State::Gone) {
            State::Here(it) => Some(it),
            State::Out(asked) => {
                *state = State::Out(Asked { ends: true, ..asked });
                None
            }
            State::Gone => None,
        }
    }
}
