//! Nine ways to change a type. After each, a reader of one version is refused by a ring of the other and is told what
//! differs, in both directions and for both libraries.

use crate::stage::refusal;
use myelon::liveness::RefusalCause;
use myelon::message;
use myelon::prelude::*;
use testkit::names::ShmGuard;

/// A test of one pair: the types of both programs, and the errors of the older one and the newer one as readers.
macro_rules! pair {
    ($claim:ident: { $($old:item)* } { $($new:item)* } $root:ident: old says $old_says:literal, new says $new_says:literal) => {
        mod $claim {
            pair!(@in serde { $($old)* } { $($new)* } $root $old_says $new_says);
            pair!(@in rkyv { $($old)* } { $($new)* } $root $old_says $new_says);
        }
    };
    (@in $library:ident { $($old:item)* } { $($new:item)* } $root:ident $old_says:literal $new_says:literal) => {
        mod $library {
            mod old {
                use myelon::message;
                $(#[message($library)] $old)*
            }
            mod new {
                use myelon::message;
                $(#[message($library)] $new)*
            }

            #[test]
            fn is_refused_with_the_first_difference() {
                use crate::stage::refusal;
                assert_eq!(refusal::<new::$root, old::$root>().as_deref(), Some($old_says));
                assert_eq!(refusal::<old::$root, new::$root>().as_deref(), Some($new_says));
                assert_eq!(refusal::<old::$root, old::$root>(), None);
                assert_eq!(refusal::<new::$root, new::$root>(), None);
            }
        }
    };
}

pair! { a_field_added_first:
    { pub struct Cfg { max_len: u32 } }
    { pub struct Cfg { lane: u8, max_len: u32 } }
    Cfg: old says "field `Cfg.lane` is u8 at position 0 there, but does not exist here",
    new says "field `Cfg.lane` is u8 at position 0 here, but does not exist there"
}

pair! { a_field_added_last:
    { pub struct Cfg { max_len: u32 } }
    { pub struct Cfg { max_len: u32, lane: Option<u8> } }
    Cfg: old says "field `Cfg.lane` is Option<u8> at position 1 there, but does not exist here",
    new says "field `Cfg.lane` is Option<u8> at position 1 here, but does not exist there"
}

pair! { a_field_removed:
    { pub struct Cfg { max_len: u32, lane: u8, name: String } }
    { pub struct Cfg { max_len: u32, name: String } }
    Cfg: old says "field `Cfg.lane` is u8 at position 1 here, but does not exist there",
    new says "field `Cfg.lane` is u8 at position 1 there, but does not exist here"
}

pair! { a_field_renamed:
    { pub struct Cfg { max_len: u32 } }
    { pub struct Cfg { max_tokens: u32 } }
    Cfg: old says "field `Cfg.max_len` is u32 at position 0 here, but `Cfg.max_tokens` is u32 at position 0 there",
    new says "field `Cfg.max_tokens` is u32 at position 0 here, but `Cfg.max_len` is u32 at position 0 there"
}

pair! { fields_in_another_order:
    { pub struct Cfg { max_len: u32, prompt_len: u32 } }
    { pub struct Cfg { prompt_len: u32, max_len: u32 } }
    Cfg: old says "field `Cfg.max_len` is u32 at position 0 here, but u32 at position 1 there",
    new says "field `Cfg.prompt_len` is u32 at position 0 here, but u32 at position 1 there"
}

pair! { a_field_of_another_type:
    { pub struct Cfg { max_len: u32 } }
    { pub struct Cfg { max_len: f32 } }
    Cfg: old says "field `Cfg.max_len` is u32 at position 0 here, but f32 at position 0 there",
    new says "field `Cfg.max_len` is f32 at position 0 here, but u32 at position 0 there"
}

pair! { a_variant_added:
    { pub enum Cfg { Short(u32), Long { tokens: Vec<u32> } } }
    { pub enum Cfg { Short(u32), Long { tokens: Vec<u32> }, Cancelled } }
    Cfg: old says "variant `Cfg::Cancelled` is number 2 there, but does not exist here",
    new says "variant `Cfg::Cancelled` is number 2 here, but does not exist there"
}

pair! { a_nested_type_changed:
    { pub struct Cfg { legs: Vec<Leg> } pub struct Leg { price: u64 } }
    { pub struct Cfg { legs: Vec<Leg> } pub struct Leg { price: i64 } }
    Cfg: old says "field `Leg.price` is u64 at position 0 here, but i64 at position 0 there",
    new says "field `Leg.price` is i64 at position 0 here, but u64 at position 0 there"
}

// The modules differ in each pair; in this one the types have only their name in common.
pair! { a_type_of_the_same_name_from_another_module:
    { pub struct Cfg { max_len: u32 } }
    { pub struct Cfg(String, bool); }
    Cfg: old says "field `Cfg.max_len` is u32 at position 0 here, but `Cfg.0` is String at position 0 there",
    new says "field `Cfg.0` is String at position 0 here, but `Cfg.max_len` is u32 at position 0 there"
}

// More pairs of the same kind.

pair! { a_struct_that_became_an_enum:
    { pub struct Cfg { max_len: u32 } }
    { pub enum Cfg { Len(u32) } }
    Cfg: old says "type `Cfg` is a struct here, but an enum there",
    new says "type `Cfg` is an enum here, but a struct there"
}

pair! { variants_in_another_order:
    { pub enum Cfg { A, B } }
    { pub enum Cfg { B, A } }
    Cfg: old says "variant `Cfg::A` is number 0 here, but number 1 there",
    new says "variant `Cfg::B` is number 0 here, but number 1 there"
}

pair! { a_field_of_a_variant_changed:
    { pub enum Cfg { A { len: u32 } } }
    { pub enum Cfg { A { len: u64 } } }
    Cfg: old says "field `Cfg::A.len` is u32 at position 0 here, but u64 at position 0 there",
    new says "field `Cfg::A.len` is u64 at position 0 here, but u32 at position 0 there"
}

pair! { an_array_that_became_longer:
    { pub struct Cfg { blocks: [u32; 4] } }
    { pub struct Cfg { blocks: [u32; 8] } }
    Cfg: old says "field `Cfg.blocks` is [u32; 4] at position 0 here, but [u32; 8] at position 0 there",
    new says "field `Cfg.blocks` is [u32; 8] at position 0 here, but [u32; 4] at position 0 there"
}

#[message(serde)]
struct Step(u32);

mod of_rkyv {
    #[myelon::message(rkyv)]
    pub(super) struct Step(u32);
}

mod by_tag {
    #[derive(serde::Serialize, serde::Deserialize)]
    pub(super) struct Step(u32);

    myelon::bincode_message!(Step);
}

#[test]
fn another_codec_is_named() {
    let says = "the message is written by rkyv here, but by bincode there";
    assert_eq!(refusal::<Step, of_rkyv::Step>().as_deref(), Some(says));
}

#[test]
fn a_tag_and_a_schema_are_not_the_same_stream_even_of_the_same_bytes() {
    let says = refusal::<by_tag::Step, Step>().unwrap();
    assert!(
        says.contains("carries `bincode:Step/1`, and this program expects messages `Step` by bincode (schema "),
        "{says}"
    );
    let says = refusal::<Step, by_tag::Step>().unwrap();
    assert!(
        says.ends_with("), and this program expects `bincode:Step/1`; give both programs the same content tag"),
        "{says}"
    );
}

#[test]
fn a_writer_of_a_changed_type_replaces_the_ring_of_a_dead_one_and_never_takes_it_over() {
    mod later {
        #[myelon::message]
        pub(super) struct Step(pub(super) u32, pub(super) u8);
    }
    let names = ShmGuard::new();
    let name = names.name("s");
    drop(TypedProducer::<Step>::create(&name, 1 << 16).unwrap());
    let mut producer = TypedProducer::<later::Step>::create(&name, 1 << 16).unwrap();
    producer.publish(&later::Step(1, 2), 0).unwrap();
    assert!(TypedConsumer::<Step>::attach(&name, 0, MyelonWaitStrategy::Adaptive).is_err());
}

/// A test of one reader's types, and what the producer of the ring below reports about it, in terms of its own schema.
macro_rules! told {
    ($($case:ident: $says:literal { $($item:item)* })*) => {$(
        mod $case {
            told!(@in serde $says { $($item)* });
            told!(@in rkyv $says { $($item)* });
        }
    )*};
    (@in $library:ident $says:literal { $($item:item)* }) => {
        mod $library {
            mod ring {
                #[myelon::message($library)]
                pub struct Cfg {
                    max_len: u32,
                    kind: Kind,
                }
                #[myelon::message($library)]
                pub enum Kind {
                    Nothing,
                    Number(u64),
                }
            }
            mod reader {
                use myelon::message;
                $(#[message($library)] $item)*
            }

            #[test]
            fn is_named_by_the_producer() {
                let told = crate::changed::told_of::<ring::Cfg, reader::Cfg>();
                assert_eq!(told, format!("process {} was refused: {}", std::process::id(), $says));
            }
        }
    };
}

told! {
    another_type: "field `Cfg.max_len` differs" {
        pub struct Cfg { max_len: u64, kind: Kind }
        pub enum Kind { Nothing, Number(u64) }
    }
    a_missing_field: "field `Cfg.max_len` does not exist there" {
        pub struct Cfg { kind: Kind }
        pub enum Kind { Nothing, Number(u64) }
    }
    a_field_more: "something exists there after field `Cfg.max_len` that does not exist here" {
        pub struct Cfg { max_len: u32, lane: u8, kind: Kind }
        pub enum Kind { Nothing, Number(u64) }
    }
    a_field_of_a_variant: "field `Kind::Number.0` differs" {
        pub struct Cfg { max_len: u32, kind: Kind }
        pub enum Kind { Nothing, Number(i64) }
    }
    a_variant_that_has_moved: "variant `Kind::Number` differs" {
        pub struct Cfg { max_len: u32, kind: Kind }
        pub enum Kind { Number(u64), Nothing }
    }
}

fn told_of<Writer: Codec, Reader: Codec>() -> String {
    let names = ShmGuard::new();
    let producer = TypedProducer::<Writer>::create(names.name("s"), 1 << 16).unwrap();
    TypedConsumer::<Reader>::attach(names.name("s"), 0, MyelonWaitStrategy::Adaptive).unwrap_err();
    producer.refusal(None).unwrap().to_string()
}

/// The reader's error has the difference; words in the ring say which process was refused, and the kind of reason.
#[test]
fn the_writer_learns_who_was_refused() {
    let names = ShmGuard::new();
    let name = names.name("s");
    let producer = TypedProducer::<Step>::create(&name, 1 << 16).unwrap();
    let said = |rank| producer.refusal(rank).map(|refusal| (refusal.pid, refusal.cause));
    assert_eq!(said(None), None);
    TypedConsumer::<of_rkyv::Step>::attach(&name, 0, MyelonWaitStrategy::Adaptive).unwrap_err();
    let expected = Some((std::process::id(), RefusalCause::OtherContent));
    assert_eq!(said(None), expected);
    let of_rank = TransportBuilder::<Records>::new(&name, 0).with_rank(3);
    TypedConsumer::<of_rkyv::Step>::build(of_rank).unwrap_err();
    assert_eq!(said(Some(3)), expected);
}
