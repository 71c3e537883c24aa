//! Who decides the frequency of the processors.

use super::finding::{Finding, On};
use super::machine::Machine;
use std::collections::BTreeMap;

const CPUS: &str = "/sys/devices/system/cpu";

#[derive(Debug)]
pub(crate) struct Governor {
    /// How many processors have which governor of which driver.
    counts: BTreeMap<(String, String), u32>,
}

impl Governor {
    pub(crate) fn gather(machine: &Machine) -> Self {
        let mut counts = BTreeMap::new();
        for name in machine.names(CPUS) {
            let read = |file| machine.read(format!("{CPUS}/{name}/cpufreq/{file}"));
            let is_processor = name.strip_prefix("cpu").is_some_and(|number| number.parse::<u32>().is_ok());
            let Ok(governor) = read("scaling_governor") else { continue };
            if is_processor {
                let driver = read("scaling_driver").unwrap_or_default();
                *counts.entry((governor.trim().into(), driver.trim().into())).or_insert(0) += 1;
            }
        }
        Self { counts }
    }

    pub(crate) fn judge(&self) -> Vec<Finding> {
        let check = "governor";
        let list: Vec<_> =
            self.counts.iter().map(|((governor, driver), count)| format!("{governor} ({driver}) on {count}")).collect();
        let found = format!("{} processors", list.join(", "));
        // These two drivers have a `powersave` that raises the frequency under load.
        let is_lowest = |(governor, driver): &(String, String)| {
            governor == "powersave" && !driver.starts_with("intel_pstate") && !driver.starts_with("amd-pstate-epp")
        };
        let means = "a processor that was idle is slow at first: an event after a pause takes longer, by tens to \
                 hundreds of microseconds";
        let slow = match () {
            () if self.counts.is_empty() => {
                let why = format!("{CPUS} has no cpufreq: in a virtual machine the host decides");
                return vec![Finding::not_known(check, why)];
            }
            () if self.counts.keys().all(|(governor, _)| governor == "performance") => {
                return vec![Finding::ok(check, found)];
            }
            () if self.counts.keys().any(is_lowest) => {
                Finding::warning(check, found, "processors stay at their lowest frequency: all of a ring is slower")
            }
            () => Finding::note(check, found, means),
        };
        vec![slow.fix(On::Host, "cpupower frequency-set -g performance (or tuned-adm profile latency-performance)")]
    }
}
