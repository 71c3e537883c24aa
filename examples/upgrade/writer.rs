//! A writer: sends the messages that its standard input names, and hands over when it is asked to stop.

use super::Failure;
use super::measurement::{first, second, third};
use myelon::codec::Codec;
use myelon::typed_transport::TypedProducer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// Bytes of the ring, a power of two.
const RING_BYTES: usize = 1 << 16;

pub(crate) fn write(name: &str, version: u32) -> Result<(), Failure> {
    let place = || String::from("roof");
    match version {
        1 => send(name, |number| first::Measurement { number, celsius: 20 }),
        2 => send(name, |number| second::Measurement { number, celsius: 20, place: place() }),
        _ => send(name, |number| third::Measurement { number, millikelvin: 293_150, place: place() }),
    }
}

fn send<T: Codec>(name: &str, measure: impl Fn(u64) -> T) -> Result<(), Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&is_over))?;
    // It replaces the ring of another version, and takes over that of its own.
    let mut producer = TypedProducer::<T>::create(name, RING_BYTES)?;
    println!("ready");
    let (orders, taken) = channel();
    std::thread::spawn(move || std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| orders.send(line)));
    while !is_over.load(Ordering::Relaxed) {
        let order = match taken.recv_timeout(Duration::from_millis(5)) {
            Ok(order) => order,
            Err(RecvTimeoutError::Timeout) => continue,
            Err(RecvTimeoutError::Disconnected) => break,
        };
        match order.split_whitespace().collect::<Vec<_>>()[..] {
            ["send", from, to] => {
                for number in from.parse()?..to.parse()? {
                    producer.publish(&measure(number), 0)?;
                }
                println!("sent");
            }
            // Its end is dropped: nothing will follow.
            ["close"] => return Ok(()),
            _ => return Err(format!("{order:?} is no order").into()),
        }
    }
    producer.hand_over();
    Ok(())
}
