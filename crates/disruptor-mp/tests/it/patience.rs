//! There is one way to say how long a call may wait: what a program may give for it, and that every call takes it.

use disruptor_mp::Patience;
use std::path::Path;
use std::time::{Duration, Instant};
use testkit::signatures::other_than_patience;

#[test]
fn every_public_function_takes_whatever_can_be_a_patience() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(
        other_than_patience(&source),
        [
            // Not a patience: how long something else may take.
            "builder::linger_at_most(time: Duration)",
            // Parameters of builders, which are stored: the time counts from the start of the producer.
            "builder::wait_for_consumers(timeout: Duration)",
            "builder::wait_for_single_consumer(timeout: Duration)",
            "builder::with_coordination_timeout(timeout: Duration)",
            // Stored, and used repeatedly.
            "config::with_progress_check_interval(progress_check_interval: Duration)",
            "config::with_progress_timeout(progress_timeout: Duration)",
            "config::with_shutdown_grace_period(shutdown_grace_period: Duration)",
            "config::with_startup_wait_timeout(startup_wait_timeout: Duration)",
            // The old names of a call with a deadline.
            "consumer::consume_batch_leased(deadline: Option<Instant>)",
            "consumer::consume_next_leased_deadline(deadline: Instant)",
            // How long the wait has taken already.
            "consumer_face::stall_report(waited: ::std::time::Duration)",
            // For code that is generic over the ends of any layer.
            "consumer_face::wait_for_next(patience: Patience)",
            "messages::take_held(patience: Patience)",
            // A sleep, not a wait for something.
            "pause::perform_sleep_wait(duration: Duration)",
            // As for consumers; and batches of groups, inside a call that has taken the patience and passes it on.
            "producer::publish_batch_deadline(deadline: Instant)",
            "producer::publish_deadline(deadline: Instant)",
            "producer::publish_group_within(patience: &Patience)",
            // Done repeatedly.
            "producer_face::watch_required_consumers(interval: ::std::time::Duration)",
        ]
    );
}

#[test]
fn what_is_given_for_a_patience_means_what_its_table_says() {
    let now = Instant::now();
    assert_eq!(Patience::from(now), Patience::Until(now));
    assert_eq!(Patience::from(Some(now)), Patience::Until(now));
    let without: Patience = None.into();
    assert_eq!(without, Patience::Endless);
    assert_eq!(Patience::from(Duration::MAX), Patience::Endless);
    let Patience::Until(deadline) = Patience::from(Duration::from_secs(3600)) else { panic!("no deadline") };
    assert!(deadline >= now + Duration::from_secs(3600));
}

#[test]
fn what_says_no_time_is_refused_by_the_compiler() {
    trybuild::TestCases::new().compile_fail("tests/patience/*.rs");
}
