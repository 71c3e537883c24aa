//! A listening socket: its owner, its modes, and the processes that connect.

use myelon_process::listen::{AcceptError, Access, ListenError, Listener, PATH_BYTES_MAX};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use testkit::fork::fork_then;
use testkit::process::{Respawn, is_victim, say, wait_to_be_killed};
use testkit::watchdog::{PATIENCE, Watchdog, eventually};
use testkit::{names, skip, test_name};

/// The variable with a path.
const SOCKET: &str = "MYELON_PROCESS_TEST_SOCKET";

/// A user and a group that own nothing here.
pub(crate) const STRANGER: u32 = 65534;
const GROUP: u32 = 54321;

/// A folder that does not exist yet, and is removed at the end.
pub(crate) struct Place(pub(crate) PathBuf);

impl Place {
    pub(crate) fn new() -> Self {
        Self(std::env::temp_dir().join(names::short()))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("control")
    }

    pub(crate) fn files(&self) -> usize {
        std::fs::read_dir(&self.0).unwrap().count()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Several threads own a path again and again, each by `own`, and at no time two of them.
pub(crate) fn owners_that_take_turns<O>(own: impl Fn() -> Result<O, ListenError> + Sync) {
    let owners = AtomicUsize::new(0);
    let come_and_go = || {
        let mut owned = 0;
        while owned < 100 {
            match own() {
                Ok(_owner) => {
                    assert_eq!(owners.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    owners.fetch_sub(1, Ordering::SeqCst);
                    owned += 1;
                }
                Err(ListenError::InUse { .. }) => thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    };
    let _watchdog = Watchdog::new(4 * PATIENCE, "owners that take turns");
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(come_and_go))));
}

pub(crate) fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// The next peer, or the refusal of it.
fn accept(listener: &Listener) -> Result<u32, AcceptError> {
    let mut accepted = None;
    eventually("a connection", PATIENCE, || {
        accepted = listener.accept().transpose();
        accepted.is_some()
    })
    .unwrap();
    accepted.unwrap().map(|(_, who)| who.uid)
}

#[test]
fn one_process_owns_a_path_and_a_clean_end_leaves_nothing() {
    let place = Place::new();
    let listener = Listener::bind(place.socket(), Access::Owner).unwrap();
    let second = Listener::bind(place.socket(), Access::Owner).unwrap_err();
    assert_eq!(
        second.to_string(),
        format!(
            "`{}` belongs to a process that runs, process {}; end it or choose another path",
            place.socket().display(),
            std::process::id()
        )
    );
    assert!(listener.accept().unwrap().is_none(), "it does not wait");
    let _client = UnixStream::connect(listener.path()).unwrap();
    assert_eq!(accept(&listener).unwrap(), rustix::process::geteuid().as_raw());
    drop(listener);
    assert_eq!(place.files(), 0);
    Listener::bind(place.socket(), Access::Owner).unwrap();
}

#[test]
fn a_forked_child_does_not_remove_the_socket_of_its_parent() {
    let place = Place::new();
    let mut listener = Some(Listener::bind(place.socket(), Access::Owner).unwrap());
    let mut child = fork_then(|| {
        drop(listener.take());
        0
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
    UnixStream::connect(place.socket()).unwrap();
    assert!(matches!(Listener::bind(place.socket(), Access::Owner), Err(ListenError::InUse { .. })));
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_listens() {
    if !is_victim() {
        return;
    }
    let _listener = Listener::bind(std::env::var_os(SOCKET).unwrap(), Access::Owner).unwrap();
    say("LISTENS");
    wait_to_be_killed();
}

#[test]
fn what_a_killed_process_has_left_is_replaced_and_a_stopped_one_is_not() {
    let place = Place::new();
    let mut victim = Respawn::test(test_name!(victim_that_listens)).env(SOCKET, place.socket()).spawn();
    victim.wait_line("LISTENS");
    victim.stop();
    match Listener::bind(place.socket(), Access::Owner) {
        Err(ListenError::InUse { pid, .. }) => assert_eq!(pid, Some(victim.pid())),
        other => panic!("{other:?}"),
    }
    victim.kill_and_reap();
    assert_eq!(place.files(), 2, "the socket and its lock file");
    let listener = Listener::bind(place.socket(), Access::Owner).unwrap();
    let _client = UnixStream::connect(listener.path()).unwrap();
    accept(&listener).unwrap();
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_listens_and_forks() {
    if !is_victim() {
        return;
    }
    let _listener = Listener::bind(std::env::var_os(SOCKET).unwrap(), Access::Owner).unwrap();
    let _child = fork_then(|| {
        // It outlives its parent, until its input ends.
        rustix::process::set_parent_process_death_signal(None).unwrap();
        rustix::io::write(std::io::stdout(), b"FORKED\n").unwrap();
        while rustix::io::read(std::io::stdin(), &mut [0; 16]).is_ok_and(|len| len > 0) {}
        0
    });
    wait_to_be_killed();
}

#[test]
fn a_forked_child_does_not_keep_the_socket_of_a_killed_parent() {
    let place = Place::new();
    let victim = Respawn::test(test_name!(victim_that_listens_and_forks)).env(SOCKET, place.socket()).piped_stdin();
    let mut victim = victim.spawn();
    victim.wait_line("FORKED");
    assert!(
        matches!(Listener::bind(place.socket(), Access::Owner), Err(ListenError::InUse { .. })),
        "its parent lives"
    );
    victim.kill_and_reap();
    // The child still has the descriptor of the socket.
    let listener = Listener::bind(place.socket(), Access::Owner).unwrap();
    let _client = UnixStream::connect(listener.path()).unwrap();
    accept(&listener).unwrap();
    victim.close_stdin();
}

#[test]
fn a_path_never_has_two_owners_while_others_come_and_go() {
    let place = Place::new();
    owners_that_take_turns(|| Listener::bind(place.socket(), Access::Owner));
    assert_eq!(place.files(), 0);
}

#[test]
fn a_program_that_knows_no_lock_file_keeps_its_socket_while_it_listens() {
    let place = Place::new();
    drop(Listener::bind(place.socket(), Access::Owner).unwrap());
    let other = UnixListener::bind(place.socket()).unwrap();
    assert!(matches!(Listener::bind(place.socket(), Access::Owner), Err(ListenError::InUse { pid: None, .. })));
    drop(other);
    Listener::bind(place.socket(), Access::Owner).unwrap();
}

#[test]
fn a_file_that_is_no_socket_is_not_removed() {
    let place = Place::new();
    drop(Listener::bind(place.socket(), Access::Owner).unwrap());
    std::fs::write(place.socket(), "of the user").unwrap();
    assert!(matches!(Listener::bind(place.socket(), Access::Owner), Err(ListenError::OtherFile { .. })));
    assert_eq!(std::fs::read_to_string(place.socket()).unwrap(), "of the user");
    assert_eq!(place.files(), 1, "no lock file is left");
}

#[test]
fn a_process_whose_files_were_removed_by_hand_does_not_remove_those_of_the_next_owner() {
    let place = Place::new();
    let first = Listener::bind(place.socket(), Access::Owner).unwrap();
    // As a start script does that cleans up before it starts the program again.
    std::fs::remove_dir_all(&place.0).unwrap();
    let second = Listener::bind(place.socket(), Access::Owner).unwrap();
    drop(first);
    UnixStream::connect(second.path()).unwrap();
    assert!(matches!(Listener::bind(place.socket(), Access::Owner), Err(ListenError::InUse { .. })));
    drop(second);
    assert_eq!(place.files(), 0);
}

#[test]
fn a_directory_that_the_group_cannot_enter_is_refused() {
    let place = Place::new();
    drop(Listener::bind(place.socket(), Access::Owner).unwrap());
    let ours = std::fs::metadata(&place.0).unwrap().gid();
    // It was made for a socket without a group.
    let error = Listener::bind(place.socket(), Access::Group(ours)).unwrap_err();
    assert!(error.to_string().contains(&format!("mode 0700 and group {ours}, so that group {ours} could")), "{error}");
    set_mode(&place.0, 0o710);
    let other = Listener::bind(place.socket(), Access::Group(ours + 1)).unwrap_err();
    assert!(matches!(other, ListenError::ClosedDirectory { group, wanted, .. } if (group, wanted) == (ours, ours + 1)));
    Listener::bind(place.socket(), Access::Group(ours)).unwrap();
    assert_eq!(place.files(), 0);
}

#[test]
fn a_directory_that_is_the_symlink_of_another_user_is_refused() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can give a symlink to another user");
    }
    let (place, link) = (Place::new(), Place::new());
    drop(Listener::bind(place.socket(), Access::Owner).unwrap());
    std::os::unix::fs::symlink(&place.0, &link.0).unwrap();
    // A link of our own is as good as the directory.
    drop(Listener::bind(link.socket(), Access::Owner).unwrap());
    std::os::unix::fs::lchown(&link.0, Some(STRANGER), Some(STRANGER)).unwrap();
    let refused = Listener::bind(link.socket(), Access::Owner);
    std::fs::remove_file(&link.0).unwrap();
    assert!(matches!(refused, Err(ListenError::OpenDirectory { owner: STRANGER, .. })), "{refused:?}");
    assert_eq!(place.files(), 0);
}

#[test]
fn an_owner_is_known_to_the_next_process_whatever_the_umask_is() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can become another user");
    }
    let place = Place::new();
    // Not root, which may open every file.
    let mut child = fork_then(|| {
        let user = rustix::process::Uid::from_raw(STRANGER);
        rustix::thread::set_thread_res_uid(user, user, user).unwrap();
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o777));
        let _first = Listener::bind(place.socket(), Access::Owner).unwrap();
        i32::from(!matches!(Listener::bind(place.socket(), Access::Owner), Err(ListenError::InUse { .. })))
    });
    assert_eq!(child.wait_exit(PATIENCE).code(), Some(0));
}

#[test]
fn a_path_is_absolute_and_fits_into_an_address() {
    let place = Place::new();
    std::fs::create_dir(&place.0).unwrap();
    set_mode(&place.0, 0o700);
    let filled = |len: usize| {
        let stem = place.0.join("x");
        let missing = len - stem.as_os_str().len();
        place.0.join(format!("x{}", "y".repeat(missing)))
    };
    let listener = Listener::bind(filled(PATH_BYTES_MAX), Access::Owner).unwrap();
    UnixStream::connect(listener.path()).unwrap();
    let error = Listener::bind(filled(PATH_BYTES_MAX + 1), Access::Owner).unwrap_err();
    assert!(error.to_string().contains("its path has 108 bytes, and the kernel permits 107"), "{error}");
    for path in [Path::new("control"), Path::new(OsStr::from_bytes(b"\0abstract")), Path::new("")] {
        assert!(matches!(Listener::bind(path, Access::Owner), Err(ListenError::NotAbsolute { .. })), "{path:?}");
    }
}

#[test]
fn the_modes_are_the_same_whatever_the_umask_is() {
    let is_root = rustix::process::geteuid().is_root();
    let accesses: &[_] = if is_root { &[Access::Owner, Access::Group(GROUP)] } else { &[Access::Owner] };
    for umask in [0, 0o022, 0o077, 0o777] {
        for &access in accesses {
            let place = Place::new();
            // The umask belongs to the process, and other tests need theirs.
            let mut child = fork_then(|| {
                rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
                let Ok(listener) = Listener::bind(place.socket(), access) else { return 1 };
                let wide = access != Access::Owner;
                let is_right = mode(&place.0) == if wide { 0o710 } else { 0o700 }
                    && mode(listener.path()) == if wide { 0o660 } else { 0o600 };
                if is_right { 0 } else { 2 }
            });
            assert_eq!(child.wait_exit(PATIENCE).code(), Some(0), "umask {umask:03o}, {access:?}");
        }
    }
}

#[test]
fn a_directory_that_other_users_reach_is_refused() {
    let place = Place::new();
    std::fs::create_dir(&place.0).unwrap();
    for (mode, access) in [(0o755, Access::Owner), (0o1777, Access::Owner), (0o770, Access::Group(GROUP))] {
        set_mode(&place.0, mode);
        let error = Listener::bind(place.socket(), access).unwrap_err();
        assert!(error.to_string().contains(&format!("its directory has mode {mode:04o}")), "{error}");
    }
    assert_eq!(place.files(), 0);
}

#[test]
#[ignore = "runs as a victim"]
fn victim_that_connects() {
    if !is_victim() {
        return;
    }
    match UnixStream::connect(std::env::var_os(SOCKET).unwrap()) {
        Ok(mut stream) => {
            say("CONNECTED");
            // The end of the stream, if it was refused.
            let _ = stream.read(&mut [0]);
        }
        Err(error) => say(&format!("NOT {:?}", error.kind())),
    }
}

#[test]
fn a_process_of_another_user_cannot_connect_and_is_refused_if_the_modes_were_widened() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can start a process of another user");
    }
    let place = Place::new();
    let listener = Listener::bind(place.socket(), Access::Owner).unwrap();
    let stranger = || Respawn::test(test_name!(victim_that_connects)).env(SOCKET, place.socket()).as_user(STRANGER);
    stranger().spawn().wait_line("NOT PermissionDenied");
    set_mode(&place.0, 0o711);
    stranger().spawn().wait_line("NOT PermissionDenied");
    set_mode(listener.path(), 0o666);
    let mut victim = stranger().spawn();
    victim.wait_line("CONNECTED");
    match accept(&listener) {
        Err(AcceptError::Refused { who }) => assert_eq!((who.pid, who.uid), (victim.pid(), STRANGER)),
        other => panic!("{other:?}"),
    }
    assert!(victim.wait_exit(PATIENCE).success(), "its stream has ended");
}

#[test]
fn a_group_may_connect_by_its_first_and_its_further_groups_and_others_may_not() {
    if !rustix::process::geteuid().is_root() {
        skip!("only root can start a process of another user");
    }
    let place = Place::new();
    let listener = Listener::bind(place.socket(), Access::Group(GROUP)).unwrap();
    let of = |user: u32, group: u32| {
        Respawn::test(test_name!(victim_that_connects)).env(SOCKET, place.socket()).as_user(user).in_group(group)
    };
    of(STRANGER, STRANGER).spawn().wait_line("NOT PermissionDenied");
    let mut first = of(STRANGER, GROUP).spawn();
    first.wait_line("CONNECTED");
    assert_eq!(accept(&listener).unwrap(), STRANGER);
    first.wait_exit(PATIENCE);

    let mut further = myelon_process::Command::new("setpriv");
    let (user, group) = (STRANGER.to_string(), GROUP.to_string());
    further.args(["--reuid", &user, "--regid", &user, "--groups", &group]).arg(std::env::current_exe().unwrap());
    further.args(["--exact", test_name!(victim_that_connects), "--include-ignored", "--quiet"]);
    further.env("TESTKIT_ROLE", "connects").env(SOCKET, place.socket());
    further.stdout(myelon_process::Stdio::null());
    let Ok(mut child) = further.spawn() else { skip!("there is no program `setpriv`") };
    assert_eq!(accept(&listener).unwrap(), STRANGER);
    child.wait(PATIENCE);
}
