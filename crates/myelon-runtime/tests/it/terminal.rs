//! A console on a terminal: lines that a user types are commands of the loop.

use crate::watchdog;
use myelon_runtime::event_loop::{EventLoop, Interest, Next, Ready, RunEnd};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};

/// What a server does with a line that was typed.
fn obey(event_loop: &mut EventLoop, line: &str) -> String {
    match line {
        "sources" => format!("{} sources", event_loop.handle().sources().len()),
        "quit" => {
            event_loop.handle().quit();
            "goodbye".into()
        }
        other => format!("what is `{other}`?"),
    }
}

//
#[test]
fn a_user_at_a_terminal_commands_the_loop_line_by_line() {
    let _watchdog = watchdog("a console on a terminal");
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&user).unwrap();
    unlockpt(&user).unwrap();
    let name = ptsname(&user, Vec::new()).unwrap().into_string().unwrap();
    let user = File::from(user);
    // The terminal ends when its last program closes it, so one descriptor stays open for the user's last look.
    let _kept = OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let server = std::thread::spawn(move || {
        let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
        rustix::io::ioctl_fionbio(&terminal, true).unwrap();
        let mut event_loop = EventLoop::new().unwrap();
        let handler = |event_loop: &mut EventLoop, terminal: &mut File, _: Ready| {
            // The kernel gives one line a call, when it is finished; so a user can still correct it.
            let mut line = [0; 4096];
            let len = match terminal.read(&mut line) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Next::Drained),
                len => len?,
            };
            let line = String::from_utf8_lossy(&line[..len]);
            let answer = obey(event_loop, line.trim_end());
            writeln!(terminal, "{answer}")?;
            Ok::<_, std::io::Error>(Next::More)
        };
        event_loop.add(terminal, Interest::Readable, "the user at the terminal", handler).unwrap();
        event_loop.run().unwrap()
    });
    let mut screen = BufReader::new(user.try_clone().unwrap());
    let mut keyboard = &user;
    // Twice what the terminal shows: what was typed, as it echoes it, and the answer.
    let mut shown = |keys: &str, lines: usize| -> Vec<String> {
        keyboard.write_all(keys.as_bytes()).unwrap();
        let mut shown = Vec::new();
        for _ in 0..lines {
            let mut line = String::new();
            screen.read_line(&mut line).unwrap();
            shown.push(line.trim_end().to_owned());
        }
        shown
    };
    // One that was typed in two pieces, with a mistake that the user has taken back.
    keyboard_pieces(&user, &["sou", "rx\x7fces\n"]);
    let first = shown("", 2);
    assert!(first[0].starts_with("sour") && first[1].ends_with(" sources"), "{first:?}");
    assert_eq!(shown("help\n", 2), ["help", "what is `help`?"]);
    assert_eq!(shown("quit\n", 2), ["quit", "goodbye"]);
    assert_eq!(server.join().unwrap(), RunEnd::Quit { drained: true });
}

fn keyboard_pieces(mut keyboard: &File, pieces: &[&str]) {
    for piece in pieces {
        keyboard.write_all(piece.as_bytes()).unwrap();
    }
}
