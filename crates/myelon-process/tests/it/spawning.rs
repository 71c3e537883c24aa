//! What a child is started with.

use myelon_process::{Command, Patience, SpawnError, Stdio};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use testkit::names;

/// What the child writes, for a command whose output is short.
fn said(command: &mut Command) -> String {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(child.wait(Patience::Endless).unwrap().is_success());
    text
}

fn shell(script: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", script]);
    shell
}

/// An empty folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(names::short());
        std::fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_program_that_cannot_be_started_is_an_error_at_once_that_names_it_and_says_why() {
    let folder = Folder::new();
    let text = |command: &mut Command| command.spawn().unwrap_err().to_string();
    assert_eq!(text(&mut Command::new("/no/such/program")), "the program `/no/such/program` does not exist");
    assert_eq!(
        text(Command::new("no-such-program").env("PATH", "/bin:/usr/bin")),
        "the program `no-such-program` is in no directory of PATH (`/bin:/usr/bin`)"
    );
    let script = folder.file("script", "#!/no/such/interpreter\n", 0o755);
    assert_eq!(
        text(&mut Command::new(&script)),
        format!("the program `{}` exists, but its interpreter or loader does not", script.display())
    );
    let plain = folder.file("plain", "text", 0o644);
    assert_eq!(
        text(&mut Command::new(&plain)),
        format!("the program `{}` could not be started: posix_spawn: Permission denied (os error 13)", plain.display())
    );
    let missing = folder.0.join("missing");
    assert_eq!(
        text(Command::new("true").current_dir(&missing)),
        format!(
            "the program `true` cannot run in the directory `{}`: No such file or directory (os error 2)",
            missing.display()
        )
    );
    assert_eq!(
        text(Command::new("true").arg("a\0b")),
        "the program `true` cannot be given the argument `a\0b`: it contains a zero byte"
    );
    assert_eq!(
        text(Command::new("true").env("A=B", "C")),
        "the program `true` cannot be given the variable `A=B`: a name has at least one character and no `=`"
    );
    let error: std::io::Error = Command::new("/no/such/program").spawn().unwrap_err().into();
    assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn arguments_variables_and_directory_reach_the_child() {
    let folder = Folder::new();
    let mut command = shell("echo \"$0|$1|$KEPT|${GONE-none}|$PWD\"");
    command.args(["an argument", "the second"]).envs([("KEPT", "a=b"), ("GONE", "x")]).env_remove("GONE");
    command.current_dir(&folder.0);
    assert_eq!(said(&mut command), format!("an argument|the second|a=b|none|{}\n", folder.0.display()));
    let mut bare = Command::new("/usr/bin/env");
    bare.env("LOST", "1").env_clear().env("ONLY", "this");
    assert_eq!(said(&mut bare), "ONLY=this\n");
    // Without changes it has our environment.
    assert_eq!(said(&mut shell("echo $PATH")).trim_end(), std::env::var("PATH").unwrap());
}

#[test]
fn a_program_is_looked_for_in_the_path_that_the_child_will_have() {
    let folder = Folder::new();
    folder.file("tool", "#!/bin/sh\necho found\n", 0o755);
    let other = Folder::new();
    other.file("tool", "no program", 0o644);
    // The first file of that name is no program, so the search goes on.
    let path = format!("/no/such/folder:{}:{}", other.0.display(), folder.0.display());
    assert_eq!(said(Command::new("tool").env("PATH", path)), "found\n");
    let error = Command::new("tool").env("PATH", &other.0).spawn().unwrap_err();
    assert!(matches!(&error, SpawnError::Os { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied));
    // A relative path starts at the child's directory.
    assert_eq!(said(Command::new("./tool").current_dir(&folder.0)), "found\n");
}

#[test]
fn a_relative_directory_of_the_path_starts_at_the_childs_directory() {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.join("bin")).unwrap();
    folder.file("bin/tool", "#!/bin/sh\necho found\n", 0o755);
    for path in ["bin:/bin", "/no/such/folder:bin"] {
        assert_eq!(said(Command::new("tool").env("PATH", path).current_dir(&folder.0)), "found\n");
    }
    // What is in a directory of that name here is not in the child's: the search goes on. A test runs in the directory
    // of its crate.
    std::fs::create_dir(folder.0.join("src")).unwrap();
    let path = format!("src:{}", folder.0.join("bin").display());
    folder.file("bin/lib.rs", "#!/bin/sh\necho found\n", 0o755);
    assert!(std::path::Path::new("src/lib.rs").is_file());
    assert_eq!(said(Command::new("lib.rs").env("PATH", path).current_dir(&folder.0)), "found\n");
}

#[test]
fn standard_streams_are_pipes_files_or_nothing() {
    let folder = Folder::new();
    let log = folder.0.join("log");
    let mut command = shell("read line; echo \"<$line>\"; echo trouble >&2");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(std::fs::File::create(&log).unwrap());
    // A command can be started more than once.
    for line in ["one", "two"] {
        let mut child = command.spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
        let mut text = String::new();
        child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, format!("<{line}>\n"));
        assert!(child.wait(Patience::Endless).unwrap().is_success());
    }
    assert_eq!(std::fs::read_to_string(&log).unwrap(), "trouble\ntrouble\n");
    assert_eq!(said(shell("cat; echo end").stderr(Stdio::null())), "end\n");
}

#[test]
fn a_child_is_in_the_group_that_it_was_given() {
    let mut child = Command::new("cat").stdin(Stdio::piped()).process_group(0).spawn().unwrap();
    let pid = rustix::process::Pid::from_raw(child.pid().cast_signed());
    assert_eq!(rustix::process::getpgid(pid).ok(), pid);
    drop(child.stdin.take());
    child.wait(Patience::Endless);
}
