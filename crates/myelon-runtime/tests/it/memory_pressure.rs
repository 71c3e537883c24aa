//! Memory pressure, made by a child in a cgroup with a limit.

use crate::{failures, log, watchdog};
use myelon_runtime::event_loop::{
    EventLoop, Pressure, PressureError, PressureTrigger, RunEnd, SourceKind, SourceState,
};
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::id;
use std::rc::Rc;
use std::time::Duration;
use testkit::fork::{ForkedChild, fork_then};
use testkit::watchdog::PATIENCE;

/// How much memory the child may have, and how long the file is that it reads again and again.
const LIMIT_BYTES: usize = 24 << 20;
const FILE_BYTES: usize = 96 << 20;

/// A cgroup of its own, removed when dropped. All its processes must be gone then.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(parent: &Path) -> std::io::Result<Self> {
        let folder = parent.join(format!("myelon-runtime-pressure-{}", id()));
        fs::create_dir(&folder).map(|()| Self(folder))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let removed = || fs::remove_dir(&self.0).is_ok() || !self.0.exists();
        // A child that was reaped leaves its cgroup a moment later.
        testkit::watchdog::eventually("the removal of a cgroup", PATIENCE, removed).unwrap();
    }
}

/// Groups in which a process has a limit, and of which the first tells the pressure.
struct Groups(Vec<Cgroup>);

impl Groups {
    /// A cgroup of version 2, with its own limit or beside one of version 1.
    fn new() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/mounts").map_err(|error| error.to_string())?;
        let of = |kind: &str, option: &str| {
            let mut mounts = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            mounts
                .find(|words| words[2] == kind && words[3].split(',').any(|has| has == option))
                .map(|words| words[1].to_owned())
        };
        let unified = of("cgroup2", "rw").ok_or("no cgroup of version 2 can be written here")?;
        let group = Cgroup::new(Path::new(&unified)).map_err(|error| format!("no cgroup can be made here: {error}"))?;
        let own_limit = group.0.join("memory.max");
        if own_limit.exists() {
            fs::write(own_limit, LIMIT_BYTES.to_string()).map_err(|error| format!("no limit can be set: {error}"))?;
            return Ok(Self(vec![group]));
        }
        let memory = of("cgroup", "memory").ok_or("no cgroup can limit memory here")?;
        let limited =
            Cgroup::new(Path::new(&memory)).map_err(|error| format!("no cgroup can be made here: {error}"))?;
        let limit = limited.0.join("memory.limit_in_bytes");
        fs::write(limit, LIMIT_BYTES.to_string()).map_err(|error| format!("no limit can be set: {error}"))?;
        Ok(Self(vec![group, limited]))
    }

    /// A child that reads a file that is larger than its memory, until it is killed.
    fn pressed(&self, file: &Path) -> ForkedChild {
        fork_then(|| {
            for Cgroup(folder) in &self.0 {
                fs::write(folder.join("cgroup.procs"), id().to_string()).unwrap();
            }
            // Written here, its pages are charged to this group.
            let mut block = vec![0_u8; 1 << 20];
            let mut written = fs::File::create(file).unwrap();
            for _ in 0..FILE_BYTES / block.len() {
                written.write_all(&block).unwrap();
            }
            written.sync_all().unwrap();
            loop {
                let mut read = fs::File::open(file).unwrap();
                while read.read(&mut block).unwrap() > 0 {}
            }
        })
    }
}

//
#[test]
fn pressure_under_a_limit_is_told_also_after_a_failure_and_the_end_of_its_cgroup_too() {
    let _watchdog = watchdog("memory pressure");
    let groups = match Groups::new() {
        Ok(groups) => groups,
        Err(reason) => testkit::skip!("{reason}"),
    };
    let mut event_loop = EventLoop::new().unwrap();
    let told = failures(&mut event_loop);
    let stalls = log();
    let kept = Rc::clone(&stalls);
    let trigger = PressureTrigger::cgroup(&groups.0[0].0).period(Duration::from_millis(2), Duration::from_secs(2));
    let added = event_loop.add_memory_pressure(
        trigger,
        "a small group",
        move |event_loop: &mut EventLoop, pressure: Pressure| {
            kept.borrow_mut().push(pressure.some.total);
            if kept.borrow().len() == 1 {
                return Err("of the first call");
            }
            event_loop.handle().exit();
            Ok(())
        },
    );
    let source = match added {
        Ok(source) => source,
        Err(
            reason @ (PressureError::NotThere { .. } | PressureError::Off { .. } | PressureError::NotPermitted { .. }),
        ) => {
            testkit::skip!("{reason}")
        }
        Err(error) => panic!("{error}"),
    };
    assert_eq!(event_loop.report(source).unwrap().kind, SourceKind::MemoryPressure);
    let folder = testkit::names::unique("memory-pressure");
    let file = std::env::temp_dir().join(folder);
    let mut child = groups.pressed(&file);
    assert_eq!(event_loop.run().unwrap(), RunEnd::Exit);
    child.kill(rustix::process::Signal::KILL);
    child.wait_exit(PATIENCE);
    fs::remove_file(file).unwrap();
    assert_eq!(*told.borrow(), ["a small group: of the first call"]);
    let stalls = stalls.borrow();
    assert!(stalls[0] >= Duration::from_millis(2) && stalls[1] >= stalls[0] + Duration::from_millis(2), "{stalls:?}");

    drop(groups);
    while event_loop.report(source).unwrap().state != SourceState::Paused {
        event_loop.turn(PATIENCE).unwrap();
    }
    assert!(told.borrow()[1].contains("the cgroup was removed"), "{told:?}");
}

#[test]
fn a_trigger_that_the_machine_does_not_take_is_an_error_that_says_what_is_missing() {
    let mut event_loop = EventLoop::new().unwrap();
    let mut refused =
        |trigger| event_loop.add_memory_pressure(trigger, "refused", |_: &mut EventLoop, _: Pressure| ()).unwrap_err();
    let error = refused(PressureTrigger::cgroup("/nowhere"));
    assert!(matches!(error, PressureError::NotThere { .. }), "{error}");
    let impossible = PressureTrigger::system().period(Duration::from_secs(5), Duration::from_secs(2));
    let error = refused(impossible);
    let unavailable = matches!(
        error,
        PressureError::NotThere { .. } | PressureError::Off { .. } | PressureError::NotPermitted { .. }
    );
    assert!(unavailable || matches!(error, PressureError::Period { .. }), "{error}");
}
