//! Held messages: a reader takes requests in order and gives them to two threads, which answer them in any order. Each
//! request is acknowledged when it is answered, so the next process gets exactly those that were not. A program to copy
//! where requests take different times.
//!
//! ```text
//! cargo run --release --example held
//! ```
//!
//! ```text
//! the first reader has answered 0, 2, 4, 6; request 4 had made its thread panic, and came again
//! the first reader was killed while a thread held 1, 3, 5, 7
//! the second reader has answered 1, 3, 5, 7, all of them marked
//! the sender has closed the stream, and the second reader has ended well
//! ```
//!
//! # Where to look
//!
//! - **Taking.** `message.hold()`, or `next_held`, takes a message from its reader. The message stays in the ring, and
//!   is `Send + 'static`. A task of tokio holds one across its awaits in the same way (`AsyncConsumer::next_held`).
//! - **Answer, then release.** A process that is killed in between answers twice when it comes back, not never.
//! - **Giving back.** A message that is dropped by a panic, an error or a cancelled task comes again, marked, before
//!   newer messages. `redeliveries` says how often: give up on a request that kills its thread each time.
//! - **The bound.** A reader gets 64 messages, counted from the oldest that it holds. Then it waits until that one is
//!   released, whichever others are. The sender waits for the oldest held message, too: `stall_report` on its side says
//!   which, and since when.
//! - **The end.** The sender's close ends the loop although messages are held. One more call returns what is given back
//!   after that. Keep the reader until all are released: no process can attach to a stream that was closed.
#![forbid(unsafe_code)]

use myelon::Patience;
use myelon::typed_transport::{HeldTyped, TypedConsumer, TypedProducer};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

#[myelon::message]
struct Request {
    number: u64,
    makes_thread_panic: bool,
}

const REQUESTS: u64 = 8;

/// Nothing here takes longer, unless a process is missing.
const PATIENCE: Duration = Duration::from_secs(10);

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => send(),
        ["reader", name, second_thread] => read(name, second_thread == "hangs"),
        _ => Err("this program takes no arguments".into()),
    }
}

/// The sender's process.
fn send() -> Result<(), Failure> {
    let name = format!("held{}", std::process::id());
    let mut requests = TypedProducer::<Request>::create_default(&name)?;
    let (mut reader, mut said) = start(&name, "hangs")?;
    for number in 0..REQUESTS {
        requests.publish(&Request { number, makes_thread_panic: number == 4 }, 0)?;
    }
    expect(&mut said, ["0", "2", "4 again", "6"])?;
    println!("the first reader has answered 0, 2, 4, 6; request 4 had made its thread panic, and came again");

    // The numbers of messages begin at 0 here, like those of the requests.
    wait_until_held(&requests, &[1, 3, 5, 7])?;
    reader.kill()?;
    reader.wait()?;
    println!("the first reader was killed while a thread held 1, 3, 5, 7");

    let (mut reader, mut said) = start(&name, "works")?;
    expect(&mut said, ["1 again", "3 again", "5 again", "7 again"])?;
    println!("the second reader has answered 1, 3, 5, 7, all of them marked");
    drop(requests);
    let status = reader.wait()?;
    if !status.success() {
        return Err(format!("the second reader ended with {status}").into());
    }
    println!("the sender has closed the stream, and the second reader has ended well");
    Ok(())
}

/// Starts this very program as the reader.
fn start(name: &str, second_thread: &str) -> Result<(Child, BufReader<ChildStdout>), Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    let mut reader = command.args(["reader", name, second_thread]).stdout(Stdio::piped()).spawn()?;
    let said = BufReader::new(reader.stdout.take().ok_or("it has an output")?);
    Ok((reader, said))
}

/// Reads what the reader has answered, in any order.
fn expect<const N: usize>(said: &mut BufReader<ChildStdout>, wanted: [&str; N]) -> Result<(), Failure> {
    let mut answered = said.lines().take(N).collect::<Result<Vec<_>, _>>()?;
    answered.sort();
    if answered == wanted { Ok(()) } else { Err(format!("a reader has answered {answered:?}").into()) }
}

/// Waits until the reader has released everything but the messages of these numbers.
fn wait_until_held(requests: &TypedProducer<Request>, wanted: &[i64]) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        let held = requests.consumers().into_iter().find_map(|consumer| consumer.held);
        match held {
            Some(held) if held.sequences == wanted => return Ok(()),
            held if begin.elapsed() > PATIENCE => return Err(format!("{held:?} instead of {wanted:?}").into()),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

/// The reader's process.
fn read(name: &str, second_hangs: bool) -> Result<(), Failure> {
    let mut consumer = TypedConsumer::<Request>::join(name, "reader")?;
    let (to_first, first) = channel();
    let (to_second, second) = channel();
    let threads = [
        std::thread::spawn(move || work(&first)),
        std::thread::spawn(move || if second_hangs { hang(&second) } else { work(&second) }),
    ];
    for message in consumer.messages() {
        let message = message?.hold();
        let to_thread = if message.sequence() % 2 == 0 { &to_first } else { &to_second };
        to_thread.send(message)?;
    }
    drop((to_first, to_second));
    for thread in threads {
        thread.join().map_err(|_| "a thread has panicked beside its work")?;
    }
    // What a thread gave back after the end.
    while let Some(message) = consumer.next_held(Patience::Now).ok().flatten() {
        answer(message);
    }
    Ok(())
}

/// A thread that answers the requests it is given, also after a request made it panic.
fn work(requests: &Receiver<HeldTyped<Request>>) {
    for request in requests {
        // A panic drops the message, which gives it back.
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| answer(request)));
    }
}

fn answer(message: HeldTyped<Request>) {
    let again = if message.is_redelivered() { " again" } else { "" };
    match message.decode() {
        Ok(Request { makes_thread_panic: true, .. }) if again.is_empty() => {
            std::panic::resume_unwind(Box::new("as a bug would"))
        }
        Ok(Request { number, .. }) => {
            let mut output = std::io::stdout().lock();
            // The answer goes first, the release second.
            let _ = writeln!(output, "{number}{again}").and_then(|()| output.flush());
        }
        // It would fail again the next time.
        Err(error) => eprintln!("message {} is no request: {error}", message.sequence()),
    }
    message.release();
}

/// A thread that takes the requests it is given, and finishes none.
fn hang(requests: &Receiver<HeldTyped<Request>>) {
    let mut held = Vec::new();
    for request in requests {
        held.push(request);
    }
}
