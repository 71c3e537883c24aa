//! A Disruptor between processes.

extern crate self as disruptor_mp;

pub mod schema;
mod sync;
#[cfg(not(loom))]
pub mod segment;

// pub use disruptor_mp_derive::event;
pub use schema::Event;

/// A sequence number: the position of an event in its ring, from 0.
pub type Sequence = i64;
