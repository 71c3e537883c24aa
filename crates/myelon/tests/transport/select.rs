//! Consumers of every layer in one wait.

use crate::stage::{Small, pair, watchdog};
use myelon::prelude::*;
use myelon::{Select, attach_shared_consumer, build_shared_single_producer};

#[message]
struct Tick(u32);

#[test]
fn consumers_of_every_layer_wait_together_and_each_is_named_for_its_own() {
    let _watchdog = watchdog();
    let [events, typed] = [(); 2].map(|()| Place::heap());
    let mut event_producer = build_shared_single_producer::<u64>(&events, 8).build_producer(|| 0).unwrap();
    let mut event_consumer = attach_shared_consumer::<u64>(&events, 8).build_consumer().unwrap();
    let (mut record_sender, mut records) = pair::<Records>(&Place::heap());
    let (mut frame_sender, mut frames) = pair::<Small>(&Place::heap());
    let mut tick_sender = TypedProducer::<Tick>::create(&typed, 4096).unwrap();
    let mut ticks = TypedConsumer::<Tick>::attach(&typed, 0, MyelonWaitStrategy::Block).unwrap();
    let mut select = Select::new();
    for round in 0..40_u8 {
        std::thread::scope(|scope| {
            scope.spawn(|| match round % 4 {
                0 => drop(event_producer.publish(|event| *event = round.into()).unwrap()),
                1 => drop(record_sender.publish(b"a record", round).unwrap()),
                // In several frames.
                2 => drop(frame_sender.publish(&[round; 100], round).unwrap()),
                _ => drop(tick_sender.publish(&Tick(round.into()), round).unwrap()),
            });
            let named =
                select.wait(&mut [&mut event_consumer, &mut records, &mut frames, &mut ticks], Patience::Endless);
            assert!(
                matches!(&named[..], [it] if it.index == usize::from(round % 4) && it.outcome.is_ok()),
                "{named:?}"
            );
        });
        let kind = match round % 4 {
            0 => *event_consumer.next(Patience::Now).unwrap().unwrap() as u8,
            1 => records.next(Patience::Now).unwrap().unwrap().kind(),
            2 => frames.next(Patience::Now).unwrap().unwrap().kind(),
            _ => ticks.next(Patience::Now).unwrap().unwrap().kind(),
        };
        assert_eq!(kind, round);
    }
    drop((record_sender, frame_sender, tick_sender));
    let named = select.wait(&mut [&mut event_consumer, &mut records, &mut frames, &mut ticks], Patience::Endless);
    let mut closed: Vec<_> =
        named.iter().filter(|it| it.outcome.as_ref().unwrap_err().is_closed()).map(|it| it.index).collect();
    closed.sort_unstable();
    assert_eq!(closed, [1, 2, 3]);
}
