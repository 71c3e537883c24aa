//! The error of a call of a typed end: the same as of an end of bytes, and what its codec says.

use super::calls::{HASTY, begins, sending_fails};
use super::stage::{Stage, soon};
use myelon::Patience;
use myelon::topology::{Outcome, TopologyError, TypedScheduler, TypedWorker, UrgentError, Whom, Workers};
use serde::ser::Error as _;
use serde::{Deserialize, Serialize, Serializer};
use testkit::watchdog::{PATIENCE, Watchdog};

/// Bytes, or a value that cannot be encoded.
#[derive(Debug, Deserialize)]
struct Fickle(Option<Vec<u8>>);

impl Serialize for Fickle {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(bytes) => Some(bytes).serialize(serializer),
            None => Err(S::Error::custom("there is no such form")),
        }
    }
}

myelon::bincode_message!(Fickle);

/// Bytes that are no message.
const GARBAGE: &[u8] = &[7];

type Ends = (TypedScheduler<Fickle, Fickle>, TypedWorker<Fickle, Fickle>);

fn met(stage: &Stage) -> Ends {
    let topology = stage.topology.clone().with_urgent_lane();
    let invitation = topology.invitation(0).unwrap();
    std::thread::scope(|scope| {
        let joining = scope.spawn(move || TypedWorker::join(&invitation).unwrap());
        (TypedScheduler::launch(topology, Workers::started_elsewhere()).unwrap(), joining.join().unwrap())
    })
}

fn text(error: impl std::error::Error) -> String {
    error.to_string()
}

const UNENCODABLE: &str = "bincode could not encode the message: there is no such form";
const UNDECODABLE: &str = "bincode could not decode 1 bytes: ";

#[test]
fn a_typed_broadcast_that_is_not_sent_says_of_which_session() {
    let _watchdog = Watchdog::new(PATIENCE, "typed broadcasts that fail");
    let stage = Stage::new(1);
    let label = stage.label();
    let (mut scheduler, _worker) = met(&stage);
    let unencodable = format!("{label}: {UNENCODABLE}");
    assert_eq!(text(scheduler.broadcast(&Fickle(None), 1, Patience::Now).unwrap_err()), unencodable);
    assert_eq!(text(scheduler.broadcast_urgent(&Fickle(None), 1).unwrap_err()), unencodable);
    let full = loop {
        if let Err(error) = scheduler.broadcast_urgent(&Fickle(Some(vec![0; 1000])), 1) {
            break error;
        }
    };
    assert!(full.is_full() && matches!(full, UrgentError::UrgentFull { .. }));
    sending_fails(label, label, |bytes, patience| scheduler.broadcast(&Fickle(Some(bytes.to_vec())), 1, patience));
    sending_fails(label, label, |bytes, patience| scheduler.broadcast_raw(bytes, 1, patience));
}

#[test]
fn a_typed_answer_that_is_not_sent_says_of_which_worker() {
    let _watchdog = Watchdog::new(PATIENCE, "typed answers that fail");
    let stage = Stage::new(1);
    let name = stage.topology.worker_consumer_id(0);
    let (mut scheduler, mut worker) = met(&stage);
    let step = scheduler.broadcast(&Fickle(Some(vec![])), 1, Patience::Now).unwrap();
    let unencodable = format!("{name}: {UNENCODABLE}");
    assert_eq!(text(worker.answer(step, &Fickle(None), 1, Patience::Now).unwrap_err()), unencodable);
    assert_eq!(text(worker.serve(|_, _| Ok::<_, TopologyError>(Fickle(None))).unwrap_err()), unencodable);
    sending_fails(&name, &name, |bytes, patience| worker.answer(step, &Fickle(Some(bytes.to_vec())), 1, patience));
    let mut broadcast = worker.next(Patience::Now).unwrap().unwrap();
    assert_eq!(text(broadcast.answer(&Fickle(None), 1, Patience::Now).unwrap_err()), unencodable);
    sending_fails(&name, &name, |bytes, patience| broadcast.answer(&Fickle(Some(bytes.to_vec())), 1, patience));
}

#[test]
fn what_a_typed_worker_cannot_hear_is_said_of_the_worker() {
    let _watchdog = Watchdog::new(PATIENCE, "a typed worker that hears nothing");
    let stage = Stage::new(1);
    let name = stage.topology.worker_consumer_id(0);
    let (mut scheduler, mut worker) = met(&stage);
    begins(&worker.next(HASTY).unwrap_err(), &name, "no event was handed out within ");
    begins(&worker.next_or_end(Patience::Now).unwrap_err(), &name, "no event was handed out within ");
    begins(&worker.next_raw(HASTY).unwrap_err(), &name, "no event was handed out within ");
    for _ in 0..2 {
        scheduler.broadcast_raw(GARBAGE, 1, Patience::Now).unwrap();
    }
    begins(&worker.next(Patience::Now).unwrap_err(), &name, UNDECODABLE);
    begins(&worker.next_or_end(Patience::Now).unwrap_err(), &name, UNDECODABLE);
    scheduler.broadcast_raw(GARBAGE, 1, Patience::Now).unwrap();
    begins(&worker.serve(|it, _| Ok::<_, TopologyError>(it)).unwrap_err(), &name, UNDECODABLE);
    scheduler.close();
    let closed = format!("{name}: the ring is closed");
    assert_eq!(text(worker.next(Patience::Endless).unwrap_err()), closed);
    assert_eq!(text(worker.next_raw(Patience::Endless).unwrap_err()), closed);
    assert!(matches!(worker.next_or_end(Patience::Endless), Ok(None)));
}

#[test]
fn what_a_typed_scheduler_cannot_decode_is_said_of_the_worker_that_has_sent_it() {
    let _watchdog = Watchdog::new(PATIENCE, "answers of no type");
    let stage = Stage::new(1);
    let name = stage.topology.worker_consumer_id(0);
    let (mut scheduler, mut worker) = met(&stage);
    let unreadable = |outcome: Result<(Fickle, u8), Outcome>| match outcome {
        Err(Outcome::Unreadable(error)) => begins(&error, &name, UNDECODABLE),
        other => panic!("{other:?}"),
    };
    for by_step in [true, false] {
        let step = scheduler.broadcast(&Fickle(Some(vec![])), 1, Patience::Now).unwrap();
        let mut broadcast = worker.next_raw(Patience::Now).unwrap().unwrap();
        broadcast.answer(GARBAGE, 1, Patience::Now).unwrap();
        drop(broadcast);
        let mut answers = match by_step {
            true => scheduler.gather_for(step, Whom::All, soon()),
            false => scheduler.gather(Whom::Any, soon()),
        };
        unreadable(answers.remove(0).outcome);
    }
}
