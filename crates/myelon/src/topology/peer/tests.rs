//! Refused processes: which of them is the child that a scheduler has started.

use super::super::answer::Change;
use super::*;
use crate::transport::{Records, WaitStrategy};
use disruptor_mp::ConsumerInfo;
use disruptor_mp::liveness::RefusalCause;
use myelon_process::{Command, Stdio};
use std::io::PipeWriter;
use testkit::watchdog::{PATIENCE, eventually};

/// A worker that a child is to become. The child runs until its input ends.
fn expected() -> (Peer<Records>, PipeWriter, u32) {
    let mut child = Command::new("sh").args(["-c", "read line; exit 7"]).stdin(Stdio::piped()).spawn().unwrap();
    let (input, pid) = (child.stdin.take().unwrap(), child.pid());
    let mut peer = Peer::new(0, "w".to_owned(), Place::heap());
    peer.start(child, None);
    (peer, input, pid)
}

/// The refusal that a process with the pid `pid` in the namespace of that tag leaves in the ring.
fn refusal(pid: u32, pid_namespace_tag: u32) -> Refusal {
    Refusal { pid, pid_namespace_tag, cause: RefusalCause::OtherContent, difference: None }
}

/// The tag of another namespace than ours.
fn elsewhere() -> u32 {
    ProcessIdentity::current().pid_namespace_tag() ^ 1
}

fn look(peer: &mut Peer<Records>, info: Option<&ConsumerInfo>, refused: &Refusal) -> Vec<Change> {
    let attachment = Attachment {
        depth: 4096,
        scheduler_id: "s".to_owned(),
        wait: WaitStrategy::Block,
        message_limit_bytes: None,
        content_tag: None,
        older_tags: Vec::new(),
    };
    peer.reap();
    peer.look(info, Some(refused), &attachment, None);
    let told: Vec<_> = std::iter::from_fn(|| peer.tell()).collect();
    peer.strays().chain(told).collect()
}

#[test]
fn a_refused_process_that_has_the_childs_number_in_another_namespace_is_not_the_child() {
    let (mut peer, input, pid) = expected();
    let refused = refusal(pid, elsewhere());
    let [Change::JoinFailed { refusal: Some(told), .. }] = &look(&mut peer, None, &refused)[..] else { panic!() };
    assert_eq!(told.to_string(), format!("w: process {pid} of another pid namespace could not join: {}", told.cause));
    assert!(peer.may_come() && peer.word().is_none(), "the child is on its way");
    drop(input);
    let mut changes = Vec::new();
    eventually("the child's end", PATIENCE, || {
        changes.append(&mut look(&mut peer, None, &refused));
        !changes.is_empty()
    })
    .unwrap();
    let [Change::JoinFailed { pid: failed, status: Some(status), refusal: None }] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!((*failed, status.code()), (pid, Some(7)));
}

#[test]
fn a_refused_process_that_is_not_the_child_does_not_stand_for_it() {
    let (mut peer, _input, pid) = expected();
    let here = ProcessIdentity::current().pid_namespace_tag();
    assert_eq!(look(&mut peer, None, &refusal(pid + 1, here)).len(), 1);
    assert!(peer.may_come() && peer.word().is_none(), "the child is on its way");
    look(&mut peer, None, &refusal(pid, here));
    assert!(!peer.may_come() && peer.word().is_some(), "that was the child");
}

#[test]
fn equal_refusals_of_two_namespaces_are_two() {
    let (mut peer, _input, pid) = expected();
    assert_eq!(look(&mut peer, None, &refusal(pid, elsewhere())).len(), 1);
    assert_eq!(look(&mut peer, None, &refusal(pid, elsewhere())).len(), 0, "told once");
    assert_eq!(look(&mut peer, None, &refusal(pid, elsewhere() ^ 2)).len(), 1);
}
