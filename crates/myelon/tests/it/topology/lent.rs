//! The rings inside an end, lent.

use super::stage::{Stage, in_one_process, said, soon};
use myelon::topology::Whom;
use myelon::{Patience, Select};
use std::mem::swap;

#[test]
fn lent_rings_that_are_exchanged_leave_both_workers_as_they_were() {
    let stage = Stage::new(2);
    let (mut scheduler, workers) = in_one_process(&stage.topology);
    let [mut one, mut other] = workers.try_into().unwrap();
    let step = scheduler.broadcast(b"a step", 1, Patience::Now).unwrap();
    {
        let (mut ones, mut ones_answers) = one.rings();
        let (mut others, mut others_answers) = other.rings();
        swap(&mut ones, &mut others);
        swap(&mut ones_answers, &mut others_answers);
        assert!(ones.consumer_id().ends_with('1') && others.consumer_id().ends_with('0'));
        ones_answers.set_in_reply_to(Some(step));
        ones_answers.send(b"by the other's ring", 1, Patience::Now).unwrap();
    }
    for (rank, worker) in [&mut one, &mut other].into_iter().enumerate() {
        assert_eq!(worker.rank(), rank);
        let heard = worker.next(Patience::Now).unwrap().unwrap();
        assert_eq!((heard.step(), &heard[..]), (step, &b"a step"[..]));
        drop(heard);
        worker.answer(step, &[rank as u8], 1, Patience::Now).unwrap();
    }
    let answers: Vec<_> = scheduler.gather_for(step, Whom::All, soon()).iter().map(said).collect();
    assert_eq!(answers, ["\0", "by the other's ring"], "worker 1's ring has what was sent through it first");
    drop((one, other, scheduler));
    stage.assert_nothing_left();
}

#[test]
fn a_lent_ring_holds_selects_loops_and_is_waited_for_at_a_doorbell() {
    let stage = Stage::new(1);
    let (mut scheduler, mut workers) = in_one_process(&stage.topology);
    let worker = &mut workers[0];
    let (mut steps, mut answers) = worker.rings();
    let mut bell = cfg!(target_os = "linux").then(|| steps.doorbell().unwrap());
    assert!(bell.as_mut().is_none_or(|bell| bell.arm(&mut steps)), "there is nothing to hear");
    let first = scheduler.broadcast(b"one", 1, Patience::Now).unwrap();
    let second = scheduler.broadcast(b"two", 1, Patience::Now).unwrap();
    assert!(!bell.as_mut().is_some_and(|bell| bell.arm(&mut steps)), "there is something to hear");
    let ready = Select::new().wait(&mut [&mut steps], soon());
    assert!(matches!(&ready[..], [one] if one.outcome.is_ok()), "{ready:?}");
    let held = steps.next_held(Patience::Now).unwrap().unwrap();
    let second_held = steps.messages().next().unwrap().unwrap().hold();
    for step in [second_held, held] {
        answers.set_in_reply_to(Some(step.sequence()));
        answers.send(&step.to_ascii_uppercase(), 1, Patience::Now).unwrap();
        step.release();
    }
    for (step, text) in [(second, "TWO"), (first, "ONE")] {
        assert_eq!(said(&scheduler.gather_for(step, Whom::All, soon())[0]), text);
    }
    scheduler.broadcast_ring().wait_until_consumed(second, soon()).unwrap();
    assert!(!answers.stall_report().to_string().is_empty());
}
