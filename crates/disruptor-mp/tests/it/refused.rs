//! A consumer that is refused for a property of the ring tells the producer, which names the field in its own words.

use crate::stage::everywhere;
use disruptor_mp::liveness::{RefusalCause, SchemaDifference};
use disruptor_mp::{
    MultiProcessError, SharedDisruptorBuilder, attach_shared_consumer, build_shared_single_producer, event,
};

#[event]
struct Order {
    price: u64,
    volume: u32,
    lane: u32,
}

mod other {
    use disruptor_mp::event;

    #[event]
    pub(super) struct Order {
        pub(super) price: u64,
        pub(super) volume: u64,
    }
}

#[test]
fn an_event_of_another_layout_is_named_by_its_field_by_rank_and_in_the_report() {
    everywhere(|place| {
        let mut producer = build_shared_single_producer::<Order>(place.clone(), 8).build_producer(blank).unwrap();
        assert!(producer.stall_report().refusals.is_empty());
        let refused = |rank| {
            let builder = attach_shared_consumer::<other::Order>(place.clone(), 8).with_rank(rank);
            let error = builder.build_consumer().map(drop).unwrap_err();
            assert!(matches!(error, MultiProcessError::IncompatibleEvent { .. }), "{error}");
        };
        refused(1);
        let refusal = producer.refusal(Some(1)).unwrap();
        assert_eq!((refusal.pid, refusal.cause), (std::process::id(), RefusalCause::OtherEvent));
        let Some(SchemaDifference::Changed { row }) = &refusal.difference else { panic!("{refusal:?}") };
        assert_eq!((row.kind(), row.name()), ("field", "volume"));
        let says = format!("process {} was refused: field `volume` differs", std::process::id());
        assert_eq!(refusal.to_string(), says);
        assert!(producer.stall_report().to_string().ends_with(&format!("; {says}")), "{}", producer.stall_report());
        refused(0);
        assert_eq!(producer.stall_report().refusals.len(), 2);
        assert_eq!(producer.refusal(None), None);
    });
}

#[test]
fn a_size_and_an_opaque_tag_are_told_without_a_field() {
    everywhere(|place| {
        let tagged = |tag: &str| build_shared_single_producer::<u64>(place.clone(), 8).with_content_tag(tag);
        let producer = tagged("mine/1").build_producer(|| 0).unwrap();
        let cause = |builder: SharedDisruptorBuilder<u64>| {
            builder.build_consumer().map(drop).unwrap_err();
            let refusal = producer.refusal(None).unwrap();
            assert_eq!(refusal.difference, None);
            refusal.cause
        };
        assert_eq!(cause(tagged("yours/1")), RefusalCause::OtherContent);
        assert_eq!(cause(attach_shared_consumer::<u64>(place.clone(), 16)), RefusalCause::OtherShape);
    });
}

#[test]
fn a_reader_of_events_tells_the_producer_of_records_and_the_other_way_round() {
    everywhere(|place| {
        let records = SharedDisruptorBuilder::records(place.clone(), 4096).build_record_producer().unwrap();
        attach_shared_consumer::<u64>(place.clone(), 0).build_consumer().map(drop).unwrap_err();
        assert_eq!(records.refusal(None).unwrap().cause, RefusalCause::OtherEvent);
        drop(records);
        let events = build_shared_single_producer::<u64>(place.clone(), 8).build_producer(|| 0).unwrap();
        SharedDisruptorBuilder::records(place.clone(), 0).build_record_consumer().map(drop).unwrap_err();
        assert_eq!(events.refusal(None).unwrap().cause, RefusalCause::OtherEvent);
    });
}

#[test]
fn a_consumer_takes_other_tags_that_it_says_and_says_which_it_has_found() {
    everywhere(|place| {
        let producer = build_shared_single_producer::<u64>(place.clone(), 8)
            .with_content_tag("step/1")
            .build_producer(|| 0)
            .unwrap();
        let reader = attach_shared_consumer::<u64>(place.clone(), 0).with_content_tag("step/3");
        let taking = |older: &[&str]| reader.clone().with_older_content_tags(older.iter().copied()).build_consumer();
        let consumer = taking(&["step/2", "step/1"]).unwrap();
        assert_eq!(consumer.content_tag().as_deref(), Some("step/1"));
        assert_eq!(producer.refusal(None), None);
        let Err(MultiProcessError::IncompatibleContent { wanted, .. }) = taking(&["step/2"]).map(drop) else {
            panic!()
        };
        assert_eq!(wanted.as_deref(), Some("step/3"), "what it is refused for is its own");
    });
}

fn blank() -> Order {
    Order { price: 0, volume: 0, lane: 0 }
}
