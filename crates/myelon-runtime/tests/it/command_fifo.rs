//! Commands of an operator on a FIFO.

use crate::{Log, failures, log, settle, watchdog};
use myelon_process::listen::Fifo;
use myelon_runtime::event_loop::{EventLoop, Next, OnFailure, RunEnd, Settings, SourceId};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;
use testkit::names;
use testkit::process::{Respawn, is_victim, say, wait_to_be_killed};
use testkit::watchdog::PATIENCE;
use testkit::{skip, test_name};

/// The variable with a path.
const PATH: &str = "MYELON_RUNTIME_TEST_PATH";

/// A folder that does not exist yet, and is removed at the end.
pub(crate) struct Place(PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(names::short()))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn set_mode(path: &Path, mode: u32) {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A loop with a command FIFO, and what it has done.
struct Console {
    event_loop: EventLoop,
    source: SourceId,
    writer: File,
    dumps: Log<String>,
    quiesced: Log<()>,
    told: Log<String>,
    _place: Place,
}

impl Console {
    fn new(settings: impl Into<Settings>) -> Self {
        let place = Place::new();
        let fifo = Fifo::create(place.path("commands")).unwrap();
        let writer = OpenOptions::new().write(true).open(fifo.path()).unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        let source = event_loop.add_command_fifo(fifo, settings).unwrap();
        let (dumps, quiesced, told) = (log(), log(), failures(&mut event_loop));
        let kept = Rc::clone(&dumps);
        event_loop.on_dump(move |text| kept.borrow_mut().push(text.to_owned()));
        let kept = Rc::clone(&quiesced);
        event_loop.add_at_safe_point(PATIENCE, "a safe point", move |_: &mut EventLoop| kept.borrow_mut().push(()));
        Self { event_loop, source, writer, dumps, quiesced, told, _place: place }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.writer.write_all(bytes).unwrap();
    }

    fn calls(&self) -> u64 {
        self.event_loop.report(self.source).unwrap().calls
    }

    /// Serves until nothing is ready, and what the last commands have asked for.
    fn settle(&mut self) {
        settle(&mut self.event_loop);
        self.event_loop.turn(Duration::ZERO).unwrap();
    }
}

//
#[test]
fn d_asks_for_a_dump() {
    let mut console = Console::new("commands");
    console.write(b"D");
    console.settle();
    assert_eq!(console.dumps.borrow().len(), 1);
    assert!(console.dumps.borrow()[0].contains("commands"));
}

//
#[test]
fn g_asks_for_a_safe_point() {
    let mut console = Console::new("commands");
    console.write(b"G");
    console.settle();
    assert_eq!(console.quiesced.borrow().len(), 1);
    assert!(console.dumps.borrow().is_empty());
}

//
#[test]
fn q_ends_the_loop_when_what_is_ready_is_served() {
    let _watchdog = watchdog("the command Q");
    let mut console = Console::new("commands");
    let served = log();
    let kept = Rc::clone(&served);
    let (_, sender) = console.event_loop.add_channel(8, "orders", move |_: &mut EventLoop, order: u32| {
        kept.borrow_mut().push(order);
    });
    console.write(b"Q");
    sender.send(1).unwrap();
    assert_eq!(console.event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    assert_eq!(*served.borrow(), [1]);
}

//
#[test]
fn x_ends_the_loop_at_once() {
    let _watchdog = watchdog("the command X");
    let mut console = Console::new(Settings::new("commands").priority(myelon_runtime::Priority::High));
    console.event_loop.add_idle("always busy", |_: &mut EventLoop| Next::More);
    console.write(b"X");
    assert_eq!(console.event_loop.run().unwrap(), RunEnd::Exit);
}

//
#[test]
fn many_bytes_are_read_at_once_and_asked_for_once() {
    let mut console = Console::new("commands");
    console.write(&b"D G\r\n\t".repeat(500));
    console.settle();
    assert_eq!(console.calls(), 1, "one read");
    assert_eq!((console.dumps.borrow().len(), console.quiesced.borrow().len()), (1, 1));
    assert!(console.told.borrow().is_empty());
}

//
#[test]
fn an_unknown_byte_is_told_and_skipped_and_the_commands_around_it_are_obeyed() {
    let mut console = Console::new(Settings::new("commands").on_failure(OnFailure::Remove));
    console.write(b"D?xG");
    console.settle();
    console.write(b"\xff");
    console.settle();
    assert_eq!((console.dumps.borrow().len(), console.quiesced.borrow().len()), (1, 1));
    assert_eq!(
        *console.told.borrow(),
        [
            "commands: '?' (0x3f) is no command; unknown bytes that were skipped: 2 now, 2 in all; the commands are D \
             (dump), G (quiesce), Q (quit) and X (exit)",
            "commands: '\\xff' (0xff) is no command; unknown bytes that were skipped: 1 now, 3 in all; the commands \
             are D (dump), G (quiesce), Q (quit) and X (exit)",
        ]
    );
    let report = console.event_loop.report(console.source).expect("the source survives it");
    assert_eq!(report.failures, 2);
    console.write(b"D");
    console.settle();
    assert_eq!(console.dumps.borrow().len(), 2);
}

//
#[test]
fn a_flood_of_garbage_starves_no_other_source_and_hides_no_command() {
    let _watchdog = watchdog("a flood of garbage");
    let mut console = Console::new("commands");
    let path = console._place.path("commands");
    let flood = std::thread::spawn(move || {
        let mut writer = OpenOptions::new().write(true).open(path).unwrap();
        for _ in 0..1000 {
            writer.write_all(&[0; 4096]).unwrap();
        }
        writer.write_all(b"Q").unwrap();
    });
    console.event_loop.add_interval(Duration::from_millis(1), "a heartbeat", |_: &mut EventLoop, _| ());
    assert_eq!(console.event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    flood.join().unwrap();
    assert!(console.told.borrow().last().unwrap().contains(&format!("{} in all", 1000 * 4096)));
}

//
#[test]
fn commands_are_never_refused_by_a_full_channel() {
    let mut console = Console::new("commands");
    let (_, sender) = console.event_loop.add_channel(1, "orders", |_: &mut EventLoop, _: u32| ());
    sender.send(1).unwrap();
    sender.send(2).unwrap_err();
    let handle = console.event_loop.handle();
    while handle.call(|_| ()).is_ok() {}
    console.write(b"DQ");
    assert_eq!(console.event_loop.run().unwrap(), RunEnd::Quit { drained: true });
    assert_eq!(console.dumps.borrow().len(), 1);
}

#[test]
fn a_writer_that_closes_ends_nothing_and_costs_nothing() {
    let mut console = Console::new("commands");
    let path = console._place.path("commands");
    for _ in 0..10 {
        std::fs::write(&path, b"D\n").unwrap();
        console.settle();
    }
    drop(std::mem::replace(&mut console.writer, File::open("/proc/self/stat").unwrap()));
    let calls = console.calls();
    assert_eq!((console.dumps.borrow().len(), calls), (10, 10));
    for _ in 0..10 {
        assert_eq!(console.event_loop.turn(Duration::ZERO).unwrap(), 0, "no end is told");
    }
}

#[test]
#[ignore = "runs as a victim"]
fn victim_with_a_console() {
    if !is_victim() {
        return;
    }
    let mut event_loop = EventLoop::new().unwrap();
    event_loop.on_dump(|text| say(&format!("DUMP {}", text.lines().next().unwrap())));
    match Fifo::create(std::env::var_os(PATH).unwrap()) {
        Ok(fifo) => event_loop.add_command_fifo(fifo, "commands").unwrap(),
        Err(error) => {
            say(&format!("NOT {error}"));
            wait_to_be_killed();
        }
    };
    say("READY");
    say(&format!("{:?}", event_loop.run().unwrap()));
}

#[test]
fn a_server_takes_the_path_of_a_killed_one_and_of_no_living_one() {
    let place = Place::new();
    let server = || Respawn::test(test_name!(victim_with_a_console)).env(PATH, place.path("commands")).spawn();
    let mut first = server();
    first.wait_line("READY");
    let mut second = server();
    let refused = second.wait_line("NOT");
    assert!(refused.contains(&format!("belongs to a process that runs, process {}", first.pid())), "{refused}");
    std::fs::write(place.path("commands"), b"D").unwrap();
    first.wait_line("DUMP loop: ");
    first.kill_and_reap();
    let mut third = server();
    third.wait_line("READY");
    std::fs::write(place.path("commands"), b"Q").unwrap();
    third.wait_line("Quit { drained: true }");
    assert!(third.wait_exit(PATIENCE).success());
    assert!(!place.path("commands").exists() && !place.path("commands.lock").exists());
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_sends_a_command() {
    if !is_victim() {
        return;
    }
    let opened = OpenOptions::new().write(true).open(std::env::var_os(PATH).unwrap());
    say(&format!("{:?}", opened.and_then(|mut fifo| fifo.write_all(b"X")).map_err(|error| error.kind())));
}

#[test]
fn another_user_cannot_send_a_command() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can start a process of another user");
    }
    const STRANGER: u32 = 65534;
    let mut console = Console::new("commands");
    let path = console._place.path("commands");
    Place::set_mode(path.parent().unwrap(), 0o711);
    let stranger = Respawn::test(test_name!(victim_that_sends_a_command)).env(PATH, &path).as_user(STRANGER);
    stranger.spawn().wait_line("Err(PermissionDenied)");
    assert_eq!(console.event_loop.turn(Duration::ZERO).unwrap(), 0);
}
