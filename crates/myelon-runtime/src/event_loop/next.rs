//! What a handler answers.

use std::error::Error;

/// What a handler wants next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Next {
    /// Call me if there is still something, or when something comes. This is what `()` means. It costs half a
    /// microsecond more than `Drained`, and needs no care.
    Again,
    /// I have read or written until `WouldBlock`: call me when something comes. From an idle source: call me when the
    /// loop has worked and is idle again.
    Drained,
    /// Call me again, in this turn if my budget permits it. If the source is paused or has reached its rate limit: when
    /// that is over, also if nothing new is there.
    More,
    /// Do not wait for me until [`EventLoop::resume`](super::EventLoop::resume).
    Pause,
    /// Remove me.
    Remove,
}

/// What a handler may return: nothing, a [`Next`], or a result with one of them.
///
/// Where the error of a result is not inferred, name it: `Ok::<_, std::io::Error>(Next::Again)`. A closure that only
/// panics needs a return type: `|_: &mut EventLoop, _| -> () { panic!("not reached") }`.
///
/// ```
/// use myelon_runtime::event_loop::{IntoNext, Next};
///
/// assert_eq!(().into_next().unwrap(), Next::Again);
/// assert_eq!(Next::More.into_next().unwrap(), Next::More);
/// assert!("seven".parse::<u8>().map(|_| Next::Drained).into_next().is_err());
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    label = "returns nothing, a `Next`, or a `Result` with one of them",
    note = "a closure that only panics needs a return type: `|..| -> () {{ .. }}`"
)]
pub trait IntoNext {
    /// The answer, or the error of the handler.
    ///
    /// # Errors
    /// The handler has failed.
    fn into_next(self) -> Result<Next, Box<dyn Error>>;
}

impl IntoNext for () {
    fn into_next(self) -> Result<Next, Box<dyn Error>> {
        Ok(Next::Again)
    }
}

impl IntoNext for Next {
    fn into_next(self) -> Result<Next, Box<dyn Error>> {
        Ok(self)
    }
}

impl<T: IntoNext, E: Into<Box<dyn Error>>> IntoNext for Result<T, E> {
    fn into_next(self) -> Result<Next, Box<dyn Error>> {
        self.map_err(Into::into)?.into_next()
    }
}
