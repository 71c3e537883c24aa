//! A ring as a source of a loop.

use crate::Failure;
use myelon::codec::Codec;
use myelon::typed_transport::TypedConsumer;
use myelon::{Doorbell, Patience};
use myelon_runtime::event_loop::{EventLoop, Interest, Next, OnFailure, Ready, Settings};

/// How many messages one call reads, so that a ring that is never empty keeps nothing else waiting.
const MESSAGES: usize = 64;

/// Calls `each` for every message of a ring, until the stream ends.
pub(crate) fn add_ring<T: Codec + 'static>(
    event_loop: &mut EventLoop,
    mut consumer: TypedConsumer<T>,
    description: &'static str,
    mut each: impl FnMut(T) + 'static,
) -> Result<(), Failure> {
    let mut doorbell = consumer.doorbell()?;
    let mut read = move |doorbell: &mut Doorbell| -> Result<Next, Failure> {
        for _ in 0..MESSAGES {
            match consumer.receive_owned(Patience::Now) {
                Ok(Some((message, _))) => each(message),
                // It rings once, for the next message. `false`: there is one already, or the stream has ended.
                Ok(None) if doorbell.arm(&mut consumer) => return Ok(Next::Again),
                Ok(None) => {}
                Err(end) if end.is_closed() => return Ok(Next::Remove),
                // A producer that was killed, or a message that cannot be decoded: the hook of the loop tells it.
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Next::More)
    };
    // A doorbell that was not armed does not ring. So what is there already is read here.
    while read(&mut doorbell)? == Next::More {}
    let handler = move |_: &mut EventLoop, doorbell: &mut Doorbell, _: Ready| read(doorbell);
    let settings = Settings::new(description).on_failure(OnFailure::Remove);
    event_loop.add(doorbell, Interest::Readable, settings, handler)?;
    Ok(())
}
