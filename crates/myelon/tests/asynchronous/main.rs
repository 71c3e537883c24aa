//! Both ends awaited, in a runtime of one thread and in one of several.
//!
//! | what must not happen | shown by |
//! |---|---|
//! | a message is lost, doubled or out of order | `exchange::*` |
//! | a future that is dropped takes a message with it, or sends one | `cancel::*` |
//! | a message that awaits room is encoded for each look, or one that never fits is awaited | `room::*` |
//! | a sender does not learn how long its messages are, and encodes them again and again | `sizes::*` |
//! | a wait outlives the peer | `death::*` |
//! | a message that a task holds is lost, or a task that waits for room to hold one is not woken | `held::*` |
//! | the types of a topology change any of it | `typed_topology::*` |
//! | a call of a topology's end fails and does not say whose end that is | `topology_calls::*` |
//! | a thread is blocked | `exchange::while_one_task_waits_*` |
//! | other tasks starve | `exchange::a_ring_that_is_never_empty_*` |
#![deny(unsafe_code)]

mod batch;
mod bell;
mod cancel;
#[allow(dead_code)]
#[path = "../typed/counted.rs"]
mod counted;
mod death;
mod exchange;
mod held;
mod many;
mod plain_loop;
mod room;
mod sizes;
mod stage;
mod topology;
mod topology_calls;
#[allow(dead_code)]
#[path = "../typed/traffic.rs"]
mod traffic;
mod typed_topology;
