//! Streams of one type, over rings.
//!
//! | what must not happen | shown by |
//! |---|---|
//! | a reader takes a stream of another type for its own | `attach::*` |
//! | a message is acknowledged before the application has seen it | `delivery::*` |
//! | a message that cannot be encoded or decoded ends the stream | `delivery::*` |
//! | encoding and receiving go through the heap, or a message is encoded twice without need | `cost::*` |
//! | a message that can never fit waits, or one that can waits for more than its room | `room::*` |
//! | a message that waits is encoded again and again | `room::*` |
//! | a sender does not learn how long its messages are, and encodes them again and again | `sizes::*` |
//! | a message that another thread reads is not counted, or read by another codec than its stream has | `held::*` |
//! | dropping a consumer loses its messages | `places::*` |
//! | a tap reads another type, or is waited for | `taps::*` |
//! | an error does not say what is wrong, or says it twice | `errors::*` |
//! | counters that are declared and never incremented | `delivery::what_was_encoded_and_decoded_is_counted` |
#![deny(unsafe_code)]
#![allow(missing_debug_implementations, missing_docs, unreachable_pub)] // the messages are shared with the fuzz targets

mod attach;
mod cost;
mod counted;
mod delivery;
mod errors;
mod held;
#[allow(dead_code)]
#[path = "../codec/messages.rs"]
mod messages;
mod places;
mod plain_loop;
mod room;
mod round_trip;
mod sizes;
mod stage;
#[allow(dead_code, unsafe_code)] // as flatbuffers' compiler writes it
#[path = "../codec/step_generated.rs"]
mod step_generated;
mod taps;
mod traffic;

use testkit::alloc::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;
