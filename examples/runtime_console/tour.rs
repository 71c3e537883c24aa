//! What the program does without arguments: it starts a server, and talks to it.

use super::client::Client;
use super::{Failure, server};
use serde_json::json;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStdout, Command, Stdio};

/// Starts a server and shows what its console can do.
pub(crate) fn show() -> Result<(), Failure> {
    let folder = std::env::temp_dir().join(format!("runtime-console-{}", std::process::id()));
    let path = folder.join("console");
    let mut server = Command::new(std::env::current_exe()?).arg("serve").arg(&path).stdout(Stdio::piped()).spawn()?;
    let shown = talk(&path, BufReader::new(server.stdout.take().ok_or("it was asked for")?));
    if shown.is_err() {
        // It may have ended already.
        let _ = server.kill();
    }
    let status = server.wait()?;
    shown?;
    // The directory was made by the server, and may have the sockets of others in it, so it stays.
    std::fs::remove_dir(&folder)?;
    if !status.success() {
        return Err(format!("the server has ended badly: {status}").into());
    }
    println!("the server has ended well, and left no file");
    Ok(())
}

fn talk(path: &Path, mut said: BufReader<ChildStdout>) -> Result<(), Failure> {
    expect(&mut said, "ready")?;
    let mut client = Client::connect(path)?;
    let methods = client.call("methods", None)?;
    let names = methods.as_array().into_iter().flatten().filter_map(|method| method["name"].as_str());
    println!("the server has the methods {}", names.collect::<Vec<_>>().join(", "));

    for params in ["[5]", "[\"loud\"]"] {
        match client.call("log_level", Some(params)) {
            Ok(old) => println!("log_level {params} -> {old}"),
            Err(error) => println!("log_level {params} -> {error}"),
        }
    }
    let sources = client.call("sources", None)?;
    let sources = sources.as_array().ok_or("a list")?;
    let timer = sources.iter().find(|source| source["kind"] == "timer").ok_or("the server has a timer")?;
    println!("sources -> among {} there is {}, a timer", sources.len(), timer["description"]);

    let commands = server::commands(path);
    std::fs::write(&commands, "G\n")?;
    println!("the byte G on the FIFO: {}", expect(&mut said, "the table")?);
    std::fs::write(&commands, "D\n")?;
    let dump = expect(&mut said, "loop: ")?;
    println!("the byte D on the FIFO: a dump of {}", dump.trim_start_matches("loop: ").split(',').next().unwrap_or(""));
    std::fs::write(&commands, "?")?;
    let told = expect(&mut said, "commands of a shell: ")?;
    println!("the byte ? on the FIFO: {}", told.split(';').next().unwrap_or(""));

    let answer = client.call("quit", None)?;
    assert_eq!(answer, json!(null));
    println!("quit -> {answer}");
    Ok(())
}

/// The next line of the server that begins so.
fn expect(said: &mut BufReader<ChildStdout>, beginning: &str) -> Result<String, Failure> {
    for line in said.lines() {
        let line = line?;
        if line.starts_with(beginning) {
            return Ok(line);
        }
    }
    Err(format!("the server has ended and not said `{beginning}`").into())
}
