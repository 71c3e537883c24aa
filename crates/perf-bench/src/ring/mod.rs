//! Our own ring, between processes, next to the limits of the same run.

pub(crate) mod broadcast;
pub(crate) mod creation;
pub(crate) mod event_ring;
pub(crate) mod ping_pong;
pub(crate) mod throughput;
pub(crate) mod wakeup;

use disruptor_mp::{
    ConsumeError, MultiProcessError, PublishError, SharedConsumer, SharedProducer, WaitStrategy,
    attach_shared_consumer, build_shared_single_producer,
};

use self::event_ring::Whose;
use crate::limits::RING_BYTES;
use crate::side::{Side, Stop};

/// An event of `WORDS` words. All of them are written and read, because a ring exists for its content.
type Message<const WORDS: usize> = [u64; WORDS];

/// Evaluates an expression with `$words` as the name of the number of words that a payload known at run time has.
macro_rules! with_words {
    ($bytes:expr, $words:ident => $result:expr) => {
        $crate::ring::with_words!($bytes, $words => $result, 8, 48, 64, 256, 1024, 4096, 16384, 262144, 2097152)
    };
    ($bytes:expr, $words:ident => $result:expr, $($size:literal),+) => {
        match $bytes {
            $($size => {
                const $words: usize = $size / size_of::<u64>();
                $result
            })+
            other => Err($crate::side::Stop::Failed(format!("there are no messages of {other} B"))),
        }
    };
}
pub(crate) use with_words;

impl From<MultiProcessError> for Stop {
    fn from(error: MultiProcessError) -> Self {
        match error {
            MultiProcessError::NoSpace { .. } => Self::Unavailable(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}

impl From<PublishError> for Stop {
    fn from(error: PublishError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<ConsumeError> for Stop {
    fn from(error: ConsumeError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Creates segment `index` of the measurement as a ring of `slots` slots. The producer spins while it is full.
fn create<const WORDS: usize>(side: &Side, index: usize, slots: usize) -> Result<SharedProducer<Message<WORDS>>, Stop> {
    let builder = build_shared_single_producer(side.segment(index), slots).create();
    Ok(builder.with_wait_strategy(WaitStrategy::BusySpin).build_producer(|| [0; WORDS])?)
}

/// Attaches to the ring in segment `index`, which another side has created before the last rendezvous.
fn attach<const WORDS: usize>(
    side: &Side,
    index: usize,
    wait: WaitStrategy,
) -> Result<SharedConsumer<Message<WORDS>>, Stop> {
    Ok(attach_shared_consumer(side.segment(index), 0).with_wait_strategy(wait).build_consumer()?)
}

/// Writes every word.
#[inline(always)]
fn fill<const WORDS: usize>(message: &mut Message<WORDS>, number: u64) {
    message.fill(number);
}

/// Reads every word: `WORDS` times the number that [`fill`] wrote, wrapping.
#[inline(always)]
fn sum<const WORDS: usize>(message: &Message<WORDS>) -> u64 {
    message.iter().fold(0, |sum, word| sum.wrapping_add(*word))
}

/// The power of two of slots with which a ring of such messages comes closest to the [size](RING_BYTES) that suits most
/// machines, as the library itself plans it. Another library's ring is planned as if its events were in an array, like
/// ours in dense slots, so that rings of equal bytes are compared.
pub(crate) fn slots_that_suit(whose: Whose, payload_bytes: usize) -> usize {
    slots_within(whose, payload_bytes, RING_BYTES as u64)
}

/// The same for a ring of this many bytes.
pub(crate) fn slots_within(whose: Whose, payload_bytes: usize, ring_bytes: u64) -> usize {
    let distance = |slots: &usize| bytes_of(whose, payload_bytes, *slots).abs_diff(ring_bytes);
    let sizes = (1..20).map(|exponent| 1_usize << exponent);
    sizes.min_by_key(distance).expect("there are sizes")
}

/// How many bytes the events of such a ring take; the highest number if there can be none.
pub(crate) fn bytes_of(whose: Whose, payload_bytes: usize, slots: usize) -> u64 {
    let planned = with_words!(payload_bytes, WORDS => {
        let plan = match whose {
            Whose::Ours => disruptor_mp::plan::<Message<WORDS>>,
            _ => disruptor_mp::plan_dense::<Message<WORDS>>,
        };
        Ok::<_, Stop>(plan(slots, 1))
    });
    planned.ok().and_then(Result::ok).map_or(u64::MAX, |plan| plan.slots.len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suitable_ring_is_about_as_large_as_it_should_be() {
        for whose in [Whose::Ours, Whose::Dense] {
            for payload_bytes in [8, 64, 1024, 4096, 16384] {
                let bytes = slots_that_suit(whose, payload_bytes) * payload_bytes;
                assert!((RING_BYTES / 2..=RING_BYTES * 3 / 2).contains(&bytes), "{whose:?}, {payload_bytes}: {bytes}");
            }
        }
    }
}
