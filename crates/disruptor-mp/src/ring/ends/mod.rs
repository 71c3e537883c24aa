//! The ends that users hold: producers, consumers and taps, and what these hand out. The ends of a ring of records are
//! in `records`.
//!
//! What all producers share is `producer_end`: a waiter beside a `producer_side`. Its public methods are in
//! `producer_face`. The same holds for consumers. Besides `memory`, this is the only part of the ring with `unsafe`
//! code: a payload becomes a reference here.

mod ahead;
mod asking;
pub(crate) mod auto;
mod buffer;
mod choice;
pub(crate) mod consumer;
pub(crate) mod consumer_end;
pub(crate) mod consumer_face;
mod consumer_side;
mod descriptor;
pub(crate) mod doorbell;
mod end_of_ring;
pub(crate) mod error;
mod face;
pub(crate) mod held;
mod keeper;
pub(crate) mod lease;
pub(crate) mod linger;
mod managed;
pub(crate) mod messages;
pub(in crate::ring) mod pace;
pub(crate) mod patience;
pub(crate) mod peek;
pub(crate) mod producer;
pub(crate) mod producer_end;
pub(crate) mod producer_face;
mod producer_side;
pub(crate) mod records;
mod room;
pub(crate) mod room_doorbell;
pub(crate) mod select;
mod sleeper;
pub(crate) mod tap;
pub(crate) mod tap_end;
pub(crate) mod via;
