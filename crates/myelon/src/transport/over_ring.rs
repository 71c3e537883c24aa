//! Frames over a ring that the caller has built, for programs that keep the ring's own ends.

use super::error::TransportResult;
use super::frame::FramedTransportFrame;
use super::framed::{beyond_the_ring, find, publish};
use super::prefix::{Letter, Prefix};
use super::reassembly::Reassembler;
use super::split::{Outline, payload_max};
use disruptor_mp::{Patience, Sequence, SharedConsumer, SharedProducer};

/// Sends `payload` as message `msg_id` through a ring of frames, whole or not at all. Give consecutive messages
/// different numbers.
///
/// # Errors
/// `TooLarge` at once if the ring cannot hold it; `Full`, `Publish` or `RequiredConsumer`, depending on the patience.
/// Nothing was sent.
pub fn publish_framed_payload<E: FramedTransportFrame>(
    producer: &mut SharedProducer<E>,
    msg_id: u32,
    payload: &[u8],
    kind: u8,
    patience: impl Into<Patience>,
) -> TransportResult<Sequence> {
    let letter = Letter { kind, msg_id, prefix: Prefix::default() };
    let outline = Outline::new(E::SHAPE, &letter, payload.len());
    let limit_bytes = payload_max(E::SHAPE, &letter.prefix, producer.capacity());
    if payload.len() > limit_bytes {
        return Err(beyond_the_ring(E::SHAPE, &letter, payload.len(), limit_bytes));
    }
    publish(producer, &outline, payload, &patience.into())
}

/// The next message of a ring of frames as `(kind, bytes)`, copied and acknowledged; `None` only for [`Patience::Now`].
/// One reassembler belongs to one consumer.
///
/// # Errors
/// As [`TransportConsumer::next`](super::TransportConsumer::next).
pub fn recv_framed_message<E: FramedTransportFrame>(
    consumer: &mut SharedConsumer<E>,
    reassembler: &mut Reassembler,
    patience: impl Into<Patience>,
) -> TransportResult<Option<(u8, Vec<u8>)>> {
    let Some(found) = find(consumer, reassembler, patience.into())? else { return Ok(None) };
    let lease = consumer.lease_peeked(found.frames);
    let payload = match found.range {
        Some(range) => lease.get(0).data()[range].to_vec(),
        None => reassembler.message().to_vec(),
    };
    Ok(Some((found.envelope.kind, payload)))
}
