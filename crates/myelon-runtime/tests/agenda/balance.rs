//! Uneven loads balance.

use crate::{PATIENCE, Watchdog, agenda};
use myelon_runtime::agenda::{Priority, Tasklet};
use std::time::Duration;

/// All tasklets come from one tasklet, so all are in one worker's queue. Their work is a sleep, so that the claim does
/// not depend on how many cores the machine has.
#[test]
fn what_one_worker_has_is_shared_by_all() {
    let _watchdog = Watchdog::new(PATIENCE, "a load");
    const TASKLETS: u64 = 200;
    let agenda = agenda(4);
    let submitter = agenda.submitter();
    let all = Tasklet::new("submit all", move || {
        (0..TASKLETS)
            .map(|n| {
                // One in ten takes ten times as long.
                let time = Duration::from_micros(if n % 10 == 0 { 5000 } else { 500 });
                submitter.submit(Tasklet::new("uneven", move || std::thread::sleep(time))).unwrap()
            })
            .collect::<Vec<_>>()
    });
    for mut handle in agenda.submit(all).unwrap().wait(PATIENCE).unwrap() {
        handle.wait(PATIENCE).unwrap();
    }
    let statistics = agenda.statistics();
    let busy = (0..4).map(|worker| statistics.worker(worker, Priority::Normal).ran.total).collect::<Vec<_>>();
    let (most, all) = (*busy.iter().max().unwrap(), busy.iter().sum::<Duration>());
    println!("the busiest of 4 workers ran {most:.1?}, a quarter of all is {:.1?}", all / 4);
    assert!(busy.iter().all(|time| !time.is_zero()), "{busy:?}");
    assert!(most < all / 2, "{busy:?}");
    assert!((0..4).map(|worker| statistics.worker(worker, Priority::Normal).stolen).sum::<u64>() >= 3);
}
