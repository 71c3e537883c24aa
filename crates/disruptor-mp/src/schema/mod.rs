//! What may be in a slot, and how two processes find out whether they mean the same by it.
//!
//! There is no shared memory, no atomic and no `unsafe` here.
//!
//! `message` does the same for messages, which a codec turns into bytes.

pub(crate) mod checks;
mod difference;
mod encoding;
mod event;
mod message;
mod numbered;

pub use difference::{Difference, RowDifference};
pub use encoding::{ENCODED_BYTES_MAX, SchemaError};
pub use event::{Event, SLOT_ALIGN_MAX, event, slot_align};
pub use message::{
    Described, Fields, MESSAGE_SCHEMA_BYTES_MAX, MessageDifference, MessageRow, MessageSchema, MessageSchemaError,
    Said, Types, Variants,
};
#[cfg(not(loom))]
pub(crate) use numbered::Numbered;
pub use numbered::{RowName, SchemaDifference};

/// The largest number of fields of a schema, including fields of nested events. More would make the schema section of a
/// segment larger than most rings. The limit also bounds what a damaged segment can make a reader do.
pub const FIELDS_MAX: usize = 4096;

/// The longest name of a field (including dots), of a field's type or of an event, in bytes. Longer names come from
/// damage, not from programmers.
pub const NAME_BYTES_MAX: usize = 256;

/// The description of an event type: it must be equal in two processes that share a ring of it.
///
/// A segment carries the encoded schema of its events ([`encode`](Self::encode)). A process that opens it compares the
/// [`fingerprint`](Self::fingerprint) with that of its own type, and explains a mismatch with
/// [`first_difference`](Self::first_difference).
///
/// The field list is flat. A field that is itself an event is preceded by its own fields under dotted names, and an
/// array of events by the fields of its first element under `[]`, so that the first row that differs names the exact
/// field and not the struct around it:
///
/// ```
/// use disruptor_mp::{Event, event};
///
/// #[event]
/// struct Leg {
///     price: u64,
///     volume: u64,
/// }
///
/// #[event]
/// struct Order {
///     first: Leg,
///     others: [Leg; 3],
/// }
///
/// let schema = Order::schema();
/// assert_eq!(schema.type_name(), "Order");
/// let rows: Vec<String> = schema.fields().iter().map(ToString::to_string).collect();
/// assert_eq!(rows, [
///     "`first.price` is u64 at offset 0",
///     "`first.volume` is u64 at offset 8",
///     "`first` is Leg at offset 0",
///     "`others[].price` is u64 at offset 16",
///     "`others[].volume` is u64 at offset 24",
///     "`others` is [Leg; 3] at offset 16",
/// ]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Schema {
    type_name: String,
    size_bytes: u64,
    align_bytes: u64,
    fields: Vec<Field>,
    content_tag: Option<String>,
}

/// One row of a [`Schema`]: a field, its offset and its size. Sizes are in bytes, offsets from the start of the event.
///
/// Displayed as `` `step` is u32 at offset 8 ``.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Field {
    name: String,
    type_name: String,
    offset_bytes: u64,
    size_bytes: u64,
}

impl Schema {
    /// The description of `T` with no fields yet. For a number it is complete.
    ///
    /// `type_name` is the name that the type must have in every process. It has no module path, because two programs
    /// may keep the same struct in different modules.
    ///
    /// # Panics
    /// If `type_name` is empty, longer than [`NAME_BYTES_MAX`] or contains control characters.
    pub fn of<T>(type_name: impl Into<String>) -> Self {
        let type_name = type_name.into();
        assert_name(&type_name);
        Self {
            type_name,
            size_bytes: size_of::<T>() as u64,
            align_bytes: align_of::<T>() as u64,
            fields: Vec::new(),
            content_tag: None,
        }
    }

    /// Adds the field `name` of type `F`, `offset_bytes` from the start of the event, after the fields that `F` itself
    /// has.
    ///
    /// # Panics
    /// If the field ends beyond the event, if a name (with its dots) is longer than [`NAME_BYTES_MAX`] or contains
    /// control characters, or if there are now more than [`FIELDS_MAX`] fields. Such a type is too large or too deeply
    /// nested to be an event: put repeated fields into arrays.
    #[must_use]
    pub fn with_field<F: Event>(mut self, name: &str, offset_bytes: usize) -> Self {
        let Schema { type_name, size_bytes, fields, .. } = F::schema();
        let offset_bytes = offset_bytes as u64;
        for inner in fields {
            self.push(Field {
                name: path(name, &inner.name),
                offset_bytes: offset_bytes.saturating_add(inner.offset_bytes),
                ..inner
            });
        }
        self.push(Field { name: name.to_owned(), type_name, offset_bytes, size_bytes });
        self
    }

    /// Adds what the bytes carry, if the event type does not say it.
    ///
    /// # Panics
    /// If the tag [is not valid](Self::is_content_tag).
    #[must_use]
    pub fn with_content_tag(self, tag: impl Into<String>) -> Self {
        let tag = tag.into();
        assert!(Self::is_content_tag(&tag), "{tag:?} is no content tag");
        Self { content_tag: Some(tag), ..self }
    }

    /// Whether `text` can be a content tag: 1 to [`NAME_BYTES_MAX`] bytes without control characters and other
    /// invisible characters; or the text of a [`MessageSchema`], which may be longer.
    pub fn is_content_tag(text: &str) -> bool {
        is_name(text) || (is_visible(text) && MessageSchema::parse(text).is_ok())
    }

    /// The description of the array `[E; N]`: the fields of one element, if it has any, under `[]`.
    fn of_array<E: Event, const N: usize>() -> Self {
        let element = E::schema();
        let mut array = Self::of::<[E; N]>(format!("[{}; {N}]", element.type_name));
        // An array of no elements has no first element whose fields could be named.
        for inner in element.fields.into_iter().filter(|_| N > 0) {
            array.push(Field { name: path("[]", &inner.name), ..inner });
        }
        array
    }

    fn push(&mut self, field: Field) {
        assert_name(&field.name);
        assert_name(&field.type_name);
        assert!(field.lies_within(self.size_bytes), "{field} ends beyond `{}`", self.type_name);
        assert!(
            self.fields.len() < FIELDS_MAX,
            "`{}` has more than {FIELDS_MAX} fields, nested ones included",
            self.type_name
        );
        self.fields.push(field);
    }

    /// The name of the struct, without its module and with the values of its const parameters: `Frame<4096>`.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// The size of the event in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// The alignment of the event's type in bytes. A slot may be aligned further, see [`Event::SLOT_ALIGN`].
    pub fn align_bytes(&self) -> u64 {
        self.align_bytes
    }

    /// The fields in the order of the struct, each one after its own fields.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// What the events carry, if their type does not say it. Not part of an event type's own schema.
    pub fn content_tag(&self) -> Option<&str> {
        self.content_tag.as_deref()
    }

    /// The content tag of an encoded schema; `None` if it has none, or is not a schema.
    pub(crate) fn content_tag_in(encoded: &[u8]) -> Option<String> {
        Self::decode(encoded).ok()?.content_tag
    }

    /// 64 bits that are equal for equal schemas and differ for all others that occur in practice: FNV-1a over
    /// [`encode`](Self::encode).
    ///
    /// It depends on the source text only: not on the build, the compiler's version or the module of the struct. It
    /// depends on the platform only if the platform lays out the struct differently. The name of the struct is part of
    /// it: a ring of one type is refused as a ring of another even if their fields agree. It protects from mistakes,
    /// not from attacks.
    pub fn fingerprint(&self) -> u64 {
        fnv1a(&self.encode())
    }
}

impl Field {
    /// The name of the field: dotted for a field of a nested event, with `[]` for "in every element", `0`, `1`, ... in
    /// a tuple struct.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the field's type: `u32`, `[u32; 16]`, or the name of an event.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// Where the field starts, in bytes from the start of the event; in an array, where that of the first element
    /// starts.
    pub fn offset_bytes(&self) -> u64 {
        self.offset_bytes
    }

    /// The size of the field in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether the field ends inside an event of that size. The numbers may come from a damaged segment, so nothing may
    /// overflow.
    fn lies_within(&self, event_bytes: u64) -> bool {
        self.offset_bytes.checked_add(self.size_bytes).is_some_and(|end| end <= event_bytes)
    }
}

impl core::fmt::Display for Field {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "`{}` is {} at offset {}", self.name, self.type_name, self.offset_bytes)
    }
}

/// The name of the field `inner` of `outer`: `leg` and `price` are `leg.price`, `leg` and `[].price` are `leg[].price`.
fn path(outer: &str, inner: &str) -> String {
    let separator = if inner.starts_with('[') { "" } else { "." };
    format!("{outer}{separator}{inner}")
}

fn assert_name(name: &str) {
    assert!(
        is_name(name),
        "{name:?} is no name for a schema: it needs 1 to {NAME_BYTES_MAX} bytes, all of which can be seen"
    );
}

/// Whether a schema may contain this name. Characters that disguise a line are refused, because names are printed on
/// terminals.
fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && is_visible(name)
}

fn is_visible(text: &str) -> bool {
    !text.chars().any(crate::text::disguises)
}

/// The hash function of every fingerprint.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    bytes.iter().fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests;
