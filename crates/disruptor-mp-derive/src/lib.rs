//! The `#[event]` attribute.
