//! The table of mutants: every ordering and fence that has a name, and the model that fails without it.
//!
//! A `Site` without a row does not compile.

use super::{
    COPIED_OTHERS, LAPPED, LEFTOVER, LOST, NOTHING_KEPT, OLD_RECORD, READ_AGAIN, RELEASED_AGAIN, ROWLESS, STEPPED_OVER,
    TORN_GROUP, UNFOUND, WRONG,
};
use crate::ring;
use crate::sync::primitive::Site;
use testkit::mutants::{self, Mutant, RACE, assert_each_is_needed};

/// A slot was written while a reader might still read it, or before a consumer that gates had read it.
const OVERRUN: &[&str] = &[RACE, LAPPED];
/// An event was read that was not seen published.
const UNSEEN: &[&str] = &[RACE, WRONG];
/// A thread sleeps and is not woken.
const ASLEEP: &[&str] = &[mutants::ASLEEP];
/// A part of a group was visible without the rest.
const PARTIAL: &[&str] = &[TORN_GROUP];
/// An event was read that no producer had published.
const RISEN: &[&str] = &[LEFTOVER];
/// What was copied ahead was confirmed, and was not what is shown.
const OTHERS: &[&str] = &[COPIED_OTHERS];
/// Old bytes were read as the next record; or bytes were read while they were written.
const STALE: &[&str] = &[RACE, OLD_RECORD, WRONG];
/// The first reader did not find what waited for it.
const MISSED: &[&str] = &[NOTHING_KEPT];
/// What had been read was read again by a later consumer.
const AGAIN: &[&str] = &[READ_AGAIN];
/// The producer did not find which consumer had gone.
const UNNOTICED: &[&str] = &[UNFOUND];
/// A refusal was read without its row.
const UNEXPLAINED: &[&str] = &[ROWLESS];
/// A successor handed out what was released, or did not hand out what was not.
const REPEATED: &[&str] = &[RELEASED_AGAIN];
/// A consumer did not get what its predecessor had released.
const WITHHELD: &[&str] = &[STEPPED_OVER];
/// The end came before the last event.
const CUT_OFF: &[&str] = &[LOST];

const MUTANTS: &[Mutant] = testkit::mutants! { Site;
    ring::models {
        StampRelease {
            ahead::what_is_copied_ahead_is_what_is_shown => OTHERS,
            stream::events_arrive_whole_and_in_order_across_wraps => UNSEEN,
            tap::accepted_copy_is_never_torn => UNSEEN,
        }
        StampAcquire {
            ahead::what_is_copied_ahead_is_what_is_shown => OTHERS,
            stream::events_arrive_whole_and_in_order_across_wraps => UNSEEN,
            tap::accepted_copy_is_never_torn => UNSEEN,
        }
        InvalidateFence {
            tap::accepted_copy_is_never_torn => UNSEEN,
        }
        TapFence {
            dense::accepted_copy_of_a_dense_event_is_never_torn => UNSEEN,
            tap::accepted_copy_is_never_torn => UNSEEN,
            lossy::accepted_copy_of_a_record_is_never_torn => UNSEEN,
        }
        ClaimedFirst {
            dense::accepted_copy_of_a_dense_event_is_never_torn => UNSEEN,
            lossy::accepted_copy_of_a_record_is_never_torn => UNSEEN,
        }
        ClaimedFence {
            dense::accepted_copy_of_a_dense_event_is_never_torn => UNSEEN,
            lossy::accepted_copy_of_a_record_is_never_torn => UNSEEN,
        }
        ClaimedCheck {
            dense::accepted_copy_of_a_dense_event_is_never_torn => UNSEEN,
            lossy::accepted_copy_of_a_record_is_never_torn => UNSEEN,
        }
        ClaimedKept {
            lossy::copy_of_a_record_is_never_torn_by_a_producer_that_died_writing => UNSEEN,
        }
        CursorRelease {
            stream::batches_arrive_whole_and_in_order_across_wraps => UNSEEN,
        }
        CursorAcquire {
            stream::batches_arrive_whole_and_in_order_across_wraps => UNSEEN,
        }
        WrittenRelease {
            dense::a_forged_cursor_shows_nothing_that_is_not_written => UNSEEN,
        }
        WrittenAcquire {
            dense::a_forged_cursor_shows_nothing_that_is_not_written => UNSEEN,
        }
        BeginNoted {
            records::first_reader_of_records_starts_with_one_that_waits_for_it_and_is_never_lapped => MISSED,
        }
        DepartureRelease {
            departures::a_counted_departure_is_found_in_the_entry_of_who_left => UNNOTICED,
            departures::a_counted_departure_is_found_in_the_entry_of_who_was_dropped => UNNOTICED,
        }
        DepartureAcquire {
            departures::a_counted_departure_is_found_in_the_entry_of_who_left => UNNOTICED,
            departures::a_counted_departure_is_found_in_the_entry_of_who_was_dropped => UNNOTICED,
        }
        RefusalRelease {
            refusal::a_refusal_is_found_with_its_row => UNEXPLAINED,
        }
        RefusalAcquire {
            refusal::a_refusal_is_found_with_its_row => UNEXPLAINED,
        }
        NextWordCleared {
            records::records_arrive_whole_and_in_order_over_the_remains_of_others => STALE,
        }
        GroupOrder {
            group::a_group_is_whole_or_absent => PARTIAL,
        }
        AttemptRelease {
            ahead::a_copy_of_a_group_that_was_given_up_is_not_believed => OTHERS,
            ahead::a_copy_of_a_group_whose_producer_died_is_not_believed => OTHERS,
        }
        AttemptAcquire {
            ahead::a_copy_of_a_group_that_was_given_up_is_not_believed => OTHERS,
            ahead::a_copy_of_a_group_whose_producer_died_is_not_believed => OTHERS,
        }
        AttemptSecondLook {
            ahead::a_copy_of_a_group_that_was_given_up_is_not_believed => OTHERS,
            ahead::a_copy_of_a_group_whose_producer_died_is_not_believed => OTHERS,
        }
        GroupClearing {
            group::what_a_dead_producer_left_of_a_group_stays_dead => RISEN,
        }
        GateRelease {
            stream::events_arrive_whole_and_in_order_across_wraps => OVERRUN,
            held::what_two_threads_hold_is_not_overwritten_while_the_producer_laps => OVERRUN,
        }
        // For the gates of the first look the fence after it is enough; for those that only the second look saw,
        // nothing else helps.
        GateAcquire {
            join::late_consumer_at_the_tail_is_never_lapped => OVERRUN,
        }
        StatusRelease {
            join::consumer_that_comes_and_goes_is_never_overrun => OVERRUN,
            join::who_comes_after_the_first_reader_has_left_does_not_start_with_its_events => AGAIN,
        }
        StatusAcquire {
            join::consumer_that_comes_and_goes_is_never_overrun => OVERRUN,
            join::who_comes_after_the_first_reader_has_left_does_not_start_with_its_events => AGAIN,
        }
        ReadStored {
            join::who_comes_after_the_first_reader_has_left_does_not_start_with_its_events => AGAIN,
        }
        RescanFence {
            join::late_consumer_at_the_tail_is_never_lapped => OVERRUN,
            join::late_consumer_at_the_oldest_event_is_never_lapped => OVERRUN,
            join::first_reader_of_a_running_producer_is_never_lapped => OVERRUN,
            join::consumer_that_joins_while_the_sentinel_is_lifted_is_never_lapped => OVERRUN,
            records::first_reader_of_records_starts_with_one_that_waits_for_it_and_is_never_lapped => OVERRUN,
        }
        JoinFence {
            join::late_consumer_at_the_tail_is_never_lapped => OVERRUN,
            join::late_consumer_at_the_oldest_event_is_never_lapped => OVERRUN,
            join::first_reader_of_a_running_producer_is_never_lapped => OVERRUN,
            join::consumer_that_joins_while_the_sentinel_is_lifted_is_never_lapped => OVERRUN,
        }
        JoinSecondLook {
            join::late_consumer_at_the_tail_is_never_lapped => OVERRUN,
            join::late_consumer_at_the_oldest_event_is_never_lapped => OVERRUN,
        }
        WakeFence {
            park::parked_reader_is_woken_by_a_publish => ASLEEP,
            park::parked_reader_is_woken_by_a_batch => ASLEEP,
            park::parked_producer_is_woken_by_a_consumer => ASLEEP,
            several::a_sleeper_at_two_bells_is_woken_by_either => ASLEEP,
            several::who_has_another_thread_sleep_for_it_is_called => ASLEEP,
            several::each_of_two_doorbells_that_one_thread_serves_is_rung => ASLEEP,
            several::a_doorbell_for_room_is_rung => ASLEEP,
        }
        // A parking producer rescans, and the fence in the rescan would be enough, except for the look at how the
        // consumer announces.
        ParkFence {
            park::parked_reader_is_woken_by_a_publish => ASLEEP,
            park::producer_does_not_sleep_on_a_consumer_that_has_become_registered => ASLEEP,
            several::a_sleeper_at_two_bells_is_woken_by_either => ASLEEP,
            several::who_has_another_thread_sleep_for_it_is_called => ASLEEP,
            several::each_of_two_doorbells_that_one_thread_serves_is_rung => ASLEEP,
            several::a_doorbell_for_room_is_rung => ASLEEP,
        }
        ParkSecondLook {
            several::a_doorbell_for_room_is_rung => ASLEEP,
            several::a_sleeper_at_two_bells_is_woken_by_either => ASLEEP,
            several::each_of_two_doorbells_that_one_thread_serves_is_rung => ASLEEP,
            park::parked_reader_is_woken_by_a_publish => ASLEEP,
            park::parked_producer_is_woken_by_a_consumer => ASLEEP,
            close::parked_reader_is_woken_by_the_end_and_has_got_everything => ASLEEP,
        }
        AnnouncedAtAll {
            several::a_sleeper_at_two_bells_is_woken_by_either => ASLEEP,
        }
        AnnounceFence {
            park::a_reader_is_woken_by_a_producer_that_stops_fencing => ASLEEP,
            park::producer_does_not_sleep_on_a_consumer_that_has_become_registered => ASLEEP,
        }
        RingRelease {
            several::who_has_another_thread_sleep_for_it_is_called => ASLEEP,
            close::parked_reader_is_woken_by_the_end_and_has_got_everything => ASLEEP,
            park::parked_producer_is_woken_by_a_consumer_that_completes_its_join => ASLEEP,
        }
        CloseRelease {
            close::polling_reader_gets_everything_before_the_end => CUT_OFF,
        }
        CloseAcquire {
            close::polling_reader_gets_everything_before_the_end => CUT_OFF,
        }
        HeldGate {
            held::what_two_threads_hold_is_not_overwritten_while_the_producer_laps => UNSEEN,
        }
        ReleasedStored {
            held::a_successor_gets_what_was_not_released_and_nothing_else => REPEATED,
        }
        ReleasedFree {
            held::a_word_is_used_again_only_once_the_gate_has_passed_what_it_says => REPEATED,
        }
        ReleasedRelease {
            held::who_misses_a_word_finds_the_gate_beyond_it => REPEATED,
        }
        ReleasedAcquire {
            held::who_misses_a_word_finds_the_gate_beyond_it => REPEATED,
        }
        ReleasedCleared {
            held::a_joiner_of_another_id_steps_over_nothing => WITHHELD,
        }
        CloseSecondLook {
            close::polling_reader_gets_everything_before_the_end => CUT_OFF,
        }
    }
};

#[test]
fn every_mutant_fails_and_its_model_passes_without_the_mutation() {
    assert_each_is_needed(MUTANTS);
}
