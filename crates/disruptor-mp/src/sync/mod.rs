//! Words that several processes share, and how to wait for them.

pub(crate) mod primitive;
