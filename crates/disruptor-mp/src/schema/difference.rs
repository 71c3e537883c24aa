//! What two schemas disagree about, for the person who has to find out.
//!
//! **Lives here:** [`Difference`] and [`Schema::first_difference`]. **Builds on:** [`Schema`].
//! **May touch it:** whoever refuses a segment.

use core::fmt;

use super::{Field, Schema};

/// The first thing that differs between the event type of this process (*here*) and the one it found in a segment
/// (*there*).
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
    /// A field differs in type, place or size; or two fields of different names stand at the same place of the list.
    Field {
        /// The field in this process.
        here: Field,
        /// The field in the segment.
        there: Field,
    },
    /// A field exists in this process only.
    OnlyHere {
        /// The field.
        field: Field,
    },
    /// A field exists in the segment only.
    OnlyThere {
        /// The field.
        field: Field,
    },
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
    /// The name of the struct comes first, then the fields in order, then size and alignment. Content tags are not compared: who has no
    /// use for them need not know them.
    pub fn first_difference(&self, found: &Schema) -> Option<Difference> {
        if self.type_name != found.type_name {
            return Some(Difference::TypeName { here: self.type_name.clone(), there: found.type_name.clone() });
        }
        self.first_field_difference(found).or_else(|| {
            let (here, there) = ((self.size_bytes, self.align_bytes), (found.size_bytes, found.align_bytes));
            (here != there).then_some(Difference::Layout { here, there })
        })
    }

    fn first_field_difference(&self, found: &Schema) -> Option<Difference> {
        let at = self.fields.iter().zip(&found.fields).take_while(|(here, there)| here == there).count();
        // A struct that gained or lost a field in the middle differs from there on. Which of the two happened shows in
        // whether the other side has a field of that name at all.
        match (self.fields.get(at), found.fields.get(at)) {
            (None, None) => None,
            (Some(here), None) => Some(Difference::OnlyHere { field: here.clone() }),
            (None, Some(there)) => Some(Difference::OnlyThere { field: there.clone() }),
            (Some(here), Some(there)) => {
                Some(match (found.field_named(&here.name), self.field_named(&there.name)) {
                    (None, Some(_)) => Difference::OnlyHere { field: here.clone() },
                    (Some(_), None) => Difference::OnlyThere { field: there.clone() },
                    // The field has moved, or changed where it stands.
                    (Some(elsewhere), Some(_)) if elsewhere != here => {
                        Difference::Field { here: here.clone(), there: elsewhere.clone() }
                    }
                    // It was renamed, or the list is in another order.
                    _ => Difference::Field { here: here.clone(), there: there.clone() },
                })
            }
        }
    }

    fn field_named(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TypeName { here, there } => write!(f, "the event is `{here}` here, but `{there}` there"),
            Self::Field { here, there } => {
                write!(f, "field {here} here, but ")?;
                if here.name != there.name {
                    write!(f, "`{}` is ", there.name)?;
                }
                write!(f, "{} at offset {} there", there.type_name, there.offset_bytes)?;
                if here.size_bytes != there.size_bytes && here.type_name == there.type_name {
                    // A type that changed under its name, or bytes that no program of ours has written.
                    write!(f, ", of {} and {} bytes", here.size_bytes, there.size_bytes)?;
                }
                Ok(())
            }
            Self::OnlyHere { field } => write!(f, "field {field} here, but does not exist there"),
            Self::OnlyThere { field } => write!(f, "field {field} there, but does not exist here"),
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
