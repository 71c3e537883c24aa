//! Cases of the rings of other libraries (*peers*), which are added to the cases of our rings.

use super::limits;
use super::ring::SLOTS_MANY;
use crate::ring::event_ring::{Ring, Whose};
use crate::ring::ping_pong::PingPong;
use crate::ring::slots_that_suit;
use crate::ring::throughput::Throughput;
use crate::schedule::Case;
use crate::workload::Workload;

/// Adds the peers' round trips and rates to the `cases` of a run. Their rings have as many slots as ours. A case is
/// added only if the case that it is compared with is in the run.
pub(crate) fn join(cases: &mut Vec<Case>) {
    let (cache_line, word_ring) = (limits::cache_line_case(), limits::word_ring_case());
    let round_trip = |payload_bytes| {
        let slots = if payload_bytes <= 64 { SLOTS_MANY } else { slots_that_suit(Whose::Alpha, payload_bytes) };
        let name = format!("alpha: round trip, {payload_bytes} B, {slots} slots");
        let workload = Workload::PingPong(PingPong { ring: Ring::new(Whose::Alpha, payload_bytes, slots) });
        Case::new(name, "spin", workload).beside(&cache_line)
    };
    let one_way = |(payload_bytes, batch)| {
        let how = if batch == 1 { "one by one".to_owned() } else { format!("batches of {batch}") };
        let name = format!("alpha: one way, {payload_bytes} B, {how}");
        let slots = slots_that_suit(Whose::Alpha, payload_bytes);
        let workload = Workload::Throughput(Throughput { ring: Ring::new(Whose::Alpha, payload_bytes, slots), batch });
        Case::new(name, "spin", workload).beside(&word_ring)
    };
    let round_trips = [64, 1024].map(round_trip);
    let rates = [(64, 64), (64, 1), (1024, 64), (1024, 1)].map(one_way);
    let is_there = |case: &Case| cases.iter().any(|known| Some(&known.name) == case.reference.as_ref());
    let joining: Vec<_> = round_trips.into_iter().chain(rates).filter(is_there).collect();
    cases.extend(joining);
}
