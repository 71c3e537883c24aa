//! One scheduler, N workers: the scheduler broadcasts a text in small events, every worker counts its share of the
//! lines, and the answers are added up. A program to copy: replace what is counted, keep how it starts, waits, recovers
//! and ends.
//!
//! ```text
//! cargo run --release --example scheduler_workers
//! cargo run --release --example scheduler_workers -- --workers 2 --input FILE
//! cargo run --release --example scheduler_workers -- --chaos
//! ```
//!
//! The output of `--chaos`, with some lines of progress left out. The numbers are those of two busy cores:
//! ```text
//! worker-0 is process 12547
//! worker-1 is process 12548
//!  50 %  19950 of 39900 events published, 18854 seen answered by all, 262710/s
//! chaos: SIGKILL to worker-1 (process 12548) before event 19950
//! stall report: ring shm:sw12546: producer waits for space since 50.2ms; worker-1 (rank 1) pid 12548 is dead, at
//!     sequence 19917, lags by 1024 events, inside its handler, no progress for 50.2ms; gives up
//! chaos: noticed 51.7ms after the kill
//! worker-1 is process 12551
//! worker-1 goes on where the one before it stopped
//! 100 %  39900 of 39900 events published, 38484 seen answered by all, 157807/s
//! events       39900 in 271.19ms, 147131 events/s
//! latency      to the last worker  p50    1.7ms  p99   61.2ms  max   62.0ms
//! rank skew    first to last       p50    1.2ms  p99   60.4ms  max   61.0ms
//! cpu seconds  scheduler 0.024  worker-0 0.051  worker-1 0.050
//! restarts     1, 33 events redelivered, 28 answers came twice
//! total        441042 lines, 2004702 words, 17442747 bytes, hash a0a0ea0c3945688a: the same as one process alone
//! ```
//!
//! # Where to look
//!
//! ```text
//!             Chunk ──────────── broadcast ring `S` ────────────┐
//! scheduler ──┤                                                 ├── worker 0, worker 1, ...
//!             └──────── answer rings `Sr0`, `Sr1` ... ── Answer ┘
//!
//! events     what is in the rings           scheduler  publishes, finds dead workers, starts others in their place
//! input      the text, cut into events      answers    reads the answer rings; counts every answer once
//! tally      the work                       fleet      the worker processes, from start to end
//! options    the command line               worker     the other side: take, count, answer, acknowledge
//! report     progress, table, verdict       clock      time that means the same in all processes
//! ```
//!
//! - **Sharding.** All workers get every event. A worker counts the lines whose number leaves the remainder `rank`.
//! - **At least once.** A worker answers before it acknowledges, so a death in between causes a second answer. Answers
//!   carry the sequence that they answer, and the scheduler counts each once.
//! - **Death.** The kernel drops a dead worker's lock. The scheduler learns of it when the ring is full and it waits
//!   for that worker. It prints the stall report, and starts another worker under the same id, which continues where
//!   the dead one stopped.
//! - **Stall.** A worker that lives and does nothing is reported after a second. After four more seconds it is killed
//!   and replaced.
//! - **The end.** Closing the broadcast ring ends the workers; so does the scheduler's death, also by SIGKILL. After
//!   Ctrl-C nothing is left in shared memory and no process runs.
//!
//! Latency is from publishing to the moment when the last worker takes the event. At full speed the ring is always
//! full, and most of the latency is time spent in it. Give a `--rate` below the speed to see how long a message takes.
//!
//! Exit status: 0 for the right total, 1 for a wrong one or another failure, 2 for an invalid command line, 130 after
//! Ctrl-C.
#![forbid(unsafe_code)]

mod answers;
mod clock;
mod events;
mod fleet;
mod input;
mod options;
mod report;
mod scheduler;
mod tally;
mod worker;

use options::{HELP, Options, Role};
use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use tally::Tally;

/// Why a run ended early, for the user to read.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// The user pressed Ctrl-C, or another process asked for the end.
#[derive(Debug)]
struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interrupted")
    }
}

impl std::error::Error for Interrupted {}

fn main() -> ExitCode {
    let ended = match Options::parse(std::env::args_os().skip(1)) {
        Ok(Role::Help) => {
            print!("{HELP}");
            Ok(())
        }
        Ok(Role::Scheduler(options)) => schedule(&options),
        Ok(Role::Worker { rank, options }) => {
            worker::run(rank, &options).map_err(|error| format!("{}: {error}", worker::worker_id(rank)).into())
        }
        Err(error) => {
            eprintln!("{error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            // 128 and the number of SIGINT, as shells count.
            if error.is::<Interrupted>() { ExitCode::from(130) } else { ExitCode::FAILURE }
        }
    }
}

/// The whole of the scheduler's process.
fn schedule(options: &Options) -> Result<(), Failure> {
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
    }
    let text = input::load(options.input.as_deref())?;
    let summary = scheduler::run(options, &text, &interrupted)?;
    print!("{summary}");
    let wanted = Tally::of_text(&text);
    report::verify(summary.books.tally, wanted)?;
    println!("total        {wanted}: the same as one process alone");
    Ok(())
}
