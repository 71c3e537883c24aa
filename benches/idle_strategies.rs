//! How late an agent sees its work with each idle strategy, and what its thread uses of a core, by the time from one
//! piece of work to the next.
//!
//! ```text
//! cargo bench -p benches --bench idle_strategies
//! ```
//!
//! Another thread spins until a piece is due, notes the time and wakes the group. Prints one line for each strategy and
//! gap; criterion has no place for two numbers of one run.

use benches::quantiles::Quantiles;
use myelon_runtime::agents::{
    Adaptive, Agent, AgentError, BackOff, Group, IdleStrategy, ParkAtDoorbells, Spin, Work, Yield,
};
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const GAPS: [Duration; 4] =
    [Duration::from_micros(20), Duration::from_micros(100), Duration::from_millis(1), Duration::from_millis(10)];

/// How long one line is measured.
const TIME: Duration = Duration::from_secs(1);

/// What the two threads share.
struct Shared {
    begin: Instant,
    /// When the latest piece was sent, in nanoseconds after `begin`; 0 if there is none.
    sent_ns: AtomicU64,
    result: Mutex<(Quantiles, Duration)>,
}

/// Takes each piece, and notes how late it was.
struct Taker {
    shared: Arc<Shared>,
    late: Quantiles,
    used: Duration,
}

/// What the calling thread has used of its core.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

impl Agent for Taker {
    fn name(&self) -> &str {
        "takes"
    }

    fn on_start(&mut self) -> Result<(), AgentError> {
        self.used = used();
        Ok(())
    }

    fn do_work(&mut self, _: Instant) -> Result<Work, AgentError> {
        match self.shared.sent_ns.swap(0, Ordering::Acquire) {
            0 => Ok(Work::NONE),
            sent_ns => {
                let now_ns = self.shared.begin.elapsed().as_nanos() as u64;
                self.late.note(Duration::from_nanos(now_ns.saturating_sub(sent_ns)));
                Ok(Work::Count(1))
            }
        }
    }

    fn on_close(&mut self) {
        *self.shared.result.lock().expect("it is not poisoned") = (self.late.clone(), used() - self.used);
    }
}

fn measure(name: &str, gap: Duration, time: Duration, idle: impl IdleStrategy + Send + 'static) {
    let begin = Instant::now();
    let shared = Arc::new(Shared { begin, sent_ns: AtomicU64::new(0), result: Mutex::default() });
    let taker = Taker { shared: Arc::clone(&shared), late: Quantiles::default(), used: Duration::ZERO };
    let mut runner = Group::new("takes").agent(taker).spawn(idle).expect("a thread can be started");
    let handle = runner.handle();
    let mut due = begin + gap;
    while begin.elapsed() < time {
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        due += gap;
        shared.sent_ns.store(begin.elapsed().as_nanos() as u64, Ordering::Release);
        handle.wake();
    }
    let lasted = begin.elapsed();
    runner.close(Duration::from_secs(60)).expect("the taker returns");
    let (late, used) = &*shared.result.lock().expect("it is not poisoned");
    assert!(!late.is_empty(), "{name} has taken nothing");
    let core = 100.0 * used.as_secs_f64() / lasted.as_secs_f64();
    println!("{name:<18} every {gap:>7.0?}: {core:>5.1} % of a core; late by {late}");
}

fn main() {
    // `cargo bench -- --test`, and `cargo test`: once, and short.
    let arguments: Vec<String> = std::env::args().collect();
    let only_test = !arguments.iter().any(|argument| argument == "--bench") || arguments.iter().any(|a| a == "--test");
    let time = if only_test { Duration::from_millis(30) } else { TIME };
    for gap in GAPS {
        measure("spin", gap, time, Spin);
        measure("yield", gap, time, Yield);
        measure("back off", gap, time, BackOff::new(Duration::from_micros(50), Duration::from_millis(1)));
        measure("park at doorbells", gap, time, ParkAtDoorbells);
        measure("adaptive", gap, time, Adaptive::new());
        let short = Adaptive::new().short(Duration::from_micros(200));
        measure("adaptive, 200 us", gap, time, short);
    }
}
