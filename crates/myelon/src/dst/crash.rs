//! Brings ends into the state in which a killed process leaves them.

use crate::codec::Codec;
use crate::transport::{Format, TransportConsumer, TransportProducer};
use crate::typed_transport::{TypedConsumer, TypedProducer};
use disruptor_mp::__private::ends::{HasConsumer, HasProducer};

/// A producer or a consumer that can die as if its process were killed.
pub trait Crash {
    /// Dies: the end does not close the ring, keeps its entry in the table of consumers, and wakes no peer. Its locks
    /// are released, as the kernel releases those of a killed process. Before this call, leak each message that the end
    /// has handed out, with [`std::mem::forget`]: its drop would acknowledge it.
    fn crash(self);
}

impl<F: Format> Crash for TransportProducer<F> {
    fn crash(mut self) {
        self.abandon();
    }
}

impl<F: Format> Crash for TransportConsumer<F> {
    fn crash(mut self) {
        self.abandon();
    }
}

impl<T: Codec, F: Format> Crash for TypedProducer<T, F> {
    fn crash(mut self) {
        self.abandon();
    }
}

impl<T: Codec, F: Format> Crash for TypedConsumer<T, F> {
    fn crash(mut self) {
        self.abandon();
    }
}
