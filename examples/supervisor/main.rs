//! An executor whose processes belong to your own supervisor. The supervisor starts one scheduler and four workers, in
//! any order, and starts a worker again that has died. The scheduler starts no process. It broadcasts typed steps,
//! gathers the answers to each, and goes on when a worker is killed, hangs, or has to stop in the middle of a step. A
//! program to copy where systemd, Kubernetes or your launcher owns the processes.
//!
//! ```text
//! cargo run --release --example supervisor
//! ```
//!
//! ```text
//! 4 workers have joined
//! steps 0 to 9: answered by all ranks
//! step 10: rank 1 was killed in the middle of it, and its successor has answered
//! step 11: cancelled while all ranks worked on it
//! step 12: rank 2 was late and stopped, so it was killed, and its successor has answered
//! steps 13 to 19: answered by all ranks
//! the scheduler and 4 workers have ended well, after 2 restarts, and left no ring
//! ```
//!
//! # Where to look
//!
//! - **Invitations** (`main.rs`). One function gives all processes the same description. A worker needs one line of
//!   text of it, here in its environment. The line does not change, so a successor gets the same.
//! - **A death** (`scheduler.rs`). The step is not sent again: the successor gets what its predecessor had not
//!   acknowledged. The scheduler waits until it is there. A quick supervisor may have started it before
//!   the death is reported.
//! - **Late is not dead.** The report says what the process does. Your code decides whether to end it.
//! - **Cancel** (`worker.rs`). An urgent message overtakes all steps. Another thread of the worker receives it while
//!   the worker is busy. It says up to which step it cancels.
//! - **The scheduler's death.** Its workers are told (`ProducerDied`), and end. Start all processes again: the rings
//!   are replaced. If you start none, `Topology::gc` removes what is left.
#![forbid(unsafe_code)]

mod message;
mod scheduler;
mod worker;

use myelon::topology::{INVITATION_VARIABLE, Topology};
use std::process::{Child, Command};
use std::time::Duration;

const WORKERS: usize = 4;

/// How often the supervisor checks its children.
const LOOK: Duration = Duration::from_millis(10);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => supervise(),
        ["scheduler", label] => scheduler::run(topology(label)?),
        ["worker"] => worker::run(),
        _ => Err("this program takes no arguments".into()),
    }
}

/// The description on which all processes agree. The types of the messages are not in it: each end says its own, and a
/// program of another version is refused.
fn topology(label: &str) -> Result<Topology, Failure> {
    Ok(Topology::new(label, WORKERS)?.with_urgent_lane())
}

/// The supervisor's process.
fn supervise() -> Result<(), Failure> {
    let label = format!("supervisor example {}", std::process::id());
    let topology = topology(&label)?;
    // The processes that are started first wait for the others.
    let mut workers = (0..WORKERS).map(|rank| start_worker(&topology, rank)).collect::<Result<Vec<_>, _>>()?;
    let mut scheduler = Command::new(std::env::current_exe()?).args(["scheduler", &label]).spawn()?;
    let mut restarts = 0;
    let status = loop {
        if let Some(status) = scheduler.try_wait()? {
            break status;
        }
        for (rank, worker) in workers.iter_mut().enumerate() {
            match worker.try_wait()? {
                Some(status) if !status.success() => {
                    *worker = start_worker(&topology, rank)?;
                    restarts += 1;
                }
                _ => {}
            }
        }
        std::thread::sleep(LOOK);
    };
    // They were told that the scheduler closed the topology, or died.
    let ended = workers.iter_mut().map(Child::wait).collect::<Result<Vec<_>, _>>()?;
    let left = topology.gc()?;
    if !status.success() || !ended.iter().all(|status| status.success()) || left > 0 {
        return Err(format!("the scheduler: {status}; the workers: {ended:?}; rings that were left: {left}").into());
    }
    println!("the scheduler and {WORKERS} workers have ended well, after {restarts} restarts, and left no ring");
    Ok(())
}

fn start_worker(topology: &Topology, rank: usize) -> Result<Child, Failure> {
    let invitation = topology.invitation(rank)?.to_string();
    Ok(Command::new(std::env::current_exe()?).arg("worker").env(INVITATION_VARIABLE, invitation).spawn()?)
}
