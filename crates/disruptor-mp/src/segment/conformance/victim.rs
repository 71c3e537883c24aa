//! Processes that die for the tests: this very test binary, started again with a role.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use super::super::backend::pretend_no_tmpfile;
use super::super::*;
use super::stage::*;

/// A process of this test binary that plays one of the roles in [`victim`]. Killed and reaped at the end of the test.
pub(super) struct Victim {
    pub(super) child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Victim {
    pub(super) fn start(role: &str, path: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "segment::conformance::victim::victim", "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(PLACE, path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// Waits until it prints `word`; libtest prints other lines before it. If `word` never comes, the victim's own
    /// watchdog ends the wait.
    pub(super) fn expect(&mut self, word: &str) -> String {
        self.lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| line.split_once(&format!("VICTIM {word}")).map(|(_, rest)| rest.trim().to_owned()))
            .unwrap_or_else(|| panic!("the victim never said {word}"))
    }

    pub(super) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ROLE: &str = "DISRUPTOR_MP_SEGMENT_VICTIM";
const PLACE: &str = "DISRUPTOR_MP_SEGMENT_PLACE";

fn say(word: &str) {
    println!("VICTIM {word}");
    io::stdout().flush().unwrap();
}

/// Lives until its starter kills it or dies. A dead starter ends its standard input.
fn until_the_end() {
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
}

fn kill_myself() -> ! {
    // SAFETY: sends a signal to this very process.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    unreachable!("SIGKILL cannot be survived")
}

/// Not a test but the body of the processes that the tests below start. Without a role it returns at once.
#[test]
fn victim() {
    let (Ok(role), Some(path)) = (std::env::var(ROLE), std::env::var_os(PLACE)) else { return };
    // SAFETY: `alarm` ends a victim that no test kills; libtest does not use it.
    unsafe { libc::alarm(WATCHDOG.as_secs() as u32) };
    let path = PathBuf::from(path);
    let place = Place::from(&path);
    match role.as_str() {
        "produce" => {
            let _held = create(&place);
            say("ready");
            until_the_end();
        }
        "consume" => {
            let segment = open(&place).unwrap();
            let _held = segment.claim(2).unwrap().unwrap();
            say("ready");
            until_the_end();
        }
        "produce, then fork a child that lives on" => {
            let _held = create(&place);
            // SAFETY: the child only calls what is safe after a fork: `read` and `_exit`. It lives as long as the pipe
            // is open.
            let pid = unsafe { libc::fork() };
            if pid == 0 {
                let mut byte = 0u8;
                // SAFETY: one byte on the child's stack; then it exits, without running any of our code.
                unsafe {
                    while libc::read(0, (&raw mut byte).cast(), 1) > 0 {}
                    libc::_exit(0)
                }
            }
            say(&format!("ready {pid}"));
            until_the_end();
        }
        "die while initialising" => {
            let _ = Segment::create(&place, &blueprint(), &CreateOptions::default(), |_| kill_myself());
        }
        "die while initialising what has a name" => {
            let create = || Segment::create(&place, &blueprint(), &CreateOptions::default(), |_| kill_myself());
            let _ = pretend_no_tmpfile(create);
        }
        "die while initialising a replacement that has a name" => {
            let (old, claim) = create(&place);
            let die = |_: &Segment| kill_myself();
            let replace = || replace(&old, claim, &place, &blueprint(), &CreateOptions::default(), |_| {}, die);
            let _ = pretend_no_tmpfile(replace);
        }
        "die when the new one has the name" => {
            let (old, claim) = create(&place);
            let die = |_: &Segment| kill_myself();
            let _ = replace(&old, claim, &place, &blueprint(), &CreateOptions::default(), die, |_| {});
        }
        "remove and replace as another user of the group" => {
            let group = fs::metadata(&path).unwrap().gid();
            // SAFETY: changes this process's user and group; it has no other threads that matter.
            let dropped = unsafe { libc::setgroups(0, std::ptr::null()) == 0 && libc::setgid(group) == 0 };
            // SAFETY: as above.
            let dropped = dropped && unsafe { libc::setuid(65534) } == 0;
            let gc_refused = matches!(gc(&place), Err(GcError::NotOwner { owner_uid: 0, .. }));
            let replace_refused = || {
                let (old, options) = (open(&place).unwrap(), CreateOptions::default());
                let claim = old.claim(PRODUCER).unwrap().unwrap();
                let woken = |_: &Segment| panic!("a ring that cannot be replaced was marked");
                let result = replace(&old, claim, &place, &blueprint(), &options, woken, |_| {});
                matches!(result, Err(CreateError::NotOwner { owner_uid: 0, .. }))
            };
            let sole = || Sole::create(&place, &blueprint(), &CreateOptions::default(), |_| {}).map(drop);
            let sole_refused = matches!(sole(), Err(CreateError::NotOwner { owner_uid: 0, .. }));
            let both = replace_refused() && pretend_no_tmpfile(replace_refused);
            say(&format!("ready {dropped} {gc_refused} {both} {sole_refused}"));
        }
        "open as another user" => {
            // SAFETY: changes this process's user and group; it has no other threads that matter.
            let dropped = unsafe { libc::setgid(65534) == 0 && libc::setuid(65534) == 0 };
            let denied = matches!(open(&place), Err(OpenError::PermissionDenied { .. }));
            let gc_denied = matches!(gc(&place), Err(GcError::PermissionDenied { .. }));
            let beside = dir_of(&place).join("beside");
            let beside = Segment::create(&beside.into(), &blueprint(), &CreateOptions::default(), |_| {});
            let create_denied = matches!(beside, Err(CreateError::PermissionDenied { .. }));
            say(&format!("ready {dropped} {denied} {gc_denied} {create_denied}"));
        }
        "create more than the memory limit allows" => {
            let mut line = String::new();
            io::stdin().read_line(&mut line).unwrap();
            let slots_len = 512 << 20;
            let large = Blueprint { capacity: slots_len / 128, slots_len, ..blueprint() };
            let error = Segment::create(&place, &large, &CreateOptions::default(), |_| {}).unwrap_err();
            say(&format!("ready {error}"));
        }
        "lock more than the limit allows" => {
            // SAFETY: changes this process's user and group; it has no other threads that matter.
            assert!(unsafe { libc::setgid(65534) == 0 && libc::setuid(65534) == 0 });
            for bytes in [0, 4096] {
                let limit = libc::rlimit { rlim_cur: bytes, rlim_max: 4096 };
                // SAFETY: a structure that lives through the call.
                assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) }, 0);
                let options = CreateOptions::default().mlock(true);
                let error = Segment::create(&Place::memfd("locked"), &blueprint(), &options, |_| {}).unwrap_err();
                say(&format!("refused {error}"));
            }
            say("ready");
        }
        "create more than the file size limit allows" => {
            let limit = libc::rlimit { rlim_cur: 4096, rlim_max: 4096 };
            // SAFETY: a structure that lives through the call.
            assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) }, 0);
            for place in [place, Place::memfd("limited")] {
                let error = Segment::create(&place, &blueprint(), &CreateOptions::default(), |_| {}).unwrap_err();
                say(&format!("refused {error}"));
            }
            Segment::create(&Place::heap(), &blueprint(), &CreateOptions::default(), |_| {}).unwrap();
            let records = crate::SharedDisruptorBuilder::records(Place::heap(), 64 << 10).build_record_producer();
            say(&format!("refused {}", records.map(drop).unwrap_err()));
            say("ready");
        }
        other => panic!("no such role: {other}"),
    }
}

fn dir_of(place: &Place) -> PathBuf {
    match place {
        Place::File(path) => path.parent().unwrap().to_owned(),
        other => panic!("{other} has no directory"),
    }
}
