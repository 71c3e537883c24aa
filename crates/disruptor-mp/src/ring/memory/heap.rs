//! A ring's words and slots on the heap of one process: for models, in which every word is loom's, and for generated
//! tests.

use crate::ring::protocol::control::{Control, Entry};
use crate::ring::protocol::form::{Form, SlotForm, Stamped};
use crate::ring::protocol::memory::{Memory, SlotMemory};

/// A ring on the heap of one process: for models, where every word is loom's, and for generated tests.
pub(crate) struct HeapMemory<E, F: Form = Stamped> {
    control: Control,
    entries: Box<[Entry]>,
    slots: Box<[HeapSlot<E, F>]>,
}

struct HeapSlot<E, F: Form> {
    header: F::Header,
    #[cfg(not(loom))]
    payload: std::cell::UnsafeCell<E>,
    #[cfg(loom)]
    payload: loom::cell::UnsafeCell<E>,
}

// SAFETY: a payload is written only by the one producer and read only by consumers that gate it. The models of the
// algorithm check this.
unsafe impl<E: Send, F: Form> Sync for HeapMemory<E, F> {}
// SAFETY: as above; the memory owns everything in it.
unsafe impl<E: Send, F: Form> Send for HeapMemory<E, F> {}

impl<E: Copy + Default, F: Form> HeapMemory<E, F> {
    /// A ring of `capacity` slots; in one of records, each line carries one `E`.
    pub(crate) fn new(capacity: usize, table_len: usize, sentinel: Option<i64>) -> Self {
        assert!(capacity.is_power_of_two());
        let sentinel = sentinel.unwrap_or(crate::ring::protocol::control::SENTINEL_LIFTED);
        Self {
            control: Control::new((capacity as i64).min(sentinel), sentinel),
            entries: (0..table_len).map(|_| Entry::new()).collect(),
            slots: (0..capacity)
                .map(|_| HeapSlot { header: F::Header::default(), payload: E::default().into() })
                .collect(),
        }
    }
}

impl<E, F: Form> HeapMemory<E, F> {
    fn slot(&self, position: i64) -> &HeapSlot<E, F> {
        &self.slots[position as usize & (self.slots.len() - 1)]
    }

    /// Lets `f` write the payload at `position`.
    #[cfg(not(loom))]
    pub(crate) fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut E) -> R) -> R {
        f(self.slot(position).payload.get())
    }

    /// Lets `f` write the payload at `position`.
    #[cfg(loom)]
    pub(crate) fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut E) -> R) -> R {
        self.slot(position).payload.with_mut(f)
    }

    /// Lets `f` read the payload at `position`.
    #[cfg(not(loom))]
    pub(crate) fn with<R>(&self, position: i64, f: impl FnOnce(*const E) -> R) -> R {
        f(self.slot(position).payload.get())
    }

    /// Lets `f` read the payload at `position`.
    #[cfg(loom)]
    pub(crate) fn with<R>(&self, position: i64, f: impl FnOnce(*const E) -> R) -> R {
        self.slot(position).payload.with(f)
    }
}

impl<E, F: Form> Memory for std::sync::Arc<HeapMemory<E, F>> {
    type Form = F;

    fn control(&self) -> &Control {
        &self.control
    }

    fn table_len(&self) -> usize {
        self.entries.len()
    }

    fn entry(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    fn capacity(&self) -> i64 {
        self.slots.len() as i64
    }

    fn header(&self, position: i64) -> &F::Header {
        &self.slot(position).header
    }
}

impl<E: Copy, F: SlotForm> SlotMemory for std::sync::Arc<HeapMemory<E, F>> {
    type Event = E;

    fn with_mut<R>(&self, position: i64, f: impl FnOnce(*mut E) -> R) -> R {
        (**self).with_mut(position, f)
    }

    fn with<R>(&self, position: i64, f: impl FnOnce(*const E) -> R) -> R {
        (**self).with(position, f)
    }

    fn racing_copy(&self, _position: i64) -> E {
        unreachable!("loom has no racing reads of plain memory: taps are modelled over `RacingMemory`")
    }
}
