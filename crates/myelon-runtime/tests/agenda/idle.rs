//! A worker without work sleeps, and is woken.

use crate::{PATIENCE, Watchdog, agenda};
use myelon_runtime::agenda::Tasklet;
use std::fs::read_to_string;

/// How often the scheduler has given each worker's thread a core.
fn switches(prefix: &str) -> Vec<String> {
    let mut all = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").expect("procfs").flatten() {
        let name = read_to_string(task.path().join("comm")).unwrap_or_default();
        if name.starts_with(prefix) {
            let status = read_to_string(task.path().join("status")).unwrap_or_default();
            all.extend(status.lines().filter(|line| line.contains("ctxt_switches")).map(str::to_owned));
        }
    }
    all
}

#[test]
#[cfg(target_os = "linux")]
fn idle_workers_are_never_scheduled() {
    let _watchdog = Watchdog::new(PATIENCE, "a sleep");
    let agenda = myelon_runtime::agenda::Agenda::builder().workers(3).name("idlers").start().unwrap();
    for _ in 0..10 {
        agenda.submit(Tasklet::new("small", || ())).unwrap().wait(PATIENCE).unwrap();
    }
    // They come to rest. From then on nothing happens, however long we look.
    crate::eventually("rest", PATIENCE, || {
        let before = switches("idlers");
        std::thread::sleep(std::time::Duration::from_millis(300));
        before.len() == 6 && before == switches("idlers")
    })
    .unwrap();
}

#[test]
fn each_of_many_single_tasklets_wakes_a_worker() {
    let _watchdog = Watchdog::new(PATIENCE * 2, "a tasklet");
    let agenda = agenda(4);
    for value in 0..2000 {
        assert_eq!(agenda.submit(Tasklet::new("small", move || value)).unwrap().wait(PATIENCE).unwrap(), value);
    }
}
