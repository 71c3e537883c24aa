//! Threads that are pinned to a core by the builder of a transport.
#![cfg(target_os = "linux")]

use crate::stage::watchdog;
use myelon::transport::{AlignedFixedFrame, Format, Records, TransportBuilder, TransportError};
use myelon::{MultiProcessError, Place};

/// The cores on which the calling thread may run, as the kernel writes them: `0-3,8`.
fn cores() -> String {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.expect("the kernel says it").trim().to_owned()
}

/// The last core on which the calling thread may run.
fn last_core() -> usize {
    cores().rsplit(['-', ',']).next().unwrap().parse().unwrap()
}

fn pins<F: Format>() {
    let (place, core) = (Place::heap(), last_core());
    let builder = || TransportBuilder::<F>::new(&place, 1024).with_process_core(core);
    // Each in a thread of its own, which is pinned from then on.
    let pinned = |build: &(dyn Fn() + Sync)| {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    build();
                    cores()
                })
                .join()
                .unwrap()
        })
    };
    let producer = std::sync::Mutex::new(None);
    assert_eq!(pinned(&|| *producer.lock().unwrap() = Some(builder().build_producer().unwrap())), core.to_string());
    assert_eq!(pinned(&|| drop(builder().build_consumer().unwrap())), core.to_string());
}

#[test]
fn the_thread_that_builds_an_end_of_a_transport_is_pinned_to_the_core_that_was_asked_for() {
    let _watchdog = watchdog();
    pins::<Records>();
    pins::<AlignedFixedFrame<96>>();
}

#[test]
fn a_core_that_does_not_exist_is_refused_with_the_function_that_asked_for_it() {
    let _watchdog = watchdog();
    let build = || TransportBuilder::<Records>::new(Place::heap(), 1024).with_process_core(99_999).build_producer();
    match build().map(drop).unwrap_err() {
        TransportError::Build(MultiProcessError::Core { asked, .. }) => {
            assert_eq!((asked.asked_by, asked.core), ("with_process_core", 99_999));
        }
        other => panic!("{other:?}"),
    }
}
