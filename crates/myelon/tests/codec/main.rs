//! The codecs over plain bytes.
//!
//! | what must not happen | shown by |
//! |---|---|
//! | encoding goes through the heap | `cost::*` |
//! | *too little room* is taken for *cannot be encoded*, or the other way round | `exactness::*` |
//! | our decoder reads other values than the codec's library, or refuses bytes that it accepts | `library::*` |
//! | damaged bytes make a reader panic | `hostile::*` |
//! | a length in hostile bytes makes a reader allocate, or never return | `hostile::*` |
//! | a message cannot be read because of its address | `place::*` |
#![deny(unsafe_code)]
#![allow(missing_debug_implementations, missing_docs, unreachable_pub)] // the messages are shared with the fuzz targets

mod cost;
mod exactness;
mod hostile;
mod library;
mod messages;
mod place;
mod postcard;
mod round_trip;
#[allow(unsafe_code)] // as flatbuffers' compiler writes it
mod step_generated;
mod strategies;

use testkit::alloc::CountingAllocator;

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;
