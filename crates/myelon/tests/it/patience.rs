//! Every call that waits takes a `Patience`: there is one way to say how long.

use std::path::Path;
use testkit::signatures::other_than_patience;

#[test]
fn every_public_function_takes_whatever_can_be_a_patience() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    assert_eq!(
        other_than_patience(&source),
        [
            // No patience: it limits something else.
            "builder::linger_at_most(time: Duration)",
            // Stored for later: a time from the start of the ring, of the meeting, or of the parting.
            "description::with_leave_timeout(leave_timeout: Duration)",
            "description::with_rendezvous_timeout(rendezvous_timeout: Duration)",
            "fixed::with_coordination_timeout(coordination_timeout: Duration)",
            // The calls from a transport to its format, and from that to its batches.
            "format::next(patience: Patience)",
            "format::next_or(patience: Patience)",
            "format::send(patience: &Patience)",
            "format::send(patience: &Patience)",
            "format::send_kept(patience: &Patience)",
            "format::send_kept(patience: &Patience)",
            "format::send_with(patience: &Patience)",
            "format::send_with(patience: &Patience)",
            "format::wait_until_available(patience: Patience)",
            // Batches of rings, inside a call that has taken a patience.
            "framed::has_room_now(patience: &Patience)",
            "framed::publish_group(patience: &Patience)",
            // The established names of calls with a deadline: of transports, and of typed streams.
            "producer::publish_deadline(deadline: Instant)",
            "producer::publish_deadline(deadline: Instant)",
            // The time of a simulation.
            "schedule::sleep(time: Duration)",
            "trace::record(at: Duration)",
        ]
    );
}
