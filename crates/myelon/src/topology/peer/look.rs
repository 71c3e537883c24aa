//! What the broadcast ring's table says about a worker now, compared with what it said before.

use super::super::refusal::JoinRefusal;
use super::failure::{Failure, Started};
use super::gone::has_number;
use super::news::News;
use super::ring::Attachment;
use super::{Peer, Standing};
use crate::transport::{Format, TransportProducer};
use disruptor_mp::ConsumerInfo;
use disruptor_mp::liveness::{Ending, Refusal};

impl<F: Format> Peer<F> {
    /// Notes what the table says now, and attaches to the worker's ring if it is not attached. The child was
    /// [reaped](Self::reap) before the table was read: so a process that has ended and is not in the table was never
    /// there. `lane` is the ring of urgent messages, if the topology has one.
    pub(in crate::topology) fn look(
        &mut self,
        info: Option<&ConsumerInfo>,
        refused: Option<&Refusal>,
        attachment: &Attachment,
        lane: Option<&TransportProducer<F>>,
    ) {
        match (info, self.standing) {
            (Some(info), standing) if info.alive => {
                if self.is_new(info, standing) {
                    let keeps_place = match standing {
                        Standing::Present(_) => true,
                        Standing::Gone(gone) => !matches!(gone.how, None | Some(Ending::Unknown)),
                        Standing::Absent => false,
                    };
                    if !keeps_place {
                        self.progress.begin(info.position);
                    }
                    self.came(info);
                    self.standing = Standing::Present(info.process);
                    // The first process under this id succeeds no other.
                    if standing != Standing::Absent {
                        let (process, owner_number) = (info.process, info.owner);
                        self.news.push_back(News::Rejoined { process, owner_number, was_heard: false });
                    }
                }
            }
            (Some(info), Standing::Gone(_)) if info.owner == self.owner_number => {}
            (Some(info), Standing::Absent | Standing::Gone(_)) => {
                self.came(info);
                self.went(info.process, info.ending);
            }
            (Some(info), Standing::Present(process)) => {
                if info.owner != self.owner_number && info.process != process {
                    // The process that was there is gone as well, and the entry says only what happened to its
                    // successor's end.
                    let how = self.ending_in_ring(process);
                    self.went(process, Some(how.unwrap_or(Ending::Unknown)));
                    self.came(info);
                }
                self.owner_number = info.owner;
                self.went(info.process, info.ending);
            }
            // Either it has given its entry up, which is possible only after it was heard. Or it has died, and the
            // entry was taken away before this look; then its own ring says so.
            (None, Standing::Present(process)) => {
                let how = self.ending_in_ring(process);
                self.went(process, how.or_else(|| (self.owner != Some(process)).then_some(Ending::Unknown)));
            }
            // The entry of a worker that is gone was given away.
            (None, Standing::Absent | Standing::Gone(_)) => {}
        }
        self.settle();
        if refused != self.refused.as_ref()
            && let Some(refusal) = refused
        {
            self.refused = Some(refusal.clone());
            let refusal = JoinRefusal::left(self.id.clone(), refusal.clone());
            let child = self.started.as_ref().map(|started| started.process.pid());
            let child = child.filter(|&pid| refusal.is_of_ours(pid));
            self.could_not_join(refusal, child);
        }
        let is_known = self.is_present() && self.unsigned.is_none() && !self.is_refused_for_good;
        let lacks_ring = is_known && !self.is_ready();
        if lacks_ring && !self.has_message() && self.responses.is_none() && self.hears_urgent(lane) {
            self.attach(attachment);
        }
        if self.is_ready()
            && let Some(started) = self.started.as_mut().filter(|started| started.joined_as.is_some())
        {
            // No refusal will come.
            started.pipe = None;
        }
    }

    /// Whether the owner of the entry is another one than the known owner.
    pub(super) fn is_new(&mut self, info: &ConsumerInfo, standing: Standing) -> bool {
        let (known, is_kept_by_dead) = match standing {
            Standing::Absent => return true,
            Standing::Present(process) => (process, false),
            Standing::Gone(gone) if matches!(gone.how, None | Some(Ending::Unknown)) => return true,
            Standing::Gone(gone) => (gone.process, gone.how == Some(Ending::Killed)),
        };
        if info.process != known {
            return true;
        }
        // The owner number grows before the new owner writes its identity. Until then the entry has the identity of the
        // old owner. The two can be the same process, if it has dropped its end and joins again: then the identity is
        // still the same at the next look. A dead process does not come back.
        let is_unsigned = info.owner == self.owner_number || is_kept_by_dead;
        !is_unsigned && self.unsigned.replace(info.owner) == Some(info.owner)
    }

    pub(super) fn came(&mut self, info: &ConsumerInfo) {
        let process = info.process;
        self.owner_number = info.owner;
        self.unsigned = None;
        // Until the new process's ring is there, the old process's ring is read to its end.
        self.owner = None;
        self.failed = None;
        self.is_refused_for_good = false;
        self.without_lane = None;
        // A refused child may have tried again.
        let is_it = |started: &Started| !started.is_refused || has_number(process, started.process.pid());
        if let Some(started) = self.started.as_mut().filter(|started| is_it(started)) {
            started.joined_as = Some(process);
        }
    }

    /// Connects the reports and the end of the child with what the table says about it.
    pub(super) fn settle(&mut self) {
        let Some(started) = &mut self.started else { return };
        let (pid, exit) = (started.process.pid(), started.process.try_wait());
        if let Some(refusal) = started.refusal(&self.id) {
            self.could_not_join(refusal, Some(pid));
        }
        let Some(&Started { joined_as, is_refused, .. }) = self.started.as_ref() else { return };
        let Some(exit) = exit else { return };
        if let Standing::Gone(gone) = &mut self.standing {
            gone.learn(joined_as, pid, exit);
        }
        for news in &mut self.news {
            match news {
                News::Gone(gone) => gone.learn(joined_as, pid, exit),
                News::JoinFailed(failure) if failure.child == Some(pid) => failure.exit = Some(exit),
                News::JoinFailed(_) | News::Rejoined { .. } => {}
            }
        }
        match &mut self.failed {
            Some(failure) if failure.child == Some(pid) => failure.exit = Some(exit),
            None if joined_as.is_none() && !is_refused => self.fail(Failure::of_child(pid, exit)),
            _ => {}
        }
    }
}
