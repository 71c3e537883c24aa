//! The loop as a party of an agenda's safe points, and sources whose handlers run at one.

use super::entry::Waits;
use super::handle::QUIESCE;
use super::handler::{AtSafePoint, News};
use super::{Cause, EventLoop, IntoNext, OnFailure, Settings, SourceId, SourceKind, SourceState};
use crate::agenda::{Party, Submitter};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

impl EventLoop {
    /// Makes this loop a party of the agenda's safe points, instead of those of an agenda before it. `name` is what
    /// reports of hold-ups call it.
    ///
    /// From now on the loop stops between two handlers while a closure of [`Submitter::quiesce`] runs alone, and counts
    /// as stopped while it sleeps. A handler that asks for a safe point itself counts as stopped. Between two calls of
    /// [`turn`](Self::turn) the loop does not stop, and holds the closure up: a program with a loop of its own drops
    /// this one or runs it.
    ///
    /// ```
    /// use myelon_runtime::agenda::Agenda;
    /// use myelon_runtime::event_loop::EventLoop;
    /// use std::time::Duration;
    ///
    /// let agenda = Agenda::builder().workers(1).start()?;
    /// let mut event_loop = EventLoop::new()?;
    /// event_loop.attend(&agenda, "the loop");
    /// let handle = event_loop.handle();
    /// let other = std::thread::spawn(move || {
    ///     let patience = Duration::from_secs(30);
    ///     let swapped = agenda.quiesce("swap the model", patience, || "no handler and no tasklet runs");
    ///     handle.quit();
    ///     swapped
    /// });
    /// event_loop.run()?;
    /// drop(event_loop); // it would hold up a closure that is asked for now
    /// assert!(other.join().unwrap().is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn attend(&mut self, agenda: impl AsRef<Submitter>, name: impl Into<Cow<'static, str>>) {
        // The old membership ends first: one thread is one party.
        self.party = None;
        let shared = Arc::clone(self.shared());
        self.party = Some(agenda.as_ref().register_with(name.into(), Box::new(move || shared.runs())));
    }

    /// Calls `handler` at a safe point each time that one was asked for, by
    /// [`LoopHandle::request_quiesce`](super::LoopHandle::request_quiesce) or by an operator. For a reload, a snapshot,
    /// an exchange of handlers.
    ///
    /// In a loop that [attends](Self::attend) an agenda, no tasklet and no other party runs meanwhile; in another one
    /// it is between two handlers, which are all that there is. `patience` is how long the loop waits for the parties
    /// to stop, and so how late its other sources can be. If it is over, no handler of a safe point is called, and each
    /// of them has failed with the [`QuiesceError`](crate::agenda::QuiesceError) that names what did not stop. If
    /// several such sources wait, they are called one after the other at one safe point, with the longest patience.
    ///
    /// A source that is paused when the safe point comes is left out. If one of the handlers
    /// [exits](super::LoopHandle::exit) the loop, those after it are called at a safe point of the next turn, when the
    /// loop is run again. A program that ends instead has not done that part of the request.
    ///
    /// ```
    /// use myelon_runtime::event_loop::EventLoop;
    /// use std::time::Duration;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let reload = |event_loop: &mut EventLoop| event_loop.handle().quit();
    /// event_loop.add_at_safe_point(Duration::from_secs(1), "reload the table of models", reload);
    /// event_loop.handle().request_quiesce(); // from any thread
    /// event_loop.run()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_at_safe_point<R, H>(&mut self, patience: Duration, settings: impl Into<Settings>, handler: H) -> SourceId
    where
        R: IntoNext,
        H: FnMut(&mut EventLoop) -> R + 'static,
    {
        let waits = Waits::SafePoint { patience };
        let id = self.insert(SourceKind::SafePoint, waits, settings.into(), Box::new(AtSafePoint(handler)));
        self.at_safe_point.push(id);
        id
    }

    /// Calls what waits for a safe point, if one was asked for.
    pub(super) fn serve_safe_point(&mut self) -> usize {
        // A loop that stops calls no handler: the request stays for the next turn.
        if self.stopped() {
            return 0;
        }
        let left = std::mem::take(&mut self.left_at_safe_point);
        let asked = if self.shared().requests.take(QUIESCE) == 0 { left } else { self.at_safe_point.to_vec() };
        let mut longest = Duration::ZERO;
        let mut ids = Vec::new();
        for id in asked {
            let Some(entry) = self.entries.get(id) else { continue };
            if let (Waits::SafePoint { patience }, SourceState::Waiting) = (entry.waits, entry.state) {
                longest = longest.max(patience);
                ids.push(id);
            }
        }
        let Some(&first) = ids.first() else { return 0 };
        let Some(asker) = self.party.as_ref().map(Party::asker) else {
            return self.call_at_safe_point(&ids);
        };
        let first = self.entries.get(first).map(|entry| entry.record.description().to_owned()).unwrap_or_default();
        let description = match ids.len() {
            1 => first,
            several => format!("{first}, and {} more", several - 1),
        };
        match asker.quiesce(description, longest, || self.call_at_safe_point(&ids)) {
            Ok(called) => called,
            Err(error) => {
                for id in &ids {
                    self.fail(*id, &Cause::Error(Box::new(error.clone())), OnFailure::Keep);
                }
                ids.len()
            }
        }
    }

    /// Returns how many were called. If the loop stops, the request stays for the others.
    fn call_at_safe_point(&mut self, ids: &[SourceId]) -> usize {
        for (called, id) in ids.iter().enumerate() {
            if self.stopped() {
                self.left_at_safe_point = ids[called..].to_vec();
                return called;
            }
            self.call(*id, News::SafePoint);
        }
        ids.len()
    }
}
