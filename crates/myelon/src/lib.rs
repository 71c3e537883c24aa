//! Typed messages between the processes of one host, at memory speed.
#![deny(unsafe_code)]

#[cfg(feature = "tokio")]
pub mod asynchronous;
pub mod codec;
pub mod inference;
pub mod topology;
pub mod transport;
pub mod typed_transport;

pub use disruptor_mp::*;
