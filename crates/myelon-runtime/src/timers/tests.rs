//! Timers beside a list that is searched from its beginning.

use super::{TimerId, Timers};
use proptest::prelude::*;
use std::time::{Duration, Instant};

const MS: Duration = Duration::from_millis(1);

#[test]
fn deadlines_are_told_in_order_and_equal_ones_as_they_were_set() {
    let start = Instant::now();
    let mut timers = Timers::new(start).with_resolution(Duration::ZERO);
    for (after, value) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c')] {
        timers.insert(start + after * MS, value);
    }
    let told: String = std::iter::from_fn(|| timers.expire(start + 3 * MS).map(|expired| expired.value)).collect();
    assert_eq!(told, "abcd");
}

#[test]
fn an_id_is_of_no_later_timer_in_the_same_slot() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    let first = timers.insert(start, 1);
    assert_eq!(timers.expire(start).map(|expired| expired.value), Some(1));
    let second = timers.insert(start + MS, 2);
    assert_eq!(first.slot, second.slot, "the slot is used again");
    assert_eq!(timers.cancel(first), None);
    assert!(!timers.rearm(first, start));
    assert_eq!(timers.deadline(first), None);
    assert_eq!(timers.get(second), Some(&2));
}

#[test]
fn a_periodic_timer_keeps_its_phase_and_says_how_many_it_missed() {
    let start = Instant::now();
    let mut timers = Timers::new(start);
    let id = timers.insert_periodic(start + 5 * MS, 10 * MS, ());
    let told = timers.expire(start + 7 * MS).unwrap();
    assert_eq!((told.id, told.deadline, told.missed), (id, start + 5 * MS, 0));
    // 15, 25, 35 and 45 have passed.
    let told = timers.expire(start + 49 * MS).unwrap();
    assert_eq!((told.deadline, told.missed), (start + 15 * MS, 3));
    assert_eq!(timers.next_wake(), Some(start + 55 * MS));
    assert!(timers.rearm(id, start + 58 * MS), "a new phase");
    assert!(timers.expire(start + 58 * MS).is_some());
    assert_eq!(timers.next_wake(), Some(start + 68 * MS));
}

#[test]
fn extreme_deadlines_and_periods_do_not_overflow() {
    let start = Instant::now() + Duration::from_secs(1);
    let mut timers = Timers::new(start);
    timers.insert(start - Duration::from_millis(500), "before the origin");
    timers.insert_periodic(start, Duration::MAX, "an endless period");
    assert_eq!(timers.expire(start).unwrap().value, "before the origin");
    assert_eq!(timers.expire(start).unwrap().missed, 0);
    assert!(timers.next_wake().unwrap() > start + Duration::from_secs(500 * 365 * 86_400));
}

//
#[test]
fn a_hundred_thousand_timers_are_cancelled_and_armed_again_in_any_order() {
    const COUNT: u64 = 100_000;
    let start = Instant::now();
    let mut timers = Timers::new(start);
    // A multiplication with an odd number visits all values of 2^17 in disorder.
    let disorder = |index: u64| (index * 48_271) % (1 << 17);
    let ids: Vec<_> = (0..COUNT).map(|index| timers.insert(start + disorder(index) as u32 * MS, index)).collect();
    for (index, &id) in ids.iter().enumerate() {
        match index % 3 {
            0 => assert_eq!(timers.cancel(id), Some(index as u64)),
            1 => assert!(timers.rearm(id, start + disorder(index as u64 + 7) as u32 * MS)),
            _ => {}
        }
    }
    let mut last = start;
    let mut told = 0;
    while let Some(expired) = timers.expire(start + (1 << 17) * MS) {
        assert!(expired.deadline >= last, "out of order");
        assert_ne!(expired.value % 3, 0, "it was cancelled");
        last = expired.deadline;
        told += 1;
    }
    assert_eq!(told, COUNT - COUNT.div_ceil(3));
}

#[derive(Clone, Debug)]
enum Action {
    Insert { after: u32, period: Option<u32> },
    Cancel { which: usize },
    Rearm { which: usize, after: u32 },
    Advance { by: u32 },
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        (0..50u32, proptest::option::of(1..20u32)).prop_map(|(after, period)| Action::Insert { after, period }),
        any::<usize>().prop_map(|which| Action::Cancel { which }),
        (any::<usize>(), 0..50u32).prop_map(|(which, after)| Action::Rearm { which, after }),
        (0..30u32).prop_map(|by| Action::Advance { by }),
    ];
    proptest::collection::vec(action, 0..120)
}

/// A timer of the list. Times are in microseconds after the start.
struct Listed {
    id: TimerId,
    value: usize,
    deadline: u32,
    order: usize,
    period: Option<u32>,
}

proptest! {
    #[test]
    fn any_sequence_of_calls_gives_what_a_list_gives(actions in actions(), resolution in 1..10u32) {
        let us = Duration::from_micros(1);
        let start = Instant::now();
        let mut timers = Timers::new(start).with_resolution(resolution * us);
        let mut list: Vec<Listed> = Vec::new();
        let mut over: Vec<TimerId> = Vec::new();
        let mut now = 0;
        for (order, action) in actions.into_iter().enumerate() {
            match action {
                Action::Insert { after, period } => {
                    let deadline = now + after;
                    let at = start + deadline * us;
                    let id = match period {
                        Some(period) => timers.insert_periodic(at, period * us, order),
                        None => timers.insert(at, order),
                    };
                    list.push(Listed { id, value: order, deadline, order: order * 1000, period });
                }
                Action::Cancel { which } if !list.is_empty() => {
                    let index = which % list.len();
                    let listed = list.remove(index);
                    prop_assert_eq!(timers.cancel(listed.id), Some(listed.value));
                    over.push(listed.id);
                }
                Action::Rearm { which, after } if !list.is_empty() => {
                    let index = which % list.len();
                    let listed = &mut list[index];
                    (listed.deadline, listed.order) = (now + after, order * 1000);
                    prop_assert!(timers.rearm(listed.id, start + listed.deadline * us));
                }
                Action::Cancel { .. } | Action::Rearm { .. } => {}
                Action::Advance { by } => {
                    now += by;
                    for step in 0.. {
                        let wakes = |listed: &Listed| listed.deadline.next_multiple_of(resolution);
                        let next = (0..list.len()).min_by_key(|&i| (wakes(&list[i]), list[i].deadline, list[i].order));
                        let next = next.filter(|&index| wakes(&list[index]) <= now);
                        let told = timers.expire(start + now * us);
                        let Some(index) = next else {
                            prop_assert_eq!(told, None);
                            break;
                        };
                        let told = told.unwrap();
                        let listed = &mut list[index];
                        prop_assert_eq!((told.id, told.value), (listed.id, listed.value));
                        prop_assert_eq!(told.deadline, start + listed.deadline * us);
                        match listed.period {
                            Some(period) => {
                                let missed = (now - listed.deadline) / period;
                                prop_assert_eq!(told.missed, u64::from(missed));
                                listed.deadline += (missed + 1) * period;
                                listed.order = order * 1000 + step;
                            }
                            None => over.push(list.remove(index).id),
                        }
                    }
                }
            }
            prop_assert_eq!(timers.len(), list.len());
            for listed in &list {
                prop_assert_eq!(timers.deadline(listed.id), Some(start + listed.deadline * us));
            }
            for &id in &over {
                prop_assert_eq!(timers.get(id), None);
            }
        }
    }
}
