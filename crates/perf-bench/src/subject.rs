//! What can be measured between two pinned processes.

use crate::side::{Measurement, Side, Stop};

/// Something that is measured between two pinned processes.
///
/// Each side prepares (creates, attaches, warms up), calls [`Side::measured`] once with the measured part, and checks
/// the answer.
/// Exactly one of the sides returns the measurement.
pub(crate) trait Subject {
    /// How many bytes of zeroed shared memory the sides use between them.
    fn shared_bytes(&self) -> usize;

    /// Part of the name of the function of role 0 whose instructions are counted; `None`: nothing is counted. The
    /// measurement of such a subject is the number of operations that those instructions make up.
    fn counted_function(&self) -> Option<&'static str> {
        None
    }

    /// Whether the measured code is a peer's.
    fn is_peers(&self) -> bool {
        false
    }

    /// Role 0, on the first cpu.
    ///
    /// # Errors
    /// See [`Stop`].
    fn produce(&self, side: &Side) -> Result<Option<Measurement>, Stop>;

    /// All other roles; where there are two, role 1 on the second cpu.
    ///
    /// # Errors
    /// See [`Stop`].
    fn consume(&self, side: &Side) -> Result<Option<Measurement>, Stop>;
}
