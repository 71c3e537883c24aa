//! Claims about schemas, their bytes and their differences.

use proptest::prelude::*;

use super::*;
use crate::event;

#[event]
struct Leg {
    price: u64,
    volume: u64,
}

#[event(align = 32)]
struct Order {
    first: Leg,
    others: [[Leg; 2]; 3],
    kinds: [u8; 8],
}

fn rows(schema: &Schema) -> Vec<String> {
    schema.fields.iter().map(ToString::to_string).collect()
}

/// A schema with fields of 8 bytes, or of the size that the type's name says.
fn schema(type_name: &str, fields: &[(&str, &str, u64)]) -> Schema {
    let fields = fields.iter().map(|&(name, type_name, offset_bytes)| {
        let size_bytes = if type_name == "u32" { 4 } else { 8 };
        Field { name: name.into(), type_name: type_name.into(), offset_bytes, size_bytes }
    });
    Schema { type_name: type_name.into(), size_bytes: 64, align_bytes: 8, fields: fields.collect(), content_tag: None }
}

fn difference(here: &Schema, there: &Schema) -> String {
    here.first_difference(there).expect("the schemas differ").to_string()
}

mod description {
    use super::*;

    #[test]
    fn nested_fields_come_before_the_field_around_them() {
        let schema = Order::schema();
        assert_eq!((schema.type_name(), schema.size_bytes(), schema.align_bytes()), ("Order", 120, 8));
        assert_eq!(
            rows(&schema),
            [
                "`first.price` is u64 at offset 0",
                "`first.volume` is u64 at offset 8",
                "`first` is Leg at offset 0",
                "`others[][].price` is u64 at offset 16",
                "`others[][].volume` is u64 at offset 24",
                "`others` is [[Leg; 2]; 3] at offset 16",
                "`kinds` is [u8; 8] at offset 112",
            ]
        );
    }

    #[test]
    fn numbers_and_arrays_are_events_of_their_own() {
        assert_eq!(u64::schema(), Schema::of::<u64>("u64"));
        assert_eq!(<[f32; 16]>::schema(), Schema::of::<[f32; 16]>("[f32; 16]"));
        assert_eq!(rows(&<[Leg; 2]>::schema()), ["`[].price` is u64 at offset 0", "`[].volume` is u64 at offset 8"]);
        assert!(<[Leg; 0]>::schema().fields().is_empty());
    }

    #[test]
    fn const_parameters_are_part_of_the_name() {
        #[event]
        struct Frame<const N: usize, const LAST: bool> {
            kind: u8,
            payload: [u8; N],
        }
        assert_eq!(Frame::<7, true>::schema().type_name(), "Frame<7, true>");
        assert_eq!(rows(&Frame::<7, true>::schema()), ["`kind` is u8 at offset 0", "`payload` is [u8; 7] at offset 1"]);
        assert_ne!(Frame::<7, true>::schema().fingerprint(), Frame::<7, false>::schema().fingerprint());
    }

    #[test]
    #[should_panic(expected = "`Many` has more than 4096 fields")]
    fn too_many_fields_are_a_mistake() {
        let many = Schema::of::<[u8; 8192]>("Many");
        let _ = (0..=FIELDS_MAX).fold(many, |many, at| many.with_field::<u8>("byte", at));
    }

    #[test]
    #[should_panic(expected = "is no name for a schema")]
    fn a_name_that_is_too_long_is_a_mistake() {
        let _ = Schema::of::<u64>("Outer").with_field::<u64>(&"a".repeat(NAME_BYTES_MAX + 1), 0);
    }

    #[test]
    #[should_panic(expected = "`b` is u64 at offset 1 ends beyond `Outer`")]
    fn a_field_outside_of_the_event_is_a_mistake() {
        let _ = Schema::of::<u64>("Outer").with_field::<u64>("b", 1);
    }
}

mod alignment {
    use super::*;
    use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

    #[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
    #[repr(transparent)]
    struct ByHand<const SLOT_ALIGN: usize>(u64);

    impl<const SLOT_ALIGN: usize> Event for ByHand<SLOT_ALIGN> {
        const SLOT_ALIGN: usize = SLOT_ALIGN;

        fn schema() -> Schema {
            Schema::of::<Self>("ByHand")
        }
    }

    #[test]
    fn slot_alignment_is_at_least_that_of_the_type() {
        assert_eq!(slot_align::<u8>(), 1);
        assert_eq!(slot_align::<[u32; 3]>(), 4);
        assert_eq!(slot_align::<Leg>(), 8);
        assert_eq!(slot_align::<Order>(), 32);
        assert_eq!(slot_align::<[Order; 2]>(), 32);
        assert_eq!(slot_align::<ByHand<128>>(), 128);
    }

    #[test]
    #[should_panic(expected = "is a power of two")]
    fn slot_alignment_by_hand_is_a_power_of_two() {
        slot_align::<ByHand<24>>();
    }

    #[test]
    #[should_panic(expected = "at least the alignment of the type")]
    fn slot_alignment_by_hand_is_not_too_small() {
        slot_align::<ByHand<4>>();
    }

    #[test]
    #[should_panic(expected = "at most 128")]
    fn slot_alignment_by_hand_is_not_too_large() {
        slot_align::<ByHand<256>>();
    }

    #[test]
    #[should_panic(expected = "at least one byte")]
    fn a_slot_is_not_empty() {
        slot_align::<[u64; 0]>();
    }
}

mod fingerprint {
    use super::*;

    /// If this fails, builds before and after the change refuse each other's segments: the form needs another number.
    #[test]
    fn fingerprint_is_the_same_in_every_build() {
        assert_eq!(u8::schema().fingerprint(), 0x975c_8444_196a_99d0);
        let step = schema("Step", &[("step", "u32", 0), ("tokens", "u64", 8)]);
        assert_eq!(step.fingerprint(), 0xdc9e_33fe_f6fd_d790);
    }

    #[test]
    fn fingerprint_depends_on_the_name_of_the_struct() {
        let step = schema("Step", &[("a", "u64", 0)]);
        assert_ne!(step.fingerprint(), schema("Tick", &[("a", "u64", 0)]).fingerprint());
    }

    #[test]
    fn fingerprint_depends_on_every_part_of_a_field() {
        let step = schema("Step", &[("a", "u64", 8)]);
        for other in [("b", "u64", 8), ("a", "i64", 8), ("a", "u64", 0)] {
            assert_ne!(step.fingerprint(), schema("Step", &[other]).fingerprint());
        }
    }
}

mod differences {
    use super::*;

    #[test]
    fn equal_schemas_do_not_differ() {
        assert_eq!(Order::schema().first_difference(&Order::schema()), None);
    }

    #[test]
    fn another_type_of_the_same_size_is_named() {
        assert_eq!(
            difference(&schema("Step", &[]), &schema("Tick", &[])),
            "the event is `Step` here, but `Tick` there"
        );
    }

    #[test]
    fn another_field_type_is_named() {
        let here = schema("Step", &[("rank", "u64", 0), ("step", "u32", 8)]);
        let there = schema("Step", &[("rank", "u64", 0), ("step", "u64", 8)]);
        assert_eq!(difference(&here, &there), "field `step` is u32 at offset 8 here, but u64 at offset 8 there");
    }

    #[test]
    fn renamed_field_is_named_on_both_sides() {
        let here = schema("Step", &[("step", "u64", 0)]);
        let there = schema("Step", &[("tick", "u64", 0)]);
        assert_eq!(
            difference(&here, &there),
            "field `step` is u64 at offset 0 here, but `tick` is u64 at offset 0 there"
        );
    }

    #[test]
    fn inserted_and_removed_fields_are_named_rather_than_their_neighbours() {
        let short = schema("Step", &[("a", "u64", 0), ("c", "u64", 8)]);
        let long = schema("Step", &[("a", "u64", 0), ("b", "u64", 8), ("c", "u64", 16)]);
        assert_eq!(difference(&long, &short), "field `b` is u64 at offset 8 here, but does not exist there");
        assert_eq!(difference(&short, &long), "field `b` is u64 at offset 8 there, but does not exist here");
        let shorter = schema("Step", &[("a", "u64", 0)]);
        assert_eq!(difference(&short, &shorter), "field `c` is u64 at offset 8 here, but does not exist there");
        assert_eq!(difference(&shorter, &short), "field `c` is u64 at offset 8 there, but does not exist here");
    }

    #[test]
    fn swapped_fields_are_named_with_both_places() {
        let here = schema("Step", &[("a", "u64", 0), ("b", "u64", 8)]);
        let there = schema("Step", &[("b", "u64", 0), ("a", "u64", 8)]);
        assert_eq!(difference(&here, &there), "field `a` is u64 at offset 0 here, but u64 at offset 8 there");
    }

    #[test]
    fn nested_field_is_named_rather_than_the_struct_around_it() {
        let here = schema("Step", &[("leg.price", "u64", 0), ("leg", "Leg", 0)]);
        let there = schema("Step", &[("leg.price", "f64", 0), ("leg", "Leg", 0)]);
        assert_eq!(difference(&here, &there), "field `leg.price` is u64 at offset 0 here, but f64 at offset 0 there");
    }

    #[test]
    fn type_that_changed_its_size_under_its_name_is_told_apart() {
        let here = schema("Step", &[("a", "Word", 0)]);
        let mut there = here.clone();
        there.fields[0].size_bytes = 16;
        assert_eq!(
            difference(&here, &there),
            "field `a` is Word at offset 0 here, but Word at offset 0 there, of 8 and 16 bytes"
        );
    }

    #[test]
    fn size_and_alignment_are_compared_last() {
        let here = schema("Step", &[]);
        let there = Schema { size_bytes: 128, align_bytes: 16, ..here.clone() };
        let expected = "the event has 64 bytes, aligned to 8, here, but 128, aligned to 16, there";
        assert_eq!(difference(&here, &there), expected);
    }
}

mod bytes {
    use super::*;

    /// The picture in `encoding`, as bytes.
    #[test]
    fn encoding_is_the_documented_one() {
        let picture: &[&[u8]] = &[
            &[2, 0, 0, 0],
            &[2, 0, 0, 0],
            &[16, 0, 0, 0, 0, 0, 0, 0],
            &[8, 0, 0, 0, 0, 0, 0, 0],
            &[3, 0],
            b"Leg",
            &[0, 0, 0, 0, 0, 0, 0, 0],
            &[8, 0, 0, 0, 0, 0, 0, 0],
            &[5, 0],
            b"price",
            &[3, 0],
            b"u64",
            &[8, 0, 0, 0, 0, 0, 0, 0],
            &[8, 0, 0, 0, 0, 0, 0, 0],
            &[6, 0],
            b"volume",
            &[3, 0],
            b"u64",
        ];
        assert_eq!(Leg::schema().encode(), picture.concat());
        let tag: &[&[u8]] = &[&[10, 0], b"rkyv:Leg/1"];
        let tagged = [picture, tag].concat().concat();
        assert_eq!(Leg::schema().with_content_tag("rkyv:Leg/1").encode(), tagged);
        let behind = [&tagged[..], &[0]].concat();
        assert_eq!(Schema::decode(&behind).unwrap_err().to_string(), "1 bytes follow the end of the schema");
    }

    #[test]
    fn longest_schema_fits_its_bound() {
        let longest = "a".repeat(NAME_BYTES_MAX);
        let message = |tokens: usize| format!("message/1 c struct S {{ {} }}", vec!["f: u8"; tokens].join(", "));
        let fields = (MESSAGE_SCHEMA_BYTES_MAX - message(0).len()) / ", f: u8".len();
        let spare = MESSAGE_SCHEMA_BYTES_MAX - message(fields).len();
        let content_tag = message(fields).replacen(" c ", &format!(" {} ", "c".repeat(1 + spare)), 1);
        let field = Field { name: longest.clone(), type_name: longest.clone(), offset_bytes: 0, size_bytes: 1 };
        let schema = Schema {
            type_name: longest,
            size_bytes: 1,
            align_bytes: 1,
            fields: vec![field; FIELDS_MAX],
            content_tag: Some(content_tag),
        };
        let bytes = schema.encode();
        assert_eq!(bytes.len(), ENCODED_BYTES_MAX);
        assert_eq!(Schema::decode(&bytes), Ok(schema));
    }

    /// Numbers of rows, lengths and sizes that the bytes do not have.
    #[test]
    fn false_claims_are_refused_by_name() {
        let bytes = Leg::schema().encode();
        let with = |at: usize, claim: &[u8]| {
            let mut bytes = bytes.clone();
            bytes[at..at + claim.len()].copy_from_slice(claim);
            Schema::decode(&bytes).expect_err("the claim is false").to_string()
        };
        assert_eq!(with(0, &[1]), "the schema is written in form 1, this build reads form 2");
        assert_eq!(with(4, &[0, 1]), "the schema ends after 86 bytes, in the middle of its field offset");
        assert_eq!(with(4, &[1]), "the schema's content tag is no name");
        assert_eq!(with(4, &[0xff; 4]), "the schema's number of fields is 4294967295");
        assert_eq!(
            with(8, &[15]),
            "the schema's field `volume` is u64 at offset 8 and is 8 bytes long, in an event of 15 bytes"
        );
        assert_eq!(with(16, &[0]), "the schema's event alignment is 0");
        assert_eq!(with(24, &[1, 1]), "the schema's event name is 257 bytes long");
        assert_eq!(with(24, &[0, 1]), "the schema ends after 86 bytes, in the middle of its event name");
        assert_eq!(with(24, &[0, 0]), "the schema's event name is no name");
        assert_eq!(with(26, &[0xff]), "the schema's event name is no name");
        assert_eq!(with(26, b"\x1b[J"), "the schema's event name is no name");
        assert_eq!(
            with(29, &[0xff; 16]),
            "the schema's field `price` is u64 at offset 18446744073709551615 and is 18446744073709551615 bytes long, \
             in an event of 16 bytes"
        );
    }

    #[test]
    fn every_shorter_prefix_is_truncated() {
        let bytes = Order::schema().encode();
        for length in 0..bytes.len() {
            let error = Schema::decode(&bytes[..length]).expect_err("the end is missing");
            assert!(matches!(error, SchemaError::Truncated { len_bytes, .. } if len_bytes == length), "{error}");
        }
    }

    fn names() -> impl Strategy<Value = String> {
        prop_oneof![4 => "[a-z_][a-z0-9_.\\[\\]]{0,20}", 1 => "[a-zß中🦀]{1,40}"]
            .prop_filter("a name", |name| is_name(name))
    }

    fn schemas() -> impl Strategy<Value = Schema> {
        let field = (names(), names(), 0..=u64::MAX / 2, 0..=u64::MAX / 2).prop_map(
            |(name, type_name, offset_bytes, size_bytes)| Field { name, type_name, offset_bytes, size_bytes },
        );
        let content_tag = proptest::option::of(names());
        (names(), 0_u32..64, proptest::collection::vec(field, 0..20), content_tag).prop_map(
            |(type_name, align, fields, content_tag)| Schema {
                type_name,
                size_bytes: u64::MAX,
                align_bytes: 1 << align,
                fields,
                content_tag,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 256 }))]

        #[test]
        fn what_was_encoded_is_decoded(schema in schemas()) {
            let bytes = schema.encode();
            prop_assert!(bytes.len() <= ENCODED_BYTES_MAX);
            prop_assert_eq!(Schema::decode(&bytes), Ok(schema));
        }

        #[test]
        fn equal_fingerprints_and_no_difference_are_the_same(here in schemas(), there in schemas()) {
            let without_tag = |schema: &Schema| Schema { content_tag: None, ..schema.clone() };
            prop_assert_eq!(here.first_difference(&there).is_none(), without_tag(&here) == without_tag(&there));
            prop_assert_eq!(here.fingerprint() == there.fingerprint(), here == there);
        }

        /// Random bytes are refused at the head, so most cases get a head that announces rows.
        #[test]
        fn any_bytes_are_decoded_or_refused(
            has_head in any::<bool>(),
            rows in 0_u8..8,
            noise in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(b'a'), any::<u8>()], 0..400),
        ) {
            let head = [&[2, 0, 0, 0, rows, 0, 0, 0][..], &[0xff; 8], &[1, 0, 0, 0, 0, 0, 0, 0, 1, 0, b'E']].concat();
            let bytes = [if has_head { &head[..] } else { &[] }, &noise].concat();
            if let Ok(schema) = Schema::decode(&bytes) {
                prop_assert_eq!(schema.encode(), bytes);
            }
        }

        #[test]
        fn damaged_schemas_are_decoded_or_refused(
            schema in schemas(),
            damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let mut bytes = schema.encode();
            for (at, byte) in damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(decoded) = Schema::decode(&bytes) {
                prop_assert_eq!(decoded.encode(), bytes);
                let _ = schema.first_difference(&decoded).map(|difference| difference.to_string());
            }
        }
    }
}
