//! The descriptors at which a group sleeps.

use std::os::fd::{AsFd, BorrowedFd};

/// A list of descriptors, which ends a sleep when one of them is readable.
///
/// ```
/// use myelon_runtime::agents::{Agent, AgentError, Doorbells, Work};
/// use std::io::PipeReader;
/// use std::time::Instant;
///
/// struct Reader(PipeReader);
///
/// impl Agent for Reader {
///     fn name(&self) -> &str {
///         "reader"
///     }
///
///     fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
///         Ok(Work::NONE) // reads what is there, without waiting
///     }
///
///     fn doorbells<'a>(&'a self, doorbells: &mut Doorbells<'a>) {
///         doorbells.add(&self.0);
///     }
/// }
/// ```
#[derive(Debug, Default)]
pub struct Doorbells<'a> {
    pub(super) list: Vec<BorrowedFd<'a>>,
}

impl<'a> Doorbells<'a> {
    /// Adds one. It must be readable as long as there is something to do, or until it is armed again.
    pub fn add(&mut self, descriptor: &'a (impl AsFd + ?Sized)) {
        self.list.push(descriptor.as_fd());
    }
}
