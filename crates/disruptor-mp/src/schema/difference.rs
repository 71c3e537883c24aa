//! The differences between two schemas, in words for a person.

use core::fmt;

use super::{Field, Schema};

/// One row of a description: its subject, and what it says about it.
pub(super) trait Row: Clone + PartialEq {
    /// What the row describes: a field, a variant.
    fn kind(&self) -> &'static str;

    /// The name of its subject.
    fn name(&self) -> &str;

    /// What the row says: a type and a place.
    fn write_value(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;

    /// What still differs although the texts of both rows are the same.
    fn write_hidden_difference(&self, _there: &Self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }
}

/// The first row in which the description in this process (*here*) differs from the one in a segment (*there*).
///
/// Displayed as one clause: `` field `step` is u32 at offset 8 here, but u64 at offset 8 there ``.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowDifference<R> {
    /// A row differs in what it says; or two rows of different names are at the same position of the list.
    Changed {
        /// The row in this process.
        here: R,
        /// The row in the segment.
        there: R,
        /// Its number in the segment, from 0.
        number: usize,
    },
    /// The row exists in this process only.
    OnlyHere {
        /// The row.
        row: R,
        /// The number of the row of the segment before which it would be, from 0.
        number: usize,
    },
    /// The row exists in the segment only.
    OnlyThere {
        /// The row.
        row: R,
        /// Its number there, from 0.
        number: usize,
    },
}

/// Where two lists begin to differ; `None` if they are equal.
pub(super) fn first_row_difference<R: Row>(here: &[R], there: &[R]) -> Option<RowDifference<R>> {
    let at = here.iter().zip(there).take_while(|(here, there)| here == there).count();
    let named = |rows: &[R], name: &str| rows.iter().position(|row| row.name() == name);
    // A type that gained or lost a member in the middle differs from there on. It lost one if the other side has no
    // member of that name at all.
    match (here.get(at).cloned(), there.get(at).cloned()) {
        (None, None) => None,
        (Some(row), None) => Some(RowDifference::OnlyHere { row, number: at }),
        (None, Some(row)) => Some(RowDifference::OnlyThere { row, number: at }),
        (Some(ours), Some(theirs)) => Some(match (named(there, ours.name()), named(here, theirs.name())) {
            (None, Some(_)) => RowDifference::OnlyHere { row: ours, number: at },
            (Some(_), None) => RowDifference::OnlyThere { row: theirs, number: at },
            // The member has moved, or has changed at its position.
            (Some(number), Some(_)) if there[number] != ours => {
                RowDifference::Changed { here: ours, there: there[number].clone(), number }
            }
            // It was renamed, or the list is in another order.
            _ => RowDifference::Changed { here: ours, there: theirs, number: at },
        }),
    }
}

/// Displays what a row says.
struct Value<'a, R>(&'a R);

impl<R: Row> fmt::Display for Value<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_value(f)
    }
}

/// The clause in which a difference of any rows is displayed.
pub(super) fn write_difference<R: Row>(difference: &RowDifference<R>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match difference {
        RowDifference::Changed { here, there, .. } => {
            write!(f, "{} `{}` is {} here, but ", here.kind(), here.name(), Value(here))?;
            if here.kind() != there.kind() {
                write!(f, "{} ", there.kind())?;
            }
            if (here.kind(), here.name()) != (there.kind(), there.name()) {
                write!(f, "`{}` is ", there.name())?;
            }
            write!(f, "{} there", Value(there))?;
            here.write_hidden_difference(there, f)
        }
        RowDifference::OnlyHere { row, .. } => {
            write!(f, "{} `{}` is {} here, but does not exist there", row.kind(), row.name(), Value(row))
        }
        RowDifference::OnlyThere { row, .. } => {
            write!(f, "{} `{}` is {} there, but does not exist here", row.kind(), row.name(), Value(row))
        }
    }
}

/// The first difference between the event type of this process (*here*) and the one in a segment (*there*).
///
/// Displayed as one clause: `` field `step` is u32 at offset 8 here, but u64 at offset 8 there ``.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// The structs have different names.
    TypeName {
        /// The name in this process.
        here: String,
        /// The name in the segment.
        there: String,
    },
    /// A field differs in type, place or size, or exists on one side only.
    Field(RowDifference<Field>),
    /// All the fields agree, but not the size or the alignment of the struct.
    Layout {
        /// Size and alignment in this process, in bytes.
        here: (u64, u64),
        /// Size and alignment in the segment, in bytes.
        there: (u64, u64),
    },
}

impl Schema {
    /// What differs between this schema and the one that was `found` in a segment; `None` if they are equal.
    ///
    /// The name of the struct comes first, then the fields in order, then size and alignment. Content tags are not
    /// compared: a program that does not use them need not know them.
    pub fn first_difference(&self, found: &Schema) -> Option<Difference> {
        if self.type_name != found.type_name {
            return Some(Difference::TypeName { here: self.type_name.clone(), there: found.type_name.clone() });
        }
        first_row_difference(&self.fields, &found.fields).map(Difference::Field).or_else(|| {
            let (here, there) = ((self.size_bytes, self.align_bytes), (found.size_bytes, found.align_bytes));
            (here != there).then_some(Difference::Layout { here, there })
        })
    }
}

impl Row for Field {
    fn kind(&self) -> &'static str {
        "field"
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn write_value(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at offset {}", self.type_name, self.offset_bytes)
    }

    fn write_hidden_difference(&self, there: &Self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.size_bytes != there.size_bytes && self.type_name == there.type_name {
            // A type that has changed under the same name, or bytes that no program of ours has written.
            write!(f, ", of {} and {} bytes", self.size_bytes, there.size_bytes)?;
        }
        Ok(())
    }
}

impl fmt::Display for RowDifference<Field> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_difference(self, f)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TypeName { here, there } => write!(f, "the event is `{here}` here, but `{there}` there"),
            Self::Field(difference) => difference.fmt(f),
            Self::Layout { here: (size, align), there: (other_size, other_align) } => {
                write!(
                    f,
                    "the event has {size} bytes, aligned to {align}, here, \
                     but {other_size}, aligned to {other_align}, there"
                )
            }
        }
    }
}
