//! What is measured, in which order, and with what it is compared. Nothing that is measured knows of it.

pub(crate) mod closing;
pub(crate) mod frames;
pub(crate) mod limits;
pub(crate) mod messages;
#[cfg(feature = "peers")]
pub(crate) mod peers;
pub(crate) mod ring;
pub(crate) mod step;
pub(crate) mod typed;

use crate::schedule::Case;

/// Every case there is, each once.
pub(crate) fn all(cpu: usize, quick: bool, instructions: bool) -> Vec<Case> {
    let mut cases = limits::cases(cpu, quick);
    let more = [
        ring::ping_pong_cases(),
        ring::throughput_cases(),
        ring::broadcast_cases(instructions),
        ring::wakeup_cases(quick),
        ring::create_cases(quick),
        messages::cases(),
        frames::cases(),
        typed::cases(),
        step::cases(),
    ];
    for case in more.into_iter().flatten() {
        // References come with every list that needs them.
        if cases.iter().all(|known| known.name != case.name) {
            cases.push(case);
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_is_a_case_of_the_same_run() {
        let cpu = 0;
        for cases in [
            limits::cases(cpu, true),
            ring::ping_pong_cases(),
            ring::throughput_cases(),
            ring::broadcast_cases(true),
            ring::wakeup_cases(true),
            ring::create_cases(true),
            messages::cases(),
            frames::cases(),
            typed::cases(),
            step::cases(),
            closing::entries().into_iter().map(|entry| entry.case).collect(),
            all(cpu, true, true),
        ] {
            for case in &cases {
                let Some(reference) = &case.reference else { continue };
                let found = cases.iter().filter(|other| other.name == *reference).count();
                assert_eq!(found, 1, "{reference}, the reference of {}", case.name);
            }
        }
    }
}
