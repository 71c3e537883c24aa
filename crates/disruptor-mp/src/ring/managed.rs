//! Publishing that knows which consumers must be there and how long to be patient with them.
//!
//! **Lives here:** what the `*_managed` calls ask before they write, and the optional watcher thread. **Builds on:** `room` for the wait, `monitor` for patience.
//! **May touch it:** producers on which liveness was enabled.

use super::mapped::Mapped;
use super::membership;
use super::producer_end::{JOIN_POLL, ProducerEnd};
use super::room::{Blocked, Target, Watch};
use crate::error::MultiProcessError;
use crate::liveness::monitor::Monitor;
use crate::liveness::{RequiredConsumerError, RequiredConsumerFailureAction, RequiredConsumerLivenessConfig};
use crate::schema::Event;
use crate::sync::primitive::{AtomicBool, Ordering};
use crate::sync::wait::deadline_in;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where managed publishing stands.
#[derive(Default)]
pub(super) struct Management {
    /// Everybody required was there at the start, and nothing has shut the producer since: the one word that the fast path reads.
    is_open: bool,
    /// What shut the producer.
    pub(super) shut: Option<RequiredConsumerError>,
    watcher: Option<Watcher>,
}

impl<E: Event> ProducerEnd<E> {
    /// Says which consumers are required and how long to wait for them; from now on the `*_managed` calls work. The first of them waits
    /// until everybody required has joined.
    ///
    /// # Errors
    /// `MYELON_SHUTDOWN_GRACE_MS` is set to something that is not a number of milliseconds.
    pub fn enable_required_consumer_liveness(
        &mut self,
        mut config: RequiredConsumerLivenessConfig,
    ) -> Result<(), MultiProcessError> {
        if let Some(grace_ms) = crate::environment::number::<u64>("MYELON_SHUTDOWN_GRACE_MS")? {
            config.shutdown_grace_period = Duration::from_millis(grace_ms);
        }
        self.monitor = Some(Monitor::new(config));
        self.management = Management::default();
        Ok(())
    }

    /// Opens a producer again that a stalled consumer has shut. The next managed publish waits for the required consumers anew.
    pub fn reset_required_consumer_liveness(&mut self) {
        self.management.is_open = false;
        self.management.shut = None;
        if let Some(monitor) = &mut self.monitor {
            monitor.relieved();
        }
    }

    /// Watches the required consumers from a thread of its own, every `interval`, so that a managed publish learns of a death also when
    /// the ring is not full. The publish itself pays one relaxed load.
    ///
    /// # Errors
    /// The thread could not be started. `NotEnabled` situations are refused with `InvalidInput`.
    pub fn watch_required_consumers(&mut self, interval: Duration) -> std::io::Result<()> {
        let Some(monitor) = &self.monitor else {
            return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, RequiredConsumerError::NotEnabled));
        };
        let ids = monitor.config.required_consumer_ids.clone();
        self.management.watcher = Some(Watcher::start(self.core.memory().clone(), ids, interval)?);
        Ok(())
    }

    #[inline(always)]
    pub(super) fn enter_managed(
        &mut self,
        count: usize,
        deadline: Option<Instant>,
    ) -> Result<(), RequiredConsumerError> {
        let death_seen = self.management.watcher.as_ref().is_some_and(Watcher::has_seen_death);
        if self.must_look(count) || !self.management.is_open || death_seen {
            self.enter_managed_slowly(count, deadline)?;
        }
        Ok(())
    }

    /// Whether a managed call that finds room goes on without a look at any consumer.
    pub(super) fn is_open(&self) -> bool {
        self.management.is_open && !self.management.watcher.as_ref().is_some_and(Watcher::has_seen_death)
    }

    /// Whether a stalled consumer has shut the producer.
    pub(super) fn is_shut(&self) -> bool {
        self.management.shut.is_some()
    }

    #[cold]
    #[inline(never)]
    fn enter_managed_slowly(&mut self, count: usize, deadline: Option<Instant>) -> Result<(), RequiredConsumerError> {
        let Some(monitor) = &self.monitor else { return Err(RequiredConsumerError::NotEnabled) };
        if self.is_forked() {
            return Err(RequiredConsumerError::Forked);
        }
        if let Some(shut) = &self.management.shut {
            return Err(shut.clone());
        }
        // The ids are only borrowed: this runs once a lap also where nobody is slow, and must not allocate then.
        let ids = &monitor.config.required_consumer_ids;
        if !self.management.is_open {
            let startup = deadline_in(monitor.config.startup_wait_timeout);
            if !self.poll_until([deadline, startup].into_iter().flatten().min(), JOIN_POLL, || {
                ids.iter().all(|id| self.is_joined(id))
            }) {
                let missing = ids.iter().filter(|id| !self.is_joined(id)).cloned().collect();
                return Err(RequiredConsumerError::StartupTimeout { missing });
            }
            self.management.is_open = true;
        }
        if self.management.watcher.as_ref().is_some_and(Watcher::has_seen_death) {
            // Copied: a death is rare.
            let ids = ids.clone();
            self.act_on_watched_death(&ids)?;
        }
        if self.must_look(count) {
            self.wait_for(Target::Room(count), deadline, Watch::Managed)
                .map_err(|blocked| self.managed_error(blocked))?;
        }
        Ok(())
    }

    /// The watcher has seen a death. What follows is what follows when the ring is full.
    fn act_on_watched_death(&mut self, ids: &[String]) -> Result<(), RequiredConsumerError> {
        if let Some(watcher) = &self.management.watcher {
            watcher.forget();
        }
        let action = self.monitor.as_ref().map(|monitor| monitor.config.failure_action);
        for dead in self.consumers().into_iter().filter(|info| !info.alive && ids.contains(&info.id)) {
            match action {
                Some(RequiredConsumerFailureAction::AlertOnly) | None => {}
                // If the kernel refuses the lock now, the next look tries again.
                Some(RequiredConsumerFailureAction::Evict) => drop(self.evict_consumer(&dead.id)),
                Some(RequiredConsumerFailureAction::GracefulShutdown) => {
                    return Err(RequiredConsumerError::ConsumerDied {
                        last_sequence: dead.position - 1,
                        pid: dead.process.pid,
                        consumer_id: dead.id,
                    });
                }
            }
        }
        Ok(())
    }

    fn managed_error(&mut self, blocked: Blocked) -> RequiredConsumerError {
        match blocked {
            Blocked::Forked => RequiredConsumerError::Forked,
            Blocked::Closed => self.management.shut.clone().unwrap_or(RequiredConsumerError::Replaced),
            Blocked::Replaced => RequiredConsumerError::Replaced,
            Blocked::TimedOut { report } => RequiredConsumerError::TimedOut { report },
            Blocked::TooLarge { count, capacity } => RequiredConsumerError::TooLarge { count, capacity },
            Blocked::Died { id, pid, last_sequence, .. } => {
                RequiredConsumerError::ConsumerDied { consumer_id: id, pid, last_sequence }
            }
            Blocked::Shut { id, last_sequence, stalled_for } => {
                let shut =
                    RequiredConsumerError::GracefulShutdownTriggered { consumer_id: id, last_sequence, stalled_for };
                self.management.is_open = false;
                self.management.shut = Some(shut.clone());
                // Every publish, managed or not, now takes the slow path and finds it shut.
                self.core.forget_gate();
                shut
            }
        }
    }
}

/// A thread that asks the kernel for deaths.
struct Watcher {
    shared: Arc<WatcherFlags>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct WatcherFlags {
    death_seen: AtomicBool,
    stop: AtomicBool,
}

impl Watcher {
    fn start<E: Event>(memory: Mapped<E>, ids: Vec<String>, interval: Duration) -> std::io::Result<Self> {
        let shared = Arc::new(WatcherFlags::default());
        let flags = Arc::clone(&shared);
        let watch = move || {
            while !flags.stop.load(Ordering::Relaxed) {
                let is_dead = |id: &String| {
                    let info = membership::find(&memory, id).and_then(|index| membership::info(&memory, index));
                    info.is_some_and(|info| !info.alive)
                };
                if ids.iter().any(is_dead) {
                    flags.death_seen.store(true, Ordering::Relaxed);
                }
                std::thread::park_timeout(interval);
            }
        };
        let thread = std::thread::Builder::new().name("myelon-watch".into()).spawn(watch)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn has_seen_death(&self) -> bool {
        self.shared.death_seen.load(Ordering::Relaxed)
    }

    fn forget(&self) {
        self.shared.death_seen.store(false, Ordering::Relaxed);
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // It runs none of the user's code, so it has nothing to panic about.
            let _ = thread.join();
        }
    }
}
