//! A reader: takes measurements until the stream is closed, or it is asked to stop.

use super::Failure;
use super::measurement::{first, second, third};
use myelon::ConsumeError;
use myelon::codec::Codec;
use myelon::transport::{MyelonWaitStrategy, TransportError};
use myelon::typed_transport::{TypedConsumer, TypedReceiveError};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long it waits until it checks whether to stop, and how long it sleeps while there is no writer.
const SLICE: Duration = Duration::from_millis(5);

pub(crate) fn read(name: &str, id: &str, version: u32) -> Result<(), Failure> {
    match version {
        1 => take::<first::Measurement>(name, id, |it| (it.number, it.celsius.to_string())),
        2 => take::<second::Measurement>(name, id, |it| (it.number, format!("{}, {:?}", it.celsius, it.place))),
        _ => take::<third::Measurement>(name, id, |it| (it.number, format!("{}, {:?}", it.millikelvin, it.place))),
    }
}

fn take<T: Codec>(name: &str, id: &str, look: impl Fn(T) -> (u64, String)) -> Result<(), Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGTERM, Arc::clone(&is_over))?;
    let mut consumer = TypedConsumer::<T>::attach_with_consumer_id(name, 0, id, MyelonWaitStrategy::Adaptive)?;
    let mut used = std::io::stdout();
    writeln!(used, "ready")?;
    // Dropped without `leave` its entry is kept, for the next process under its id.
    while !is_over.load(Ordering::Relaxed) {
        match consumer.next(SLICE) {
            Ok(Some(message)) => {
                let (number, said) = look(message.decode()?);
                let again = if message.is_redelivered() { "again" } else { "first" };
                // Used first. It is acknowledged when `message` is dropped.
                writeln!(used, "{number} {again} {said}")?;
            }
            Ok(None) | Err(TypedReceiveError::Transport(TransportError::Consume(ConsumeError::TimedOut { .. }))) => {}
            Err(TypedReceiveError::Transport(TransportError::Consume(ConsumeError::ProducerDied { .. }))) => {
                std::thread::sleep(SLICE); // another will come
            }
            Err(TypedReceiveError::Transport(TransportError::Consume(ConsumeError::Closed))) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
