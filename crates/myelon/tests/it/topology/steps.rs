//! Answers say which broadcast they answer, and `gather_for` hands out no others.

use super::actors::{command, workers};
use super::stage::{Stage, said, soon, until};
use myelon::Patience;
use myelon::counters::ids;
use myelon::topology::{Answer, Outcome, SchedulerEnd, Topology, Unwanted, Whom, WorkerEnd, Workers};
use myelon::transport::{Records, TransportBuilder};
use proptest::prelude::*;
use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};

/// How many workers the generated histories have.
const WORKERS: usize = 3;

/// One operation of a session. The index of a step that does not exist is mapped to one that does.
#[derive(Clone, Debug)]
enum Op {
    Broadcast,
    /// A worker takes the next broadcast, and acknowledges it without an answer.
    Hear(usize),
    /// A worker answers a step that it has received, has answered before, or neither.
    Answer(usize, usize),
    /// A worker sends something that answers nothing.
    Babble(usize),
    /// A worker's end is dropped and keeps its entry, or comes back.
    DieOrRejoin(usize),
    GatherFor(usize, Whom),
    /// Any message.
    Gather(usize),
}

fn any_op() -> impl Strategy<Value = Op> {
    let (rank, step) = (0..WORKERS, 0..100_usize);
    let whom = prop_oneof![Just(Whom::All), Just(Whom::Any), rank.clone().prop_map(Whom::Rank)];
    prop_oneof![
        4 => Just(Op::Broadcast),
        2 => rank.clone().prop_map(Op::Hear),
        8 => (rank.clone(), step.clone()).prop_map(|(rank, step)| Op::Answer(rank, step)),
        1 => rank.clone().prop_map(Op::Babble),
        2 => rank.clone().prop_map(Op::DieOrRejoin),
        6 => (step, whom).prop_map(|(step, whom)| Op::GatherFor(step, whom)),
        1 => rank.prop_map(Op::Gather),
    ]
}

/// What a worker has done and its scheduler was not told yet, in order.
enum Item {
    Sent { step: Option<i64>, bytes: Vec<u8> },
    Died,
    Rejoined,
}

/// The expected state of a worker, as a list.
#[derive(Default)]
struct Listed {
    items: VecDeque<Item>,
    kept: Vec<(i64, Vec<u8>)>,
    handed: HashSet<i64>,
    unwanted: Unwanted,
    is_dead: bool,
}

/// What the scheduler should be told, according to the list.
#[derive(Debug, PartialEq)]
enum Told {
    Message { step: Option<i64>, bytes: Vec<u8> },
    Answered,
    Died,
    Rejoined,
    TimedOut,
}

impl Told {
    fn of(answer: Answer) -> Self {
        match answer.outcome {
            Outcome::Message { bytes, .. } => Self::Message { step: answer.step, bytes },
            Outcome::Answered => Self::Answered,
            Outcome::Died { .. } => Self::Died,
            Outcome::Rejoined { .. } => Self::Rejoined,
            Outcome::TimedOut => Self::TimedOut,
            other => panic!("{other:?}"),
        }
    }
}

impl Listed {
    fn expect(&mut self, step: i64) {
        let before = self.kept.len();
        self.kept.retain(|&(kept, _)| kept >= step);
        self.unwanted.late += (before - self.kept.len()) as u64;
    }

    /// The answer to `step`, or any message; `Err`: what is reported as long as nothing changes.
    fn tell(&mut self, wanted: Option<i64>) -> Result<Told, Told> {
        let kept = self.kept.iter().position(|&(step, _)| wanted.is_none_or(|wanted| wanted == step));
        if let Some(index) = kept {
            let (step, bytes) = self.kept.remove(index);
            self.handed.insert(step);
            return Ok(Told::Message { step: Some(step), bytes });
        }
        while let Some(item) = self.items.pop_front() {
            let (step, bytes) = match item {
                Item::Died => return Ok(Told::Died),
                Item::Rejoined => return Ok(Told::Rejoined),
                Item::Sent { step, bytes } => (step, bytes),
            };
            let Some(wanted) = wanted else {
                self.handed.extend(step);
                return Ok(Told::Message { step, bytes });
            };
            match step {
                None => self.unwanted.without_step += 1,
                Some(step) if self.handed.contains(&step) => self.unwanted.repeated += 1,
                Some(step) if self.kept.iter().any(|&(kept, _)| kept == step) => self.unwanted.repeated += 1,
                Some(step) if step < wanted => self.unwanted.late += 1,
                Some(step) if step > wanted => self.kept.push((step, bytes)),
                Some(step) => {
                    self.handed.insert(step);
                    return Ok(Told::Message { step: Some(step), bytes });
                }
            }
        }
        Err(match wanted {
            Some(wanted) if self.handed.contains(&wanted) => Told::Answered,
            _ if self.is_dead => Told::Died,
            _ => Told::TimedOut,
        })
    }
}

/// A session in one process: its workers' ends are driven by the test.
struct Session {
    topology: Topology,
    scheduler: SchedulerEnd,
    workers: Vec<Option<WorkerEnd>>,
    listed: Vec<Listed>,
    steps: Vec<i64>,
    sent: u32,
    turn: usize,
}

impl Session {
    fn launch(topology: &Topology) -> Self {
        let (workers, scheduler) = std::thread::scope(|scope| {
            let joining: Vec<_> = (0..WORKERS).map(|rank| scope.spawn(move || join(topology, rank))).collect();
            let scheduler = topology.launch(Workers::started_elsewhere()).unwrap();
            (joining.into_iter().map(|joined| Some(joined.join().unwrap())).collect(), scheduler)
        });
        let listed = (0..WORKERS).map(|_| Listed::default()).collect();
        Self { topology: topology.clone(), scheduler, workers, listed, steps: Vec::new(), sent: 0, turn: 0 }
    }

    fn step(&self, index: usize) -> Option<i64> {
        self.steps.get(index % self.steps.len().max(1)).copied()
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.sent += 1;
        self.sent.to_le_bytes().to_vec()
    }

    fn happen(&mut self, op: &Op) {
        match *op {
            Op::Broadcast => {
                self.steps.push(self.scheduler.broadcast(b"a step", 0, Patience::Now).unwrap());
            }
            Op::Hear(rank) => {
                let Some(worker) = &mut self.workers[rank] else { return };
                drop(worker.next(Patience::Now).unwrap());
            }
            Op::Answer(rank, index) => {
                let (Some(step), bytes) = (self.step(index), self.bytes()) else { return };
                let Some(worker) = &mut self.workers[rank] else { return };
                worker.answer(step, &bytes, 0, Patience::Now).unwrap();
                self.listed[rank].items.push_back(Item::Sent { step: Some(step), bytes });
            }
            Op::Babble(rank) => {
                let bytes = self.bytes();
                let Some(worker) = &mut self.workers[rank] else { return };
                let (_, mut responses) = worker.rings();
                responses.set_in_reply_to(None);
                responses.send(&bytes, 0, Patience::Now).unwrap();
                self.listed[rank].items.push_back(Item::Sent { step: None, bytes });
            }
            Op::DieOrRejoin(rank) => match self.workers[rank].take() {
                Some(worker) => {
                    drop(worker);
                    self.look();
                    self.listed[rank].items.push_back(Item::Died);
                    self.listed[rank].is_dead = true;
                }
                None => self.rejoin(rank),
            },
            Op::GatherFor(index, whom) => {
                let Some(step) = self.step(index) else { return };
                self.gather(Some(step), whom);
            }
            Op::Gather(rank) => self.gather(None, Whom::Rank(rank)),
        }
        self.look();
        for (rank, listed) in self.listed.iter().enumerate() {
            assert_eq!(self.scheduler.report(rank).unwanted, listed.unwanted, "rank {rank}");
        }
    }

    /// Looks as often as is needed to tell two owners of an entry in the same process apart.
    fn look(&mut self) {
        (0..2).for_each(|_| drop(self.scheduler.report(0)));
    }

    /// Takes the old process's messages, which must happen before the new process can be heard.
    fn rejoin(&mut self, rank: usize) {
        while self.listed[rank].items.iter().any(|item| matches!(item, Item::Sent { .. })) {
            self.gather(None, Whom::Rank(rank));
        }
        let (topology, scheduler) = (&self.topology, &mut self.scheduler);
        let worker = std::thread::scope(|scope| {
            let joining = scope.spawn(move || join(topology, rank));
            eventually("a worker that comes back", PATIENCE, || {
                drop(scheduler.report(rank));
                joining.is_finished()
            })
            .unwrap();
            joining.join().unwrap()
        });
        assert!(worker.has_rejoined());
        self.workers[rank] = Some(worker);
        self.look();
        self.listed[rank].items.push_back(Item::Rejoined);
        self.listed[rank].is_dead = false;
    }

    fn gather(&mut self, step: Option<i64>, whom: Whom) {
        let now = Instant::now();
        let answers = match step {
            Some(step) => self.scheduler.gather_for(step, whom, now),
            None => self.scheduler.gather(whom, now),
        };
        let ranks: Vec<usize> = match whom {
            Whom::Rank(rank) => vec![rank],
            _ => (0..WORKERS).collect(),
        };
        for &rank in &ranks {
            step.inspect(|&step| self.listed[rank].expect(step));
        }
        let first = ranks.iter().map(|offset| (self.turn + offset) % WORKERS);
        let first: Option<(usize, Told)> = match whom {
            Whom::Any => first.into_iter().find_map(|rank| Some((rank, self.listed[rank].tell(step).ok()?))),
            _ => None,
        };
        let wanted: Vec<(usize, Told)> = match first {
            Some((rank, told)) => {
                self.turn = rank + 1;
                vec![(rank, told)]
            }
            None => {
                ranks.into_iter().map(|rank| (rank, self.listed[rank].tell(step).unwrap_or_else(|same| same))).collect()
            }
        };
        let told: Vec<_> = answers.into_iter().map(|answer| (answer.rank, Told::of(answer))).collect();
        if let Some(step) = step {
            let is_other = |told: &Told| matches!(told, Told::Message { step: of, .. } if *of != Some(step));
            assert!(!told.iter().any(|(_, told)| is_other(told)), "asked for step {step}: {told:?}");
        }
        assert_eq!(told, wanted, "asked for step {step:?} of {whom:?}");
    }
}

fn join(topology: &Topology, rank: usize) -> WorkerEnd {
    WorkerEnd::join(&topology.invitation(rank).unwrap()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn no_history_of_three_workers_makes_gather_for_hand_out_an_answer_to_another_step(
        ops in prop::collection::vec(any_op(), 1..60),
    ) {
        let _watchdog = Watchdog::new(PATIENCE * 2, "a generated session");
        let stage = Stage::new(WORKERS);
        let mut session = Session::launch(&stage.topology);
        ops.iter().for_each(|op| session.happen(op));
        drop(session);
        stage.assert_nothing_left();
    }
}

#[test]
fn a_successor_that_has_come_and_gone_unnoticed_is_told_between_the_messages_of_both() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a successor that nothing was told of");
    let stage = Stage::new(WORKERS);
    let mut session = Session::launch(&stage.topology);
    // The predecessor sends nothing, the successor sends something, and nothing is gathered before both are gone.
    for op in [Op::Broadcast, Op::DieOrRejoin(1), Op::DieOrRejoin(1), Op::Answer(1, 0), Op::DieOrRejoin(1)] {
        session.happen(&op);
    }
    let outcomes: Vec<Told> =
        (0..5).map(|_| Told::of(session.scheduler.gather(Whom::Rank(1), Instant::now()).remove(0))).collect();
    let [Told::Died, Told::Rejoined, Told::Message { step: Some(_), .. }, Told::Died, Told::Died] = &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
}

#[test]
fn a_late_answer_is_not_that_to_the_next_step_and_is_counted_in_the_report_and_in_the_ring() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "late answers");
    let stage = Stage::new(2);
    let topology = &stage.topology;
    let mut session = std::thread::scope(|scope| {
        let late = scope.spawn(|| join(topology, 1));
        let quick = scope.spawn(|| join(topology, 0));
        let scheduler = topology.launch(Workers::started_elsewhere()).unwrap();
        (scheduler, quick.join().unwrap(), late.join().unwrap())
    });
    let (scheduler, quick, late) = (&mut session.0, &mut session.1, &mut session.2);
    let first = scheduler.broadcast(b"seven", 1, Patience::Now).unwrap();
    let mut step = quick.next(Patience::Until(soon())).unwrap().unwrap();
    assert_eq!(step.step(), first);
    step.answer(b"SEVEN", 1, Patience::Now).unwrap();
    drop(step);
    let answers = scheduler.gather_for(first, Whom::All, Instant::now() + Duration::from_millis(20));
    assert_eq!((said(&answers[0]), answers[0].step), ("SEVEN".to_owned(), Some(first)));
    assert!(matches!(answers[1].outcome, Outcome::TimedOut), "{answers:?}");
    let second = scheduler.broadcast(b"eight", 1, Patience::Now).unwrap();
    for worker in [quick, late] {
        while let Some(mut step) = worker.next(Patience::Now).unwrap() {
            let answer = step.to_ascii_uppercase();
            step.answer(&answer, 1, Patience::Now).unwrap();
        }
    }
    for answer in scheduler.gather_for(second, Whom::All, soon()) {
        assert_eq!((said(&answer), answer.step), ("EIGHT".to_owned(), Some(second)), "rank {}", answer.rank);
    }
    let report = scheduler.report(1);
    assert_eq!((report.unwanted.late, report.unwanted.repeated, report.unwanted.without_step), (1, 0, 0));
    assert!(report.to_string().ends_with("; 1 late and 0 repeated answers were dropped"), "{report}");
    assert_eq!(counted(&stage, 1, ids::ANSWERS_LATE), 1);
    assert_eq!(counted(&stage, 0, ids::ANSWERS_LATE), 0);
    // A second call does not wait for an answer that was handed out.
    let again = scheduler.gather_for(second, Whom::Any, soon());
    assert!(again.iter().all(|answer| matches!(answer.outcome, Outcome::Answered)), "{again:?}");
}

/// The counter `id` of the scheduler's entry in the response ring of `rank`.
fn counted(stage: &Stage, rank: usize, id: u32) -> u64 {
    let name = stage.topology.layout().response_ring_names().nth(rank).unwrap();
    let visitor = TransportBuilder::<Records>::new(name.as_str(), 0).build_consumer().unwrap();
    let counters = visitor.ring_counters();
    counters.snapshot().iter().filter(|counter| counter.id == id).map(|counter| counter.value).sum()
}

#[test]
fn an_answer_that_a_successor_repeats_is_dropped_and_counted() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a repeated answer");
    let stage = Stage::new(1);
    let starts = AtomicUsize::new(0);
    let spawn = move |_| command(["answers and hangs", "answers"][starts.fetch_add(1, Ordering::Relaxed).min(1)]);
    let mut scheduler = stage.topology.launch(Workers::spawned(spawn)).unwrap();
    let first = scheduler.broadcast(b"once", 1, Patience::Now).unwrap();
    assert_eq!(said(&scheduler.gather_for(first, Whom::Rank(0), soon())[0]), "ONCE");
    // It is killed before it has acknowledged what it has answered.
    scheduler.restart(0).unwrap();
    until(&mut scheduler, 0, |outcome| matches!(outcome, Outcome::Rejoined { .. }));
    let second = scheduler.broadcast(b"twice", 1, Patience::Now).unwrap();
    assert_eq!(said(&scheduler.gather_for(second, Whom::Rank(0), soon())[0]), "TWICE");
    assert_eq!(scheduler.report(0).unwanted.repeated, 1);
    assert_eq!(counted(&stage, 0, ids::ANSWERS_REPEATED), 1);
}

#[test]
fn an_answer_to_a_later_step_is_kept_for_the_call_that_asks_for_it() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "answers ahead");
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(workers("answers only the last of three")).unwrap();
    let steps = ["a", "b", "c"].map(|text| scheduler.broadcast(text.as_bytes(), 1, Patience::Now).unwrap());
    let wait = Duration::from_millis(1);
    eventually("an answer ahead of the step that is asked for", PATIENCE, || {
        let answers = scheduler.gather_for(steps[0], Whom::All, Instant::now() + wait);
        assert!(matches!(answers[0].outcome, Outcome::TimedOut), "{answers:?}");
        scheduler.report(0).answers_waiting == 1
    })
    .unwrap();
    let answer = scheduler.gather_for(steps[2], Whom::Any, soon()).remove(0);
    assert_eq!((said(&answer), answer.step), ("C".to_owned(), Some(steps[2])));
}

#[test]
#[should_panic(expected = ": step 0 was not broadcast: the last broadcast is -1")]
fn waiting_for_answers_to_a_step_that_was_not_broadcast_is_a_mistake() {
    let stage = Stage::new(1);
    let mut scheduler = stage.topology.launch(workers("answers")).unwrap();
    scheduler.gather_for(0, Whom::All, soon());
}
