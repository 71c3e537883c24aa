//! Sleeps at the bells of many rings: at as many as one thread can sleep at, and through the watcher at the others.

use super::select::Source;
#[cfg(target_os = "linux")]
use super::select::Waitable;
use crate::sync::bell::{Bell, Ticket};
use crate::sync::wait::SLICE_WITHOUT_BARRIER;
use std::sync::Arc;
use std::time::Duration;

#[cfg(target_os = "linux")]
use crate::sync::{several::sleep_at, watcher::Watch};
#[cfg(target_os = "linux")]
use std::collections::HashMap;

/// At how many bells the thread sleeps itself: the kernel waits for at most 128 words at once, and one is the sleeper's
/// own.
pub(super) const OWN_MAX: usize = 127;

/// Sleeps at the bells for one thread.
pub(super) struct Sleeper {
    /// Rung by the threads that sleep for the consumers beyond [`OWN_MAX`].
    pub(super) bell: Arc<Bell>,
    /// Whether to try the wait for several words.
    #[cfg(target_os = "linux")]
    waits_for_several: bool,
    /// The watches, by the address of the consumer's segment, which the watch keeps mapped.
    #[cfg(target_os = "linux")]
    beyond: HashMap<usize, Watch>,
}

#[cfg(target_os = "linux")]
impl Sleeper {
    pub(super) fn new(waits_for_several: bool) -> Self {
        Self { bell: Arc::new(Bell::new()), waits_for_several, beyond: HashMap::new() }
    }

    /// Has our bell rung when one of `beyond` has news. `false`: not for all of them, so look often.
    pub(super) fn watch(&mut self, beyond: &[Source<'_>]) -> bool {
        let mut is_complete = true;
        for Source(consumer) in beyond {
            let key = key_of(&**consumer);
            // In a child of a fork, a watch of the parent is a dead copy.
            if self.beyond.get(&key).is_none_or(|watch| !watch.is_ours()) {
                let bell = Arc::clone(&self.bell);
                let Ok(watch) = Watch::new(consumer.post(), move || bell.ring()) else {
                    is_complete = false;
                    continue;
                };
                self.beyond.insert(key, watch);
            }
            let watch = &self.beyond[&key];
            if !watch.is_armed_for(consumer.position()) {
                watch.arm(consumer.position());
            }
        }
        // Drops the watches of consumers that were left out meanwhile.
        if self.beyond.len() > beyond.len() {
            let keys: Vec<_> = beyond.iter().map(|source| key_of(&*source.0)).collect();
            self.beyond.retain(|key, _| keys.contains(key));
        }
        is_complete
    }

    /// Sleeps for at most `slice`, until our bell has been rung since `call` was drawn, or one of `bells` since its
    /// ticket was.
    pub(super) fn sleep(&mut self, call: Ticket, bells: Vec<(&Bell, Ticket)>, slice: Duration) {
        if self.waits_for_several {
            let mut bells = bells;
            bells.push((&self.bell, call));
            self.waits_for_several = sleep_at(&bells, Some(slice)).is_ok();
        } else {
            self.bell.sleep(call, slice.min(SLICE_WITHOUT_BARRIER));
        }
    }
}

#[cfg(target_os = "linux")]
fn key_of(consumer: &dyn Waitable) -> usize {
    std::ptr::from_ref(consumer.segment()).addr()
}

/// On other systems a sleeper looks once a millisecond.
#[cfg(not(target_os = "linux"))]
impl Sleeper {
    pub(super) fn new(_waits_for_several: bool) -> Self {
        Self { bell: Arc::new(Bell::new()) }
    }

    pub(super) fn watch(&mut self, beyond: &[Source<'_>]) -> bool {
        beyond.is_empty()
    }

    pub(super) fn sleep(&mut self, call: Ticket, _bells: Vec<(&Bell, Ticket)>, slice: Duration) {
        self.bell.sleep(call, slice.min(SLICE_WITHOUT_BARRIER));
    }
}
