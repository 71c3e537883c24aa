//! How a message becomes bytes, and bytes a message again.
//!
//! **Lives here:** [`CodecError`], [`EncodeShort`]. **May touch it:** everybody.

mod error;

pub use error::{CodecError, EncodeShort};
