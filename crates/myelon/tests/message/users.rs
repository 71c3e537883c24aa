//! A stream whose writer and readers are different users: users of one group, in a directory of theirs and in one with
//! the sticky bit, as `/dev/shm` is.

use crate::upgrade::{Step, Writer};
use myelon::CreateOptions;
use myelon::prelude::*;
use std::fmt::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use testkit::process::{Respawn, role, say};
use testkit::test_name;
use testkit::watchdog::{PATIENCE, Watchdog};

/// The group, and three users in it.
const GROUP: u32 = 65_533;
const ANNA: u32 = 65_530;
const BERT: u32 = 65_531;
const CARL: u32 = 65_532;

const PLACE: &str = "MYELON_TEST_PLACE";

#[test]
#[ignore = "runs as a victim"]
fn victim_user() {
    let Some(role) = role() else { return };
    let place = PathBuf::from(std::env::var_os(PLACE).unwrap());
    let numbers: Vec<u64> = role.split(' ').filter_map(|word| word.parse().ok()).collect();
    let builder = |depth| {
        let options = CreateOptions::default().group(GROUP);
        TransportBuilder::<Records>::new(place.as_path(), depth).with_create_options(options)
    };
    match (role.split(' ').next().unwrap(), &numbers[..]) {
        ("write", &[version, count]) => match Writer::try_build(builder(1 << 14), version as u8) {
            Ok(mut writer) => {
                (0..count).for_each(|number| writer.publish(number));
                say(&format!("SAID WRITTEN {:?}", writer.origin()));
                writer.hand_over();
            }
            Err(error) => say(&format!("SAID REFUSED {error:?}")),
        },
        ("close", &[version]) => {
            drop(Writer::build(builder(1 << 14), version as u8));
            say("SAID CLOSED");
        }
        ("read", &[count]) => {
            let mut reader = TypedConsumer::<Step>::build(builder(0).with_consumer_id("bert")).unwrap();
            let mut seen = String::new();
            for _ in 0..count {
                let Step { version, number } = reader.receive_owned(Patience::Endless).unwrap().unwrap().0;
                write!(seen, " {version}:{number}").unwrap();
            }
            say(&format!("SAID READ{seen}"));
        }
        _ => panic!("no such role: {role}"),
    }
}

/// A directory of the group with that mode, and the ring in it.
struct Stage {
    dir: PathBuf,
    _watchdog: Watchdog,
}

impl Stage {
    fn new(mode: u32) -> Self {
        let dir = std::env::temp_dir().join(testkit::names::unique("users"));
        std::fs::create_dir(&dir).unwrap();
        chown(&dir, None, Some(GROUP)).unwrap();
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(mode)).unwrap();
        Self { dir, _watchdog: Watchdog::new(4 * PATIENCE, "users of one group") }
    }

    /// The output of a process of `user` that does `what`.
    fn run(&self, user: u32, what: &str) -> String {
        let ring = self.dir.join("steps.ring");
        let respawn = Respawn::test(test_name!(victim_user)).role(what).env(PLACE, ring).as_user(user);
        let mut victim = respawn.in_group(GROUP).spawn();
        let said = victim.wait_line("SAID ");
        assert!(victim.wait_exit(PATIENCE).success(), "{said}");
        said["SAID ".len()..].to_owned()
    }

    fn names(&self) -> Vec<String> {
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        std::fs::read_dir(&self.dir).unwrap().map(name).collect()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn may_become_another_user(dir: &Path) -> bool {
    let is_open = std::fs::metadata(dir).is_ok_and(|it| it.permissions().mode() & 0o1 != 0);
    rustix::process::geteuid().is_root() && is_open
}

macro_rules! skip_unless_users {
    () => {
        if !may_become_another_user(&std::env::temp_dir()) {
            testkit::skip!("only root can become another user");
        }
    };
}

#[test]
fn a_user_of_the_group_replaces_the_ring_of_another_and_a_third_reads_both() {
    skip_unless_users!();
    let stage = Stage::new(0o770);
    assert_eq!(stage.run(ANNA, "write 1 3"), "WRITTEN Created");
    assert_eq!(stage.run(BERT, "read 1"), "READ 1:0");
    assert_eq!(stage.run(CARL, "write 3 2"), "WRITTEN Replaced");
    assert_eq!(stage.names().len(), 2, "the old ring is kept: {:?}", stage.names());
    assert_eq!(stage.run(BERT, "read 4"), "READ 1:1 1:2 3:0 3:1");
    assert_eq!(stage.names(), ["steps.ring"], "who has read the old ring removes it");
    assert_eq!(stage.run(CARL, "close 3"), "CLOSED");
    assert_eq!(stage.names(), [""; 0]);
}

/// The reader may not remove the old ring there; the writer does, when it closes.
#[test]
fn in_a_sticky_directory_the_owner_gives_and_removes_the_second_name() {
    skip_unless_users!();
    let stage = Stage::new(0o1777);
    assert_eq!(stage.run(ANNA, "write 1 3"), "WRITTEN Created");
    assert_eq!(stage.run(BERT, "read 1"), "READ 1:0");
    assert_eq!(stage.run(ANNA, "write 3 2"), "WRITTEN Replaced");
    assert_eq!(stage.run(BERT, "read 4"), "READ 1:1 1:2 3:0 3:1");
    assert_eq!(stage.names().len(), 2, "{:?}", stage.names());
    assert_eq!(stage.run(ANNA, "close 3"), "CLOSED");
    assert_eq!(stage.names(), [""; 0]);
}

#[test]
fn in_a_sticky_directory_another_user_is_refused_before_anything_is_linked_and_nothing_is_lost() {
    skip_unless_users!();
    let stage = Stage::new(0o1777);
    assert_eq!(stage.run(ANNA, "write 1 2"), "WRITTEN Created");
    assert_eq!(stage.run(BERT, "read 1"), "READ 1:0");
    let refused = stage.run(CARL, "write 3 2");
    assert!(refused.starts_with("REFUSED Build(NotOwner") && refused.contains("65530"), "{refused}");
    assert_eq!(stage.names(), ["steps.ring"]);
    // A writer of the same version may continue in the ring, and need not remove it.
    assert_eq!(stage.run(CARL, "write 1 1"), "WRITTEN TookOver");
    assert_eq!(stage.run(BERT, "read 2"), "READ 1:1 1:0");
}
