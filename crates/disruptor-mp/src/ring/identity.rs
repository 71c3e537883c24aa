//! Which consumer id and which process an end of a ring belongs to. For reports only: decisions rest on the kernel's
//! locks, never on these words.

use crate::liveness::ProcessIdentity;
use crate::ring::protocol::control::{CONSUMER_ID_MAX_LEN, Identity};
use crate::sync::primitive::{AtomicU32, Ordering};
use crate::text::disguises;

impl Identity {
    pub(crate) fn store(&self, process: ProcessIdentity) {
        self.start_time_ticks.store(process.start_time_ticks, Ordering::Relaxed);
        self.pid_namespace.store(process.pid_namespace, Ordering::Relaxed);
        self.pid.store(process.pid, Ordering::Release);
    }

    pub(crate) fn load(&self) -> ProcessIdentity {
        ProcessIdentity {
            pid: self.pid.load(Ordering::Acquire),
            start_time_ticks: self.start_time_ticks.load(Ordering::Relaxed),
            pid_namespace: self.pid_namespace.load(Ordering::Relaxed),
        }
    }
}

/// What a consumer is called, and whether a successor could come back under that name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConsumerId {
    text: String,
    generated: bool,
}

/// A consumer id that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "consumer id of {len_bytes} bytes: an id has 1 to {CONSUMER_ID_MAX_LEN} bytes and no character that cannot be seen, such as control \
     characters and marks of direction"
)]
pub struct InvalidConsumerId {
    /// Length of the given id in bytes.
    pub len_bytes: usize,
}

impl ConsumerId {
    /// An id that the user chose, and may come back with.
    pub(crate) fn chosen(text: &str) -> Result<Self, InvalidConsumerId> {
        if text.is_empty() || text.len() > CONSUMER_ID_MAX_LEN || text.chars().any(disguises) {
            return Err(InvalidConsumerId { len_bytes: text.len() });
        }
        Ok(Self { text: text.to_owned(), generated: false })
    }

    /// An id for a consumer without one: unique on this host, and never used again.
    pub(crate) fn generated() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let process = ProcessIdentity::current();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let text =
            format!("anon-{}-{:x}-{number}", process.pid, process.start_time_ticks ^ process.pid_namespace << 20);
        Self { text, generated: true }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it was made by us, so that no consumer comes back under it.
    pub(crate) fn is_generated(&self) -> bool {
        self.generated
    }
}
