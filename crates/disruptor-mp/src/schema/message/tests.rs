//! Claims about the schemas of messages, their texts and their differences.

use super::*;
use proptest::prelude::*;

fn schema(text: &str) -> MessageSchema {
    let text = format!("message/1 bincode {text}");
    MessageSchema::parse(&text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn difference(here: &str, there: &str) -> String {
    schema(here).first_difference(&schema(there)).expect("the schemas differ").to_string()
}

/// A hand-written description.
macro_rules! described {
    ($($type:ty, $types:ident => $told:expr;)*) => {$(
        impl<C> Described<C> for $type {
            fn describe($types: &mut Types<C>) -> String {
                $told
            }
        }
    )*};
}

struct Leg;
struct Order;
enum Kind {}
struct Chain;
struct Envelope<T>(std::marker::PhantomData<T>);
struct Everything;

described! {
    Leg, types => types.define_struct::<Self>("Leg", |fields| {
        fields.field::<u64>("price").field::<f32>("weight");
    });
    Kind, types => types.define_enum::<Self>("Kind", |variants| {
        variants
            .variant("Nothing", 0, |_| {})
            .variant("Legs", 1, |fields| {
                fields.field::<Vec<Leg>>("0");
            })
            .variant("Named", 7, |fields| {
                fields.field::<String>("text").opaque("id", "uuid/1");
            });
    });
    Order, types => types.define_struct::<Self>("Order", |fields| {
        fields.field::<Leg>("first").field::<Kind>("kind").field::<Option<Leg>>("last");
    });
    Chain, types => types.define_struct::<Self>("Chain", |fields| {
        fields.field::<Option<Box<Chain>>>("next");
    });
    Everything, types => types.define_struct::<Self>("Everything", |fields| {
        fields
            .field::<std::collections::HashMap<String, [(u8, i128); 3]>>("map")
            .field::<Result<std::sync::Arc<str>, Box<[bool]>>>("result")
            .field::<std::collections::BTreeMap<char, ()>>("sorted")
            .field::<(std::num::NonZeroU32, std::time::Duration)>("pair");
    });
}

impl<C, T: Described<C>> Described<C> for Envelope<T> {
    fn describe(types: &mut Types<C>) -> String {
        let name = format!("Envelope<{}>", T::describe(types));
        types.define_struct::<Self>(name, |fields| {
            fields.field::<T>("content").field::<u8>("lane");
        })
    }
}

fn text_of<T: Described<()>>() -> String {
    MessageSchema::of::<(), T>("bincode").to_string()
}

mod description {
    use super::*;

    #[test]
    fn the_message_comes_first_and_each_type_in_it_once() {
        assert_eq!(
            text_of::<Order>(),
            "message/1 bincode struct Order { first: Leg, kind: Kind, last: Option<Leg> } \
             struct Leg { price: u64, weight: f32 } \
             enum Kind { Nothing, Legs { 0: Vec<Leg> }, Named = 7 { text: String, id: opaque uuid/1 } }"
        );
    }

    #[test]
    fn a_recursive_type_names_itself() {
        assert_eq!(text_of::<Chain>(), "message/1 bincode struct Chain { next: Option<Box<Chain>> }");
    }

    #[test]
    fn types_of_the_standard_library_are_called_as_in_the_source() {
        assert_eq!(
            text_of::<Everything>(),
            "message/1 bincode struct Everything { map: HashMap<String, [(u8, i128); 3]>, result: Result<Arc<str>, \
             Box<[bool]>>, sorted: BTreeMap<char, ()>, pair: (NonZeroU32, Duration) }"
        );
    }

    #[test]
    fn arguments_of_a_generic_type_are_part_of_its_name_and_it_is_still_first() {
        assert_eq!(
            text_of::<Envelope<Leg>>(),
            "message/1 bincode struct Envelope<Leg> { content: Leg, lane: u8 } struct Leg { price: u64, weight: f32 }"
        );
        assert!(text_of::<Envelope<Envelope<u8>>>().starts_with("message/1 bincode struct Envelope<Envelope<u8>> {"));
    }

    #[test]
    fn a_message_that_is_no_struct_has_a_definition_all_the_same() {
        assert_eq!(
            text_of::<Vec<Leg>>(),
            "message/1 bincode struct Vec<Leg> { as: Vec<Leg> } struct Leg { price: u64, weight: f32 }"
        );
    }

    mod elsewhere {
        use super::*;

        pub(super) struct SameLeg;
        pub(super) struct OtherLeg;
        pub(super) struct Empty;
        pub(super) struct Mixed;

        described! {
            SameLeg, types => types.define_struct::<Self>("Leg", |fields| {
                fields.field::<u64>("price").field::<f32>("weight");
            });
            OtherLeg, types => types.define_struct::<Self>("Leg", |fields| {
                fields.field::<u64>("price");
            });
            Empty, types => types.define_struct::<Self>("Mixed", |_| {});
            Mixed, types => types.define_struct::<Self>("Mixed", |fields| {
                fields.field::<Empty>("a").field::<Leg>("b").field::<SameLeg>("c").field::<OtherLeg>("d");
            });
        }
    }

    #[test]
    fn two_types_of_one_name_are_one_if_they_are_made_of_the_same_and_told_apart_if_not() {
        assert_eq!(text_of::<Envelope<elsewhere::SameLeg>>(), text_of::<Envelope<Leg>>());
        assert_eq!(
            text_of::<elsewhere::Mixed>(),
            "message/1 bincode struct Mixed { a: Mixed'2, b: Leg, c: Leg, d: Leg'2 } struct Mixed'2 {} \
             struct Leg { price: u64, weight: f32 } struct Leg'2 { price: u64 }"
        );
    }

    /// Otherwise two structs with the types of two fields exchanged would have the same schema.
    #[test]
    fn a_type_that_is_called_as_one_of_the_standard_library_is_told_apart_from_it() {
        struct Vec<T>(T);
        struct Mixed;
        impl<C, T: Described<C>> Described<C> for Vec<T> {
            fn describe(types: &mut Types<C>) -> String {
                let name = format!("Vec<{}>", T::describe(types));
                types.define_struct::<Self>(name, |fields| {
                    fields.field::<T>("0");
                })
            }
        }
        described! {
            Mixed, types => types.define_struct::<Self>("Mixed", |fields| {
                fields.field::<Vec<u8>>("own").field::<std::vec::Vec<u8>>("standard");
            });
        }
        assert_eq!(
            text_of::<Mixed>(),
            "message/1 bincode struct Mixed { own: Vec<u8>'2, standard: Vec<u8> } struct Vec<u8>'2 { 0: u8 }"
        );
    }

    /// If this fails, programs before and after the change refuse each other's rings: the form needs another number.
    #[test]
    fn fingerprint_is_the_same_in_every_build() {
        assert_eq!(MessageSchema::of::<(), Order>("bincode").fingerprint(), 0x5543_dbac_9cf1_5c09);
        assert_ne!(
            MessageSchema::of::<(), Order>("rkyv").fingerprint(),
            MessageSchema::of::<(), Order>("bincode").fingerprint()
        );
    }

    #[test]
    fn names_that_cannot_stand_in_a_schema_are_a_mistake() {
        fn refused(tell: impl Fn(&mut Types<()>) + std::panic::UnwindSafe + std::panic::RefUnwindSafe) -> bool {
            std::panic::catch_unwind(|| tell(&mut Types::new())).is_err()
        }
        for bad in ["", "a b", "a{", "a}", "a,b", "a:b", "a<b", "a\u{202e}b", "a\nb", "a'2", &"a".repeat(257)] {
            assert!(refused(|types| drop(types.opaque(bad))), "{bad:?}");
            let with_field = |types: &mut Types<()>| {
                types.define_struct::<Leg>("S", |fields| {
                    fields.field::<u8>(bad);
                });
            };
            assert!(refused(with_field), "{bad:?}");
            let with_variant = |types: &mut Types<()>| {
                types.define_enum::<Kind>("E", |variants| {
                    variants.variant(bad, 0, |_| {});
                });
            };
            assert!(refused(with_variant), "{bad:?}");
        }
        for bad in [
            "",
            " ",
            "a{",
            "a}",
            "a, b",
            "a<b",
            "a>b",
            "a<b>c",
            "a b",
            "(u8, u8)",
            "[u8]",
            "a'2",
            "a\nb",
            &"a".repeat(257),
        ] {
            assert!(refused(|types| drop(types.define_struct::<Leg>(bad, |_| {}))), "{bad:?}");
        }
    }

    #[test]
    #[should_panic(expected = "at most 16384 are possible: make parts of it opaque")]
    fn a_schema_that_is_too_long_is_a_mistake() {
        struct Many;
        impl<C> Described<C> for Many {
            fn describe(types: &mut Types<C>) -> String {
                types.define_struct::<Self>("Many", |fields| {
                    for number in 0..3000 {
                        fields.field::<u64>(&format!("field_{number}"));
                    }
                })
            }
        }
        MessageSchema::of::<(), Many>("bincode");
    }
}

mod differences {
    use super::*;

    const CFG: &str = "struct Cfg { max_len: u32, prompt_len: u32 }";

    #[test]
    fn equal_schemas_do_not_differ() {
        assert_eq!(schema(CFG).first_difference(&schema(CFG)), None);
    }

    #[test]
    fn each_way_to_change_a_struct_is_named() {
        for (there, expected) in [
            (
                "struct Cfg { new: u8, max_len: u32, prompt_len: u32 }",
                "field `Cfg.new` is u8 at position 0 there, but does not exist here",
            ),
            (
                "struct Cfg { max_len: u32, prompt_len: u32, new: u8 }",
                "field `Cfg.new` is u8 at position 2 there, but does not exist here",
            ),
            (
                "struct Cfg { max_len: u32 }",
                "field `Cfg.prompt_len` is u32 at position 1 here, but does not exist there",
            ),
            (
                "struct Cfg { max_len: u32, prompt: u32 }",
                "field `Cfg.prompt_len` is u32 at position 1 here, but `Cfg.prompt` is u32 at position 1 there",
            ),
            (
                "struct Cfg { prompt_len: u32, max_len: u32 }",
                "field `Cfg.max_len` is u32 at position 0 here, but u32 at position 1 there",
            ),
            (
                "struct Cfg { max_len: u64, prompt_len: u32 }",
                "field `Cfg.max_len` is u32 at position 0 here, but u64 at position 0 there",
            ),
            ("struct Conf { max_len: u32, prompt_len: u32 }", "the message is `Cfg` here, but `Conf` there"),
            ("enum Cfg { A }", "type `Cfg` is a struct here, but an enum there"),
            ("struct Cfg {}", "field `Cfg.max_len` is u32 at position 0 here, but does not exist there"),
        ] {
            assert_eq!(difference(CFG, there), expected);
        }
    }

    #[test]
    fn each_way_to_change_an_enum_is_named() {
        let here = "enum Kind { A, B { 0: u64 }, C { text: String } }";
        for (there, expected) in [
            (
                "enum Kind { A, B { 0: u64 }, C { text: String }, D }",
                "variant `Kind::D` is number 3 there, but does not exist here",
            ),
            (
                "enum Kind { New, A, B { 0: u64 }, C { text: String } }",
                "variant `Kind::New` is number 0 there, but does not exist here",
            ),
            (
                "enum Kind { B { 0: u64 }, A, C { text: String } }",
                "variant `Kind::A` is number 0 here, but number 1 there",
            ),
            (
                "enum Kind { A, B { 0: u32 }, C { text: String } }",
                "field `Kind::B.0` is u64 at position 0 here, but u32 at position 0 there",
            ),
            (
                "enum Kind { A, B { 0: u64 }, Z { text: String } }",
                "variant `Kind::C` is number 2 here, but `Kind::Z` is number 2 there",
            ),
            (
                "enum Kind { A = 3, B { 0: u64 }, C { text: String } }",
                "variant `Kind::A` is number 0 here, but number 3 there",
            ),
        ] {
            assert_eq!(difference(here, there), expected);
        }
    }

    #[test]
    fn a_change_inside_is_named_where_it_is() {
        let step = |leg: &str| format!("struct Step {{ legs: Vec<Leg> }} struct Leg {{ {leg} }}");
        assert_eq!(
            difference(&step("price: u64"), &step("price: f64")),
            "field `Leg.price` is u64 at position 0 here, but f64 at position 0 there"
        );
    }

    #[test]
    fn another_codec_is_named_before_anything_else() {
        let there = MessageSchema::parse("message/1 rkyv struct Other {}").unwrap();
        let difference = schema(CFG).first_difference(&there).unwrap().to_string();
        assert_eq!(difference, "the message is written by bincode here, but by rkyv there");
    }
}

mod texts {
    use super::*;

    #[test]
    fn what_is_no_schema_is_refused_by_place() {
        let refusal = |text: &str| MessageSchema::parse(text).expect_err(text).to_string();
        assert_eq!(
            refusal("bincode:Step/1"),
            "the text is not the schema of a message: it does not begin with `message/1`"
        );
        assert_eq!(refusal("message/2 bincode struct A {}"), refusal(""));
        let no = |wanted: &str, at: usize| format!("the schema of a message has no {wanted} at byte {at}");
        assert_eq!(refusal("message/1 "), no("codec", 10));
        assert_eq!(refusal("message/1 c"), no(" struct ", 11));
        assert_eq!(refusal("message/1 c struct A"), no(" {", 20));
        assert_eq!(refusal("message/1 c struct A { f: u8"), no(" }", 28));
        assert_eq!(refusal("message/1 c struct A { f: Vec<u8 }"), no("type", 26));
        assert_eq!(refusal("message/1 c struct A { f u8 }"), no(": ", 24));
        assert_eq!(refusal("message/1 c struct A { f:  u8 }"), no("type", 26));
        assert_eq!(refusal("message/1 c enum A { B = 99999999999999999999 }"), no("number", 25));
        assert_eq!(refusal("message/1 c struct A {} trailing"), no(" struct ", 23));
        assert_eq!(refusal(&format!("message/1 c struct {} {{}}", "A".repeat(257))), no("name of a type", 276));
        let same = "the schema of a message is not written in the form that programs compare";
        assert_eq!(refusal("message/1 c enum A { B = 0 }"), same);
        assert_eq!(refusal("message/1 c enum A { B = +3 }"), no("number", 25));
        assert_eq!(refusal("message/1 c enum A { B = 03 }"), same);
        let long = format!("message/1 c struct A {{ {} }}", vec!["f: u8"; 5000].join(", "));
        assert_eq!(refusal(&long), "a schema of 35023 bytes is too long: it has at most 16384");
    }

    /// Nesting deeper than any stack, up to the limit of the text.
    #[test]
    fn nesting_without_end_is_read_without_recursion() {
        let deep = format!("struct A {{ f: {}u8{} }}", "Vec<".repeat(3000), ">".repeat(3000));
        assert_eq!(schema(&deep).rows().len(), 2);
        let open = format!("message/1 c struct A {{ f: {}", "<".repeat(16_000));
        assert!(MessageSchema::parse(&open).is_err());
        assert!(MessageSchema::parse(&open.replace('<', ">")).is_err());
    }

    fn words() -> impl Strategy<Value = String> {
        "[a-zA-Z_ß][a-z0-9_]{0,6}"
    }

    fn types() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![words(), words().prop_map(|tag| format!("opaque {tag}/1"))];
        leaf.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                inner.clone().prop_map(|of| format!("Vec<{of}>")),
                inner.clone().prop_map(|of| format!("[{of}; 3]")),
                proptest::collection::vec(inner, 1..3).prop_map(|of| format!("({})", of.join(", "))),
            ]
        })
    }

    fn fields() -> impl Strategy<Value = Vec<MessageField>> {
        let field = (words(), types()).prop_map(|(name, type_name)| MessageField { name, type_name });
        proptest::collection::vec(field, 0..4)
    }

    fn schemas() -> impl Strategy<Value = MessageSchema> {
        let number = prop_oneof![4 => Just(None), 1 => any::<i64>().prop_map(Some)];
        let variants =
            proptest::collection::vec((words(), number, fields()), 0..4).prop_map(|variants| {
                let variant = |(at, (name, number, fields)): (usize, (String, Option<i64>, Vec<MessageField>))| {
                    Variant { name, number: number.unwrap_or(at as i64), fields }
                };
                Body::Enum(variants.into_iter().enumerate().map(variant).collect())
            });
        let body = prop_oneof![fields().prop_map(Body::Struct), variants];
        let definition = (types(), body).prop_map(|(name, body)| Definition { name, body });
        (words(), proptest::collection::vec(definition, 1..4))
            .prop_map(|(codec, definitions)| MessageSchema { codec, definitions })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 8 } else { 512 }))]

        #[test]
        fn every_schema_comes_back_from_its_text(schema in schemas()) {
            prop_assert_eq!(MessageSchema::parse(&schema.to_string()), Ok(schema));
        }

        #[test]
        fn equal_texts_and_no_difference_are_the_same(here in schemas(), there in schemas()) {
            for (here, there) in [(&here, &there), (&here, &here)] {
                prop_assert_eq!(here.first_difference(there).is_none(), here == there);
                prop_assert_eq!(here.to_string() == there.to_string(), here == there);
                prop_assert_eq!(here.fingerprint() == there.fingerprint(), here == there);
            }
        }

        /// Bytes of a peer: the text of a schema with one place changed, or without its end.
        #[test]
        fn damaged_texts_are_refused_or_are_schemas(
            schema in schemas(),
            at in any::<prop::sample::Index>(),
            damage in "[ -~]{0,3}|[{}<>(),: ]{1,3}",
            is_cut in any::<bool>(),
        ) {
            let text: Vec<char> = schema.to_string().chars().collect();
            let at = at.index(text.len());
            let rest = if is_cut { &[] } else { &text[at + 1..] };
            let damaged: String = text[..at].iter().copied().chain(damage.chars()).chain(rest.iter().copied()).collect();
            if let Ok(read) = MessageSchema::parse(&damaged) {
                prop_assert_eq!(read.to_string(), damaged);
                let _ = schema.first_difference(&read).map(|difference| difference.to_string());
            }
        }

        #[test]
        fn any_text_is_a_schema_or_refused(noise in "(message/1 c( (struct|enum) ([A-D]|[{}<>(),: ]){0,40}){0,3}|\\PC{0,60})") {
            if let Ok(read) = MessageSchema::parse(&noise) {
                prop_assert_eq!(read.to_string(), noise);
            }
        }
    }
}

mod in_a_ring {
    use crate::schema::{Event, Schema};

    #[test]
    fn a_schema_of_a_message_is_a_content_tag_of_any_length_and_another_text_is_not() {
        let long = format!("message/1 c struct A {{ {} }}", vec!["f: u8"; 500].join(", "));
        assert!(Schema::is_content_tag(&long));
        assert!(!Schema::is_content_tag(&long.replace("struct", "strict")));
        let schema = u64::schema().with_content_tag(long.as_str());
        assert_eq!(Schema::decode(&schema.encode()), Ok(schema.clone()));
        let mut bytes = schema.encode();
        let last = bytes.len() - 1;
        bytes[last] = b'x';
        assert_eq!(Schema::decode(&bytes).unwrap_err().to_string(), "the schema's content tag is no name");
    }

    #[cfg(not(loom))]
    #[test]
    fn a_refusal_names_what_differs_in_the_message_and_not_the_whole_schemas() {
        let says = |found: Option<&str>, wanted: Option<&str>| {
            let (found, wanted) = (found.map(str::to_owned), wanted.map(str::to_owned));
            crate::MultiProcessError::IncompatibleContent { place: "shm:x".to_owned(), found, wanted }.to_string()
        };
        let (old, new) = ("message/1 c struct A { f: u8 }", "message/1 c struct A { f: u16 }");
        assert_eq!(
            says(Some(old), Some(new)),
            "shm:x carries other messages: field `A.f` is u16 at position 0 here, but u8 at position 0 there; give both programs \
             the same type"
        );
        assert_eq!(
            says(Some(old), Some("c:A/1")),
            "shm:x carries messages `A` by c (schema a3f2a81fb01cc302), and this program expects `c:A/1`; give both programs \
             the same content tag"
        );
        assert_eq!(
            says(None, Some(new)),
            "shm:x carries no content tag, and this program expects messages `A` by c (schema 91165d1405d573df); give both programs \
             the same content tag"
        );
    }
}
