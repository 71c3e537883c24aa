//! A topology whose messages have one type in each direction.
//!
//! The typed ends wrap the ends of bytes, which do everything except encoding and decoding.

mod answer;
mod broadcast;
mod ring;
mod scheduler;
mod worker;

pub use answer::TypedAnswer;
pub use broadcast::{TypedBroadcast, TypedUrgent};
#[cfg(feature = "tokio")]
pub(crate) use ring::TypedRing;
pub use scheduler::TypedScheduler;
pub use worker::TypedWorker;

use super::description::Topology;
use crate::codec::Codec;
use crate::transport::Format;

impl<F: Format> Topology<F> {
    /// Sets the types of the messages: `B` to all workers, and `A` back. A program that was built for other types is
    /// refused when it attaches. The typed ends call it themselves.
    #[must_use]
    pub fn carrying<B: Codec, A: Codec>(self) -> Self {
        self.with_content_tags(B::type_tag(), A::type_tag())
    }
}
