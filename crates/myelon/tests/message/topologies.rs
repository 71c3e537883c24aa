//! A scheduler and workers of described types.

use myelon::message;
use myelon::prelude::*;
use std::time::{Duration, Instant};
use testkit::watchdog::Watchdog;

#[message]
struct Step {
    number: u64,
}

#[message]
#[derive(Debug, PartialEq)]
struct Sum(u64);

mod newer {
    #[myelon::message]
    pub(super) struct Sum(pub(super) u64, pub(super) u8);
}

mod older {
    #[myelon::message]
    pub(super) struct Step {
        pub(super) number: u32,
    }
}

fn topology(label: &str) -> Topology {
    Topology::new(&format!("{label} {}", std::process::id()), 2usize).unwrap()
}

#[test]
fn described_types_travel_both_ways() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "workers answer");
    let topology = topology("described");
    let invitations = [topology.invitation(0).unwrap(), topology.invitation(1).unwrap()];
    let workers = invitations.map(|invitation| {
        std::thread::spawn(move || {
            let mut worker: TypedWorker<Step, Sum> = TypedWorker::join(&invitation).unwrap();
            worker.serve(|step, _| Ok::<_, TopologyError>(Sum(step.number + 1)))
        })
    });
    let mut scheduler: TypedScheduler<Step, Sum> =
        TypedScheduler::launch(topology, Workers::started_elsewhere()).unwrap();
    scheduler.broadcast(&Step { number: 1 }, 0, Patience::Endless).unwrap();
    for answer in scheduler.gather(Whom::All, Instant::now() + Duration::from_secs(30)) {
        assert_eq!(answer.outcome.unwrap(), (Sum(2), 0));
    }
    scheduler.close();
    for worker in workers {
        worker.join().unwrap().unwrap();
    }
}

/// A worker that the scheduler did not start can tell it only two numbers, from which both sides name the field.
#[test]
fn a_worker_of_an_older_type_is_told_what_differs_and_its_scheduler_that_it_was_refused() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a worker is refused");
    let topology = topology("refused").with_rendezvous_timeout(Duration::from_secs(30));
    let invitation = topology.invitation(1).unwrap();
    let worker = std::thread::spawn(move || {
        TypedWorker::<older::Step, Sum>::join(&invitation).map(drop).unwrap_err().to_string()
    });
    let refused = TypedScheduler::<Step, Sum>::launch(topology, Workers::started_elsewhere()).map(drop).unwrap_err();
    let says = "field `Step.number` is u32 at position 0 here, but u64 at position 0 there";
    let text = worker.join().unwrap();
    assert!(text.contains(says), "{text}");
    let says = "could not join: it expects another content tag: field `Step.number` differs)";
    assert!(refused.to_string().contains(says), "{refused}");
}

#[test]
fn a_scheduler_of_an_older_type_is_told_what_differs_and_so_is_the_worker_whose_answers_it_cannot_read() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a response ring is refused");
    let topology = topology("answers refused").with_rendezvous_timeout(Duration::from_secs(30));
    let invitation = topology.invitation(1).unwrap();
    let worker = std::thread::spawn(move || {
        TypedWorker::<Step, newer::Sum>::join(&invitation).map(drop).unwrap_err().to_string()
    });
    let refused = TypedScheduler::<Step, Sum>::launch(topology, Workers::started_elsewhere()).map(drop).unwrap_err();
    let text = worker.join().unwrap();
    assert!(text.ends_with(": it expects another content tag: field `Sum.1` does not exist there"), "{text}");
    let says = "field `Sum.1` is u8 at position 1 there, but does not exist here";
    assert!(refused.to_string().contains(says), "{refused}");
}
