//! A reader that says which older versions it takes: one of them is chosen when it attaches.

use crate::stage::refusal;
use myelon::codec::CodecError;
use myelon::prelude::*;
use myelon::typed_transport::TypedReceiveError;
use std::time::Duration;
use testkit::names::ShmGuard;
use testkit::watchdog::Watchdog;

/// Three versions of one message. The last one takes the two before it.
macro_rules! versions {
    ($library:ident) => {
        pub mod $library {
            use myelon::message;

            #[message($library, name = "Step")]
            #[derive(Debug, PartialEq)]
            pub struct StepV1 {
                pub id: u32,
            }

            #[message($library, name = "Step")]
            #[derive(Debug, PartialEq)]
            pub struct StepV2 {
                pub id: u32,
                pub tokens: Vec<u32>,
            }

            #[message($library, takes(StepV2, StepV1))]
            #[derive(Debug, PartialEq)]
            pub struct Step {
                pub number: u64,
                pub tokens: Vec<u32>,
                pub lane: u8,
            }

            impl From<StepV1> for Step {
                fn from(StepV1 { id }: StepV1) -> Self {
                    Self { number: id.into(), tokens: vec![], lane: 1 }
                }
            }

            impl From<StepV2> for Step {
                fn from(StepV2 { id, tokens }: StepV2) -> Self {
                    Self { number: id.into(), tokens, lane: 2 }
                }
            }

            #[test]
            fn a_reader_takes_the_versions_that_it_says_and_its_own() {
                use super::received;
                let tokens = vec![1, 2];
                let own = || Step { number: 7, tokens: vec![1, 2], lane: 0 };
                assert_eq!(received::<_, Step>(own()), (own(), false));
                let (second, is_older) = received::<_, Step>(StepV2 { id: 7, tokens: tokens.clone() });
                assert_eq!((second, is_older), (Step { number: 7, tokens, lane: 2 }, true));
                let (first, is_older) = received::<_, Step>(StepV1 { id: 7 });
                assert_eq!((first, is_older), (Step { number: 7, tokens: vec![], lane: 1 }, true));
            }

            #[test]
            fn an_older_reader_and_one_that_does_not_say_so_are_refused() {
                use super::refusal;
                let says = "field `Step.id` is u32 at position 0 here, but `Step.number` is u64 at position 0 there";
                assert_eq!(refusal::<Step, StepV2>().as_deref(), Some(says));
                let says = "field `Step.tokens` is Vec<u32> at position 1 here, but does not exist there";
                assert_eq!(refusal::<StepV1, StepV2>().as_deref(), Some(says));
            }
        }
    };
}

versions!(serde);
versions!(rkyv);

/// What a reader of `Reader` decodes from a message of `Writer`, and whether its stream has an older version.
fn received<Writer: Codec, Reader: Codec>(message: Writer) -> (Reader, bool) {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a message of another version travels");
    let names = ShmGuard::new();
    let mut producer = TypedProducer::<Writer>::create(names.name("s"), 1 << 16).unwrap();
    let mut consumer = TypedConsumer::<Reader>::attach(names.name("s"), 0, MyelonWaitStrategy::Adaptive).unwrap();
    producer.publish(&message, 0).unwrap();
    let (message, _kind) = consumer.receive_owned(Patience::Endless).unwrap().unwrap();
    assert_eq!(producer.refusal(None), None, "nothing was refused");
    (message, consumer.is_of_older_version())
}

mod of_another_codec {
    use super::serde::StepV1;

    #[myelon::message(rkyv, takes(StepV1))]
    #[derive(Debug, PartialEq)]
    pub(super) struct Step {
        pub(super) id: u32,
    }

    impl From<StepV1> for Step {
        fn from(StepV1 { id }: StepV1) -> Self {
            Self { id }
        }
    }
}

#[test]
fn an_older_version_may_have_another_codec() {
    let step = received::<_, of_another_codec::Step>(serde::StepV1 { id: 7 });
    assert_eq!(step, (of_another_codec::Step { id: 7 }, true));
}

#[test]
fn messages_of_an_older_version_are_decoded_and_not_read_in_place() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "an older message is looked at");
    let names = ShmGuard::new();
    let mut producer = TypedProducer::<rkyv::StepV1>::create(names.name("s"), 1 << 16).unwrap();
    let mut consumer = TypedConsumer::<rkyv::Step>::attach(names.name("s"), 0, MyelonWaitStrategy::Adaptive).unwrap();
    producer.publish(&rkyv::StepV1 { id: 7 }, 0).unwrap();
    let message = consumer.next(Patience::Endless).unwrap().unwrap();
    assert!(matches!(message.get(), Err(CodecError::OlderVersion)));
    assert_eq!(message.decode().unwrap(), rkyv::StepV1 { id: 7 }.into());
    drop(message);
    assert_eq!(consumer.undecodable(), 0, "an older message is not a damaged one");
}

/// Also bytes that are not of the older version.
#[test]
fn a_tap_takes_the_versions_that_a_consumer_takes() {
    use self::serde::{Step, StepV1, StepV2};
    use myelon::typed_transport::TypedTap;
    let names = ShmGuard::new();
    let mut producer = TypedProducer::<StepV1>::create(names.name("s"), 1 << 16).unwrap();
    let mut tap = TypedTap::<Step>::attach(names.name("s")).unwrap();
    assert!(tap.is_of_older_version());
    producer.publish(&StepV1 { id: 7 }, 3).unwrap();
    let own = Step { number: 7, tokens: vec![], lane: 1 };
    assert_eq!(tap.receive_owned(Patience::Now).unwrap(), Some((own, 3)));
    let refused = TypedTap::<StepV2>::attach(names.name("s")).unwrap_err();
    assert!(matches!(refused, TransportError::Build(MultiProcessError::IncompatibleContent { .. })), "{refused}");
}

#[test]
fn damaged_messages_of_an_older_version_are_errors() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a damaged message is skipped");
    let names = ShmGuard::new();
    let mut producer = TypedProducer::<serde::StepV1>::create(names.name("s"), 1 << 16).unwrap();
    let mut consumer = TypedConsumer::<serde::Step>::attach(names.name("s"), 0, MyelonWaitStrategy::Adaptive).unwrap();
    producer.send_raw(&[1, 2, 3], 0, Patience::Endless).unwrap();
    let error = consumer.receive_owned(Patience::Endless).unwrap_err();
    assert!(matches!(error, TypedReceiveError::Undecodable { .. }), "{error}");
    assert_eq!(consumer.undecodable(), 1);
}

/// Readers are upgraded first, then the writer: the old writer's messages are read to the end, and then come those of
/// the new writer.
#[test]
fn a_reader_goes_from_an_old_ring_to_the_new_one_and_misses_nothing_of_the_old() {
    let _watchdog = Watchdog::new(Duration::from_secs(60), "a writer is upgraded");
    let names = ShmGuard::new();
    let name = names.name("s");
    let attach = || TypedConsumer::<serde::Step>::attach(&name, 0, MyelonWaitStrategy::Adaptive);
    let mut old = TypedProducer::<serde::StepV1>::create(&name, 1 << 16).unwrap();
    let mut reader = attach().unwrap();
    for id in 0..3 {
        old.publish(&serde::StepV1 { id }, 0).unwrap();
    }
    drop(old);
    let mut new = TypedProducer::<serde::Step>::create(&name, 1 << 16).unwrap();
    for number in 0..3 {
        assert_eq!(reader.receive_owned(Patience::Endless).unwrap().unwrap().0.number, number);
    }
    let end = reader.receive_owned(Patience::Endless).unwrap_err();
    assert!(matches!(end, TypedReceiveError::Transport(TransportError::Consume(_))), "{end}");
    let mut reader = attach().unwrap();
    assert!(!reader.is_of_older_version());
    new.publish(&serde::Step { number: 3, tokens: vec![], lane: 0 }, 0).unwrap();
    assert_eq!(reader.receive_owned(Patience::Endless).unwrap().unwrap().0.number, 3);
}

/// A struct that got fields in two versions.
macro_rules! grown {
    ($library:ident, $grown:ident) => {
        mod $grown {
            use super::received;
            use myelon::message;

            mod first {
                #[myelon::message($library)]
                pub(super) struct Step {
                    pub(super) id: u32,
                    #[message(name = "blocks")]
                    pub(super) list: Vec<u64>,
                }
            }

            mod second {
                #[myelon::message($library)]
                pub(super) struct Step {
                    pub(super) id: u32,
                    pub(super) lane: u8,
                    pub(super) blocks: Vec<u64>,
                }
            }

            #[message($library)]
            #[derive(Debug, PartialEq)]
            struct Step {
                id: u32,
                #[message(added = 2)]
                lane: u8,
                blocks: Vec<u64>,
                #[message(added = 3)]
                text: Option<String>,
            }

            #[test]
            fn fields_that_were_added_have_their_default_in_messages_of_before() {
                let step =
                    |lane, text: Option<&str>| Step { id: 7, lane, blocks: vec![1], text: text.map(String::from) };
                assert_eq!(received::<_, Step>(step(2, Some("a"))), (step(2, Some("a")), false));
                let second = second::Step { id: 7, lane: 2, blocks: vec![1] };
                assert_eq!(received::<_, Step>(second), (step(2, None), true));
                let first = first::Step { id: 7, list: vec![1] };
                assert_eq!(received::<_, Step>(first), (step(0, None), true));
            }
        }
    };
}

grown!(serde, grown_of_serde);
grown!(rkyv, grown_of_rkyv);

mod tuples {
    #[myelon::message]
    #[serde(rename = "Pair")]
    #[derive(Debug, PartialEq)]
    pub(super) struct Triple(
        #[message(added = 2)] pub(super) bool,
        pub(super) u8,
        #[message(opaque = "word/1", added = 3)] pub(super) u16,
    );

    #[myelon::message]
    pub(super) struct Pair(pub(super) u8);
}

/// The name of a tuple's field is its position, so a field before others gives another schema, but the same conversion.
#[test]
fn tuples_grow_too_and_keep_the_name_that_serde_gives_them() {
    assert_eq!(received::<_, tuples::Triple>(tuples::Pair(7)), (tuples::Triple(false, 7, 0), true));
}
