//! The server: what a process with an event loop adds to have a console.

use super::Failure;
use myelon_process::listen::{Access, Fifo, Listener};
use myelon_process::signals;
use myelon_runtime::event_loop::EventLoop;
use myelon_runtime::event_loop::json_rpc::{Methods, Params, RpcError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the loop may wait until everything has stopped at a safe point.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where the FIFO for commands of one byte is.
pub(crate) fn commands(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".commands");
    name.into()
}

pub(crate) fn serve(path: &Path) -> Result<(), Failure> {
    // Before the first thread exists.
    let blocked = signals::block_first()?;
    let mut event_loop = EventLoop::new()?;
    event_loop.quit_on_signals(blocked.reader()?)?;
    event_loop.on_failure(|failure| println!("{}: {}", failure.description, failure.cause));
    event_loop.on_dump(|text| println!("{text}"));

    let methods = Methods::new();
    let mut level = 3;
    methods.add(
        "log_level",
        "sets the level of the log ([0] to [5]), and returns the old one",
        move |_, params: Params| {
            let (new,): (u8,) = params.parse()?;
            if new > 5 {
                return Err(RpcError::invalid_params("a level is at most 5"));
            }
            Ok(std::mem::replace(&mut level, new))
        },
    );
    event_loop.add_json_rpc(Listener::bind(path, Access::Owner)?, methods, "console")?;
    event_loop.add_command_fifo(Fifo::create(commands(path))?, "commands of a shell")?;

    event_loop.add_at_safe_point(PATIENCE, "read the table of models again", |_: &mut EventLoop| {
        println!("the table of models was read again");
    });
    // In a real server these are its rings, its workers and its deadlines.
    event_loop.add_interval(Duration::from_secs(1), "heartbeat", |_: &mut EventLoop, _| ());
    println!("ready at {}", path.display());
    event_loop.run()?;
    Ok(())
}
