//! Transports from outside: every format over every kind of place, broken senders, and processes that are killed.
//!
//! | what must not happen | shown by |
//! |---|---|
//! | a failed send breaks the stream | `conformance::an_encoder_that_fails_or_panics_sends_nothing_*` |
//! | the tail of a message is read as a message | `broken::a_receiver_that_starts_in_the_middle_*`, `processes::*` |
//! | an archive is read at an odd place | `conformance::payloads_begin_where_their_format_promises` |
//! | a message is lost in a crash | `processes::a_killed_receiver_gets_its_message_again_marked` |
//! | a message is lost in a panic | `conformance::a_message_is_not_acknowledged_while_its_reader_panics` |
//! | a corrupt length panics | `broken::every_fault_is_an_error_and_the_next_message_is_received`, `fuzz` |
//! | the same, frame by frame | `src/transport/reassembly/tests.rs` |
//! | a sender waits for room that there can never be | `conformance::a_message_that_can_never_be_sent_is_refused_*` |
//! | a large frame overflows a stack | `tests/transport_cost.rs` |
//! | 64 bytes cost a frame of 64 KiB | `conformance::counters_say_what_was_sent_joined_and_copied` |
//! | a held message is overwritten, or a successor gets parts of it | `held::*` |
//! | a tap hands out half a message, or one that was overwritten, or miscounts what it missed | `taps::*` |
//! | a part of a message that its sender gave up is received | `ahead::*` |
//! | another frame or another message type is read | `conformance::another_frame_or_another_tag_is_refused` |

mod ahead;
mod batches;
mod broken;
mod conformance;
mod handlers;
mod held;
#[cfg(feature = "dst")]
mod histories;
mod model;
mod nothing;
mod pinning;
mod plain_loop;
mod processes;
mod ready;
mod select;
mod stage;
mod taps;
