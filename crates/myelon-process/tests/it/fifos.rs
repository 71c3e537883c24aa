//! A FIFO of a server: its owner, its modes, and writers that come and go.

use crate::sockets::{Place, STRANGER, mode, owners_that_take_turns, set_mode};
use myelon_process::listen::{Access, Fifo, ListenError, Listener};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::thread;
use testkit::fork::fork_then;
use testkit::process::{Respawn, is_victim, say, wait_to_be_killed};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};
use testkit::{skip, test_name};

/// The variable with a path.
const FIFO: &str = "MYELON_PROCESS_TEST_FIFO";

fn commands(place: &Place) -> PathBuf {
    place.0.join("commands")
}

fn make_fifo(path: &Path) {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
}

fn writer(path: &Path) -> File {
    OpenOptions::new().write(true).open(path).unwrap()
}

/// What can be read at once.
fn read(fifo: &Fifo) -> Vec<u8> {
    let mut bytes = [0; 4096];
    match (&mut &*fifo).read(&mut bytes) {
        Ok(len) => bytes[..len].to_vec(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Vec::new(),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn one_process_owns_a_path_and_a_clean_end_leaves_nothing() {
    let place = Place::new();
    let fifo = Fifo::create(commands(&place)).unwrap();
    assert_eq!(fifo.path(), commands(&place));
    assert_eq!((mode(&place.0), mode(fifo.path())), (0o700, 0o600));
    let second = Fifo::create(commands(&place)).unwrap_err();
    let expected = format!(
        "`{}` belongs to a process that runs, process {}; end it or choose another path",
        fifo.path().display(),
        std::process::id()
    );
    assert_eq!(second.to_string(), expected);
    // A path is one of either kind.
    assert!(matches!(Listener::bind(commands(&place), Access::Owner), Err(ListenError::InUse { .. })));
    drop(fifo);
    assert_eq!(place.files(), 0);
    Fifo::create(commands(&place)).unwrap();
}

#[test]
fn a_writer_that_closes_is_no_end() {
    let place = Place::new();
    let fifo = Fifo::create(commands(&place)).unwrap();
    assert!(read(&fifo).is_empty());
    for byte in *b"abc" {
        writer(fifo.path()).write_all(&[byte]).unwrap();
    }
    assert_eq!(read(&fifo), b"abc");
    assert!(read(&fifo).is_empty());
}

#[test]
fn what_is_written_without_a_reader_is_kept_until_it_is_full() {
    let place = Place::new();
    let mut fifo = Fifo::create(place.0.join("answers")).unwrap();
    let mut written = 0;
    let full = loop {
        match fifo.write(&[b'x'; 4096]) {
            Ok(len) => written += len,
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
    fifo.flush().unwrap();
    let mut reader = File::open(fifo.path()).unwrap();
    let mut bytes = vec![0; written];
    reader.read_exact(&mut bytes).unwrap();
    assert!(bytes.iter().all(|&byte| byte == b'x'));
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_owns_a_fifo() {
    if !is_victim() {
        return;
    }
    let _fifo = Fifo::create(std::env::var_os(FIFO).unwrap()).unwrap();
    say("OWNS");
    wait_to_be_killed();
}

#[test]
fn what_a_killed_process_has_left_is_replaced_and_a_stopped_one_is_not() {
    let place = Place::new();
    let mut victim = Respawn::test(test_name!(victim_that_owns_a_fifo)).env(FIFO, commands(&place)).spawn();
    victim.wait_line("OWNS");
    victim.stop();
    match Fifo::create(commands(&place)) {
        Err(ListenError::InUse { pid, .. }) => assert_eq!(pid, Some(victim.pid())),
        other => panic!("{other:?}"),
    }
    // For the process that is stopped.
    writer(&commands(&place)).write_all(b"X").unwrap();
    victim.kill_and_reap();
    assert_eq!(place.files(), 2, "the FIFO and its lock file");
    let fifo = Fifo::create(commands(&place)).unwrap();
    assert!(read(&fifo).is_empty(), "the next owner gets no command for the one before");
    writer(fifo.path()).write_all(b"D").unwrap();
    assert_eq!(read(&fifo), b"D");
}

#[test]
fn a_writer_that_waits_at_a_left_over_does_not_wait_without_end() {
    let _watchdog = Watchdog::new(2 * PATIENCE, "a writer at a left-over");
    let place = Place::new();
    let mut victim = Respawn::test(test_name!(victim_that_owns_a_fifo)).env(FIFO, commands(&place)).spawn();
    victim.wait_line("OWNS");
    victim.kill_and_reap();
    let path = commands(&place);
    let (tell, told) = std::sync::mpsc::channel();
    let waits = thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_pid()).unwrap();
        drop(writer(&path));
    });
    let thread = told.recv().unwrap();
    eventually("the writer waits in `open`", PATIENCE, || {
        let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('S')
    })
    .unwrap();
    let _fifo = Fifo::create(commands(&place)).unwrap();
    waits.join().unwrap();
}

#[test]
fn a_fifo_of_a_program_that_knows_no_lock_file_stays_while_it_is_read() {
    let place = Place::new();
    drop(Fifo::create(commands(&place)).unwrap());
    make_fifo(&commands(&place));
    let reader = OpenOptions::new().read(true).write(true).open(commands(&place)).unwrap();
    assert!(matches!(Fifo::create(commands(&place)), Err(ListenError::InUse { pid: None, .. })));
    drop(reader);
    Fifo::create(commands(&place)).unwrap();
}

#[test]
fn a_file_of_another_kind_is_not_removed() {
    let place = Place::new();
    let listener = Listener::bind(place.0.join("control"), Access::Owner).unwrap();
    std::fs::write(commands(&place), "of the user").unwrap();
    let error = Fifo::create(commands(&place)).unwrap_err();
    assert!(error.to_string().contains("there is a file of another kind; move it away"), "{error}");
    assert_eq!(std::fs::read_to_string(commands(&place)).unwrap(), "of the user");
    assert_eq!(place.files(), 3, "it, the socket and its lock file");
    drop(listener);
    let _ = std::fs::remove_file(commands(&place));
    make_fifo(&commands(&place));
    assert!(matches!(Listener::bind(commands(&place), Access::Owner), Err(ListenError::OtherFile { .. })));
}

#[test]
fn a_start_that_was_cut_short_does_not_disturb_the_next_one() {
    let place = Place::new();
    drop(Fifo::create(commands(&place)).unwrap());
    make_fifo(&place.0.join("commands.new"));
    let fifo = Fifo::create(commands(&place)).unwrap();
    assert_eq!(place.files(), 2);
    drop(fifo);
    assert_eq!(place.files(), 0);
}

#[test]
fn a_path_is_absolute_and_its_directory_closed_to_others() {
    let place = Place::new();
    assert!(matches!(Fifo::create("commands"), Err(ListenError::NotAbsolute { .. })));
    std::fs::create_dir(&place.0).unwrap();
    for wide in [0o755, 0o710, 0o1777] {
        set_mode(&place.0, wide);
        let error = Fifo::create(commands(&place)).unwrap_err();
        assert!(error.to_string().contains(&format!("its directory has mode {wide:04o}")), "{error}");
    }
    assert_eq!(place.files(), 0);
}

#[test]
fn the_modes_are_the_same_whatever_the_umask_is() {
    for umask in [0, 0o022, 0o777] {
        let place = Place::new();
        // The umask belongs to the process, and other tests need theirs. A stranger may not open every file.
        let mut child = fork_then(|| {
            if rustix::process::geteuid().is_root() {
                let user = rustix::process::Uid::from_raw(STRANGER);
                rustix::thread::set_thread_res_uid(user, user, user).unwrap();
            }
            rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
            let Ok(fifo) = Fifo::create(commands(&place)) else { return 1 };
            if mode(&place.0) == 0o700 && mode(fifo.path()) == 0o600 { 0 } else { 2 }
        });
        assert_eq!(child.wait_exit(PATIENCE).code(), Some(0), "umask {umask:03o}");
    }
}

#[test]
fn a_forked_child_does_not_remove_the_fifo_of_its_parent() {
    let place = Place::new();
    let mut fifo = Some(Fifo::create(commands(&place)).unwrap());
    let mut child = fork_then(|| {
        drop(fifo.take());
        0
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    writer(&commands(&place)).write_all(b"D").unwrap();
    assert_eq!(read(fifo.as_ref().unwrap()), b"D");
}

#[test]
fn a_path_never_has_two_owners_while_others_come_and_go() {
    let place = Place::new();
    owners_that_take_turns(|| Fifo::create(commands(&place)));
    assert_eq!(place.files(), 0);
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_opens_a_fifo() {
    if !is_victim() {
        return;
    }
    match OpenOptions::new().write(true).open(std::env::var_os(FIFO).unwrap()) {
        Ok(_) => say("OPENED"),
        Err(error) => say(&format!("NOT {:?}", error.kind())),
    }
}

#[test]
fn a_process_of_another_user_cannot_open_it_and_neither_mode_alone_lets_it() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can start a process of another user");
    }
    let place = Place::new();
    let fifo = Fifo::create(commands(&place)).unwrap();
    let stranger = || Respawn::test(test_name!(victim_that_opens_a_fifo)).env(FIFO, commands(&place)).as_user(STRANGER);
    set_mode(&place.0, 0o711);
    stranger().spawn().wait_line("NOT PermissionDenied");
    set_mode(&place.0, 0o700);
    set_mode(fifo.path(), 0o666);
    stranger().spawn().wait_line("NOT PermissionDenied");
    set_mode(&place.0, 0o711);
    stranger().spawn().wait_line("OPENED");
}

#[test]
fn a_file_that_has_the_temporary_name_of_a_fifo_is_not_removed() {
    let place = Place::new();
    // The directory, as the crate makes it.
    drop(Fifo::create(commands(&place)).unwrap());
    let neighbour = place.0.join("commands.new");

    std::fs::write(&neighbour, "a file of the user").unwrap();
    assert!(matches!(Fifo::create(commands(&place)), Err(ListenError::OtherFile { path }) if path == neighbour));
    assert_eq!(std::fs::read_to_string(&neighbour).unwrap(), "a file of the user");
    std::fs::remove_file(&neighbour).unwrap();

    let fifo = Fifo::create(&neighbour).unwrap();
    assert!(matches!(Fifo::create(commands(&place)), Err(ListenError::InUse { path, .. }) if path == neighbour));
    writer(&neighbour).write_all(b"D").unwrap();
    assert_eq!(read(&fifo), b"D");
    drop(fifo);
    assert_eq!(place.files(), 0);
}

#[test]
fn what_is_no_regular_file_is_not_taken_for_a_lock_file() {
    let _watchdog = Watchdog::new(PATIENCE, "a lock file that is none");
    let place = Place::new();
    drop(Fifo::create(commands(&place)).unwrap());
    let lock = place.0.join("commands.lock");

    // A symlink is not followed: what it leads to stays as it is, and is not made.
    let target = place.0.join("target");
    std::os::unix::fs::symlink(&target, &lock).unwrap();
    assert!(matches!(Fifo::create(commands(&place)), Err(ListenError::Os { .. })));
    assert!(!target.exists());
    std::fs::write(&target, "of the user").unwrap();
    assert!(matches!(Fifo::create(commands(&place)), Err(ListenError::Os { .. })));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), "of the user");
    std::fs::remove_file(&target).unwrap();
    std::fs::remove_file(&lock).unwrap();

    let fifo = Fifo::create(&lock).unwrap();
    assert!(matches!(Fifo::create(commands(&place)), Err(ListenError::OtherFile { path }) if path == lock));
    writer(&lock).write_all(b"D").unwrap();
    assert_eq!(read(&fifo), b"D");
    drop(fifo);
    assert_eq!(place.files(), 0);
}
