//! Adding, pausing and removing sources.

use super::channel::{CommandSender, channel};
use super::entry::{Entry, Rate, Step, Waits};
use super::handler::{Handler, Idling, Owned, Raw, Ticking};
use super::record::Record;
use super::turn::contained;
use super::{
    AddError, Deadline, Due, EventLoop, Interest, IntoNext, LATEST, Priority, Ready, Settings, SourceId, SourceKind,
    SourceState, Tick,
};
use crate::primitive::Site;
use mio::unix::SourceFd;
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, RawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

impl EventLoop {
    /// Waits for a descriptor, which the loop owns until the source is removed. So its number is of no other file as
    /// long as the loop waits for it.
    ///
    /// `handler` is called when `interest` is there, and as long as it is there: it need not read everything at once.
    /// It should not block, so a handler that reads or writes more than once makes the descriptor non-blocking before.
    /// It gets the loop, the source, and what is ready, and returns nothing, a [`Next`](super::Next) or a result.
    ///
    /// The handler may replace the source by another one, and then the loop waits for the new descriptor. It answers
    /// [`Again`](super::Next::Again), since the new one may have the number of the old one.
    ///
    /// A handler that accepts connections fails when the process has no descriptors left (`EMFILE`). The connection
    /// stays in the queue of the listener, so the source is ready again at once, and the loop would not sleep. Let such
    /// a handler [pause](Self::pause) its source and add a timer that [resumes](Self::resume) it.
    ///
    /// # Errors
    /// See [`AddError`]. The source is dropped then.
    pub fn add<S, R, H>(
        &mut self,
        source: S,
        interest: Interest,
        settings: impl Into<Settings>,
        handler: H,
    ) -> Result<SourceId, AddError>
    where
        S: AsFd + 'static,
        R: IntoNext,
        H: FnMut(&mut EventLoop, &mut S, Ready) -> R + 'static,
    {
        let settings = settings.into();
        let step = step_of(settings.priority);
        self.add_descriptor(Box::new(Owned { source, handler }), interest, SourceKind::Descriptor, step, settings)
    }

    /// Waits for a descriptor that the caller keeps open until it has removed the source.
    ///
    /// If it is closed before, and its number is used for another source, this one is removed and reported
    /// ([`Cause::Reused`](super::Cause::Reused)); an event that the kernel still tells is dropped and counted. Prefer
    /// [`add`](Self::add).
    ///
    /// # Errors
    /// See [`AddError`].
    pub fn add_raw<R, H>(
        &mut self,
        descriptor: RawFd,
        interest: Interest,
        settings: impl Into<Settings>,
        handler: H,
    ) -> Result<SourceId, AddError>
    where
        R: IntoNext,
        H: FnMut(&mut EventLoop, Ready) -> R + 'static,
    {
        let settings = settings.into();
        let step = step_of(settings.priority);
        self.add_descriptor(Box::new(Raw { descriptor, handler }), interest, SourceKind::Descriptor, step, settings)
    }

    /// Calls `handler` once, at `due`. The source is removed after that call, unless the handler has
    /// [re-armed](Self::rearm) it.
    pub fn add_timer<R, H>(&mut self, due: impl Into<Due>, settings: impl Into<Settings>, handler: H) -> SourceId
    where
        R: IntoNext,
        H: FnMut(&mut EventLoop, Tick) -> R + 'static,
    {
        let deadline = self.instant_of(due.into());
        self.add_deadline(deadline, None, settings.into(), Box::new(Ticking(handler)))
    }

    /// Calls `handler` after each `period`; the first time after one of them. It keeps its phase: if a call is late,
    /// the next one is not. If whole periods have passed, there is one call, and its [`Tick`] says how many were
    /// missed.
    ///
    /// # Panics
    /// `period` is zero.
    pub fn add_interval<R, H>(&mut self, period: Duration, settings: impl Into<Settings>, handler: H) -> SourceId
    where
        R: IntoNext,
        H: FnMut(&mut EventLoop, Tick) -> R + 'static,
    {
        let first = self.instant_of(Due::In(period));
        self.add_deadline(first, Some(period), settings.into(), Box::new(Ticking(handler)))
    }

    /// Calls `handler` when a turn had nothing else to do, before the loop sleeps. Unless it returns
    /// [`More`](super::Next::More), it is called again only after other work.
    pub fn add_idle<R, H>(&mut self, settings: impl Into<Settings>, handler: H) -> SourceId
    where
        R: IntoNext,
        H: FnMut(&mut EventLoop) -> R + 'static,
    {
        let id = self.insert(SourceKind::Idle, Waits::Idle, settings.into(), Box::new(Idling(handler)));
        self.idle.push_back(id);
        id
    }

    /// Calls `handler` for each command that a [`CommandSender`] sends, in the first step of a turn. At most `capacity`
    /// commands wait.
    ///
    /// # Panics
    /// `capacity` is zero.
    pub fn add_channel<C, R, H>(
        &mut self,
        capacity: usize,
        settings: impl Into<Settings>,
        handler: H,
    ) -> (SourceId, CommandSender<C>)
    where
        C: Send + 'static,
        R: IntoNext,
        H: FnMut(&mut EventLoop, C) -> R + 'static,
    {
        assert!(capacity > 0, "a channel without room takes no command");
        let (sender, handler) = channel(capacity, self.entries.next_id(), Arc::clone(self.shared()), handler);
        let id = self.insert(SourceKind::Channel, Waits::Channel, settings.into(), handler);
        debug_assert_eq!(id, sender.id());
        (id, sender)
    }

    /// Gives a timer another deadline; a period begins there. `false` if it is no timer, or was removed.
    pub fn rearm(&mut self, id: SourceId, due: impl Into<Due>) -> bool {
        let deadline = self.instant_of(due.into());
        let Some(entry) = self.entries.get_mut(id) else { return false };
        let Waits::Timer { timer, deadline: kept, period } = &mut entry.waits else { return false };
        *kept = deadline;
        if entry.state != SourceState::Paused && !self.timers.rearm(*timer, deadline) {
            *timer = arm(&mut self.timers, id, deadline, *period);
        }
        entry.record.set_deadline(Some(deadline.saturating_duration_since(self.handle.shared.start)));
        true
    }

    /// Waits for something else at a descriptor, from now on. `false` if it is no descriptor, or was removed.
    ///
    /// # Errors
    /// The descriptor of a raw source was closed.
    pub fn set_interest(&mut self, id: SourceId, interest: Interest) -> io::Result<bool> {
        let Some(entry) = self.entries.get_mut(id) else { return Ok(false) };
        let Waits::Descriptor { number, interest: kept } = &mut entry.waits else { return Ok(false) };
        *kept = interest;
        if !matches!(entry.state, SourceState::Paused | SourceState::Limited) {
            self.poll.registry().reregister(&mut SourceFd(number), id.token(), interest.to_mio())?;
        }
        Ok(true)
    }

    /// Does not wait for a source until it is resumed. What happens meanwhile is seen then: a descriptor is readable
    /// still, commands stay in their channel, a deadline that has passed is due. `false` if it was removed.
    pub fn pause(&mut self, id: SourceId) -> bool {
        let Some(entry) = self.entries.get_mut(id) else { return false };
        // From now on only `resume` ends the pause.
        entry.held = false;
        if entry.state == SourceState::Paused {
            return true;
        }
        let limited = entry.rate.as_mut().and_then(|rate| rate.over.take());
        entry.set_state(SourceState::Paused);
        self.recent = None;
        match &mut entry.waits {
            Waits::Descriptor { number, .. } if limited.is_none() => {
                // It fails for a raw descriptor that was closed; then the kernel has forgotten it already.
                let _ = self.poll.registry().deregister(&mut SourceFd(number));
            }
            Waits::Timer { timer, deadline, .. } => {
                *deadline = self.timers.deadline(*timer).unwrap_or(*deadline);
                self.timers.cancel(*timer);
            }
            Waits::Descriptor { .. } | Waits::Channel | Waits::Idle | Waits::SafePoint { .. } => {}
        }
        if let Some(limit_over) = limited {
            self.timers.cancel(limit_over);
        }
        true
    }

    /// Waits for a paused source again. `false` if it was removed; a source that is not paused stays as it is.
    ///
    /// # Errors
    /// The descriptor of a raw source was closed. The source stays paused.
    pub fn resume(&mut self, id: SourceId) -> io::Result<bool> {
        match self.entries.get(id).map(|entry| entry.state) {
            None => Ok(false),
            Some(SourceState::Paused) => self.wait_again(id).map(|()| true),
            Some(_) => Ok(true),
        }
    }

    /// Pauses a source for a reason of this crate, until [`release`](Self::release).
    pub(crate) fn hold(&mut self, id: SourceId) {
        let is_paused = self.entries.get(id).is_none_or(|entry| entry.state == SourceState::Paused);
        if !is_paused
            && self.pause(id)
            && let Some(entry) = self.entries.get_mut(id)
        {
            entry.held = true;
        }
    }

    /// Ends the pause of [`hold`](Self::hold). A source that the program, an answer, a failure or a hang-up has paused
    /// stays paused. `false` if it was removed.
    ///
    /// # Errors
    /// Those of [`resume`](Self::resume).
    pub(crate) fn release(&mut self, id: SourceId) -> io::Result<bool> {
        match self.entries.get(id) {
            None => Ok(false),
            Some(entry) if entry.held => self.resume(id),
            Some(_) => Ok(true),
        }
    }

    /// Removes a source, and drops what it owns. `false` if it was removed already. A handler may remove its own source
    /// or any other one; what was ready of it is not told any more.
    pub fn remove(&mut self, id: SourceId) -> bool {
        let Some(handler) = self.take_out(id) else { return false };
        // The handler is dropped when the source is out, since its destructor may be anything.
        drop(handler);
        true
    }

    /// Removes a source and returns the `S` that [`add`](Self::add) got; `None`, and the source stays, if it owns no
    /// `S`, was removed already, or runs now.
    ///
    /// ```
    /// use myelon_runtime::event_loop::{EventLoop, Interest, Ready};
    /// use std::io::PipeReader;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let (reader, _writer) = std::io::pipe()?;
    /// let handler = |_: &mut EventLoop, _: &mut PipeReader, _: Ready| ();
    /// let id = event_loop.add(reader, Interest::Readable, "a pipe", handler)?;
    /// let reader: PipeReader = event_loop.take(id).unwrap();
    /// # drop(reader);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn take<S: 'static>(&mut self, id: SourceId) -> Option<S> {
        self.source_mut::<S>(id)?;
        let source = self.take_out(id)??.into_source()?;
        source.downcast().ok().map(|source| *source)
    }

    /// The `S` that [`add`](Self::add) got; `None` if the source owns no `S`, was removed, or runs now (then its
    /// handler has it).
    pub fn source_mut<S: 'static>(&mut self, id: SourceId) -> Option<&mut S> {
        self.entries.get_mut(id)?.handler.as_mut()?.source()?.downcast_mut()
    }

    pub(super) fn add_descriptor(
        &mut self,
        handler: Box<dyn Handler>,
        interest: Interest,
        kind: SourceKind,
        step: Step,
        settings: Settings,
    ) -> Result<SourceId, AddError> {
        let descriptor = handler.descriptor().expect("a source of a descriptor");
        if self.owns_paused(descriptor) {
            return Err(AddError::Twice { description: settings.description.into_owned(), descriptor });
        }
        let id = self.entries.next_id();
        let added = self.poll.registry().register(&mut SourceFd(&descriptor), id.token(), interest.to_mio());
        if let Err(source) = added {
            let description = settings.description.into_owned();
            return Err(match Errno::from_io_error(&source) {
                Some(Errno::PERM) => AddError::RegularFile { description },
                Some(Errno::EXIST) => AddError::Twice { description, descriptor },
                _ => AddError::Os { description, descriptor, source },
            });
        }
        let inserted = self.insert(kind, Waits::Descriptor { number: descriptor, interest }, settings, handler);
        debug_assert_eq!(id, inserted);
        if let Some(entry) = self.entries.get_mut(id) {
            entry.step = step;
        }
        self.own_number(descriptor, id);
        Ok(id)
    }

    /// Whether a source that is not registered with the kernel now keeps this descriptor open. (The kernel refuses one
    /// that is registered.) A raw source may have been closed, so its number may be that of another file.
    pub(super) fn owns_paused(&self, descriptor: RawFd) -> bool {
        let other = self.by_number.get(&descriptor).and_then(|&id| self.entries.get(id));
        let other = other.filter(|other| matches!(other.state, SourceState::Paused | SourceState::Limited));
        other.is_some_and(|other| other.handler.as_ref().is_none_or(|handler| handler.owns()))
    }

    fn add_deadline(
        &mut self,
        deadline: Instant,
        period: Option<Duration>,
        settings: Settings,
        handler: Box<dyn Handler>,
    ) -> SourceId {
        let timer = arm(&mut self.timers, self.entries.next_id(), deadline, period);
        let id = self.insert(SourceKind::Timer, Waits::Timer { timer, deadline, period }, settings, handler);
        let start = self.shared().start;
        if let Some(entry) = self.entries.get(id) {
            entry.record.set_deadline(Some(deadline.saturating_duration_since(start)));
        }
        id
    }

    pub(super) fn insert(
        &mut self,
        kind: SourceKind,
        waits: Waits,
        settings: Settings,
        handler: Box<dyn Handler>,
    ) -> SourceId {
        let id = self.entries.next_id();
        let entry = entry(id, kind, waits, settings, handler, self.now);
        self.shared().set_record(id.index, Some(Arc::clone(&entry.record)));
        self.entries.insert(entry)
    }

    /// The handler of a source that is out of the loop now; `Some(None)` if it runs.
    fn take_out(&mut self, id: SourceId) -> Option<Option<Box<dyn Handler>>> {
        let entry = self.entries.remove(id)?;
        // As long as its handler runs, other threads see that.
        if entry.handler.is_some() {
            self.shared().set_record(id.index, None);
        }
        self.depart(&entry.record);
        // A destructor may take long, and belongs to no call.
        self.recent = None;
        if entry.handler.is_none() {
            self.removed_itself = Some(Arc::clone(&entry.record));
        }
        match entry.waits {
            Waits::Descriptor { number, .. } => {
                // If the number is another source's, the kernel has forgotten this descriptor when it was closed.
                if self.by_number.get(&number) == Some(&id) {
                    self.by_number.remove(&number);
                    if !matches!(entry.state, SourceState::Paused | SourceState::Limited) {
                        let _ = self.poll.registry().deregister(&mut SourceFd(&number));
                    }
                }
            }
            Waits::Timer { timer, .. } => drop(self.timers.cancel(timer)),
            Waits::Idle => {
                self.idle.retain(|&other| other != id);
                self.idle_later.retain(|&other| other != id);
            }
            Waits::SafePoint { .. } => self.at_safe_point.retain(|&other| other != id),
            Waits::Channel => {}
        }
        if let Some(limit_over) = entry.rate.and_then(|rate| rate.over) {
            self.timers.cancel(limit_over);
        }
        Some(entry.handler)
    }

    /// From paused or limited to waiting, or to ready if something is there.
    pub(super) fn wait_again(&mut self, id: SourceId) -> io::Result<()> {
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        self.recent = None;
        entry.held = false;
        if entry.handler.is_some()
            && let Some(over) = entry.limited_until(self.now)
        {
            // A pause does not end the interval.
            self.wait_for_the_limit(id, over);
            return Ok(());
        }
        match &mut entry.waits {
            Waits::Descriptor { number, interest } => {
                self.poll.registry().register(&mut SourceFd(number), id.token(), interest.to_mio())?;
                entry.ready = Ready::default();
            }
            Waits::Timer { timer, deadline, period } => *timer = arm(&mut self.timers, id, *deadline, *period),
            // One that was paused by its own call is in no list. It has had its call if it runs now.
            Waits::Idle if !self.idle.contains(&id) && !self.idle_later.contains(&id) => {
                if self.current == Some(id) {
                    self.idle_later.push(id)
                } else {
                    self.idle.push_back(id)
                }
            }
            Waits::Channel | Waits::Idle | Waits::SafePoint { .. } => {}
        }
        entry.set_state(SourceState::Waiting);
        let has_more = entry.handler.as_ref().is_some_and(|handler| handler.has_more(Site::MoreAfterPause));
        match entry.waits {
            // What the handler has read and not served is not seen by the kernel. It is called in the next turn, which
            // looks first, so it is also told what the kernel sees.
            Waits::Descriptor { .. } if entry.more => self.shared().requests.add_news(id),
            Waits::Channel if has_more => self.make_ready(id),
            _ => {}
        }
        Ok(())
    }

    fn instant_of(&self, due: Due) -> Instant {
        match due {
            Due::At(instant) => instant,
            Due::In(duration) => self.now() + duration.min(LATEST),
        }
    }
}

/// What the loop owns is dropped with it, each part even if another one's destructor panics.
impl Drop for EventLoop {
    fn drop(&mut self) {
        for id in self.entries.ids() {
            if let Some(handler) = self.take_out(id) {
                let _ = contained(|| drop(handler));
            }
        }
    }
}

fn arm(
    timers: &mut crate::timers::Timers<Deadline>,
    id: SourceId,
    deadline: Instant,
    period: Option<Duration>,
) -> crate::timers::TimerId {
    match period {
        Some(period) => timers.insert_periodic(deadline, period, Deadline::Timer(id)),
        None => timers.insert(deadline, Deadline::Timer(id)),
    }
}

pub(super) fn step_of(priority: Priority) -> Step {
    match priority {
        Priority::High => Step::High,
        Priority::Normal => Step::Normal,
        Priority::Low => Step::Low,
    }
}

pub(super) fn entry(
    id: SourceId,
    kind: SourceKind,
    waits: Waits,
    settings: Settings,
    handler: Box<dyn Handler>,
    now: Instant,
) -> Entry {
    Entry {
        record: Arc::new(Record::new(id, kind, &settings)),
        waits,
        step: Step::Results,
        budget: settings.budget,
        on_failure: settings.on_failure,
        state: SourceState::Waiting,
        handler: Some(handler),
        ready: Ready::default(),
        more: false,
        held: false,
        ticket: 0,
        turn: 0,
        calls: 0,
        rate: settings.rate_limit.map(|(limit, interval)| {
            Box::new(Rate { limit, interval: interval.min(LATEST), began: now, calls: 0, over: None })
        }),
    }
}
