//! Ends in the state in which a killed process leaves them.

use crate::codec::Codec;
use crate::transport::{Format, TransportConsumer, TransportProducer};
use crate::typed_transport::{TypedConsumer, TypedProducer};
use disruptor_mp::__private::ends::{HasConsumer, HasProducer};

/// An end that can die without closing its ring.
pub trait Crash {
    /// Dies: the ring is not closed, the table is not left, no peer is woken. The locks are free, as the kernel would
    /// free them. Leak a message that is held with [`std::mem::forget`] before; otherwise it would acknowledge itself.
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
