//! The strategies of the generated tests: any message.

use crate::messages::{Everything, Kind, SequenceT, StepT};
use proptest::collection::{btree_map, hash_map, vec};
use proptest::prelude::*;

/// Any step as a flatbuffers object.
pub fn objects() -> impl Strategy<Value = StepT> {
    let numbers = || proptest::option::of(vec(any::<u32>(), 0..20));
    let sequence =
        (any::<u64>(), numbers(), numbers()).prop_map(|(id, tokens, blocks)| SequenceT { id, tokens, blocks });
    let note = proptest::option::of(any::<String>());
    (note, proptest::option::of(vec(sequence, 0..6)))
        .prop_map(|(note, sequences)| StepT { note, sequences, previous: None })
        .prop_recursive(3, 4, 1, |previous| {
            previous.prop_map(|previous| StepT { previous: Some(Box::new(previous)), ..StepT::default() })
        })
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Nothing),
        any::<u64>().prop_map(Kind::Number),
        (any::<i8>(), -1e6_f32..1e6).prop_map(|(a, b)| Kind::Pair(a, b)),
        (vec(any::<i64>(), 0..5), any::<String>()).prop_map(|(values, text)| Kind::Named { values, text }),
    ]
}

/// Any value with everything in it.
pub fn everything() -> impl Strategy<Value = Everything> {
    let scalars = (any::<bool>(), any::<char>(), any::<i128>(), any::<(u8, u64)>(), any::<[u32; 3]>());
    let lists = (any::<String>(), vec(vec(any::<u16>(), 0..8), 0..8), vec(kinds(), 0..6));
    let maps = (btree_map(any::<String>(), any::<u32>(), 0..12), hash_map(any::<u32>(), any::<String>(), 0..12));
    (scalars, lists, maps, any::<Option<Box<u64>>>()).prop_map(
        |((flag, letter, wide, pair, array), (text, lists, kinds), (sorted, hashed), perhaps)| Everything {
            flag,
            letter,
            wide,
            text,
            lists,
            sorted,
            hashed,
            perhaps,
            kinds,
            pair,
            array,
        },
    )
}
