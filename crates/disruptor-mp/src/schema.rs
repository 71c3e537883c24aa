//! What may live in a slot.

/// Placeholder until the schema module lands.
pub trait Event: Copy + Send + Sync + 'static {}
