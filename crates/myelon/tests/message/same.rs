//! Which types are the same type, in any module and any build.

use crate::stage::{refusal, schema_of};
use myelon::codec::Codec;
use myelon::message;
use std::collections::HashMap;

#[message(serde, rkyv)]
pub(crate) struct Order {
    id: u64,
    legs: Vec<Leg>,
    kind: Kind,
    notes: HashMap<String, Option<f32>>,
}

#[message(serde, rkyv)]
pub(crate) struct Leg {
    price: u64,
}

#[message(serde, rkyv)]
pub(crate) enum Kind {
    Market,
    Limit(u64),
    Stop { at: u64, then: Box<Leg> },
}

mod elsewhere {
    use myelon::message;
    use std::collections::HashMap as Notes;

    type Legs = Vec<inner::Leg>;

    #[message(serde, rkyv)]
    pub(super) struct Order {
        id: u64,
        legs: Legs,
        kind: Kind,
        notes: Notes<String, Option<f32>>,
    }

    mod inner {
        #[myelon::message(serde, rkyv)]
        pub(in super::super) struct Leg {
            r#price: u64,
        }
    }

    #[message(serde, rkyv)]
    #[derive(Clone, Debug)]
    enum Kind {
        Market,
        Limit(u64),
        Stop { at: u64, then: Box<LegAgain> },
    }

    /// The same as `inner::Leg`, so the schema has one.
    #[message(serde, rkyv, name = "Leg")]
    #[derive(Clone, Debug)]
    struct LegAgain {
        price: u64,
    }
}

#[test]
fn equal_fields_in_another_module_under_other_names_of_types_are_the_same_type() {
    assert_eq!(refusal::<Order, elsewhere::Order>(), None);
    assert_eq!(
        schema_of::<elsewhere::Order>(),
        "struct Order { id: u64, legs: Vec<Leg>, kind: Kind, notes: HashMap<String, Option<f32>> } \
         struct Leg { price: u64 } \
         enum Kind { Market, Limit { 0: u64 }, Stop { at: u64, then: Box<Leg> } }"
    );
}

/// If this fails, programs from before and after the change refuse each other's streams.
#[test]
fn fingerprint_is_the_same_in_every_build() {
    let schema = Order::type_tag().schema().unwrap();
    assert_eq!((schema.codec(), schema.type_name()), ("bincode", "Order"));
    assert_eq!(schema.fingerprint(), 0xcb20_d064_de87_20ec);
}

#[message]
struct Envelope<T, const LANES: usize> {
    content: Vec<T>,
}

mod of_rkyv {
    #[myelon::message(rkyv)]
    pub(super) struct Envelope<T> {
        pub(super) content: Vec<T>,
    }
}

#[test]
fn arguments_of_generic_types_are_compared() {
    assert_eq!(refusal::<Envelope<Leg, 2>, Envelope<Leg, 2>>(), None);
    assert_eq!(
        refusal::<Envelope<Leg, 2>, Envelope<u64, 2>>().as_deref(),
        Some("the message is `Envelope<u64, 2>` here, but `Envelope<Leg, 2>` there")
    );
    assert_eq!(schema_of::<of_rkyv::Envelope<u32>>(), "struct Envelope<u32> { content: Vec<u32> }");
}

#[message]
struct Chain {
    next: Option<Box<Chain>>,
    siblings: Vec<Tree>,
}

#[message]
struct Tree {
    root: Box<Chain>,
}

#[test]
fn types_that_contain_themselves_and_each_other_are_described_once() {
    assert_eq!(
        schema_of::<Chain>(),
        "struct Chain { next: Option<Box<Chain>>, siblings: Vec<Tree> } struct Tree { root: Box<Chain> }"
    );
}
