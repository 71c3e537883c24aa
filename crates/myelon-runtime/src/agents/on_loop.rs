//! A group in an event loop: a channel whose handler runs one cycle, doorbells as sources, and a timer for deadlines.

use super::failure::Cause;
use super::invoker::{Deadline, Invoker};
use super::shared::GroupHandle;
use super::{Activity, Group};
use crate::event_loop::{EventLoop, Interest, LoopHandle, Next, Ready, Settings, SourceId, Tick};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

/// A group and what it has in its loop.
struct Looped {
    invoker: Invoker,
    timer: Option<(SourceId, Instant)>,
    doorbells: Vec<SourceId>,
    /// The changes of the group at which the doorbells were added.
    changes: u64,
    loop_handle: LoopHandle,
}

/// A program may remove the source of the group. The other sources of the group go with it.
impl Drop for Looped {
    fn drop(&mut self) {
        let timer = self.timer.take().map(|(timer, _)| timer);
        let left = self.doorbells.drain(..).chain(timer).collect::<Vec<_>>();
        if !left.is_empty() {
            self.loop_handle.call_always(move |event_loop: &mut EventLoop| {
                for source in left {
                    event_loop.remove(source);
                }
            });
        }
    }
}

impl Group {
    /// Runs the group in a loop, on the loop's clock. Each wake is a cycle; after one with work another follows, at
    /// most as many in a turn as the budget of `settings`, so other sources have their turn. Without work the group
    /// waits for its agents' descriptors and deadlines, and for a [wake](GroupHandle::wake), as the loop's other
    /// sources do.
    ///
    /// `settings` has the description of the source, its budget and its rate limit. The group is removed when it has
    /// ended, which [`on_end`](Self::on_end) tells. Dropping the loop closes the agents.
    ///
    /// ```
    /// use myelon_runtime::agents::{Group, GroupEnd, Work, from_fn};
    /// use myelon_runtime::event_loop::EventLoop;
    ///
    /// let mut event_loop = EventLoop::new()?;
    /// let quit = event_loop.handle();
    /// let mut left = 100;
    /// let counter = from_fn("counter", move |_| {
    ///     left -= 1;
    ///     if left == 0 {
    ///         quit.quit();
    ///     }
    ///     Ok(if left == 0 { Work::Finished } else { Work::Count(1) })
    /// });
    /// let counters = Group::new("counters").agent(counter).add_to(&mut event_loop, "agents that count");
    /// event_loop.run()?;
    /// assert_eq!(counters.ended(), Some(GroupEnd::Finished));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn add_to(mut self, event_loop: &mut EventLoop, settings: impl Into<Settings>) -> GroupHandle {
        self.clock = Arc::clone(event_loop.clock());
        let loop_handle = event_loop.handle();
        let invoker = self.into_invoker();
        let mut looped = Looped { invoker, timer: None, doorbells: Vec::new(), changes: 0, loop_handle };
        let handle = looped.invoker.handle();
        // One wake is as good as many.
        let (_, sender) =
            event_loop.add_channel(1, settings, move |event_loop: &mut EventLoop, ()| looped.serve(event_loop));
        // It is refused if a wake waits already, or the loop is gone. Then the agents are closed.
        handle.shared.waker.set_bring(move || {
            let _ = sender.send(());
        });
        handle.shared.waker.bring();
        handle
    }
}

impl Looped {
    fn serve(&mut self, event_loop: &mut EventLoop) -> Next {
        let shared = Arc::clone(&self.invoker.shared);
        shared.waker.clear();
        let worked = self.invoker.cycle(event_loop.now()) > 0;
        if self.invoker.end().is_none() && (worked || !self.go_away(event_loop)) {
            shared.waker.bring();
        }
        if self.invoker.end().is_none() {
            return Next::Again;
        }
        let timer = self.timer.take().map(|(timer, _)| timer);
        for source in self.doorbells.drain(..).chain(timer) {
            event_loop.remove(source);
        }
        Next::Remove
    }

    /// `false`: there is something to do, and no caller brings the group back.
    fn go_away(&mut self, event_loop: &mut EventLoop) -> bool {
        let Some(Deadline(until)) = self.invoker.deadline() else { return false };
        if until.is_some_and(|until| until <= event_loop.now()) {
            return false;
        }
        let Self { invoker, doorbells, changes, .. } = self;
        if !invoker.go_away(|invoker| wait_for_doorbells(invoker, doorbells, changes, event_loop)) {
            return false;
        }
        self.wait_until(event_loop, until);
        true
    }

    fn wait_until(&mut self, event_loop: &mut EventLoop, until: Option<Instant>) {
        match (until, self.timer) {
            (Some(until), Some((_, at))) if until == at => {}
            (Some(until), Some((timer, _))) if event_loop.rearm(timer, until) => self.timer = Some((timer, until)),
            (Some(until), _) => {
                let handle = self.invoker.handle();
                let description = format!("deadline of agents of {}", handle.name());
                let timer = event_loop.add_timer(until, description, move |_: &mut EventLoop, _: Tick| handle.wake());
                self.timer = Some((timer, until));
            }
            (None, Some((timer, _))) => {
                event_loop.remove(timer);
                self.timer = None;
            }
            (None, None) => {}
        }
    }
}

/// Waits for the agents' descriptors. `false`: an agent has failed.
fn wait_for_doorbells(
    invoker: &mut Invoker,
    doorbells: &mut Vec<SourceId>,
    added_at: &mut u64,
    event_loop: &mut EventLoop,
) -> bool {
    let changes = invoker.changes();
    if *added_at == changes {
        // A doorbell that has rung is held.
        return doorbells.iter().all(|&source| event_loop.release(source).is_ok());
    }
    for source in doorbells.drain(..) {
        event_loop.remove(source);
    }
    let handle = invoker.handle();
    let refused = invoker.with_doorbells(|owners, listed| {
        listed.list.iter().zip(owners).find_map(|(descriptor, &owner)| {
            let descriptor = descriptor.try_clone_to_owned();
            let source = descriptor.and_then(|descriptor| {
                add_doorbell(event_loop, descriptor, handle.clone()).map_err(std::io::Error::other)
            });
            source.map(|source| doorbells.push(source)).err().map(|error| (owner, error))
        })
    });
    match refused {
        Some(None) => {
            *added_at = changes;
            true
        }
        Some(Some((owner, error))) => {
            invoker.fail(owner, Activity::Park, &Cause::Doorbell(error));
            false
        }
        None => false,
    }
}

fn add_doorbell(
    event_loop: &mut EventLoop,
    descriptor: OwnedFd,
    handle: GroupHandle,
) -> Result<SourceId, crate::event_loop::AddError> {
    let description = format!("doorbell of agents of {}", handle.name());
    let rung = move |event_loop: &mut EventLoop, _: &mut OwnedFd, _: Ready| {
        handle.wake();
        // Until the agents have armed it again.
        if let Some(doorbell) = event_loop.current() {
            event_loop.hold(doorbell);
        }
    };
    event_loop.add(descriptor, Interest::Readable, description, rung)
}
