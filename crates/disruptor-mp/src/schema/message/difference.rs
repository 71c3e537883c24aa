//! The differences between two schemas of messages.

use super::{Body, MessageField, MessageSchema};
use crate::schema::difference::{Row, RowDifference, first_row_difference, write_difference};
use core::fmt;

/// The first difference between the message of this process (*here*) and the one of a ring (*there*).
///
/// Displayed as one clause: `` field `Step.id` is u32 at position 0 here, but u64 at position 0 there ``.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MessageDifference {
    /// The messages are written by different codecs, or by different forms of one.
    Codec {
        /// The codec in this process.
        here: String,
        /// The codec of the ring.
        there: String,
    },
    /// The messages have different names.
    TypeName {
        /// The name in this process.
        here: String,
        /// The name in the ring.
        there: String,
    },
    /// Something in the message differs, or exists on one side only.
    Row(RowDifference<MessageRow>),
}

/// One row of a schema: a type, a field or a variant, and what it is.
///
/// Displayed as `` field `Step.id` is u64 at position 0 ``.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageRow {
    name: String,
    said: Said,
}

/// What a row says about its subject.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Said {
    /// It is a struct, whose fields follow.
    Struct,
    /// It is an enum, whose variants follow.
    Enum,
    /// It is a variant.
    Variant {
        /// The number that represents it in the bytes.
        number: i64,
    },
    /// It is a field.
    Field {
        /// Its type.
        type_name: String,
        /// Its position in its struct or variant, from 0.
        position: usize,
    },
}

impl MessageRow {
    /// The subject of the row: `Step`, `Step.id`, `Kind::Number`, `Kind::Number.0`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the row says about its subject.
    pub fn said(&self) -> &Said {
        &self.said
    }
}

impl Row for MessageRow {
    fn kind(&self) -> &'static str {
        match self.said {
            Said::Struct | Said::Enum => "type",
            Said::Variant { .. } => "variant",
            Said::Field { .. } => "field",
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn write_value(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.said {
            Said::Struct => f.write_str("a struct"),
            Said::Enum => f.write_str("an enum"),
            Said::Variant { number } => write!(f, "number {number}"),
            Said::Field { type_name, position } => write!(f, "{type_name} at position {position}"),
        }
    }
}

impl fmt::Display for MessageRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` is ", self.kind(), self.name)?;
        self.write_value(f)
    }
}

impl MessageSchema {
    /// All rows of the schema, in order: each type, and after it its members.
    pub fn rows(&self) -> Vec<MessageRow> {
        let mut rows = Vec::new();
        for definition in &self.definitions {
            let name = &definition.name;
            match &definition.body {
                Body::Struct(fields) => {
                    rows.push(MessageRow { name: name.clone(), said: Said::Struct });
                    push_fields(&mut rows, name, fields);
                }
                Body::Enum(variants) => {
                    rows.push(MessageRow { name: name.clone(), said: Said::Enum });
                    for variant in variants {
                        let name = format!("{name}::{}", variant.name);
                        rows.push(MessageRow { name: name.clone(), said: Said::Variant { number: variant.number } });
                        push_fields(&mut rows, &name, &variant.fields);
                    }
                }
            }
        }
        rows
    }

    /// What differs between this schema and the one that was `found` in a ring; `None` if they are equal.
    ///
    /// The codec comes first, then the name of the message, then everything in it, in order.
    pub fn first_difference(&self, found: &MessageSchema) -> Option<MessageDifference> {
        if self.codec != found.codec {
            return Some(MessageDifference::Codec { here: self.codec.clone(), there: found.codec.clone() });
        }
        if self.type_name() != found.type_name() {
            let (here, there) = (self.type_name().to_owned(), found.type_name().to_owned());
            return Some(MessageDifference::TypeName { here, there });
        }
        first_row_difference(&self.rows(), &found.rows()).map(MessageDifference::Row)
    }
}

fn push_fields(rows: &mut Vec<MessageRow>, owner: &str, fields: &[MessageField]) {
    rows.extend(fields.iter().enumerate().map(|(position, field)| MessageRow {
        name: format!("{owner}.{}", field.name),
        said: Said::Field { type_name: field.type_name.clone(), position },
    }));
}

impl fmt::Display for RowDifference<MessageRow> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_difference(self, f)
    }
}

impl fmt::Display for MessageDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Codec { here, there } => write!(f, "the message is written by {here} here, but by {there} there"),
            Self::TypeName { here, there } => write!(f, "the message is `{here}` here, but `{there}` there"),
            Self::Row(difference) => difference.fmt(f),
        }
    }
}
