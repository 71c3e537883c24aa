//! The history of a run: as a number that two runs share only if they were the same, and as text for looking into a
//! failure.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

/// How many steps are kept as text.
const STEPS_KEPT: usize = 60;

/// The hash of all steps of a run, and the last sixty steps as text, which `Display` shows.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    len: u64,
    last: VecDeque<String>,
}

impl Default for Trace {
    fn default() -> Self {
        // The offset basis of FNV-1a, whose bytes are the same everywhere; std's hashers may change.
        Self { hash: 0xcbf2_9ce4_8422_2325, len: 0, last: VecDeque::new() }
    }
}

impl Trace {
    /// Records a step: which actor did what at which virtual time. Record nothing that a replay could not repeat: no
    /// addresses, no process ids, no real times.
    pub fn record(&mut self, at: Duration, who: &dyn fmt::Display, what: &dyn fmt::Display) {
        let step = format!("{:>12} ns  {who}: {what}", at.as_nanos());
        for byte in step.bytes().chain([b'\n']) {
            self.hash = (self.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        self.len += 1;
        if self.last.len() == STEPS_KEPT {
            self.last.pop_front();
        }
        self.last.push_back(step);
    }

    /// The hash of all steps so far, in their order.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// How many steps there were.
    pub fn steps(&self) -> u64 {
        self.len
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} steps, hash {:016x}; the last:", self.len, self.hash)?;
        self.last.iter().try_for_each(|step| writeln!(f, "{step}"))
    }
}
