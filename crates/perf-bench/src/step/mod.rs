//! What a server does with every step: tell its workers, read their answers, and never wait for room.

pub(crate) mod broadcast;
pub(crate) mod hold;
