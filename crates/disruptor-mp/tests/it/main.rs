//! The ring from outside, over every backend, with real processes and real signals.
//!
//! The list says what goes wrong in systems of this kind, and the test that shows that it does not here. Tests in
//! other places are named with their file.
//!
//! - a ring without back-pressure: `ring::a_full_ring_refuses_and_a_slow_consumer_gates`,
//!   `hostile::a_consumer_that_is_not_in_the_selection_gates_all_the_same`
//! - an old position switches gating off:
//!   `processes::a_position_left_over_from_an_earlier_session_does_not_switch_gating_off`
//! - an unknown consumer is lapped: `ring::a_consumer_that_joins_a_running_producer_is_never_lapped`
//! - newer events have old numbers: `ring::a_late_joiner_starts_at_the_tail_at_the_oldest_or_not_at_all`, `proptest::*`
//! - two consumers share a position: `processes::the_second_live_consumer_of_one_id_is_refused`
//! - a failed publish poisons the stream: `hostile::a_panic_while_publishing_publishes_nothing_and_poisons_nothing`
//! - a lookup error hides the consumers: `ring::a_name_that_somebody_removed_does_not_make_consumers_disappear`
//! - a second producer resets a live ring: `processes::a_second_producer_is_refused_and_the_live_ring_is_untouched`
//! - a forged number disables gating: `hostile::a_forged_*`, `hostile::a_position_that_goes_back_gates_where_it_was`,
//!   `src/ring/recover.rs`
//! - an event is lost in a crash: `processes::what_a_killed_consumer_had_not_acknowledged_comes_again_marked`,
//!   `hostile::an_event_is_not_acknowledged_while_its_reader_panics`
//! - a producer waits for a consumer that left or died: `processes::a_consumer_that_leaves_holds_nobody_back`,
//!   `processes::a_killed_consumer_to_which_nobody_can_come_back_holds_nobody_back`
//! - a dead producer blocks its name: `processes::a_name_whose_producer_was_killed_can_be_used_again_at_once`,
//!   `src/segment/conformance.rs`
//! - no peer learns of an end or a death: `processes::whoever_waits_without_a_deadline_learns_of_a_death`,
//!   `hostile::closing_tells_everybody_once_they_have_read_everything`
//! - damage makes processes panic, again and again:
//!   `hostile::no_bytes_in_the_table_and_the_control_lines_make_anybody_panic_or_hang`,
//!   `hostile::a_damaged_schema_is_an_error`
//! - a call waits for room that can never exist: `hostile::a_batch_larger_than_the_ring_fails_at_once`,
//!   `liveness::a_managed_batch_larger_than_the_ring_fails_at_once`
//! - an endless time panics, or a pause is longer than its wait: `forever::*`
//! - a start-up race: `processes::attaching_while_the_creator_starts_finds_nothing_or_a_whole_ring`
//! - a wait without success reports success: `hostile::waiting_for_consumers_in_vain_is_an_error_and_leaves_nothing`,
//!   `liveness::a_startup_timeout_names_who_is_missing_and_nothing_is_published`
//! - a slow process is declared dead: `processes::a_stopped_consumer_is_reported_as_stopped_and_not_as_dead`,
//!   `src/liveness/monitor.rs`
//! - SIGBUS where space is short: `namespaces::a_full_file_system_is_an_error_and_not_a_signal`
//! - a large event overflows the stack: `hostile::a_large_event_does_not_pass_through_the_readers_stack`
//! - a forked child unlinks, keeps alive or unlocks:
//!   `processes::a_child_that_exits_takes_nothing_of_its_parents_with_it`,
//!   `processes::a_parent_that_forked_and_was_killed_is_dead_although_its_child_lives`
//! - a forked child stores into its parent's ring: `fork::*`
//! - a slow handler is reported as hanging:
//!   `handlers::a_healthy_handler_that_takes_longer_for_a_lap_than_the_patience_of_its_producer_is_no_stall`
//! - other events are lost with an event that kills: `culprit::*`
//! - a background consumer that cannot be stopped: `auto::it_can_be_stopped_while_traffic_flows`,
//!   `handlers::a_consumer_that_is_told_to_stop_handles_the_event_in_hand_and_no_other`,
//!   `auto::a_handler_that_panics_keeps_the_place_and_its_successor_gets_the_event_again`
//! - a user's panic ends the watch: `liveness::a_hook_that_panics_does_not_switch_the_watch_off`
//! - a pointer in an event: `tests/event/refused`
//! - another type of the same size: `hostile::a_ring_of_another_type_of_the_same_size_is_refused_and_the_field_named`
//! - a handle outlives its mapping: `counters::a_handle_outlives_the_ring_that_it_counts_in`
//! - a misaligned event: `hostile::an_over_aligned_event_is_aligned_in_every_slot`
//! - the entry of a live reader is taken: `processes::a_lease_keeps_its_entry_while_its_holder_lives`
//! - waiting burns a core: `processes::a_parked_end_does_not_burn_a_core`
//! - a blocked publish is a storm of system calls: `processes::a_blocked_publish_makes_few_system_calls`
//! - creation writes every slot: `ring::creating_and_joining_a_ring_touches_no_slot`, `src/segment/conformance.rs`
//! - something is left after a clean shutdown: `processes::nothing_is_left_after_a_clean_shutdown_in_either_order`,
//!   every use of `stage::everywhere`
//! - a death in another container is not noticed: `namespaces::the_life_of_*`
//! - `EACCES` as "not found": `processes::who_may_not_open_a_ring_is_not_told_that_it_does_not_exist`
//! - counters that cannot be read, or that never change:
//!   `counters::counters_are_read_by_another_process_while_their_owner_is_stopped_and_when_it_is_dead`,
//!   `counters::every_counter_of_a_ring_is_moved_by_what_it_is_about`
//! - a participant is lost without a report: `endings::*`, `liveness::a_required_consumer_that_*`,
//!   `liveness::a_consumer_that_is_dead_at_the_start_is_reported_as_dead`
//! - a message that a thread still reads is overwritten, or one that it released comes again: `held::*`,
//!   `held_list::*`, `held_killed::*`, `src/ring/models/held.rs`
//! - a wait or a report names another reason than the true one: `reasons::*`
//! - one word switches gating off: `hostile::no_word_switches_gating_off_under_a_live_lease`, `forged::*`
//! - another version reads garbage: `hostile::another_version_of_the_layout_is_refused_with_both_versions`
//! - a part of a batch is visible, or a forged word shows unwritten events: `dense::*`, `src/ring/models/dense.rs`
//! - unread events are lost with their producer: `backlog::*`
//! - a wake is lost: `processes::no_wake_*`, `counters::a_wake_that_*`

mod actor;
mod auto;
mod auto_records;
mod backlog;
mod copies;
mod counters;
mod culprit;
mod damage;
mod dense;
mod docs;
#[cfg(target_os = "linux")]
mod doorbell;
mod endings;
mod errors;
mod first_reader;
mod forever;
mod forged;
mod fork;
mod handlers;
mod held;
mod held_killed;
mod held_list;
mod hostile;
mod linger;
mod liveness;
mod namespaces;
mod observe;
mod occupants;
mod patience;
mod places;
mod plain_loop;
mod processes;
mod proptest;
mod ready;
mod reasons;
mod record_batches;
mod record_taps;
mod records;
mod refused;
mod ring;
#[cfg(target_os = "linux")]
mod room_doorbell;
#[cfg(target_os = "linux")]
mod select;
mod shown;
mod sizes;
mod stage;
mod titles;
mod views;
mod write_via;
