//! A difference between two schemas as a number, for a process that has one of the two and is told of the difference.
//!
//! The refused process stores which row of the *segment's* schema differs first, and how. A process that has the
//! segment names that row.

use super::Schema;
use super::difference::{Difference, Row, RowDifference};
use super::message::{MessageDifference, MessageSchema};
use core::fmt;

/// A difference in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Numbered {
    what: What,
    /// The row of the segment's schema. For a row that the segment does not have, the row before which it would be.
    row: u32,
}

/// What differs. Events and messages have different numbers, so that they cannot be confused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum What {
    EventName,
    EventChanged,
    EventMissing,
    EventAdded,
    EventLayout,
    MessageCodec,
    MessageName,
    MessageChanged,
    MessageMissing,
    MessageAdded,
}

const WHATS: [What; 10] = [
    What::EventName,
    What::EventChanged,
    What::EventMissing,
    What::EventAdded,
    What::EventLayout,
    What::MessageCodec,
    What::MessageName,
    What::MessageChanged,
    What::MessageMissing,
    What::MessageAdded,
];

impl Numbered {
    /// Bits of its number.
    pub(crate) const BITS: u32 = 4 + ROW_BITS;

    /// What differs between the event of this process and that of a segment.
    pub(crate) fn of_event(difference: &Difference) -> Self {
        match difference {
            Difference::TypeName { .. } => Self { what: What::EventName, row: 0 },
            Difference::Layout { .. } => Self { what: What::EventLayout, row: 0 },
            Difference::Field(row) => Self::of_row(row, [What::EventChanged, What::EventMissing, What::EventAdded]),
        }
    }

    /// What differs between the message of this process and that of a segment.
    pub(crate) fn of_message(difference: &MessageDifference) -> Self {
        match difference {
            MessageDifference::Codec { .. } => Self { what: What::MessageCodec, row: 0 },
            MessageDifference::TypeName { .. } => Self { what: What::MessageName, row: 0 },
            MessageDifference::Row(row) => {
                Self::of_row(row, [What::MessageChanged, What::MessageMissing, What::MessageAdded])
            }
        }
    }

    fn of_row<R>(difference: &RowDifference<R>, [changed, missing, added]: [What; 3]) -> Self {
        let (what, &number) = match difference {
            RowDifference::Changed { number, .. } => (changed, number),
            RowDifference::OnlyThere { number, .. } => (missing, number),
            RowDifference::OnlyHere { number, .. } => (added, number),
        };
        Self { what, row: number as u32 }
    }

    /// Whether it is about an event, not about what the event carries.
    pub(crate) fn is_of_event(self) -> bool {
        matches!(
            self.what,
            What::EventName | What::EventChanged | What::EventMissing | What::EventAdded | What::EventLayout
        )
    }

    /// Its number, which is not 0; `None`: the row is too far down to have a number.
    pub(crate) fn number(self) -> Option<u64> {
        let what = WHATS.iter().position(|&known| known == self.what).expect("each is in the list") as u64 + 1;
        (self.row >> ROW_BITS == 0).then(|| what << ROW_BITS | u64::from(self.row))
    }

    /// The difference with a number, which may be any number.
    pub(crate) fn from_number(number: u64) -> Option<Self> {
        let what = usize::try_from(number >> ROW_BITS).ok()?.checked_sub(1)?;
        let row = (number & ((1 << ROW_BITS) - 1)) as u32;
        Some(Self { what: *WHATS.get(what)?, row })
    }

    /// This difference in the words of `ours`, the schema of the segment; `None` if `ours` has no such row.
    pub(crate) fn named_by(self, ours: &Schema) -> Option<SchemaDifference> {
        match self.what {
            What::EventName => return Some(SchemaDifference::TypeName { ours: ours.type_name().to_owned() }),
            What::EventLayout => return Some(SchemaDifference::Layout),
            What::EventChanged | What::EventMissing | What::EventAdded => return self.row_of(ours.fields()),
            _ => {}
        }
        let message = MessageSchema::parse(ours.content_tag()?).ok()?;
        match self.what {
            What::MessageCodec => Some(SchemaDifference::Codec { ours: message.codec().to_owned() }),
            What::MessageName => Some(SchemaDifference::TypeName { ours: message.type_name().to_owned() }),
            _ => self.row_of(&message.rows()),
        }
    }

    fn row_of<R: Row>(self, rows: &[R]) -> Option<SchemaDifference> {
        let number = self.row as usize;
        let named = |row: &R| RowName { kind: row.kind(), name: row.name().to_owned() };
        Some(match self.what {
            What::EventChanged | What::MessageChanged => SchemaDifference::Changed { row: named(rows.get(number)?) },
            What::EventMissing | What::MessageMissing => SchemaDifference::Missing { row: named(rows.get(number)?) },
            _ => SchemaDifference::Added { after: rows.get(..number)?.last().map(named) },
        })
    }
}

/// Room for the rows of any schema: an event has at most [`FIELDS_MAX`](super::FIELDS_MAX), and a message fewer than
/// its text has bytes.
const ROW_BITS: u32 = 14;

const _: () = assert!(super::FIELDS_MAX < 1 << ROW_BITS && super::MESSAGE_SCHEMA_BYTES_MAX <= 1 << ROW_BITS);

/// How the type of a refused process differs from that of the ring, in the words of the ring's own schema. The process
/// has reported a number and no text.
///
/// Displayed as one clause: `` field `Cfg.max_len` differs ``.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SchemaDifference {
    /// Its messages are written by another codec, or by another form of it.
    Codec {
        /// The codec of the ring.
        ours: String,
    },
    /// Its event, or its message, has another name.
    TypeName {
        /// The name in the ring.
        ours: String,
    },
    /// Its schema says something else of this row: another type, place or number, or another name.
    Changed {
        /// The field, the variant or the type.
        row: RowName,
    },
    /// It does not have this row.
    Missing {
        /// The field, the variant or the type.
        row: RowName,
    },
    /// It has a row that the ring does not have.
    Added {
        /// The row of the ring after which it comes; `None`: it comes first.
        after: Option<RowName>,
    },
    /// All fields of its event are the same, but not the size or the alignment.
    Layout,
}

/// A field, a variant or a type in a schema: `` field `Cfg.max_len` ``.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowName {
    kind: &'static str,
    name: String,
}

impl RowName {
    /// `field`, `variant` or `type`.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// `Cfg.max_len`, `Kind::Retry`, `Cfg`.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for RowName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind, self.name)
    }
}

impl fmt::Display for SchemaDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec { ours } => write!(f, "its messages are not written by {ours}"),
            Self::TypeName { ours } => write!(f, "its type is not called `{ours}`"),
            Self::Changed { row } => write!(f, "{row} differs"),
            Self::Missing { row } => write!(f, "{row} does not exist there"),
            Self::Added { after: Some(row) } => {
                write!(f, "something exists there after {row} that does not exist here")
            }
            Self::Added { after: None } => {
                f.write_str("something exists there before the first field that does not exist here")
            }
            Self::Layout => f.write_str("its event has another size or alignment"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{Event, event};
    use proptest::prelude::*;

    fn said_of(here: &str, there: &str) -> Option<String> {
        let [ours, theirs] = [here, there].map(|text| MessageSchema::parse(text).unwrap());
        let number = Numbered::of_message(&ours.first_difference(&theirs)?).number()?;
        let schema = <u64 as Event>::schema().with_content_tag(there);
        Numbered::from_number(number)?.named_by(&schema).map(|difference| difference.to_string())
    }

    /// The first text is that of the refused process, the second that of the ring.
    #[test]
    fn each_change_of_a_message_is_named_by_the_schema_of_the_ring_alone() {
        let ring = "message/1 bincode struct Cfg { max_len: u32, kind: Kind } enum Kind { Nothing, Number { 0: u64 } }";
        let kind = "enum Kind { Nothing, Number { 0: u64 } }";
        for (refused, says) in [
            (format!("struct Cfg {{ max_len: u64, kind: Kind }} {kind}"), "field `Cfg.max_len` differs"),
            (format!("struct Cfg {{ kind: Kind, max_len: u32 }} {kind}"), "field `Cfg.kind` differs"),
            (format!("struct Cfg {{ kind: Kind }} {kind}"), "field `Cfg.max_len` does not exist there"),
            (format!("struct Cfg {{ len_max: u32, kind: Kind }} {kind}"), "field `Cfg.max_len` differs"),
            (
                format!("struct Cfg {{ id: u8, max_len: u32, kind: Kind }} {kind}"),
                "something exists there after type `Cfg` that does not exist here",
            ),
            (
                format!("struct Cfg {{ max_len: u32, kind: Kind, id: u8 }} {kind}"),
                "something exists there after field `Cfg.kind` that does not exist here",
            ),
            (
                "struct Cfg { max_len: u32, kind: Kind } enum Kind { Nothing, Number { 0: u64 }, More }".to_owned(),
                "something exists there after field `Kind::Number.0` that does not exist here",
            ),
            (
                "struct Cfg { max_len: u32, kind: Kind } enum Kind { Nothing, Number { 0: u32 } }".to_owned(),
                "field `Kind::Number.0` differs",
            ),
            (
                "struct Cfg { max_len: u32, kind: Kind } enum Kind { Number { 0: u64 } }".to_owned(),
                "variant `Kind::Nothing` does not exist there",
            ),
            ("struct Other { 0: u8 }".to_owned(), "its type is not called `Cfg`"),
        ] {
            assert_eq!(said_of(&format!("message/1 bincode {refused}"), ring).as_deref(), Some(says), "{refused}");
        }
        let other = ring.replace("bincode", "rkyv");
        assert_eq!(said_of(&other, ring).as_deref(), Some("its messages are not written by bincode"));
        assert_eq!(said_of(ring, ring), None);
    }

    mod changed {
        use super::event;

        #[event]
        pub(super) struct Sample {
            pub(super) value: u64,
            pub(super) lane: u32,
            pub(super) rest: u32,
        }
    }

    #[event]
    struct Sample {
        value: u64,
        lane: u64,
    }

    #[test]
    fn a_change_of_an_event_is_named_as_well() {
        let (ours, theirs) = (Sample::schema(), changed::Sample::schema());
        let said = |here: &Schema, there: &Schema| {
            let number = Numbered::of_event(&here.first_difference(there).unwrap()).number().unwrap();
            Numbered::from_number(number).unwrap().named_by(there).unwrap().to_string()
        };
        assert_eq!(said(&ours, &theirs), "field `lane` differs");
        assert_eq!(said(&<u64 as Event>::schema(), &theirs), "its type is not called `Sample`");
    }

    proptest! {
        #[test]
        fn a_difference_is_what_its_number_says(what in 0..WHATS.len(), row in 0_u32..1 << ROW_BITS) {
            let numbered = Numbered { what: WHATS[what], row };
            let number = numbered.number().unwrap();
            prop_assert!(number != 0 && number >> Numbered::BITS == 0);
            prop_assert_eq!(Numbered::from_number(number), Some(numbered));
        }

        #[test]
        fn any_number_is_a_name_or_nothing(number: u64, what in 0_u64..12, row in 0_u64..8) {
            let message = "message/1 bincode struct Cfg { max_len: u32 }";
            for number in [number, what << ROW_BITS | row] {
                for schema in [Sample::schema(), <u64 as Event>::schema().with_content_tag(message)] {
                    let _ = Numbered::from_number(number).and_then(|it| it.named_by(&schema)).map(|it| it.to_string());
                }
            }
        }
    }

    #[test]
    fn a_row_that_is_too_far_down_has_no_number() {
        assert_eq!(Numbered { what: What::EventChanged, row: 1 << ROW_BITS }.number(), None);
    }
}
