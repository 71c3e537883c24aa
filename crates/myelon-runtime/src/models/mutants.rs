//! The table of mutants: each ordering, fence, second look and exchange that has a name, and the models that fail
//! without it.
//!
//! A `Site` without a row does not compile.

use crate::agenda::models as of_agenda;
use crate::calls::models as of_calls;
use crate::primitive::Site;
use crate::requests::models as of_requests;
use crate::{agenda, calls, requests};
use testkit::mutants::{self, Mutant, assert_each_is_needed};

/// A thread sleeps and is not woken.
const ASLEEP: &[&str] = &[mutants::ASLEEP];
/// A thread looks again and again for what it never sees.
const ENDLESS: &[&str] = &[mutants::ENDLESS];
/// A tasklet was started and cancelled.
const TWICE: &[&str] = &[of_agenda::TWICE];
/// A tasklet was accepted and has no end.
const FORGOTTEN: &[&str] = &[of_agenda::FORGOTTEN];
/// Something ran beside a closure at a safe point.
const BESIDE: &[&str] = &[of_agenda::BESIDE];
/// A flag was lost, or taken again.
const NOT_ONCE: &[&str] = &[mutants::ASLEEP, of_requests::NOT_ONCE];
/// A flag was seen before what its thread had done.
const UNSEEN: &[&str] = &[of_requests::UNSEEN];
/// More threads have woken the loop than it has slept.
const NEEDLESS: &[&str] = &[of_requests::NEEDLESS];
/// A command was neither handled, nor given back, nor dropped with its channel.
const STRANDED: &[&str] = &[of_requests::STRANDED];
/// A channel took more than it may.
const OVERFULL: &[&str] = &[of_requests::OVERFULL];

/// A group was called and seen to be called before what its caller had done.
const NEWS_UNSEEN: &[&str] = &[of_calls::NEWS_UNSEEN];
/// A caller that is to ring does not see the bell.
const NO_BELL: &[&str] = &[of_calls::NO_BELL];
/// A group was brought to a thread while another ran it.
const RUNS_TWICE: &[&str] = &[of_calls::RUNS_TWICE];
/// A group that was away was not brought to a thread, or ran without what the caller had done.
const NOT_SERVED: &[&str] = &[of_calls::NOT_SERVED];

const MUTANTS: &[Mutant] = testkit::mutants! { Site;
    agenda::models {
        WakeFence {
            park::a_worker_that_sleeps_is_woken_by_a_submission => ASLEEP,
            park::what_a_worker_pushes_wakes_a_thief => ASLEEP,
        }
        ParkFence {
            park::a_worker_that_sleeps_is_woken_by_a_submission => ASLEEP,
            park::what_a_worker_pushes_wakes_a_thief => ASLEEP,
        }
        ParkSecondLook {
            park::a_worker_that_sleeps_is_woken_by_a_submission => ASLEEP,
            park::what_a_worker_pushes_wakes_a_thief => ASLEEP,
            quiesce::a_tasklet_that_is_submitted_during_a_closure_runs_before_or_after_it => ASLEEP,
        }
        Spread {
            park::a_wake_spreads => ASLEEP,
        }
        StartExchange {
            state::a_tasklet_is_started_or_cancelled => TWICE,
        }
        CancelExchange {
            state::a_tasklet_is_started_or_cancelled => TWICE,
            state::a_repeating_tasklet_is_cancelled_once_between_runs => TWICE,
        }
        WatchSecondLook {
            state::a_thread_that_waits_for_the_end_is_called => ASLEEP,
        }
        ClosedSecondLook {
            closing::what_is_accepted_while_the_agenda_closes_has_an_end => FORGOTTEN,
        }
        CloseFence {
            closing::what_is_accepted_while_the_agenda_closes_has_an_end => FORGOTTEN,
        }
        StopFence {
            quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
        }
        ResumeFence {
            quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
        }
        ResumeSecondLook {
            quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
            quiesce::a_tasklet_that_is_submitted_during_a_closure_runs_before_or_after_it => BESIDE,
        }
        RestFence {
            quiesce::a_party_that_rests_does_not_hold_up_a_closure => ASLEEP,
            quiesce::a_loop_that_sleeps_does_not_hold_up_a_closure_that_asks_it => ASLEEP,
        }
        RestRelease {
            quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
        }
        RestAcquire {
            quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
        }
        GoRelease {
            quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
        }
        GoAcquire {
            quiesce::a_closure_is_alone_with_a_party_that_rests_in_between => BESIDE,
        }
        LookBeforeEach {
            quiesce::a_party_that_works_on_stops_at_its_next_look => ENDLESS,
        }
        OneAsker {
            quiesce::two_closures_do_not_run_at_once => BESIDE,
        }
    }
    requests::models {
        RequestFence {
            sleep::a_flag_ends_a_sleep => ASLEEP,
        }
        SleepFence {
            sleep::a_flag_ends_a_sleep => ASLEEP,
        }
        SleepSecondLook {
            sleep::a_flag_ends_a_sleep => ASLEEP,
            channel::each_command_is_handled_once_in_its_senders_order => ASLEEP,
        }
        WakeTaken {
            sleep::one_wake_ends_a_sleep_for_several_threads => NEEDLESS,
        }
        FlagsMerged {
            sleep::each_flag_is_taken_once => NOT_ONCE,
        }
        FlagsTaken {
            sleep::each_flag_is_taken_once => NOT_ONCE,
        }
        FlagRelease {
            sleep::a_flag_ends_a_sleep => UNSEEN,
        }
        FlagAcquire {
            sleep::a_flag_ends_a_sleep => UNSEEN,
        }
        FlagSeen {
            channel::what_was_sent_before_a_quit_is_handled => STRANDED,
        }
        NewsTaken {
            channel::each_of_two_channels_is_served => ASLEEP,
        }
        AcceptedAtOnce {
            channel::what_is_sent_beside_a_close_is_handled_or_dropped_or_comes_back => STRANDED,
            channel::a_channel_never_takes_more_than_it_may => OVERFULL,
        }
        UntoldAtOnce {
            channel::each_command_is_handled_once_in_its_senders_order => ASLEEP,
            channel::what_is_sent_beside_a_pause_is_handled_after_it => ASLEEP,
        }
        ClosedAtOnce {
            channel::what_is_sent_beside_a_close_is_handled_or_dropped_or_comes_back => STRANDED,
        }
        MoreAfterCall {
            channel::each_command_is_handled_once_in_its_senders_order => ASLEEP,
        }
        MoreAfterPause {
            channel::what_is_sent_beside_a_pause_is_handled_after_it => ASLEEP,
        }
    }
    calls::models {
        RequestFence {
            sleep::a_parked_group_that_is_called_does_not_sleep_on => ASLEEP,
            sleep::a_group_at_its_doorbells_that_is_called_does_not_sleep_on => ASLEEP,
            away::a_group_that_is_away_is_brought_by_one_of_its_callers => NOT_SERVED,
        }
        SleepFence {
            sleep::a_parked_group_that_is_called_does_not_sleep_on => ASLEEP,
            sleep::a_group_at_its_doorbells_that_is_called_does_not_sleep_on => ASLEEP,
            away::a_group_that_is_away_is_brought_by_one_of_its_callers => NOT_SERVED,
        }
        SleepSecondLook {
            sleep::a_parked_group_that_is_called_does_not_sleep_on => ASLEEP,
            sleep::a_group_at_its_doorbells_that_is_called_does_not_sleep_on => ASLEEP,
            away::a_group_that_is_away_is_brought_by_one_of_its_callers => NOT_SERVED,
        }
        WakeTaken {
            away::a_group_that_is_away_is_brought_by_one_of_its_callers => RUNS_TWICE,
            away::a_group_that_does_not_leave_after_all_goes_on_or_is_brought => RUNS_TWICE,
        }
        TakeAcquire {
            sleep::a_group_at_its_doorbells_that_is_called_does_not_sleep_on => NO_BELL,
        }
        ChangeExchange {
            sleep::a_group_at_its_doorbells_that_is_called_does_not_sleep_on => ASLEEP,
        }
        ChangeRelease {
            sleep::a_group_at_its_doorbells_that_is_called_does_not_sleep_on => NO_BELL,
        }
        TakeBackExchange {
            away::a_group_that_was_called_as_it_left_goes_on_or_is_brought => RUNS_TWICE,
        }
        CallsMerged {
            sleep::what_each_of_two_callers_has_done_is_seen => ASLEEP,
            away::a_group_that_is_away_is_brought_by_one_of_its_callers => NOT_SERVED,
        }
        ParkedLastLook {
            sleep::a_call_that_wakes_a_wait_of_an_agent_does_not_let_the_group_sleep_on => ASLEEP,
        }
        CalledRelease {
            sleep::a_parked_group_that_is_called_does_not_sleep_on => NEWS_UNSEEN,
        }
        CalledAcquire {
            sleep::a_parked_group_that_is_called_does_not_sleep_on => NEWS_UNSEEN,
        }
        ClosingRelease {
            sleep::a_group_that_is_to_close_does_so_and_sees_what_was_done_before => NEWS_UNSEEN,
        }
        ClosingAcquire {
            sleep::a_group_that_is_to_close_does_so_and_sees_what_was_done_before => NEWS_UNSEEN,
        }
    }
};

#[test]
fn every_mutant_fails_and_its_model_passes_without_the_mutation() {
    assert_each_is_needed(MUTANTS);
}
